/* A Redis server, or a Sentinel, of a test's making: at a Unix socket or a port, plain or with TLS,
 * one thread a connection. It answers as a store does that has nothing, except where a test says
 * otherwise. */
#ifndef GCTOKEND_TESTS_REDIS_FAKE_H
#define GCTOKEND_TESTS_REDIS_FAKE_H

#include "identity.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define FAKE_WORDS_MAX 32

struct redis_fake {
	/* To be set before the start. */
	SSL_CTX *tls; /* NULL: plain */
	char path[108];
	/* In place of the usual answer to each such command: those bytes, and then, unless 0, so
	 * many times those of `flood`. NULL: as usual. */
	const char *command;
	const char *answer;
	size_t answer_length;
	const char *flood;
	bool slowly;          /* a byte in 20 ms */
	bool then_close;      /* the connection */
	unsigned usual;       /* so many are answered as usual first */
	const char *greeting; /* to each connection, before it says anything */
	const char *password; /* AUTH has to be like it */
	const char *primary;  /* what a Sentinel answers */
	/* To be read. */
	atomic_int connections, commands, overridden;
	atomic_size_t bytes_in; /* what clients sent, TLS taken off */
	atomic_size_t flooded;
	char log[16384]; /* their first bytes, in the order of words, blanks between */
	size_t log_length;
	/* Its own. */
	int listener, port;
	pthread_t acceptor, threads[CONNECTIONS_MAX];
	int fds[CONNECTIONS_MAX];
	pthread_mutex_t lock;
	atomic_bool stopping;
};

struct fake_stream {
	struct redis_fake *fake;
	int fd;
	SSL *tls;
	char input[32768];
	size_t length;
	unsigned matched;
	bool authenticated;
};

struct fake_command {
	char words[FAKE_WORDS_MAX][9000];
	size_t count;
};

static inline bool fake_write(struct fake_stream *s, const char *bytes, size_t length)
{
	size_t written;
	ssize_t n;

	if (s->tls)
		return SSL_write_ex(s->tls, bytes, length, &written) == 1;
	while (length > 0) {
		n = send(s->fd, bytes, length, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		bytes += n;
		length -= (size_t)n;
	}
	return true;
}

static inline bool fake_say(struct fake_stream *s, const char *text)
{
	return fake_write(s, text, strlen(text));
}

/* More bytes; false at the end. */
static inline bool fake_fill(struct fake_stream *s)
{
	size_t got = 0;
	ssize_t n;

	CHECK(s->length < sizeof(s->input));
	if (s->tls) {
		if (SSL_read_ex(s->tls, s->input + s->length, sizeof(s->input) - s->length, &got) !=
			1)
			return false;
	} else {
		n = recv(s->fd, s->input + s->length, sizeof(s->input) - s->length, 0);
		if (n <= 0)
			return false;
		got = (size_t)n;
	}
	s->length += got;
	atomic_fetch_add(&s->fake->bytes_in, got);
	return true;
}

/* A line's number behind its first byte; the length of the line, 0: it is not whole. */
static inline size_t fake_number(const char *at, size_t left, long *ret)
{
	const char *end = memchr(at, '\n', left);

	if (!end)
		return 0;
	*ret = strtol(at + 1, NULL, 10);
	return (size_t)(end + 1 - at);
}

/* The length of a whole command, 0: there is none yet. */
static inline size_t fake_parse(const struct fake_stream *s, struct fake_command *c)
{
	long count, length;
	size_t at, n;

	n = fake_number(s->input, s->length, &count);
	if (!n)
		return 0;
	CHECK(s->input[0] == '*' && count > 0 && count <= FAKE_WORDS_MAX);
	at = n;
	for (c->count = 0; c->count < (size_t)count; c->count++) {
		n = fake_number(s->input + at, s->length - at, &length);
		if (!n || s->length - at - n < (size_t)length + 2)
			return 0;
		CHECK((size_t)length < sizeof(c->words[0]));
		memcpy(c->words[c->count], s->input + at + n, (size_t)length);
		c->words[c->count][length] = '\0';
		at += n + (size_t)length + 2;
	}
	return at;
}

static inline void fake_note(struct redis_fake *f, const struct fake_command *c)
{
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < c->count; i++) {
		size_t n = strlen(c->words[i]);

		if (f->log_length + n + 2 > sizeof(f->log))
			break;
		memcpy(f->log + f->log_length, c->words[i], n);
		f->log_length += n;
		f->log[f->log_length++] = i + 1 < c->count ? ' ' : '\n';
	}
	f->log[f->log_length] = '\0';
	pthread_mutex_unlock(&f->lock);
}

static inline bool fake_usual(struct fake_stream *s, const struct fake_command *c)
{
	const char *password = s->fake->password;
	char text[9200];

	if (!strcmp(c->words[0], "AUTH")) {
		s->authenticated = password && !strcmp(c->words[c->count - 1], password);
		return fake_say(s, s->authenticated ? "+OK\r\n" : "-WRONGPASS invalid pair\r\n");
	}
	if (password && !s->authenticated)
		return fake_say(s, "-NOAUTH Authentication required.\r\n");
	if (!strcmp(c->words[0], "SELECT"))
		return fake_say(s, "+OK\r\n");
	if (!strcmp(c->words[0], "ROLE"))
		return fake_say(s, "*3\r\n$6\r\nmaster\r\n:7\r\n*1\r\n*3\r\n$1\r\na\r\n$1\r\n1\r\n$"
				   "1\r\n7\r\n");
	if (!strcmp(c->words[0], "HMGET"))
		return fake_say(s, "*7\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n");
	if (!strcmp(c->words[0], "TIME"))
		return fake_say(s, "*2\r\n$10\r\n1700000000\r\n$6\r\n123456\r\n");
	if (!strcmp(c->words[0], "PUBSUB")) {
		snprintf(text, sizeof(text), "*2\r\n$%zu\r\n%s\r\n:3\r\n", strlen(c->words[2]),
			c->words[2]);
		return fake_say(s, text);
	}
	if (!strcmp(c->words[0], "SUBSCRIBE") || !strcmp(c->words[0], "UNSUBSCRIBE")) {
		bool on = c->words[0][0] == 'S';

		snprintf(text, sizeof(text), "*3\r\n$%d\r\n%s\r\n$%zu\r\n%s\r\n:%d\r\n",
			on ? 9 : 11, on ? "subscribe" : "unsubscribe", strlen(c->words[1]),
			c->words[1], on);
		return fake_say(s, text);
	}
	if (!strcmp(c->words[0], "PING"))
		return fake_say(s, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
	if (!strcmp(c->words[0], "SCRIPT"))
		return fake_say(s, "$40\r\n0000000000000000000000000000000000000000\r\n");
	if (!strcmp(c->words[0], "SENTINEL"))
		return fake_say(s, s->fake->primary);
	return fake_say(s, "*2\r\n$4\r\nlate\r\n$16\r\n1700000000123456\r\n");
}

static inline bool fake_override(struct fake_stream *s)
{
	struct redis_fake *f = s->fake;

	atomic_fetch_add(&f->overridden, 1);
	for (size_t i = 0; f->slowly && i < f->answer_length; i++) {
		if (atomic_load(&f->stopping) || !fake_write(s, f->answer + i, 1))
			return false;
		sleep_ms(20);
	}
	if (!f->slowly && !fake_write(s, f->answer, f->answer_length))
		return false;
	while (f->flood && !atomic_load(&f->stopping)) {
		if (!fake_say(s, f->flood))
			return false;
		atomic_fetch_add(&f->flooded, strlen(f->flood));
	}
	return !f->then_close;
}

static inline void fake_serve(struct fake_stream *s)
{
	struct redis_fake *f = s->fake;
	struct fake_command c; /* not on the heap, whose size is measured */
	size_t n;
	bool go = true;

	if (f->greeting)
		fake_say(s, f->greeting);
	/* What is no command is TLS, say. */
	while (go && fake_fill(s) && s->input[0] == '*') {
		while (go && (n = fake_parse(s, &c)) > 0) {
			bool its = f->command && !strcmp(f->command, c.words[0]);

			memmove(s->input, s->input + n, s->length - n);
			s->length -= n;
			fake_note(f, &c);
			atomic_fetch_add(&f->commands, 1);
			its = its && s->matched++ >= f->usual;
			go = its ? fake_override(s) : fake_usual(s, &c);
		}
	}
}

static inline void *fake_connection(void *argument)
{
	struct fake_stream *s = argument;

	if (s->fake->tls) {
		s->tls = SSL_new(s->fake->tls);
		CHECK(s->tls && SSL_set_fd(s->tls, s->fd));
	}
	if (!s->tls || SSL_accept(s->tls) == 1)
		fake_serve(s);
	SSL_free(s->tls);
	ERR_clear_error();
	shutdown(s->fd, SHUT_RDWR); /* closed by fake_stop, so that its number is not reused */
	free(s);
	return NULL;
}

static inline void *fake_acceptor(void *argument)
{
	struct redis_fake *f = argument;
	int fd;

	while ((fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct fake_stream *s = calloc(1, sizeof(*s));
		int n = atomic_load(&f->connections);

		CHECK(s && n < CONNECTIONS_MAX);
		s->fake = f;
		s->fd = fd;
		f->fds[n] = fd;
		CHECK(pthread_create(&f->threads[n], NULL, fake_connection, s) == 0);
		atomic_fetch_add(&f->connections, 1);
	}
	return NULL;
}

/* `f` is zeroed but for what a test sets. At `path` if there is one, else at a port. */
static inline void fake_start(struct redis_fake *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (*f->path) {
		memcpy(address.sun_path, f->path, sizeof(f->path));
		f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		unlink(f->path);
		CHECK(bind(f->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
		CHECK(listen(f->listener, CONNECTIONS_MAX) == 0);
	} else {
		f->listener = listener_new(&f->port);
	}
	CHECK(pthread_mutex_init(&f->lock, NULL) == 0);
	CHECK(pthread_create(&f->acceptor, NULL, fake_acceptor, f) == 0);
}

/* What clients said, whole commands, up to now. */
static inline bool fake_heard(struct redis_fake *f, const char *words)
{
	bool found;

	pthread_mutex_lock(&f->lock);
	found = strstr(f->log, words) != NULL;
	pthread_mutex_unlock(&f->lock);
	return found;
}

static inline void fake_stop(struct redis_fake *f)
{
	atomic_store(&f->stopping, true);
	shutdown(f->listener, SHUT_RDWR);
	pthread_join(f->acceptor, NULL);
	close(f->listener);
	for (int n = 0; n < atomic_load(&f->connections); n++) {
		shutdown(f->fds[n], SHUT_RDWR);
		pthread_join(f->threads[n], NULL);
		close(f->fds[n]);
	}
	if (*f->path)
		unlink(f->path);
	pthread_mutex_destroy(&f->lock);
}

#endif
