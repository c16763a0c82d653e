#include "sockets.h"

#include "broker.h"
#include "calls_page.h"
#include "routes.h"
#include "waiter.h"

#include "core/access.h"
#include "core/config.h"
#include "front/closer.h"
#include "front/connection_hold.h"
#include "front/connection_peer.h"
#include "front/front.h"
#include "front/listener.h"
#include "host/clock.h"
#include "host/file_fit.h"
#include "host/log.h"
#include "host/systemd.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Descriptors that are not callers': the log, the state files, login servers, a reserve. */
#define DESCRIPTORS_ELSEWHERE 128
#define CONNECTIONS_MIN 16
#define TURNED_AWAY_MIN 32
#define TURNED_AWAY_MAX 4096
#define TELL_APART_S 60

static rlim_t descriptors_possible(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) ? RLIM_INFINITY : limit.rlim_cur;
}

/* A low limit of descriptors lowers ours: better to refuse a caller than to accept one who cannot
 * be served. Below what the daemon itself may need, callers get a share. */
static uint32_t connections_possible(rlim_t descriptors, uint32_t wanted)
{
	uint32_t possible;

	if (descriptors == RLIM_INFINITY || descriptors >= (rlim_t)wanted + DESCRIPTORS_ELSEWHERE)
		return wanted;
	if (descriptors < DESCRIPTORS_ELSEWHERE + CONNECTIONS_MIN) {
		possible = (uint32_t)descriptors / (DESCRIPTORS_ELSEWHERE / CONNECTIONS_MIN);
		possible = possible < 1                 ? 1
			   : possible > CONNECTIONS_MIN ? CONNECTIONS_MIN
							: possible;
		possible = possible < wanted ? possible : wanted;
		log_line(LOG_WARNING,
			"RLIMIT_NOFILE of %llu is too low: the daemon itself may need %d "
			"descriptors. Callers at a time are limited to %u: raise LimitNOFILE",
			(unsigned long long)descriptors, DESCRIPTORS_ELSEWHERE, possible);
		return possible;
	}
	possible = (uint32_t)descriptors - DESCRIPTORS_ELSEWHERE;
	/* Telling those who are refused takes a descriptor for a moment, too. */
	if (possible > TURNED_AWAY_MIN * 4)
		possible -= possible / 4;
	log_line(LOG_WARNING,
		"max_connections is %u, but RLIMIT_NOFILE of %llu allows %u: raise LimitNOFILE",
		wanted, (unsigned long long)descriptors, possible);
	return possible;
}

static uint32_t turned_away_possible(rlim_t descriptors, uint32_t connections)
{
	rlim_t used = (rlim_t)connections + DESCRIPTORS_ELSEWHERE;

	if (descriptors == RLIM_INFINITY || descriptors >= used + TURNED_AWAY_MAX)
		return TURNED_AWAY_MAX;
	return descriptors > used + TURNED_AWAY_MIN ? (uint32_t)(descriptors - used)
						    : TURNED_AWAY_MIN;
}

/* What is left. */
static uint32_t closing_possible(rlim_t descriptors, uint32_t connections)
{
	rlim_t used = (rlim_t)connections + DESCRIPTORS_ELSEWHERE + TURNED_AWAY_MAX;

	if (descriptors <= used)
		return 0;
	return descriptors - used < UINT32_MAX / 2 ? (uint32_t)(descriptors - used)
						   : UINT32_MAX / 2;
}

static struct front_limits limits_of(const struct config *config)
{
	const struct broker_settings *s = &config->broker;
	rlim_t descriptors = descriptors_possible();
	uint32_t connections = connections_possible(descriptors, s->max_connections);

	return (struct front_limits){
		.max_connections = connections,
		.max_connections_per_user = s->max_connections_per_user < connections
						    ? s->max_connections_per_user
						    : connections,
		.max_turned_away = turned_away_possible(descriptors, connections),
		.max_closing = closing_possible(descriptors, connections),
		.request_deadline = s->request_deadline,
		.idle_timeout = s->idle_timeout,
		.units = config_needs_units(config),
	};
}

void sockets_set_limits(struct broker *b)
{
	struct front_limits limits = limits_of(b->config);

	front_set_limits(b->sockets.front, &limits);
}

/* The socket that systemd holds, found by its name or else by its path. It stays when we end. */
static int take_listener(const char *name, const char *path)
{
	int fd = systemd_take_fd(name);

	if (fd < 0 && path)
		fd = systemd_take_listener(path);
	/* Without NonBlocking= in the unit it arrives in blocking mode. */
	if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK))
		log_line(LOG_WARNING, "the socket \"%s\" that systemd passed: %s", name,
			strerror(errno));
	return fd;
}

static int make_listener(
	const struct broker_settings *s, const char *path, int *ret_fd, struct stat *ret_bound)
{
	char problem[512];
	int r;

	/* A warning only: whose folder that is may be the operator's intention, on a machine of
	 * one's own for instance, and a socket there has always been served. */
	if (!socket_dir_fit(path, problem, sizeof(problem)))
		log_line(LOG_WARNING,
			"the socket %s %s. Whoever can change that folder can keep the daemon from "
			"starting, or answer in its place",
			path, problem);
	r = listener_bind(path, s->socket_mode, s->socket_gid, ret_fd, problem, sizeof(problem));
	if (r)
		log_line(LOG_ERR, "%s", problem);
	else if (lstat(path, ret_bound))
		ret_bound->st_ino = 0;
	return r;
}

static int open_place(struct broker *b, struct socket_place *place, const char *name,
	int (*listen_at)(struct front *f, int fd))
{
	int fd = take_listener(name, place->path), r;

	if (fd < 0) {
		if (!place->path)
			return 0;
		r = make_listener(&b->config->broker, place->path, &fd, &place->bound);
		if (r)
			return r;
	}
	r = listen_at(b->sockets.front, fd);
	if (r) {
		close(fd);
		log_line(LOG_ERR, "%s: %s", place->path ? place->path : name, strerror(-r));
	}
	return r;
}

/* Not each time that it happens. */
static bool tell_again(struct boot_time *told)
{
	struct boot_time now = clock_boot_now();

	if (told->ns && boot_since(now, *told).ns < TELL_APART_S * NS_PER_S)
		return false;
	*told = now;
	return true;
}

/* Logs that callers were kept waiting, once in a while. */
static void accept_failed(void *context)
{
	struct broker *b = context;

	if (!tell_again(&b->sockets.accept_failure_told))
		return;
	log_line(LOG_ERR,
		"connections could not be accepted (%llu times so far): descriptors or memory ran "
		"out; raise LimitNOFILE or lower max_connections",
		(unsigned long long)front_counters(b->sockets.front)->accept_failures);
}

static void descriptor_refused(void *context, const struct connection *c)
{
	struct broker *b = context;

	if (!tell_again(&b->sockets.descriptor_told))
		return;
	log_line(LOG_WARNING,
		"uid %ld passed a descriptor over a socket, which is refused (%llu times so far, "
		"by anybody)",
		(long)connection_peer(c)->uid,
		(unsigned long long)front_counters(b->sockets.front)->descriptors_refused);
}

static void page_not_sent(void *context, const struct connection *c, int error)
{
	struct broker *b = context;

	if (!tell_again(&b->sockets.page_told))
		return;
	log_line(LOG_WARNING,
		"uid %ld got no page (503): %s. Whoever gets none asks the other socket for each "
		"token",
		(long)connection_peer(c)->uid,
		error == -ETOOMANYREFS
			? "callers have not taken as many descriptors as LimitNOFILE allows"
		: error == -EDQUOT ? "as many are not taken as one user, or all, may leave lying"
				   : strerror(-error));
}

static void close_stuck(void *context, uid_t uid)
{
	struct broker *b = context;

	if (!tell_again(&b->sockets.stuck_told))
		return;
	log_line(LOG_WARNING,
		"what uid %ld passed, or left at a connection, does not finish closing: that user "
		"is refused until it does (of the processes that close descriptors %llu have been "
		"stuck so "
		"far, whoever's they were)",
		(long)uid, (unsigned long long)front_counters(b->sockets.front)->closes_stuck);
}

static void user_held_off(void *context, uid_t uid)
{
	struct broker *b = context;

	if (!tell_again(&b->sockets.held_off_told))
		return;
	log_line(LOG_WARNING,
		"uid %ld is held off for some seconds: so many wait at its ends of connections "
		"that reading and answering there takes too long (%llu times so far, anybody)",
		(long)uid, (unsigned long long)front_counters(b->sockets.front)->users_held_off);
}

static void closers_lost(void *context)
{
	(void)context;
	log_line(LOG_ERR,
		"the process gctokend-closer has ended: connections with passed descriptors stay "
		"open until a restart of the daemon");
}

static bool privileged(void *context, const struct peer *peer)
{
	const struct broker *b = context;

	return access_granted(&b->config->broker.admins, peer, NULL, b->uid);
}

static void abandoned(void *context, struct connection *c)
{
	(void)context;
	waiter_free(connection_hold(c));
}

static const struct front_handler handler = {
	.request = routes_request,
	.abandoned = abandoned,
	.accept_failed = accept_failed,
	.descriptor_refused = descriptor_refused,
	.close_stuck = close_stuck,
	.user_held_off = user_held_off,
	.closers_lost = closers_lost,
	.privileged = privileged,
	.page = calls_page_asked,
	.page_not_sent = page_not_sent,
};

static int copy_path(char **ret, const char *path)
{
	*ret = path ? strdup(path) : NULL;
	return path && !*ret ? -ENOMEM : 0;
}

int sockets_open(struct broker *b, int closer_fd)
{
	const struct broker_settings *settings = &b->config->broker;
	struct front_limits limits = limits_of(b->config);
	struct sockets *s = &b->sockets;
	int r = 0;

	if (copy_path(&s->http.path, settings->socket) ||
		copy_path(&s->page.path, settings->page_socket))
		r = -ENOMEM;
	if (r)
		closer_stop(closer_fd);
	else
		r = front_new(&s->front, b->base, closer_fd, &handler, b, &limits);
	if (r) {
		log_line(LOG_ERR, "the front cannot be made: %s", strerror(-r));
		return r;
	}
	r = open_place(b, &s->http, "http", front_listen);
	return r ? r : open_place(b, &s->page, "page", front_listen_pages);
}

const char *sockets_where(const struct sockets *s)
{
	return s->http.bound.st_ino ? s->http.path : "the socket that systemd holds";
}

static void remove_place(const struct socket_place *place)
{
	if (place->bound.st_ino)
		listener_remove(place->path, &place->bound);
}

void sockets_close(struct broker *b)
{
	struct sockets *s = &b->sockets;

	if (s->front) {
		front_stop(s->front);
		remove_place(&s->http);
		remove_place(&s->page);
		event_base_loop(b->base, EVLOOP_NONBLOCK);
		waiters_stop(&b->waiters);
		front_free(s->front);
	}
	free(s->http.path);
	free(s->page.path);
	*s = (struct sockets){0};
}
