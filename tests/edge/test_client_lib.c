/* libgctoken against a daemon that misbehaves on command: a thread here accepts connections and
 * plays the script of the test. Each test has a socket of its own. */
#include "gctoken.h"
#include "handle_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define HEAD "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n"
#define TOKEN_FIELDS \
	"Gctoken-Generation: 17\r\nGctoken-Expires-In-Ms: 60000\r\n" \
	"Gctoken-Fingerprint: 9f86d081884c7d65\r\n"
#define TOKEN_17 HEAD TOKEN_FIELDS "Gctoken-State: fresh\r\nContent-Length: 9\r\n\r\ntoken-17\n"
#define TOKEN_18 \
	HEAD "Gctoken-Generation: 18\r\nGctoken-Expires-In-Ms: 60000\r\n" \
	     "Gctoken-Fingerprint: aaaabbbbccccdddd\r\nContent-Length: 9\r\n\r\ntoken-18\n"

/* What one connection does with its n-th request. */
enum act {
	ANSWER,       /* text, then wait for the next request */
	ANSWER_CLOSE, /* text, then close */
	CLOSE,        /* close without a byte */
	DRIBBLE,      /* text byte by byte, then wait for the next request */
	HANG,         /* read the request, never answer; ends with the client */
	EARLY,        /* text before any request is read, then close */
};

struct step {
	enum act act;
	const char *text;
	int delay_ms;
};

struct worker {
	struct daemon *daemon;
	pthread_t thread;
	int fd; /* -1 once it has closed it */
};

struct daemon {
	char directory[32];
	char path[64];
	int listener;
	pthread_t thread;
	bool running;
	atomic_int connections, requests;
	const struct step *steps; /* the next step of whatever connection; the last one repeats */
	int step_count;
	atomic_int next_step;
	pthread_mutex_t lock; /* of what follows */
	char last_request[1024];
	struct worker workers[256];
	int worker_count;
};

/* How far the clocks of this process have come, where a test says so: then a request's wait does
 * not depend on how quick the machine is. */
static _Atomic int64_t clock_at_ms; /* 0: the kernel's */
/* What the next recv of this thread takes on that clock, as it does where others get the processor
 * meanwhile. */
static _Thread_local int recv_takes_ms;

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
ssize_t __real_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t ms = atomic_load(&clock_at_ms);

	if (!ms)
		return __real_clock_gettime(id, ts);
	*ts = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	return 0;
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
	atomic_fetch_add(&clock_at_ms, recv_takes_ms);
	recv_takes_ms = 0;
	return __real_recv(fd, bytes, size, flags);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool write_text(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = send(fd, text, length, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		text += n;
		length -= (size_t)n;
	}
	return true;
}

static bool read_request(struct daemon *d, int fd)
{
	char request[1024] = "";
	size_t length = 0;

	while (!strstr(request, "\r\n\r\n")) {
		ssize_t n = recv(fd, request + length, sizeof(request) - 1 - length, 0);

		if (n <= 0)
			return false;
		length += (size_t)n;
		request[length] = '\0';
	}
	atomic_fetch_add(&d->requests, 1);
	pthread_mutex_lock(&d->lock);
	strcpy(d->last_request, request);
	pthread_mutex_unlock(&d->lock);
	return true;
}

static const struct step *take_step(struct daemon *d)
{
	int i = atomic_fetch_add(&d->next_step, 1);

	return &d->steps[i < d->step_count ? i : d->step_count - 1];
}

static bool play(struct daemon *d, int fd)
{
	const struct step *s = take_step(d);
	const char *p;

	if (s->act == EARLY) {
		write_text(fd, s->text, strlen(s->text));
		return false;
	}
	if (!read_request(d, fd))
		return false;
	if (s->delay_ms)
		poll(NULL, 0, s->delay_ms);
	switch (s->act) {
	case ANSWER:
		return write_text(fd, s->text, strlen(s->text));
	case DRIBBLE:
		for (p = s->text; *p; p++)
			if (!write_text(fd, p, 1))
				return false;
		return true;
	case ANSWER_CLOSE:
		write_text(fd, s->text, strlen(s->text));
		return false;
	case HANG:
		recv(fd, (char[1]){0}, 1, 0);
		return false;
	case CLOSE:
	case EARLY:
		break;
	}
	return false;
}

static void *serve_connection(void *argument)
{
	struct worker *worker = argument;
	int fd = worker->fd;

	while (play(worker->daemon, fd)) {
		/* A step is taken when its request comes, not while the connection idles. */
		if (recv(fd, (char[1]){0}, 1, MSG_PEEK) <= 0)
			break;
	}
	pthread_mutex_lock(&worker->daemon->lock);
	worker->fd = -1;
	close(fd);
	pthread_mutex_unlock(&worker->daemon->lock);
	return NULL;
}

static void *accept_connections(void *argument)
{
	struct daemon *d = argument;

	for (;;) {
		int fd = accept4(d->listener, NULL, NULL, SOCK_CLOEXEC);
		struct worker *worker;

		if (fd < 0)
			return NULL;
		atomic_fetch_add(&d->connections, 1);
		if (d->worker_count == (int)LENGTH(d->workers))
			abort(); /* the client does not keep its connections */
		worker = &d->workers[d->worker_count++];
		worker->daemon = d;
		worker->fd = fd;
		pthread_create(&worker->thread, NULL, serve_connection, worker);
	}
}

static void daemon_start(struct daemon *d, const struct step *steps, int count)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	d->steps = steps;
	d->step_count = count;
	atomic_store(&d->next_step, 0);
	strcpy(address.sun_path, d->path);
	d->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(d->listener >= 0);
	assert_int_equal(bind(d->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(d->listener, 64), 0);
	assert_int_equal(pthread_create(&d->thread, NULL, accept_connections, d), 0);
	d->running = true;
}

/* Whatever its clients do: those of a test that failed are still connected. */
static void daemon_stop(struct daemon *d)
{
	int i;

	if (!d->running)
		return;
	shutdown(d->listener, SHUT_RDWR);
	pthread_join(d->thread, NULL);
	close(d->listener);
	unlink(d->path);
	pthread_mutex_lock(&d->lock);
	for (i = 0; i < d->worker_count; i++)
		if (d->workers[i].fd >= 0)
			shutdown(d->workers[i].fd, SHUT_RDWR);
	pthread_mutex_unlock(&d->lock);
	for (i = 0; i < d->worker_count; i++)
		pthread_join(d->workers[i].thread, NULL);
	d->worker_count = 0;
	d->running = false;
}

static int setup(void **state)
{
	struct daemon *d = calloc(1, sizeof(*d));

	if (!d)
		return -1;
	strcpy(d->directory, "/tmp/gctoken-test-XXXXXX");
	if (!mkdtemp(d->directory))
		return -1;
	snprintf(d->path, sizeof(d->path), "%s/sock", d->directory);
	pthread_mutex_init(&d->lock, NULL);
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct daemon *d = *state;

	recv_takes_ms = 0;
	atomic_store(&clock_at_ms, 0);
	daemon_stop(d);
	rmdir(d->directory);
	pthread_mutex_destroy(&d->lock);
	free(d);
	return 0;
}

#define START(d, ...) \
	static const struct step steps_[] = {__VA_ARGS__}; \
	daemon_start(d, steps_, (int)LENGTH(steps_))

static struct gctoken *open_client(const struct daemon *d)
{
	struct gctoken *g = NULL;

	assert_int_equal(gctoken_open(&g, d->path, "default"), 0);
	assert_non_null(g);
	return g;
}

static void assert_request(struct daemon *d, const char *line)
{
	char request[sizeof(d->last_request)];

	/* A failing assertion leaves at once, and would leave a lock locked. */
	pthread_mutex_lock(&d->lock);
	strcpy(request, d->last_request);
	pthread_mutex_unlock(&d->lock);
	if (strncmp(request, line, strlen(line)))
		fail_msg("not %s but %s", line, request);
}

static void gets_a_token(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;

	START(d, {ANSWER, TOKEN_17, 0});
	atomic_store(&clock_at_ms, 1000);
	g = open_client(d);
	memset(&t, 0xee, sizeof(t));
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_request(d, "GET /v1/token?profile=default&wait=5 HTTP/1.1\r\nHost: gctokend\r\n"
			  "Accept: text/plain\r\n\r\n");
	assert_int_equal(t.generation, 17);
	assert_string_equal(t.token, "token-17");
	assert_int_equal(t.length, 8);
	assert_string_equal(t.fingerprint, "9f86d081884c7d65");
	assert_int_equal(t.state, GCTOKEN_STATE_FRESH);
	assert_int_equal(t.expires_in_ms, 59999);
	assert_int_equal(t.reserved[0] | t.reserved[63], 0);

	assert_int_equal(gctoken_get(g, &t, 600, 1), 0);
	assert_request(d, "GET /v1/token?profile=default&min_ttl=600&wait=1 HTTP/1.1\r\n");
	assert_int_equal(gctoken_get(g, &t, 0, 0), 0);
	assert_request(d, "GET /v1/token?profile=default&wait=0 HTTP/1.1\r\n");
	assert_int_equal(gctoken_reject(g, &t, &t, 2000), 0);
	assert_request(d, "POST /v1/token/reject?profile=default&generation=17&wait=2 HTTP/1.1\r\n"
			  "Host: gctokend\r\nAccept: text/plain\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(gctoken_wait_change(g, 16, &t, 1001), 0);
	assert_request(d, "GET /v1/token?profile=default&after=16&wait=2 HTTP/1.1\r\n");
	assert_int_equal(atomic_load(&d->connections), 1); /* kept alive */
	gctoken_close(g);
	gctoken_token_wipe(&t);
	assert_int_equal(t.generation | t.length | (unsigned char)t.token[0], 0);
}

/* What looking at the kept connection takes is no longer there to wait for. */
static void asks_for_the_wait_that_is_left(void **state)
{
	static const struct {
		int takes_ms, wait_ms;
		const char *asked;
	} rows[] = {
		{0, 1, "wait=1"},
		{1, 1, "wait=0"},
		{2, 1, "wait=0"},
		{1, 1000, "wait=1"},
		{1, 1001, "wait=1"},
		{1, 1002, "wait=2"},
		{999, 1000, "wait=1"},
	};
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;
	char line[80];
	size_t i;

	START(d, {ANSWER, TOKEN_17, 0});
	g = open_client(d);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	for (i = 0; i < LENGTH(rows); i++) {
		atomic_store(&clock_at_ms, 1000);
		recv_takes_ms = rows[i].takes_ms;
		assert_int_equal(gctoken_wait_change(g, 16, &t, rows[i].wait_ms), 0);
		snprintf(line, sizeof(line), "GET /v1/token?profile=default&after=16&%s HTTP/1.1",
			rows[i].asked);
		assert_request(d, line);
	}
	gctoken_close(g);
}

#define PROBLEM(status, body_length, body) \
	"HTTP/1.1 " status " X\r\nContent-Length: " body_length "\r\n\r\n" body

static void tells_failures_apart(void **state)
{
	static const struct {
		const char *answer;
		int error;
	} rows[] = {
		{PROBLEM("503", "34", "{\"error\":\"temporarily_unavailable\"}"),
			GCTOKEN_UNAVAILABLE},
		{PROBLEM("503", "26", "{\"error\":\"login_required\"}"), GCTOKEN_LOGIN_REQUIRED},
		{PROBLEM("503", "27", "{\"error\":\"client_rejected\"}"), GCTOKEN_CLIENT_REJECTED},
		{PROBLEM("503", "20", "{\"error\": \"revoked\"}"), GCTOKEN_REVOKED},
		{PROBLEM("503", "4", "oops"), GCTOKEN_UNAVAILABLE},
		{PROBLEM("504", "2", "{}"), GCTOKEN_TIMEOUT},
		{PROBLEM("429", "2", "{}"), GCTOKEN_TOO_MANY},
		{PROBLEM("403", "2", "{}"), GCTOKEN_DENIED},
		{PROBLEM("404", "2", "{}"), GCTOKEN_UNKNOWN_PROFILE},
		{PROBLEM("400", "2", "{}"), GCTOKEN_REFUSED},
		{PROBLEM("500", "2", "{}"), GCTOKEN_BAD_ANSWER},
		{PROBLEM("204", "0", ""), GCTOKEN_BAD_ANSWER},
		{PROBLEM("304", "0", ""), GCTOKEN_BAD_ANSWER}, /* gctoken_get asked no such thing */
	};
	struct daemon *d = *state;
	size_t i;

	for (i = 0; i < LENGTH(rows); i++) {
		struct step step = {ANSWER, rows[i].answer, 0};
		struct gctoken_token t = {.generation = 4711};
		struct gctoken *g = open_client(d);
		int error;

		daemon_start(d, &step, 1);
		error = gctoken_get(g, &t, 0, 0);
		gctoken_close(g);
		daemon_stop(d);
		if (error != rows[i].error)
			fail_msg("%d for %s", error, rows[i].answer);
		assert_int_equal(t.generation, 4711);
	}
}

static void waits_for_a_change(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;

	START(d, {ANSWER, "HTTP/1.1 304 Not Modified\r\n\r\n", 0}, {ANSWER, TOKEN_18, 50});
	g = open_client(d);
	assert_int_equal(gctoken_wait_change(g, 17, &t, 0), GCTOKEN_NO_CHANGE);
	assert_int_equal(gctoken_wait_change(g, 17, &t, 1000), 0);
	assert_int_equal(t.generation, 18);
	assert_int_equal(t.state, GCTOKEN_STATE_UNKNOWN);
	gctoken_close(g);
}

/* No answer that is not a whole, plausible token gets out as one. */
static void refuses_garbage(void **state)
{
	static const char *const answers[] = {
		"SSH-2.0-x\r\n",
		HEAD "Content-Length: 9\r\n\r\ntoken-17\n",
		HEAD TOKEN_FIELDS "Content-Length: 8\r\n\r\ntoken-17",
		HEAD TOKEN_FIELDS "Content-Length: 1\r\n\r\n\n",
		HEAD TOKEN_FIELDS "Content-Length: 0\r\n\r\n",
		HEAD TOKEN_FIELDS "Content-Length: 9\r\n\r\ntoken 17\n",
		HEAD TOKEN_FIELDS "Content-Length: 9\r\n\r\ntoken\n17\n",
		HEAD TOKEN_FIELDS "Content-Length: 9\r\n\r\ntoken\xc3\xa4"
				  "7\n",
		HEAD TOKEN_FIELDS "Gctoken-Generation: 18\r\nContent-Length: 9\r\n\r\ntoken-17\n",
		HEAD TOKEN_FIELDS "Content-Length: 20\r\n\r\n",
		HEAD "Gctoken-Generation: 0\r\nGctoken-Expires-In-Ms: 1\r\n"
		     "Gctoken-Fingerprint: 9f86d081884c7d65\r\nContent-Length: 9\r\n\r\ntoken-17\n",
		HEAD "Gctoken-Generation: 1\r\nGctoken-Expires-In-Ms: -1\r\n"
		     "Gctoken-Fingerprint: 9f86d081884c7d65\r\nContent-Length: 9\r\n\r\ntoken-17\n",
		HEAD "Gctoken-Generation: 1\r\nGctoken-Expires-In-Ms: 1\r\n"
		     "Gctoken-Fingerprint: 9F86D081884C7D65\r\nContent-Length: 9\r\n\r\ntoken-17\n",
		HEAD "Gctoken-Generation: 1\r\nGctoken-Expires-In-Ms: 1\r\n"
		     "Gctoken-Fingerprint: 9f86\r\nContent-Length: 9\r\n\r\ntoken-17\n",
	};
	struct daemon *d = *state;
	static char huge[40000];
	size_t i;

	memset(huge, 'x', sizeof(huge) - 1);
	memcpy(huge, HEAD TOKEN_FIELDS "Content-Length: 20000\r\n\r\n",
		strlen(HEAD TOKEN_FIELDS "Content-Length: 20000\r\n\r\n"));
	for (i = 0; i <= LENGTH(answers); i++) {
		struct step step = {ANSWER, i < LENGTH(answers) ? answers[i] : huge, 0};
		struct gctoken_token t = {.generation = 4711};
		struct gctoken *g = open_client(d);
		int error;

		daemon_start(d, &step, 1);
		error = gctoken_get(g, &t, 0, i == 9 ? 0 : 5000);
		gctoken_close(g);
		daemon_stop(d);
		/* Row 9 announces more than comes: it cannot be told from a slow one. */
		if (error != (i == 9 ? GCTOKEN_TIMEOUT : GCTOKEN_BAD_ANSWER))
			fail_msg("%d for answer %zu", error, i);
		assert_int_equal(t.generation, 4711);
	}
}

static void takes_the_largest_token(void **state)
{
	struct daemon *d = *state;
	static char answer[10000], expected[GCTOKEN_TOKEN_MAX + 1];
	struct step step = {DRIBBLE, answer, 0};
	struct gctoken_token t;
	struct gctoken *g;

	memset(expected, '~', GCTOKEN_TOKEN_MAX);
	snprintf(answer, sizeof(answer), HEAD TOKEN_FIELDS "Content-Length: %d\r\n\r\n%s\n",
		GCTOKEN_TOKEN_MAX + 1, expected);
	daemon_start(d, &step, 1);
	g = open_client(d);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_int_equal(t.length, GCTOKEN_TOKEN_MAX);
	assert_string_equal(t.token, expected);
	gctoken_close(g);
}

/* Half an answer, a connection that dies with the request, one that was idle and died: each is
 * asked again, and nobody notices. */
static void asks_again_when_the_answer_is_lost(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;

	START(d, {ANSWER_CLOSE, HEAD TOKEN_FIELDS, 0}, {CLOSE, NULL, 0},
		{ANSWER_CLOSE, HEAD TOKEN_FIELDS "Content-Length: 9\r\n\r\ntok", 0},
		{ANSWER_CLOSE, TOKEN_17, 0}, {ANSWER, TOKEN_18, 0});
	g = open_client(d);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_int_equal(t.generation, 17);
	assert_int_equal(atomic_load(&d->requests), 4);
	assert_int_equal(gctoken_reject(g, &t, &t, 5000), 0);
	assert_int_equal(t.generation, 18);
	assert_int_equal(atomic_load(&d->requests), 5);
	gctoken_close(g);
}

static void reads_an_answer_to_no_request(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;

	START(d, {EARLY, PROBLEM("429", "2", "{}"), 0});
	g = open_client(d);
	assert_int_equal(gctoken_get(g, &t, 0, 0), GCTOKEN_TOO_MANY);
	gctoken_close(g);
}

/* Bytes that come behind an answer would be taken for the next one: the connection is given up. */
static void never_reads_what_it_did_not_ask_for(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;

	START(d, {ANSWER, TOKEN_17 TOKEN_18, 0}, {ANSWER, TOKEN_17, 0});
	g = open_client(d);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_int_equal(t.generation, 17);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_int_equal(t.generation, 17);
	assert_int_equal(atomic_load(&d->connections), 2);
	gctoken_close(g);
}

static void keeps_the_deadline(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;
	int64_t start;

	START(d, {HANG, NULL, 0});
	g = open_client(d);
	start = now_ms();
	assert_int_equal(gctoken_get(g, &t, 0, 200), GCTOKEN_TIMEOUT);
	assert_in_range(now_ms() - start, 1199, 1800);
	gctoken_close(g);
}

static void an_endless_answer_keeps_the_deadline(void **state)
{
	struct daemon *d = *state;
	static char blanks[12001];
	struct step step = {DRIBBLE, blanks, 0};
	struct gctoken_token t;
	struct gctoken *g;
	int64_t start;

	memset(blanks, 'a', sizeof(blanks) - 1);
	memcpy(blanks, "HTTP/1.1 200 ", 13);
	daemon_start(d, &step, 1);
	g = open_client(d);
	start = now_ms();
	assert_int_equal(gctoken_get(g, &t, 0, 0), GCTOKEN_TIMEOUT);
	assert_in_range(now_ms() - start, 999, 1600);
	gctoken_close(g);
}

static void nobody_there(void **state)
{
	struct daemon *d = *state;
	struct gctoken *g = open_client(d);
	struct gctoken_token t;
	int64_t start = now_ms();

	assert_int_equal(gctoken_get(g, &t, 0, 100), GCTOKEN_UNREACHABLE);
	assert_in_range(now_ms() - start, 1099, 1700);
	gctoken_close(g);
}

/* The socket's directory is closed to others: root walks through, so this needs another user. */
static void a_closed_socket_denies_at_once(void **state)
{
	struct daemon *d = *state;
	pid_t child;
	int status;

	if (geteuid() != 0) {
		skip();
		return;
	}
	START(d, {ANSWER, TOKEN_17, 0});
	chmod(d->directory, 0700);
	child = fork();
	if (!child) {
		struct gctoken_token t;
		struct gctoken *g;
		int64_t start = now_ms();

		if (setgid(65534) || setuid(65534) || gctoken_open(&g, d->path, NULL))
			_exit(1);
		if (gctoken_get(g, &t, 0, 5000) != GCTOKEN_DENIED)
			_exit(2);
		_exit(now_ms() - start > 500 ? 3 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void *start_later(void *argument)
{
	static const struct step answer = {ANSWER, TOKEN_18, 0};

	poll(NULL, 0, 150);
	daemon_start(argument, &answer, 1);
	return NULL;
}

/* The old daemon's socket goes, the next request is lost with it, a new daemon comes after a
 * while: one slow call, no error. */
static void survives_a_restart(void **state)
{
	struct daemon *d = *state, *successor;
	struct gctoken_token t;
	struct gctoken *g;
	pthread_t thread;
	void *made;
	int64_t start;

	assert_int_equal(setup(&made), 0);
	successor = made;
	rmdir(successor->directory);
	strcpy(successor->path, d->path);
	START(d, {ANSWER, TOKEN_17, 0}, {CLOSE, NULL, 0});
	g = open_client(d);
	assert_int_equal(gctoken_get(g, &t, 0, 1000), 0);
	unlink(d->path); /* the kept connection still stands: it reads the request and closes */
	start = now_ms();
	pthread_create(&thread, NULL, start_later, successor);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_int_equal(t.generation, 18);
	assert_in_range(now_ms() - start, 100, 3000);
	pthread_join(thread, NULL);
	gctoken_close(g);
	assert_int_equal(atomic_load(&d->requests), 2);
	teardown(&made);
}

/* A held answer comes late; what is left of the token is then asked for without waiting. */
static void a_held_answer_is_measured_again(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;

	START(d, {ANSWER, TOKEN_17, 1200}, {ANSWER, TOKEN_17, 0}, {ANSWER, TOKEN_18, 1200},
		{ANSWER, TOKEN_17, 0}, {ANSWER, TOKEN_17, 300});
	g = open_client(d);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_request(d, "GET /v1/token?profile=default&wait=0 HTTP/1.1\r\n");
	assert_in_range(t.expires_in_ms, 59000, 59999);
	/* The second answer is older than the first: the first counts, on the safe side. */
	assert_int_equal(gctoken_wait_change(g, 17, &t, 5000), 0);
	assert_int_equal(t.generation, 18);
	assert_in_range(t.expires_in_ms, 57000, 58800);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_in_range(t.expires_in_ms, 58500, 59700);
	assert_int_equal(atomic_load(&d->requests), 5);
	gctoken_close(g);
}

static void an_expired_answer_has_nothing_left(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;

	START(d, {ANSWER,
			 HEAD
			 "Gctoken-Generation: 1\r\nGctoken-Expires-In-Ms: 40\r\n"
			 "Gctoken-Fingerprint: 9f86d081884c7d65\r\nContent-Length: 2\r\n\r\nx\n",
			 60});
	g = open_client(d);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_int_equal(t.expires_in_ms, 0);
	gctoken_close(g);
}

/* A child does not speak on its parent's connection; afterwards both still work. */
static void a_child_makes_its_own_connections(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;
	pid_t child;
	int status;

	START(d, {ANSWER, TOKEN_17, 0});
	g = open_client(d);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	child = fork();
	if (!child) {
		int i, error = 0;

		for (i = 0; !error && i < 10; i++)
			error = gctoken_get(g, &t, 0, 5000);
		gctoken_close(g);
		_exit(error ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(atomic_load(&d->connections), 2);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_int_equal(atomic_load(&d->connections), 2);
	gctoken_close(g);
}

static void assert_same_file(int fd, const struct stat *before)
{
	struct stat now;

	assert_int_equal(fstat(fd, &now), 0);
	assert_int_equal(now.st_ino, before->st_ino);
	assert_int_equal(now.st_dev, before->st_dev);
}

static void assert_nothing_to_read(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 0), 0);
}

/* What is in the place of a kept connection is the program's: not read, not written, not closed. */
static void leaves_alone_what_is_in_its_place(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;
	struct stat pipe_end, socket_end;
	int fd, pipes[2], sockets[2];

	START(d, {ANSWER, TOKEN_17, 0});
	g = open_client(d);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);

	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	fd = descriptor_to(d->path);
	assert_int_equal(dup2(pipes[1], fd), fd);
	assert_int_equal(fstat(fd, &pipe_end), 0);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_int_equal(atomic_load(&d->connections), 2);
	assert_same_file(fd, &pipe_end);
	assert_nothing_to_read(pipes[0]);
	close(fd);

	/* a socket that is silent and open, as an idle connection is */
	fd = descriptor_to(d->path);
	assert_int_equal(dup2(sockets[1], fd), fd);
	assert_int_equal(fstat(fd, &socket_end), 0);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_int_equal(atomic_load(&d->connections), 3);
	assert_same_file(fd, &socket_end);
	assert_nothing_to_read(sockets[0]);
	close(fd);

	/* and at the end */
	fd = descriptor_to(d->path);
	assert_int_equal(dup2(sockets[1], fd), fd);
	gctoken_close(g);
	assert_same_file(fd, &socket_end);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
	close(sockets[0]);
	close(sockets[1]);
}

/* As daemons do when they start: a child of a child that closes all it knows nothing of. */
static void goes_on_where_all_was_closed(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;
	pid_t child;
	int status;

	START(d, {ANSWER, TOKEN_17, 0});
	g = open_client(d);
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	child = fork();
	if (!child) {
		struct stat before;
		int log, i, error = 0;

		for (i = 3; i < PROBE_DESCRIPTORS_MAX; i++)
			close(i);
		log = open("/dev/null", O_RDWR); /* files of its own get these numbers */
		while (log >= 0 && log < 63)
			log = dup(log);
		fstat(5, &before);
		for (i = 0; !error && i < 10; i++)
			error = gctoken_get(g, &t, 0, 5000);
		gctoken_close(g);
		for (i = 3; i < 64; i++) {
			struct stat now;

			if (fstat(i, &now) || now.st_ino != before.st_ino)
				_exit(2);
		}
		_exit(error || t.generation != 17 ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* the parent's own connection is as it was */
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_int_equal(atomic_load(&d->connections), 2);
	gctoken_close(g);
}

static void *wait_long(void *argument)
{
	struct gctoken_token t;

	return (void *)(intptr_t)gctoken_wait_change(argument, 17, &t, 5000);
}

/* Closed under a call that waits, and given to another file meanwhile. */
static void leaves_alone_what_came_during_a_call(void **state)
{
	struct daemon *d = *state;
	struct gctoken *g;
	struct stat before;
	pthread_t thread;
	int fd, null = open("/dev/null", O_RDWR);
	void *result;

	START(d, {ANSWER, TOKEN_18, 300}, {ANSWER, TOKEN_17, 0});
	g = open_client(d);
	pthread_create(&thread, NULL, wait_long, g);
	while (!atomic_load(&d->requests))
		usleep(1000);
	fd = descriptor_to(d->path);
	assert_int_equal(dup2(null, fd), fd);
	assert_int_equal(fstat(fd, &before), 0);
	pthread_join(thread, &result);
	assert_same_file(fd, &before);
	gctoken_close(g);
	assert_same_file(fd, &before);
	close(fd);
	close(null);
}

struct stack_call {
	const struct daemon *daemon;
	int calls, failures;
};

static void *stack_nothing(void *context)
{
	return context;
}

static void *stack_every_call(void *context)
{
	static struct gctoken_token t;
	struct stack_call *s = context;
	struct gctoken *g = NULL;

	s->failures += gctoken_open(&g, s->daemon->path, "default") != 0;
	s->failures += gctoken_get(g, &t, 1, 5000) != 0;
	s->failures += gctoken_wait_change(g, 1, &t, 5000) != 0; /* held, and so asked for twice */
	s->failures += gctoken_get(g, &t, 0, 5000) != GCTOKEN_LOGIN_REQUIRED;
	s->failures += gctoken_reject(g, &t, &t, 5000) != 0;
	s->failures += !gctoken_strerror(-ENOENT);
	gctoken_token_wipe(&t);
	gctoken_close(g);
	return NULL;
}

/* Programs have threads of 16 KiB and less above what they need themselves. */
static void needs_little_stack(void **state)
{
	struct daemon *d = *state;
	struct stack_call s = {.daemon = d};
	size_t nothing = stack_used(stack_nothing, &s), used;

	START(d, {ANSWER, TOKEN_17, 0}, {ANSWER, TOKEN_17, 1200}, {ANSWER, TOKEN_17, 0},
		{ANSWER,
			"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 26\r\n\r\n"
			"{\"error\":\"login_required\"}",
			0},
		{CLOSE, NULL, 0}, {ANSWER, TOKEN_17, 0});
	used = stack_used(stack_every_call, &s);
	assert_int_equal(s.failures, 0);
	print_message("# stack: %zu bytes above a thread's own %zu\n", used - nothing, nothing);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_in_range(used - nothing, 256, 16384);
#endif
}

#define THREADS 8
#define CALLS 400

static void *call_often(void *argument)
{
	struct gctoken *g = argument;
	intptr_t failures = 0;
	int i;

	for (i = 0; i < CALLS; i++) {
		struct gctoken_token t;
		int error =
			i % 3 ? gctoken_get(g, &t, 0, 5000) : gctoken_wait_change(g, 1, &t, 5000);

		failures += error || t.generation != 17 || strcmp(t.token, "token-17");
	}
	return (void *)failures;
}

static void threads_share_a_handle(void **state)
{
	struct daemon *d = *state;
	pthread_t threads[THREADS];
	struct gctoken *g;
	int i;

	START(d, {ANSWER, TOKEN_17, 0}, {ANSWER, TOKEN_17, 0}, {CLOSE, NULL, 0},
		{ANSWER, TOKEN_17, 0}, {ANSWER_CLOSE, TOKEN_17, 0}, {DRIBBLE, TOKEN_17, 0},
		{ANSWER, TOKEN_17, 0});
	g = open_client(d);
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, call_often, g);
	for (i = 0; i < THREADS; i++) {
		void *failures;

		pthread_join(threads[i], &failures);
		assert_null(failures);
	}
	assert_true(atomic_load(&d->requests) >= THREADS * CALLS);
	gctoken_close(g);
}

static int cancelled_results[4];

static void *cancelled_before_it_calls(void *argument)
{
	struct gctoken_token t = {.generation = 17};
	struct gctoken *g = argument;

	pthread_cancel(pthread_self());
	cancelled_results[0] = gctoken_get(g, &t, 0, 5000);
	cancelled_results[1] = gctoken_get(g, &t, 0, 5000); /* asks for the page as well */
	cancelled_results[2] = gctoken_reject(g, &t, &t, 5000);
	cancelled_results[3] = gctoken_wait_change(g, 1, &t, 5000);
	pthread_testcancel();
	return NULL;
}

/* Who cancels a thread takes nothing from a handle: what the thread did there is brought to its
 * end, or its descriptors, its copy of a token and its part of the page would be left behind. */
static void a_cancelled_thread_ends_its_call(void **state)
{
	struct daemon *d = *state;
	struct gctoken *g;
	pthread_t thread;
	void *result;

	START(d, {ANSWER, TOKEN_17, 0});
	g = open_client(d);
	for (size_t i = 0; i < LENGTH(cancelled_results); i++)
		cancelled_results[i] = -1;
	pthread_create(&thread, NULL, cancelled_before_it_calls, g);
	pthread_join(thread, &result);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	for (size_t i = 0; i < LENGTH(cancelled_results); i++)
		assert_int_equal(cancelled_results[i], 0);
	assert_int_equal(atomic_load(&d->connections), 1);
	gctoken_close(g);
}

/* A thread that waits does not make another one wait. */
static void a_waiting_call_holds_up_nobody(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;
	pthread_t thread;
	int64_t start, deadline = now_ms() + 5000;
	void *result;

	START(d, {ANSWER, TOKEN_18, 800}, {ANSWER, TOKEN_17, 0});
	g = open_client(d);
	pthread_create(&thread, NULL, wait_long, g);
	while (!atomic_load(&d->requests) && now_ms() < deadline)
		poll(NULL, 0, 1);
	start = now_ms();
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_true(now_ms() - start < 500);
	pthread_join(thread, &result);
	assert_null(result);
	gctoken_close(g);
}

static void refuses_impossible_arguments(void **state)
{
	struct daemon *d = *state;
	static const char *const bad_names[] = {"", "A", "-a", "_a", "a b", "a/b", "a&generation=1",
		"a\r\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	struct gctoken_token t = {.generation = 0};
	char path[200];
	struct gctoken *g = NULL;
	size_t i;

	for (i = 0; i < LENGTH(bad_names); i++)
		assert_int_equal(gctoken_open(&g, d->path, bad_names[i]), -EINVAL);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	path[0] = '/';
	assert_int_equal(gctoken_open(&g, path, NULL), -ENAMETOOLONG);
	path[108] = '\0';
	assert_int_equal(gctoken_open(&g, path, NULL), -ENAMETOOLONG);
	assert_int_equal(gctoken_open(&g, "", NULL), -EINVAL);
	assert_null(g);
	path[107] = '\0';
	assert_int_equal(gctoken_open(&g, path, NULL), 0);
	assert_int_equal(gctoken_get(g, &t, -1, 0), -EINVAL);
	assert_int_equal(gctoken_get(g, &t, 0, -1), -EINVAL);
	assert_int_equal(gctoken_get(g, &t, 0, 86400001), -EINVAL);
	assert_int_equal(gctoken_reject(g, &t, &t, 0), -EINVAL);
	gctoken_close(g);
	gctoken_close(NULL);
	gctoken_token_wipe(NULL);
}

static void reads_the_environment(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g;

	START(d, {ANSWER, TOKEN_17, 0});
	setenv("GCTOKEN_SOCKET", d->path, 1);
	setenv("GCTOKEN_PROFILE", "from-environment", 1);
	assert_int_equal(gctoken_open(&g, NULL, NULL), 0);
	assert_int_equal(gctoken_get(g, &t, 0, 0), 0);
	assert_request(d, "GET /v1/token?profile=from-environment&wait=0 HTTP/1.1\r\n");
	gctoken_close(g);
	setenv("GCTOKEN_PROFILE", "", 1);
	assert_int_equal(gctoken_open(&g, NULL, NULL), 0);
	assert_int_equal(gctoken_get(g, &t, 0, 0), 0);
	assert_request(d, "GET /v1/token?profile=default&wait=0 HTTP/1.1\r\n");
	gctoken_close(g);
	unsetenv("GCTOKEN_SOCKET");
	unsetenv("GCTOKEN_PROFILE");
}

static void every_result_has_words(void **state)
{
	int error;

	(void)state;
	for (error = 0; error <= GCTOKEN_NO_CHANGE; error++)
		assert_string_not_equal(gctoken_strerror(error), "unknown error");
	assert_string_equal(gctoken_strerror(GCTOKEN_NO_CHANGE + 1), "unknown error");
	assert_string_equal(gctoken_strerror(-ENOENT), strerror(ENOENT));
}

#define STOPPING(status) "HTTP/1.1 " status "\r\nCache-Control: no-store\r\nConnection: close\r\n"
#define STOPPING_503 \
	STOPPING("503 Service Unavailable") \
	"Retry-After: 1\r\nContent-Length: 64\r\n\r\n" \
	"{\"error\":\"temporarily_unavailable\",\"error_description\":\"stops\"}\n"
#define STOPPING_304 STOPPING("304 Not Modified") "\r\n"

/* Whoever was held is told by a daemon that stops: the next one is asked, as where it had died. */
static void a_stop_is_no_answer(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g = open_client(d);

	START(d, {ANSWER_CLOSE, STOPPING_503, 0}, {ANSWER_CLOSE, STOPPING_503, 0},
		{ANSWER, TOKEN_17, 0}, {ANSWER_CLOSE, STOPPING_304, 0}, {ANSWER, TOKEN_18, 0},
		{ANSWER_CLOSE, STOPPING_503, 0}, {ANSWER, TOKEN_18, 0});
	assert_int_equal(gctoken_get(g, &t, 0, 5000), 0);
	assert_int_equal(t.generation, 17);
	assert_int_equal(gctoken_wait_change(g, 17, &t, 5000), 0);
	assert_int_equal(t.generation, 18);
	t.generation = 17;
	assert_int_equal(gctoken_reject(g, &t, &t, 5000), 0);
	assert_int_equal(t.generation, 18);
	assert_int_equal(atomic_load(&d->requests), 7);
	gctoken_close(g);
}

/* But for as long as the caller would have waited, and no longer. */
static void a_stop_without_end_is_unavailable(void **state)
{
	struct daemon *d = *state;
	struct gctoken_token t;
	struct gctoken *g = open_client(d);
	int64_t begun = now_ms();

	START(d, {ANSWER_CLOSE, STOPPING_503, 0});
	assert_int_equal(gctoken_get(g, &t, 0, 200), GCTOKEN_UNAVAILABLE);
	assert_in_range(now_ms() - begun, 699, 1300);
	assert_in_range(atomic_load(&d->requests), 5, 60);
	gctoken_close(g);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(gets_a_token),
		TEST(asks_for_the_wait_that_is_left),
		TEST(tells_failures_apart),
		TEST(waits_for_a_change),
		TEST(refuses_garbage),
		TEST(takes_the_largest_token),
		TEST(asks_again_when_the_answer_is_lost),
		TEST(reads_an_answer_to_no_request),
		TEST(never_reads_what_it_did_not_ask_for),
		TEST(keeps_the_deadline),
		TEST(an_endless_answer_keeps_the_deadline),
		TEST(nobody_there),
		TEST(a_closed_socket_denies_at_once),
		TEST(survives_a_restart),
		TEST(a_stop_is_no_answer),
		TEST(a_stop_without_end_is_unavailable),
		TEST(a_held_answer_is_measured_again),
		TEST(an_expired_answer_has_nothing_left),
		TEST(a_child_makes_its_own_connections),
		TEST(leaves_alone_what_is_in_its_place),
		TEST(goes_on_where_all_was_closed),
		TEST(leaves_alone_what_came_during_a_call),
		TEST(needs_little_stack),
		TEST(threads_share_a_handle),
		TEST(a_cancelled_thread_ends_its_call),
		TEST(a_waiting_call_holds_up_nobody),
		TEST(refuses_impossible_arguments),
		TEST(reads_the_environment),
		cmocka_unit_test(every_result_has_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
