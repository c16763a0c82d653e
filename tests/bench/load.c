/* load COMMAND ...: puts load on a server at a Unix socket and prints what it met, as `name value`
 * lines. One thread, nothing between it and the system calls: it has to be quicker than what it
 * measures. tests/bench/bench.py runs it. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void load_fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t load_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void load_descriptors(unsigned wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		load_fail("getrlimit");
	if (limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		load_fail("too few descriptors are allowed");
}

int load_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		load_fail(path);
	}
	strcpy(address.sun_path, path);
	if (fd < 0)
		load_fail("socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

void load_send(int fd, const char *bytes, size_t length)
{
	if (send(fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length)
		load_fail("send");
}

static char *request_text(const struct options *o, const char *target)
{
	char *text = NULL;
	int r = -1;

	switch (o->protocol) {
	case HTTP:
		r = asprintf(&text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", target);
		break;
	case MEMCACHED:
		r = asprintf(&text, "get %s\r\n", target);
		break;
	case REDIS:
		r = asprintf(&text, "%s\r\n", target);
		break;
	}
	if (r < 0)
		load_fail("a request");
	return text;
}

struct request *load_requests(const struct options *o)
{
	struct request *requests = calloc(o->target_count, sizeof(*requests));

	if (!requests)
		load_fail("requests");
	for (unsigned i = 0; i < o->target_count; i++) {
		char *one = request_text(o, o->targets[i]);
		struct request *r = &requests[i];

		r->length = strlen(one) * o->pipeline;
		r->bytes = malloc(r->length + 1);
		if (!r->bytes)
			load_fail("a request");
		r->bytes[0] = 0;
		for (unsigned n = 0; n < o->pipeline; n++)
			strcat(r->bytes, one);
		free(one);
	}
	return requests;
}

/* Whatever this program takes for an answer the servers seem to take: where the parts of the header
 * were in the answer before they are looked for first. */
static size_t http_length(const char *bytes, size_t length)
{
	static const char name[] = "Content-Length:";
	static size_t head, field_at;
	size_t whole;

	if (length < head || !head || memcmp(bytes + head - 4, "\r\n\r\n", 4) ||
		memcmp(bytes + field_at, name, sizeof(name) - 1)) {
		const char *end = memmem(bytes, length, "\r\n\r\n", 4), *field;

		if (!end)
			return 0;
		head = (size_t)(end - bytes) + 4;
		field = memmem(bytes, head, name, sizeof(name) - 1);
		if (!field) {
			errno = EPROTO;
			load_fail("an answer without Content-Length");
		}
		field_at = (size_t)(field - bytes);
	}
	if (memcmp(bytes, "HTTP/1.1 200", 12)) {
		fprintf(stderr, "load: %.*s\n", (int)strcspn(bytes, "\r"), bytes);
		exit(1);
	}
	whole = head + strtoul(bytes + field_at + sizeof(name) - 1, NULL, 10);
	return whole <= length ? whole : 0;
}

/* VALUE key flags LENGTH, the value, END */
static size_t memcached_length(const char *bytes, size_t length)
{
	const char *end = memchr(bytes, '\n', length), *last;
	size_t whole;

	if (!end)
		return 0;
	if (length < 5 || memcmp(bytes, "VALUE", 5)) {
		errno = EPROTO;
		load_fail("memcached does not know the key");
	}
	for (last = end; *last != ' '; last--)
		;
	whole = (size_t)(end - bytes) + 1 + strtoul(last, NULL, 10) + sizeof("\r\nEND\r\n") - 1;
	return whole <= length ? whole : 0;
}

size_t load_answer_length(enum protocol p, const char *bytes, size_t length)
{
	const char *end;

	if (p == HTTP)
		return http_length(bytes, length);
	if (p == MEMCACHED)
		return memcached_length(bytes, length);
	end = memmem(bytes, length, "\r\n", 2);
	return end ? (size_t)(end - bytes) + 2 : 0;
}

bool load_read_answer(enum protocol p, int fd)
{
	char bytes[16384];
	size_t length = 0;

	for (;;) {
		ssize_t n = recv(fd, bytes + length, sizeof(bytes) - 1 - length, 0);

		if (n < 0)
			load_fail("recv");
		if (n == 0)
			return false;
		length += (size_t)n;
		bytes[length] = 0;
		if (load_answer_length(p, bytes, length))
			return true;
	}
}

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: load keepalive|new|idle|waiters|probe http|memcached|redis SOCKET "
			"CONNECTIONS "
			"SECONDS PIPELINE TARGET...\n"
			"       load spawn TIMES COMMAND...\n"
			"       load restart SOCKET TARGET TIMES COMMAND...\n");
	exit(2);
}

static enum protocol protocol_of(const char *name)
{
	if (!strcmp(name, "http"))
		return HTTP;
	if (!strcmp(name, "memcached"))
		return MEMCACHED;
	if (strcmp(name, "redis"))
		usage();
	return REDIS;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const struct options *o);
	} commands[] = {
		{"keepalive", load_keep_alive},
		{"new", load_new_connections},
		{"idle", load_idle},
		{"waiters", load_waiters},
		{"probe", load_probe},
	};
	struct options o = {0};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc >= 4 && !strcmp(argv[1], "spawn")) {
		o.connections = (unsigned)atoi(argv[2]);
		o.targets = argv + 3;
		return load_spawn(&o);
	}
	if (argc >= 6 && !strcmp(argv[1], "restart")) {
		o.socket = argv[2];
		o.connections = (unsigned)atoi(argv[4]);
		o.targets = argv + 3; /* the target, then (over the count) the command */
		o.target_count = 1;
		o.pipeline = 1;
		return load_restart(&o);
	}
	if (argc < 8)
		usage();
	o.protocol = protocol_of(argv[2]);
	o.socket = argv[3];
	o.connections = (unsigned)atoi(argv[4]);
	o.seconds = atof(argv[5]);
	o.pipeline = (unsigned)atoi(argv[6]);
	o.targets = argv + 7;
	o.target_count = (unsigned)argc - 7;
	if (!o.connections || !o.pipeline)
		usage();
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(&o);
	usage();
}
