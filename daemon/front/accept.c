#include "accept.h"

#include "connections.h"
#include "passing.h"
#include "protocol.h"
#include "reaper.h"
#include "stream.h"
#include "toll.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* What one pass takes in; turning away the hasty costs a part of a connection, and the sooner they
 * are out of the queue the sooner whoever waits behind them is in. */
#define PASS_BUDGET 64
#define ADMITTED_COST 8
#define HASTY_COST 1
#define PAUSE_MS 100
/* For as long as the reaper needs to give some away. */
#define BREATH_MS 10

struct listening {
	struct listening *next;
	struct acceptor *acceptor;
	const struct protocol *protocol;
	struct event event;
	bool forbidden; /* nothing can be passed to who connects from now on */
};

static int accept_one(int listening_fd)
{
	int fd = accept4(listening_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Consumes `fd`. */
static void turn_away(
	const struct listening *l, int fd, struct reaper *reaper, const struct refusal *refusal)
{
	bool head;

	if (stream_discard(fd, reaper, &head) == -EAGAIN) {
		lingering_add(&l->acceptor->lingering, fd, reaper, l->protocol, refusal);
		return;
	}
	l->protocol->refuse(fd, refusal, head, NULL);
	passing_close(fd, reaper);
}

static void reserve_open(struct acceptor *a)
{
	if (a->reserve < 0)
		a->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Who closes `fd`, which was accepted: see passing.h. */
static struct reaper *guard_of(const struct listening *l, int fd)
{
	return passing_possible(fd, l->forbidden) ? l->acceptor->reaper : NULL;
}

static void reserve_use(const struct listening *l, int listening_fd)
{
	static const struct refusal no_descriptors = {
		503, "temporarily_unavailable", "out of file descriptors", 1};
	struct acceptor *a = l->acceptor;
	struct reaper *reaper;
	bool head;
	int fd;

	if (a->reserve < 0)
		return;
	close(a->reserve);
	a->reserve = -1;
	fd = accept_one(listening_fd);
	if (fd >= 0) {
		/* at once, whether it has asked or not, because it is the reserve */
		reaper = guard_of(l, fd);
		stream_discard(fd, reaper, &head);
		l->protocol->refuse(fd, &no_descriptors, head, NULL);
		if (reaper || !toll_close_here(fd))
			passing_close(fd, reaper);
	}
	reserve_open(a);
}

static void pause_for(struct acceptor *a, int ms)
{
	const struct timeval a_moment = {.tv_usec = ms * 1000};

	/* Without the timer nothing would ever take up listening again: rather spin, then. */
	if (event_add(&a->again, &a_moment) < 0)
		return;
	for (struct listening *l = a->listening; l; l = l->next)
		event_del(&l->event);
}

static void pause_accepting(struct acceptor *a)
{
	connections_counters(a->connections)->accept_failures++;
	if (a->failed)
		a->failed(a->context);
	pause_for(a, PAUSE_MS);
}

static void accept_again(evutil_socket_t fd, short what, void *context)
{
	struct acceptor *a = context;

	(void)fd;
	(void)what;
	reserve_open(a);
	for (struct listening *l = a->listening; l; l = l->next) {
		if (event_add(&l->event, NULL) < 0) {
			pause_accepting(a);
			return;
		}
	}
}

/* Consumes `fd`, of a user who is held off. There is no end to those, and they may not take others'
 * descriptors: where the reaper has enough to give away, what is as good as empty is closed here,
 * and with anything else the rest of the queue waits for it. Returns what that cost. */
static unsigned drop(const struct listening *l, int fd, const struct reaper *reaper)
{
	struct acceptor *a = l->acceptor;
	bool enough =
		reaper_works(a->reaper) && reaper_pending(a->reaper) >= CONNECTIONS_CLOSING_FEW;

	if (enough && !reaper && toll_close_here(fd))
		return HASTY_COST;
	toll_close(fd);
	if (!enough)
		return HASTY_COST;
	pause_for(a, BREATH_MS);
	return PASS_BUDGET;
}

/* Consumes `fd`. Returns what that cost of the pass's budget. */
static unsigned admit(const struct listening *l, int fd)
{
	static const struct refusal total_limit = {
		503, "temporarily_unavailable", "too many connections", 1};
	static const struct refusal user_limit = {
		429, "too_many_requests", "too many connections of this user", 1};
	static const struct refusal user_closing = {429, "too_many_requests",
		"descriptors that this user passed take long to close", 1};
	static const struct refusal user_rate = {
		429, "too_many_requests", "this user connects too often while others wait", 1};

	struct reaper *reaper = guard_of(l, fd);

	switch (connections_admit(l->acceptor->connections, fd, reaper != NULL, l->protocol)) {
	case ADMITTED:
	case ADMISSION_FAILED:
		break;
	case REFUSED_TOTAL_LIMIT:
		turn_away(l, fd, reaper, &total_limit);
		break;
	case REFUSED_USER_LIMIT:
		turn_away(l, fd, reaper, &user_limit);
		break;
	case REFUSED_USER_CLOSING:
		turn_away(l, fd, reaper, &user_closing);
		break;
	case REFUSED_USER_RATE:
		turn_away(l, fd, reaper, &user_rate);
		return HASTY_COST;
	case REFUSED_USER_HELD_OFF:
		return drop(l, fd, reaper);
	}
	return ADMITTED_COST;
}

/* True: there may be more. */
static bool accept_some(const struct listening *l, int listening_fd)
{
	for (unsigned spent = 0; spent < PASS_BUDGET;) {
		int fd = accept_one(listening_fd);

		if (fd >= 0) {
			spent += admit(l, fd);
			continue;
		}
		switch (-fd) {
		case EAGAIN:
			return false;
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
		pause_accepting(l->acceptor);
		return false;
	}
	return true;
}

static void accept_event(evutil_socket_t listening_fd, short what, void *context)
{
	const struct listening *l = context;
	struct connections *connections = l->acceptor->connections;

	(void)what;
	connections_let_in_begin(connections);
	connections_let_in_end(connections, accept_some(l, listening_fd));
}

void accept_init(struct acceptor *a, struct event_base *base, struct connections *connections,
	struct reaper *reaper, uint32_t max_turned_away, void (*failed)(void *context),
	void *context)
{
	*a = (struct acceptor){.base = base,
		.connections = connections,
		.reaper = reaper,
		.failed = failed,
		.context = context,
		.reserve = -1};
	lingering_init(&a->lingering, base, max_turned_away);
	reserve_open(a);
	evtimer_assign(&a->again, base, accept_again, a);
}

void accept_set_max_turned_away(struct acceptor *a, uint32_t max_turned_away)
{
	a->lingering.most = max_turned_away;
}

void accept_stop(struct acceptor *a)
{
	event_del(&a->again);
	for (struct listening *l = a->listening; l; l = l->next)
		event_del(&l->event);
}

void accept_fini(struct acceptor *a)
{
	accept_stop(a);
	lingering_fini(&a->lingering);
	while (a->listening) {
		struct listening *l = a->listening;

		a->listening = l->next;
		passing_close_listening(event_get_fd(&l->event), l->forbidden, a->reaper);
		free(l);
	}
	if (a->reserve >= 0)
		close(a->reserve);
	a->reserve = -1;
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

int accept_listen(struct acceptor *a, int fd, const struct protocol *protocol)
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
	event_assign(&l->event, a->base, fd, EV_READ | EV_PERSIST, accept_event, l);
	if (event_add(&l->event, NULL) < 0) {
		free(l);
		return -ENOMEM;
	}
	l->acceptor = a;
	l->protocol = protocol;
	l->forbidden = passing_forbid(fd);
	l->next = a->listening;
	a->listening = l;
	return 0;
}
