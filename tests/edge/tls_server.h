/* A tiny HTTPS server for tests: one thread a connection, and a function that decides what is done
 * with each request. Counts what it sees. */
#ifndef GCTOKEND_TESTS_TLS_SERVER_H
#define GCTOKEND_TESTS_TLS_SERVER_H

#include "identity.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct server;

/* Answers one request on `tls`. True: another may follow on this connection. */
typedef bool server_behaviour(struct server *s, SSL *tls, const char *request);

struct server {
	SSL_CTX *context;
	server_behaviour *behaviour;
	const char *answer;         /* for behaviours that want one */
	bool is_proxy;              /* a CONNECT comes first, in the clear */
	const char *connect_answer; /* to it */
	int handshake_delay_ms;
	int listener;
	int port;
	pthread_t acceptor, threads[CONNECTIONS_MAX];
	int fds[CONNECTIONS_MAX];
	atomic_int connections, requests, posts, heads, application_bytes;
	atomic_bool stopping;
	pthread_mutex_t lock;
	char last_request[8192], connect_request[8192];
};

struct connection_job {
	struct server *server;
	int fd;
};

static bool tls_send(SSL *tls, const char *bytes, size_t length)
{
	size_t written;

	return SSL_write_ex(tls, bytes, length, &written) == 1;
}

static bool tls_say(SSL *tls, const char *text)
{
	return tls_send(tls, text, strlen(text));
}

/* The head and, by Content-Length, the body. False at the end of the connection. */
static bool request_read(struct server *s, SSL *tls, char *to, size_t size)
{
	size_t length = 0, got, whole = 0;

	for (;;) {
		char *end, *field;

		to[length] = '\0';
		end = strstr(to, "\r\n\r\n");
		if (end && !whole) {
			field = strcasestr(to, "\r\nContent-Length: ");
			whole = (size_t)(end + 4 - to) +
				(field && field < end ? strtoul(field + 18, NULL, 10) : 0);
		}
		if (whole && length >= whole)
			return true;
		if (length + 1 >= size ||
			SSL_read_ex(tls, to + length, size - 1 - length, &got) != 1)
			return false;
		atomic_fetch_add(&s->application_bytes, (int)got);
		length += got;
	}
}

static void tls_serve(struct server *s, SSL *tls)
{
	char request[8192];

	while (request_read(s, tls, request, sizeof(request))) {
		pthread_mutex_lock(&s->lock);
		memcpy(s->last_request, request, sizeof(request));
		pthread_mutex_unlock(&s->lock);
		atomic_fetch_add(&s->requests, 1);
		atomic_fetch_add(&s->posts, strncmp(request, "POST ", 5) == 0);
		atomic_fetch_add(&s->heads, strncmp(request, "HEAD ", 5) == 0);
		if (!s->behaviour(s, tls, request))
			break;
	}
}

/* In the clear, up to the empty line. */
static bool connect_serve(struct server *s, int fd)
{
	char head[sizeof(s->connect_request)];
	size_t length = 0;

	do {
		if (length + 1 >= sizeof(head) || read(fd, head + length, 1) != 1)
			return false;
		head[++length] = '\0';
	} while (!strstr(head, "\r\n\r\n"));
	pthread_mutex_lock(&s->lock);
	memcpy(s->connect_request, head, length + 1);
	pthread_mutex_unlock(&s->lock);
	return send(fd, s->connect_answer, strlen(s->connect_answer), MSG_NOSIGNAL) > 0 &&
	       strncmp(s->connect_answer, "HTTP/1.1 200", 12) == 0;
}

static void *connection_thread(void *argument)
{
	struct connection_job job = *(struct connection_job *)argument;
	SSL *tls;

	free(argument);
	tls = SSL_new(job.server->context);
	CHECK(tls && SSL_set_fd(tls, job.fd));
	if (!job.server->is_proxy || connect_serve(job.server, job.fd)) {
		sleep_ms(job.server->handshake_delay_ms);
		if (SSL_accept(tls) == 1)
			tls_serve(job.server, tls);
	}
	SSL_free(tls);
	ERR_clear_error();
	shutdown(job.fd, SHUT_RDWR); /* closed by server_stop, so that its number is not reused */
	return NULL;
}

static void *acceptor_thread(void *argument)
{
	struct server *s = argument;
	int fd;

	while ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct connection_job *job = malloc(sizeof(*job));
		int n = atomic_load(&s->connections);

		CHECK(job && n < CONNECTIONS_MAX);
		*job = (struct connection_job){s, fd};
		s->fds[n] = fd;
		CHECK(pthread_create(&s->threads[n], NULL, connection_thread, job) == 0);
		atomic_fetch_add(&s->connections, 1);
	}
	return NULL;
}

/* `s` is zeroed but for its behaviour and settings. */
static void server_start(struct server *s, const struct identity *i)
{
	s->context = SSL_CTX_new(TLS_server_method());
	CHECK(s->context && SSL_CTX_use_certificate(s->context, i->certificate) == 1);
	CHECK(SSL_CTX_use_PrivateKey(s->context, i->key) == 1);
	CHECK(pthread_mutex_init(&s->lock, NULL) == 0);
	s->listener = listener_new(&s->port);
	CHECK(pthread_create(&s->acceptor, NULL, acceptor_thread, s) == 0);
}

static void server_stop(struct server *s)
{
	atomic_store(&s->stopping, true);
	shutdown(s->listener, SHUT_RDWR); /* accept fails */
	pthread_join(s->acceptor, NULL);
	close(s->listener);
	for (int n = 0; n < atomic_load(&s->connections); n++) {
		shutdown(s->fds[n], SHUT_RDWR);
		pthread_join(s->threads[n], NULL);
		close(s->fds[n]);
	}
	SSL_CTX_free(s->context);
	pthread_mutex_destroy(&s->lock);
}

#endif
