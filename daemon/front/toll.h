/* What the kernel does at a caller's end of a socket while we call at ours, and who pays for it.
 *
 * Each call that sends, ends or closes, and each that frees something which the caller had sent,
 * walks past all who wait at the caller's end: at a poll, an epoll, an io_uring. There may be a
 * million of them, and then one walk takes 20 to 100 ms of our thread; a request that came as
 * single bytes is a walk for each. So the calls that can walk are measured. While none is slow that
 * costs a counter read before and after. Where some were, the front is *careful* for a while: the
 * processor time of each call is measured, bytes are read in small pieces, and who has taken more
 * than its part of the thread is *held off* until that part has paid for it: nothing is done at a
 * connection of that user, but that it goes to the closers (reaper.h). That a machine is busy is
 * nobody's fault and changes nothing.
 *
 * There is one of this in a process, for one thread. */
#ifndef GCTOKEND_FRONT_TOLL_H
#define GCTOKEND_FRONT_TOLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

/* What all users who are held off may take of the thread together: one part in so many. */
#define TOLL_PART 20
/* So much at once is nothing yet. */
#define TOLL_FREE_US 20000
/* How long at most who is alone in this is held off: this much, times TOLL_PART. */
#define TOLL_MOST_US 1000000
/* Bytes that are read at once. */
#define TOLL_PIECE 1024

struct reaper;

/* One call, or some in a row. */
struct toll_call {
	uint64_t counter;
	int64_t cpu_ns; /* -1: not read, nor is what follows */
	uid_t uid;
};

/* Of this file and toll.c alone, here because it is needed for each request. */
extern struct toll_limits {
	uint64_t known;     /* the counter, when the time of the thread was last read */
	uint64_t known_for; /* so many ticks later it has to be read again; 0 while careful */
	uint64_t threshold; /* of how many ticks a call is looked at */
} toll_limits;

static inline uint64_t toll_counter(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
#else
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
#endif
}

bool toll_begin_known(struct toll_call *c, int fd);
bool toll_look(struct toll_call *c, unsigned allowed_us);
size_t toll_careful_piece(const struct toll_call *c, int fd, char *bytes, size_t room);

/* `reaper`, which may be NULL, closes what is not to be touched; without one it is closed here.
 * `held_off` is told of each user who is from now on, and may be NULL. */
void toll_init(struct reaper *reaper, void (*held_off)(void *context, uid_t uid), void *context);
void toll_fini(void);

/* `uid` is held off at this moment. */
bool toll_holds_off(uid_t uid);

/* Before calls at `fd`. False: its user is held off, and nothing may be done but toll_close. */
static inline bool toll_begin(struct toll_call *c, int fd)
{
	c->counter = toll_counter();
	c->cpu_ns = -1;
	return c->counter - toll_limits.known < toll_limits.known_for || toll_begin_known(c, fd);
}
/* After one or some, which were allowed to take `allowed_us` since the beginning. False: it is
 * enough for now. */
static inline bool toll_end(struct toll_call *c, unsigned allowed_us)
{
	return toll_counter() - c->counter < toll_limits.threshold || toll_look(c, allowed_us);
}
/* How many bytes, `room` at most, to read from `fd` in one call, so that not too many walks are in
 * it. `bytes` may be written to. */
static inline size_t toll_piece(const struct toll_call *c, int fd, char *bytes, size_t room)
{
	if (c->cpu_ns >= 0)
		return toll_careful_piece(c, fd, bytes, room);
	return room < TOLL_PIECE ? room : TOLL_PIECE;
}

/* send, sendmsg and shutdown, which never wait; how much was sent, or 0, or a negative errno,
 * -EBUSY where the user is held off. */
ssize_t toll_send(int fd, const char *bytes, size_t length);
ssize_t toll_send_message(int fd, const struct msghdr *message);
int toll_shutdown(int fd, int how);
/* Closes `fd`, here or by the reaper. */
void toll_close(int fd);
/* Closes `fd`, into which no descriptor can have been passed, here and at once, even if its user is
 * held off, because the descriptor is needed. False: so much is unread in it that this may take
 * long, and nothing was done. */
bool toll_close_here(int fd);

#endif
