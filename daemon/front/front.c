#include "front.h"

#include "accept.h"
#include "closer.h"
#include "connections.h"
#include "http_protocol.h"
#include "page_protocol.h"
#include "reaper.h"
#include "toll.h"
#include <errno.h>
#include <stdlib.h>

struct front {
	struct connections *connections;
	struct acceptor acceptor;
	struct reaper *reaper;
	const struct front_handler *handler;
	void *context; /* the handler's */
	bool stopping;
};

static void stuck(void *context, uid_t uid)
{
	struct front *f = context;

	connections_counters(f->connections)->closes_stuck++;
	if (f->handler->close_stuck)
		f->handler->close_stuck(f->context, uid);
}

static void held_off(void *context, uid_t uid)
{
	struct front *f = context;

	connections_counters(f->connections)->users_held_off++;
	if (f->handler->user_held_off)
		f->handler->user_held_off(f->context, uid);
}

static void lost(void *context)
{
	struct front *f = context;

	if (f->handler->closers_lost)
		f->handler->closers_lost(f->context);
}

int front_new(struct front **ret, struct event_base *base, int closer_fd,
	const struct front_handler *handler, void *context, const struct front_limits *limits)
{
	struct front *f = calloc(1, sizeof(*f));
	const struct reaper_hooks hooks = {.stuck = stuck, .lost = lost, .context = f};
	int r;

	if (!f) {
		closer_stop(closer_fd);
		return -ENOMEM;
	}
	f->handler = handler;
	f->context = context;
	r = reaper_new(&f->reaper, base, closer_fd, &hooks);
	if (!r)
		r = connections_new(&f->connections, base, f->reaper, handler, context, limits);
	if (r < 0) {
		reaper_free(f->reaper);
		free(f);
		return r;
	}
	toll_init(f->reaper, held_off, f);
	accept_init(&f->acceptor, base, f->connections, f->reaper, limits->max_turned_away,
		handler->accept_failed, context);
	*ret = f;
	return 0;
}

void front_set_limits(struct front *f, const struct front_limits *limits)
{
	connections_set_limits(f->connections, limits);
	accept_set_max_turned_away(&f->acceptor, limits->max_turned_away);
}

int front_listen(struct front *f, int fd)
{
	return accept_listen(&f->acceptor, fd, &http_protocol);
}

int front_listen_pages(struct front *f, int fd)
{
	return accept_listen(&f->acceptor, fd, &page_protocol);
}

void front_stop(struct front *f)
{
	if (f->stopping)
		return;
	f->stopping = true;
	accept_stop(&f->acceptor);
	connections_stop(f->connections);
}

void front_free(struct front *f)
{
	if (!f)
		return;
	accept_fini(&f->acceptor);
	connections_free(f->connections);
	toll_fini();
	reaper_free(f->reaper);
	free(f);
}

const struct front_counters *front_counters(const struct front *f)
{
	return connections_counters(f->connections);
}
