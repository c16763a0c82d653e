#include "lingering.h"

#include "passing.h"
#include "protocol.h"
#include "stream.h"
#include <event2/event.h>
#include <stdlib.h>

#define LINGER_MS 1000
#define PERIOD_MS 100

struct lingerer {
	struct deadline deadline;
	struct event event;
	struct lingering *all;
	struct reaper *reaper;
	const struct protocol *protocol;
	const struct refusal *refusal;
};

static void end(struct lingerer *one, bool head)
{
	int fd = event_get_fd(&one->event);

	event_del(&one->event);
	one->protocol->refuse(fd, one->refusal, head, NULL);
	passing_close(fd, one->reaper);
	link_remove(&one->deadline.link);
	one->all->count--;
	free(one);
}

static struct lingerer *lingerer_of(struct deadline *d)
{
	return LINK_ELEMENT(d, struct lingerer, deadline);
}

static void expired(struct deadline *d)
{
	end(lingerer_of(d), false);
}

/* Its request has come, or its end. */
static void came(evutil_socket_t fd, short what, void *context)
{
	struct lingerer *one = context;
	bool head;

	(void)what;
	/* Closing over unread bytes would look like a broken connection to the other end. */
	stream_discard(fd, one->reaper, &head);
	end(one, head);
}

static struct lingerer *oldest(struct lingering *l)
{
	return LINK_ELEMENT(l->all.list.next, struct lingerer, deadline.link);
}

void lingering_init(struct lingering *l, struct event_base *base, unsigned most)
{
	*l = (struct lingering){.base = base, .most = most};
	deadlines_init(&l->all, base, duration_ms(LINGER_MS), duration_ms(PERIOD_MS), expired);
}

void lingering_add(struct lingering *l, int fd, struct reaper *reaper,
	const struct protocol *protocol, const struct refusal *refusal)
{
	struct lingerer *one;

	while (l->count && l->count >= l->most)
		end(oldest(l), false);
	one = malloc(sizeof(*one));
	if (!one)
		goto tell;
	*one = (struct lingerer){
		.all = l, .reaper = reaper, .protocol = protocol, .refusal = refusal};
	event_assign(&one->event, l->base, fd, EV_READ, came, one);
	if (event_add(&one->event, NULL) < 0)
		goto free;
	if (deadlines_add(&l->all, &one->deadline) < 0) {
		event_del(&one->event);
		goto free;
	}
	l->count++;
	return;

free:
	free(one);
tell:
	protocol->refuse(fd, refusal, false, NULL);
	passing_close(fd, reaper);
}

void lingering_fini(struct lingering *l)
{
	while (!link_alone(&l->all.list))
		end(oldest(l), false);
	deadlines_fini(&l->all);
}
