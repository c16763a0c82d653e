/* The load generator of the benchmark: what its commands share. */
#ifndef GCTOKEN_BENCH_LOAD_H
#define GCTOKEN_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum protocol {
	HTTP,      /* GET of a path */
	MEMCACHED, /* get of a key */
	REDIS,     /* SUBSCRIBE to a channel, for waiters; PING, for the probe */
};

struct options {
	enum protocol protocol;
	const char *socket;
	unsigned connections;
	unsigned pipeline;
	double seconds;
	char **targets; /* paths or keys, taken in turn */
	unsigned target_count;
};

/* Each returns the exit status. */
int load_keep_alive(const struct options *o);
int load_new_connections(const struct options *o);
int load_idle(const struct options *o);
int load_waiters(const struct options *o);
int load_probe(const struct options *o);
int load_spawn(const struct options *o);
int load_restart(const struct options *o);

/* A failure of the benchmark itself: told, and the end. */
_Noreturn void load_fail(const char *what);
uint64_t load_now(void);
void load_descriptors(unsigned wanted);
/* Blocking. */
int load_connect(const char *path);
void load_send(int fd, const char *bytes, size_t length);
/* All requests in turn, made once. */
struct request {
	char *bytes;
	size_t length;
};
struct request *load_requests(const struct options *o);
/* The length of the whole answer that `bytes` begin with, 0 if there is none yet. Ends the program
 * if it is not what success looks like. */
size_t load_answer_length(enum protocol p, const char *bytes, size_t length);
/* Reads one whole answer; false: the other end has closed. */
bool load_read_answer(enum protocol p, int fd);

#endif
