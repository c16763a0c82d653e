/* Taking connections in. Whatever accept reports, it ends nothing: a client that gave up while
 * queued is passed over, and when descriptors or memory run out the listening sockets are left
 * alone for a moment, because a level-triggered loop would otherwise spin on a queue it cannot
 * shorten. One reserve descriptor lets at least one client per moment be told so. */
#include "state.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* What one pass takes in; turning away the hasty costs a part of a connection, and the sooner they
 * are out of the queue the sooner whoever waits behind them is in. */
#define PASS_BUDGET 64
#define ADMITTED_COST 8
#define HASTY_COST 1
#define PAUSE_MS 100
#define LINGER_MS 1000

static int accept_one(int listening_fd)
{
	int fd = accept4(listening_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void linger_end(struct lingering *l)
{
	event_del(&l->event);
	close(event_get_fd(&l->event));
	l->taken = false;
}

/* Its request has come, or its end, or it took too long. */
static void lingered(evutil_socket_t fd, short what, void *context)
{
	struct lingering *l = context;
	ssize_t n;

	/* Closing over unread bytes would look like a broken connection to the other end. */
	if (what & EV_READ) {
		n = recv(fd, l->front->read_bytes, READ_SIZE, MSG_DONTWAIT);
		if (n > 0)
			OPENSSL_cleanse(l->front->read_bytes, (size_t)n);
	}
	linger_end(l);
}

/* Consumes `fd`. A client that finds its connection closed before it has sent its request is told
 * of a broken pipe, or of no connection at all, and never reads why: so a few at a time are kept
 * for a moment. */
static void linger(struct front *f, int fd)
{
	static const struct timeval a_moment = {.tv_sec = LINGER_MS / 1000};
	struct lingering *l = NULL;

	for (size_t i = 0; i < LINGERING_MAX && !l; i++)
		if (!f->lingering[i].taken)
			l = &f->lingering[i];
	if (!l || shutdown(fd, SHUT_WR) < 0) {
		close(fd);
		return;
	}
	l->front = f;
	event_assign(&l->event, f->base, fd, EV_READ, lingered, l);
	if (event_add(&l->event, &a_moment) < 0) {
		close(fd);
		return;
	}
	l->taken = true;
}

/* Consumes `fd`. */
static void turn_away(
	const struct listening *l, int fd, int status, const char *code, const char *words)
{
	if (l->pages)
		page_send_error(fd, status);
	else
		front_send_error(fd, status, code, words, 1);
	linger(l->front, fd);
}

/* Consumes `fd`. Who comes next waits for this: those who do not listen anyway are told nothing. */
static void turn_away_hasty(const struct listening *l, int fd, struct peer_user *user)
{
	if (share_tell_refused(l->front, user))
		turn_away(l, fd, 429, "too_many_requests",
			"this user connects too often while others wait");
	else
		close(fd);
}

static void reserve_open(struct front *f)
{
	if (f->reserve < 0)
		f->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void reserve_use(const struct listening *l, int listening_fd)
{
	struct front *f = l->front;
	int fd;

	if (f->reserve < 0)
		return;
	close(f->reserve);
	f->reserve = -1;
	fd = accept_one(listening_fd);
	if (fd >= 0) {
		if (l->pages)
			page_send_error(fd, 503);
		else
			front_send_error(
				fd, 503, "temporarily_unavailable", "out of file descriptors", 1);
		close(fd); /* at once: it is the reserve */
	}
	reserve_open(f);
}

static void pause_accepting(struct front *f)
{
	static const struct timeval a_moment = {.tv_usec = PAUSE_MS * 1000};

	f->counters.accept_failures++;
	if (f->handler->accept_failed)
		f->handler->accept_failed(f->context);
	/* Without the timer nothing would ever take up listening again: rather spin, then. */
	if (event_add(&f->accept_again, &a_moment) < 0)
		return;
	for (struct listening *l = f->listening; l; l = l->next)
		event_del(&l->event);
}

static void accept_again(evutil_socket_t fd, short what, void *context)
{
	struct front *f = context;

	(void)fd;
	(void)what;
	reserve_open(f);
	for (struct listening *l = f->listening; l; l = l->next) {
		if (event_add(&l->event, NULL) < 0) {
			pause_accepting(f);
			return;
		}
	}
}

/* Consumes `fd`. Returns what that cost of the pass's budget. */
static unsigned admit(const struct listening *l, int fd)
{
	struct front *f = l->front;
	struct peer_user *user;
	struct peer peer;

	if (f->counters.connections >= f->limits.max_connections) {
		f->counters.refused_total_limit++;
		turn_away(l, fd, 503, "temporarily_unavailable", "too many connections");
		return ADMITTED_COST;
	}
	peer_read_credentials(fd, &peer);
	user = peer_user_find(&f->peers, peer.uid);
	if ((user ? user->connections : 0) >= f->limits.max_connections_per_user) {
		f->counters.refused_user_limit++;
		turn_away(l, fd, 429, "too_many_requests", "too many connections of this user");
		return ADMITTED_COST;
	}
	if (!share_may_connect(f, user)) {
		f->counters.refused_user_rate++;
		turn_away_hasty(l, fd, user);
		return HASTY_COST;
	}
	peer_read_groups(&f->peers, fd, &peer);
	if (connection_open(f, fd, &peer, l->pages) < 0)
		f->counters.accept_failures++;
	else
		f->counters.accepted++;
	return ADMITTED_COST;
}

static void accept_event(evutil_socket_t listening_fd, short what, void *context)
{
	struct listening *l = context;
	struct front *f = l->front;

	(void)what;
	for (unsigned spent = 0; spent < PASS_BUDGET;) {
		int fd = accept_one(listening_fd);

		if (fd >= 0) {
			spent += admit(l, fd);
			continue;
		}
		switch (-fd) {
		case EAGAIN:
			return;
		case EINTR:
		case ECONNABORTED:
		case EPROTO:
		case EPERM:
			spent += HASTY_COST;
			continue;
		case EMFILE:
		case ENFILE:
			reserve_use(l, listening_fd);
			break;
		default:
			break;
		}
		pause_accepting(f);
		return;
	}
}

void accept_init(struct front *f)
{
	f->reserve = -1;
	reserve_open(f);
	evtimer_assign(&f->accept_again, f->base, accept_again, f);
}

void accept_stop(struct front *f)
{
	event_del(&f->accept_again);
	for (struct listening *l = f->listening; l; l = l->next)
		event_del(&l->event);
}

void accept_fini(struct front *f)
{
	accept_stop(f);
	for (size_t i = 0; i < LINGERING_MAX; i++)
		if (f->lingering[i].taken)
			linger_end(&f->lingering[i]);
	while (f->listening) {
		struct listening *l = f->listening;

		f->listening = l->next;
		close(event_get_fd(&l->event));
		free(l);
	}
	if (f->reserve >= 0)
		close(f->reserve);
	f->reserve = -1;
}

static int socket_option(int fd, int option, int *ret)
{
	socklen_t length = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, option, ret, &length) < 0 ? -errno : 0;
}

static int check_listening(int fd)
{
	int domain, type, listening, r;

	r = socket_option(fd, SO_DOMAIN, &domain);
	if (!r)
		r = socket_option(fd, SO_TYPE, &type);
	if (!r)
		r = socket_option(fd, SO_ACCEPTCONN, &listening);
	if (r)
		return r;
	return domain == AF_UNIX && type == SOCK_STREAM && listening ? 0 : -EINVAL;
}

static int listen_on(struct front *f, int fd, bool pages)
{
	struct listening *l;
	int r = check_listening(fd);

	if (r < 0)
		return r;
	/* a socket that a service manager made may be a blocking one */
	if (evutil_make_socket_nonblocking(fd) < 0 || evutil_make_socket_closeonexec(fd) < 0)
		return -errno;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	event_assign(&l->event, f->base, fd, EV_READ | EV_PERSIST, accept_event, l);
	if (event_add(&l->event, NULL) < 0) {
		free(l);
		return -ENOMEM;
	}
	l->front = f;
	l->pages = pages;
	l->next = f->listening;
	f->listening = l;
	return 0;
}

int front_listen(struct front *f, int fd)
{
	return listen_on(f, fd, false);
}

int front_listen_pages(struct front *f, int fd)
{
	return listen_on(f, fd, true);
}
