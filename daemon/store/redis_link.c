#include "redis_link.h"

#include "core/secret.h"
#include "redis_codec.h"
#include "redis_tls.h"
#include "resolve.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum stage {
	STAGE_CONNECTING,
	STAGE_TLS,
	STAGE_AUTH,
	STAGE_SELECT,
	STAGE_ROLE,
	STAGE_READY,
	STAGE_DOWN,
};

struct redis_link {
	struct event_base *base;
	struct resolve_address address;
	struct redis_link_settings settings;
	struct redis_link_hooks hooks;
	void *context;
	enum stage stage;
	int fd; /* until `stream` has it */
	struct event *connected, *deadline;
	struct bufferevent *stream;
	struct redis_reader *reader;
	bool answered;   /* anything at all */
	unsigned inside; /* callbacks that are running */
	bool freed;
};

static void link_release(struct redis_link *l)
{
	if (l->connected)
		event_free(l->connected);
	if (l->deadline)
		event_free(l->deadline);
	if (l->stream)
		bufferevent_free(l->stream); /* closes */
	if (l->fd >= 0)
		close(l->fd);
	redis_reader_free(l->reader);
	free(l);
}

static void enter(struct redis_link *l)
{
	l->inside++;
}

static void leave(struct redis_link *l)
{
	if (--l->inside == 0 && l->freed)
		link_release(l);
}

static bool is_over(const struct redis_link *l)
{
	return l->freed || l->stage == STAGE_DOWN;
}

static void go_down(struct redis_link *l, const char *why)
{
	char words[REDIS_WHY_MAX];

	if (is_over(l))
		return;
	l->stage = STAGE_DOWN;
	event_del(l->deadline);
	if (l->stream)
		bufferevent_disable(l->stream, EV_READ | EV_WRITE);
	snprintf(words, sizeof(words), "%s: %s", l->settings.name, why);
	l->hooks.down(l->context, words);
}

static void refused(struct redis_link *l, const char *what, const struct fleet_element *e)
{
	char why[REDIS_TLS_WHY_MAX];

	snprintf(why, sizeof(why), "%s: %s", what, redis_error_words(redis_error_kind(e)));
	go_down(l, why);
}

/* ---- commands ---- */

int redis_link_send(struct redis_link *l, const char *bytes, size_t length)
{
	return bufferevent_write(l->stream, bytes, length) ? -ENOMEM : 0;
}

void redis_link_hold_answers(struct redis_link *l, bool hold)
{
	if (hold)
		bufferevent_disable(l->stream, EV_READ);
	else if (!is_over(l))
		bufferevent_enable(l->stream, EV_READ);
}

static void wipe_sent(const void *bytes, size_t length, void *memory)
{
	(void)bytes;
	secret_free(memory, length);
}

/* What is sent lies in memory that is wiped when it has gone out, in no buffer of libevent's. */
static int send_secretly(struct redis_link *l, const struct redis_word *words, size_t count)
{
	struct buffer command;
	char *memory;
	int r = -ENOMEM;

	buffer_init(&command, NULL, 0);
	redis_command_write(&command, words, count);
	memory = buffer_failed(&command) ? NULL : secret_alloc(command.length);
	if (memory) {
		memcpy(memory, command.data, command.length);
		r = evbuffer_add_reference(bufferevent_get_output(l->stream), memory,
			command.length, wipe_sent, memory);
		if (r)
			secret_free(memory, command.length);
	}
	buffer_fini(&command);
	return r ? -ENOMEM : 0;
}

static struct redis_word word(const char *text)
{
	return (struct redis_word){text, strlen(text)};
}

static int send_stage(struct redis_link *l)
{
	const struct redis_link_settings *s = &l->settings;
	struct redis_word words[3];
	char number[12];
	size_t count = 0;

	switch (l->stage) {
	case STAGE_AUTH:
		words[count++] = word("AUTH");
		if (s->user)
			words[count++] = word(s->user);
		words[count++] = word(s->password);
		break;
	case STAGE_SELECT:
		snprintf(number, sizeof(number), "%u", s->database);
		words[count++] = word("SELECT");
		words[count++] = word(number);
		break;
	case STAGE_ROLE:
		words[count++] = word("ROLE");
		break;
	case STAGE_CONNECTING:
	case STAGE_TLS:
	case STAGE_READY:
	case STAGE_DOWN:
		return 0;
	}
	return send_secretly(l, words, count);
}

/* To the next stage that these settings have, from the one that is done. */
static void go_on(struct redis_link *l)
{
	const struct redis_link_settings *s = &l->settings;

	do
		l->stage++;
	while ((l->stage == STAGE_AUTH && !s->password) ||
		(l->stage == STAGE_SELECT && !s->database) ||
		(l->stage == STAGE_ROLE && !s->wants_primary));
	if (l->stage == STAGE_READY) {
		event_del(l->deadline);
		l->hooks.ready(l->context);
	} else if (send_stage(l)) {
		go_down(l, "out of memory");
	}
}

static void stage_answered(struct redis_link *l, const struct fleet_element *e)
{
	static const char *const commands[] = {
		[STAGE_AUTH] = "AUTH", [STAGE_SELECT] = "SELECT", [STAGE_ROLE] = "ROLE"};

	l->answered = true;
	if (e->type == FLEET_ELEMENT_ERROR) {
		refused(l, commands[l->stage], e);
	} else if (l->stage != STAGE_ROLE) {
		if (redis_element_is(e, "OK"))
			go_on(l);
		else
			go_down(l, "it does not answer as a Redis server does");
	} else if (e->type != FLEET_ELEMENT_ARRAY || e->count < 3 ||
		   e->items[0].type != FLEET_ELEMENT_TEXT) {
		go_down(l, "it does not answer as a Redis server does");
	} else if (!redis_element_is(&e->items[0], "master")) {
		go_down(l, "it is a replica or a Sentinel, and not the primary");
	} else {
		go_on(l);
	}
}

/* ---- the stream ---- */

static void read_answers(struct redis_link *l)
{
	struct evbuffer *input = bufferevent_get_input(l->stream);
	char bytes[REDIS_FEED_MAX];
	const struct fleet_element *e;
	int n, r;

	while (!is_over(l) && (n = evbuffer_remove(input, bytes, sizeof(bytes))) > 0) {
		if (redis_reader_feed(l->reader, bytes, (size_t)n)) {
			go_down(l, "out of memory");
			return;
		}
		while (!is_over(l) && (r = redis_reader_next(l->reader, &e)) != 0) {
			if (r < 0)
				go_down(l, "what it answers is no answer of a Redis server, or too "
					   "large for one");
			else if (l->stage == STAGE_READY)
				l->hooks.answered(l->context, e);
			else
				stage_answered(l, e);
		}
	}
}

static void on_read(struct bufferevent *stream, void *context)
{
	struct redis_link *l = context;

	(void)stream;
	enter(l);
	if (l->stage == STAGE_TLS)
		go_down(l, "it spoke before it was asked");
	else
		read_answers(l);
	leave(l);
}

/* What a server says that was spoken to without TLS is none of ours to read: it hangs up. */
static bool may_want_tls(const struct redis_link *l)
{
	return !l->settings.tls && l->stage != STAGE_READY && !l->answered &&
	       l->address.address.ss_family != AF_UNIX;
}

static void on_event(struct bufferevent *stream, short what, void *context)
{
	struct redis_link *l = context;
	SSL *tls = l->settings.tls ? bufferevent_openssl_get_ssl(stream) : NULL;
	unsigned long error = tls ? bufferevent_get_openssl_error(stream) : 0;
	int number = EVUTIL_SOCKET_ERROR();
	char why[REDIS_TLS_WHY_MAX];

	enter(l);
	if (what & BEV_EVENT_CONNECTED) {
		go_on(l);
	} else if (what & (BEV_EVENT_ERROR | BEV_EVENT_EOF)) {
		if (tls && (l->stage == STAGE_TLS || error))
			redis_tls_why(tls, error, l->settings.name, why);
		else if (may_want_tls(l))
			snprintf(why, sizeof(why),
				"it hung up before it answered anything; a port for TLS needs "
				"rediss:// in fleet_store");
		else if ((what & BEV_EVENT_ERROR) && number)
			snprintf(why, sizeof(why), "the connection was lost: %s", strerror(number));
		else
			snprintf(why, sizeof(why), "it closed the connection");
		go_down(l, why);
	}
	ERR_clear_error();
	leave(l);
}

static int make_stream(struct redis_link *l)
{
	const int options = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
	SSL *tls;

	if (!l->settings.tls) {
		l->stream = bufferevent_socket_new(l->base, l->fd, options);
	} else {
		tls = redis_tls_connection(l->settings.tls, l->settings.name);
		if (!tls)
			return -ENOMEM;
		/* With BEV_OPT_CLOSE_ON_FREE the stream frees it. */
		l->stream = bufferevent_openssl_socket_new(
			l->base, l->fd, tls, BUFFEREVENT_SSL_CONNECTING, options);
		if (!l->stream)
			SSL_free(tls);
	}
	if (!l->stream)
		return -ENOMEM;
	l->fd = -1;
	bufferevent_setcb(l->stream, on_read, NULL, on_event, l);
	return bufferevent_enable(l->stream, EV_READ | EV_WRITE) ? -ENOMEM : 0;
}

/* May it be told the password? Whoever has connected knows who listened, without being told a byte.
 */
static bool listener_fits(struct redis_link *l)
{
	const struct sockaddr_un *local = (const struct sockaddr_un *)&l->address.address;
	struct ucred listener;
	socklen_t size = sizeof(listener);
	char problem[400], why[REDIS_WHY_MAX];

	if (local->sun_family != AF_UNIX || !l->settings.password || !l->settings.listener_fit)
		return true;
	if (getsockopt(l->fd, SOL_SOCKET, SO_PEERCRED, &listener, &size)) {
		go_down(l,
			"it is not told the password: the system does not say who listens there");
		return false;
	}
	if (l->settings.listener_fit(local->sun_path, listener.uid, problem, sizeof(problem)))
		return true;
	snprintf(why, sizeof(why),
		"it is not told the password: uid %lu listens there, and the socket %s. Have it in "
		"a "
		"folder that only the store's user can change, or say: fleet_plain = yes",
		(unsigned long)listener.uid, problem);
	go_down(l, why);
	return false;
}

static void on_connected(evutil_socket_t fd, short what, void *context)
{
	struct redis_link *l = context;
	int error = 0;
	socklen_t size = sizeof(error);
	char why[REDIS_TLS_WHY_MAX];

	(void)what;
	enter(l);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error) {
		snprintf(why, sizeof(why), "it cannot be connected to: %s", strerror(error));
		go_down(l, why);
	} else if (listener_fits(l)) {
		event_free(l->connected);
		l->connected = NULL;
		l->stage = STAGE_TLS;
		if (make_stream(l))
			go_down(l, "out of memory");
		else if (!l->settings.tls)
			go_on(l);
	}
	leave(l);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	static const char *const words[] = {
		[STAGE_CONNECTING] = "it cannot be connected to",
		[STAGE_TLS] = "TLS was not answered",
		[STAGE_AUTH] = "AUTH was not answered",
		[STAGE_SELECT] = "SELECT was not answered",
		[STAGE_ROLE] = "ROLE was not answered",
	};
	struct redis_link *l = context;
	char why[REDIS_TLS_WHY_MAX];

	(void)fd, (void)what;
	if (l->stage == STAGE_DOWN)
		return;
	enter(l);
	if (l->stage == STAGE_READY)
		snprintf(why, sizeof(why), "it did not answer in time");
	else
		snprintf(why, sizeof(why), "%s within %lld ms", words[l->stage],
			(long long)(l->settings.connect.ns / NS_PER_MS));
	go_down(l, why);
	leave(l);
}

/* ---- life ---- */

static int begin(struct redis_link *l)
{
	const struct sockaddr *address = (const struct sockaddr *)&l->address.address;
	int on = 1;

	l->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return -errno;
	if (address->sa_family != AF_UNIX)
		setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(l->fd, address, l->address.length) < 0 && errno != EINPROGRESS)
		return -errno;
	/* A connection that is there already is writable at once. */
	l->connected = event_new(l->base, l->fd, EV_WRITE, on_connected, l);
	l->deadline = evtimer_new(l->base, on_deadline, l);
	if (!l->connected || !l->deadline || event_add(l->connected, NULL))
		return -ENOMEM;
	redis_link_expect(l, l->settings.connect);
	return redis_reader_new(&l->reader);
}

int redis_link_new(struct redis_link **ret, struct event_base *base,
	const struct resolve_address *address, const struct redis_link_settings *settings,
	const struct redis_link_hooks *hooks, void *context)
{
	struct redis_link *l = malloc(sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	*l = (struct redis_link){.base = base,
		.address = *address,
		.settings = *settings,
		.hooks = *hooks,
		.context = context,
		.fd = -1};
	r = begin(l);
	if (r) {
		link_release(l);
		return r;
	}
	*ret = l;
	return 0;
}

void redis_link_free(struct redis_link *l)
{
	if (!l)
		return;
	l->freed = true;
	if (!l->inside) {
		link_release(l);
		return;
	}
	event_del(l->deadline);
	if (l->stream)
		bufferevent_disable(l->stream, EV_READ | EV_WRITE);
}

void redis_link_set_hooks(struct redis_link *l, const struct redis_link_hooks *hooks, void *context)
{
	l->hooks = *hooks;
	l->context = context;
}

const struct resolve_address *redis_link_address(const struct redis_link *l)
{
	return &l->address;
}

int64_t redis_link_certificate_end(const struct redis_link *l)
{
	return l->settings.tls ? redis_tls_certificate_end(bufferevent_openssl_get_ssl(l->stream))
			       : 0;
}

void redis_link_expect(struct redis_link *l, struct duration within)
{
	struct timeval t = {.tv_sec = within.ns / NS_PER_S, .tv_usec = within.ns % NS_PER_S / 1000};

	if (within.ns <= 0)
		event_del(l->deadline);
	else
		event_add(l->deadline, &t);
}
