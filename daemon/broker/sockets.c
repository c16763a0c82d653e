/* Where clients come in: a socket of our own or the one that systemd holds, and how many may. */
#include "sockets.h"

#include "broker.h"
#include "calls_page.h"
#include "routes.h"
#include "waiter.h"

#include "core/config.h"
#include "front/front.h"
#include "front/listener.h"
#include "host/clock.h"
#include "host/log.h"
#include "host/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Descriptors that are not clients': the log, the state files, login servers, a reserve. */
#define DESCRIPTORS_ELSEWHERE 128
#define CONNECTIONS_MIN 16
#define TELL_FAILURES_APART_S 60

/* A low limit lowers ours; what cannot be served is better refused than half accepted. */
static uint32_t connections_possible(uint32_t wanted)
{
	struct rlimit limit;
	uint32_t possible;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY ||
		limit.rlim_cur >= (rlim_t)wanted + DESCRIPTORS_ELSEWHERE)
		return wanted;
	possible = limit.rlim_cur > DESCRIPTORS_ELSEWHERE + CONNECTIONS_MIN
			   ? (uint32_t)limit.rlim_cur - DESCRIPTORS_ELSEWHERE
			   : CONNECTIONS_MIN;
	log_line(LOG_WARNING,
		"max_connections is %u, but RLIMIT_NOFILE of %llu allows %u: raise LimitNOFILE",
		wanted, (unsigned long long)limit.rlim_cur, possible);
	return possible;
}

static struct front_limits limits_of(const struct broker_settings *s)
{
	uint32_t connections = connections_possible(s->max_connections);

	return (struct front_limits){
		.max_connections = connections,
		.max_connections_per_user = s->max_connections_per_user < connections
						    ? s->max_connections_per_user
						    : connections,
		.request_deadline = s->request_deadline,
		.idle_timeout = s->idle_timeout,
	};
}

void broker_apply_settings(struct broker *b)
{
	struct front_limits limits = limits_of(&b->config->broker);

	log_set_level(b->config->broker.log_level);
	front_set_limits(b->front, &limits);
}

/* The socket that systemd holds, by its name or else by its place. It stays there when we end. */
static int take_listener(const char *name, const char *path)
{
	int fd = systemd_take_fd(name);

	if (fd < 0 && path)
		fd = systemd_take_listener(path);
	/* Without NonBlocking= in the unit it comes blocking. */
	if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK))
		log_line(LOG_WARNING, "the socket \"%s\" that systemd passed: %s", name,
			strerror(errno));
	return fd;
}

static int make_listener(
	const struct broker *b, const char *path, int *ret_fd, struct stat *ret_bound)
{
	const struct broker_settings *s = &b->config->broker;
	char problem[512];
	int r = listener_bind(
		path, s->socket_mode, s->socket_gid, ret_fd, problem, sizeof(problem));

	if (r)
		log_line(LOG_ERR, "%s", problem);
	else if (lstat(path, ret_bound))
		ret_bound->st_ino = 0;
	return r;
}

static int open_one(struct broker *b, const char *name, const char *path,
	int (*listen_at)(struct front *f, int fd), struct stat *ret_bound)
{
	int fd = take_listener(name, path), r;

	if (fd < 0) {
		if (!path)
			return 0;
		r = make_listener(b, path, &fd, ret_bound);
		if (r)
			return r;
	}
	r = listen_at(b->front, fd);
	if (r) {
		close(fd);
		log_line(LOG_ERR, "%s: %s", path ? path : name, strerror(-r));
	}
	return r;
}

/* Logs that callers were kept waiting, once in a while. */
static void accept_failed(void *context)
{
	struct broker *b = context;
	struct boot_time now = clock_boot_now();

	if (b->accept_failure_told.ns &&
		boot_since(now, b->accept_failure_told).ns < TELL_FAILURES_APART_S * NS_PER_S)
		return;
	b->accept_failure_told = now;
	log_line(LOG_ERR,
		"connections could not be accepted (%llu times so far): descriptors or memory ran "
		"out; raise LimitNOFILE or lower max_connections",
		(unsigned long long)front_counters(b->front)->accept_failures);
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
	.page = calls_page_asked,
};

int sockets_open(struct broker *b)
{
	struct front_limits limits = limits_of(&b->config->broker);
	int r = front_new(&b->front, b->base, &handler, b, &limits);

	if (r) {
		log_line(LOG_ERR, "the front cannot be made: %s", strerror(-r));
		return r;
	}
	r = open_one(b, "http", b->socket, front_listen, &b->bound);
	return r ? r : open_one(b, "page", b->page_socket, front_listen_pages, &b->page_bound);
}
