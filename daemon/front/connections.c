/* Each connection is in one of a few lists, by what it waits for, and has its deadline by that;
 * here are the lists, and who gets into them. */
#include "connections.h"

#include "connection.h"
#include "connection_type.h"
#include "crowd.h"
#include "deadlines.h"
#include "peer.h"
#include "reaper.h"
#include "room.h"
#include "toll.h"
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

/* How late after T a connection may be cut: two ticks. Half a second for requests; the idle
 * timeout is housekeeping, and waking seldom is worth more than being exact. */
#define BUSY_PERIOD_MS 250
#define IDLE_PERIOD_MS 10000

/* ---- what the loop tells ---- */

static void turn_come(struct link *turn)
{
	connection_ready(LINK_ELEMENT(turn, struct connection, turn));
}

static void resume_event(evutil_socket_t fd, short what, void *context)
{
	struct connections *all = context;
	struct link turn;

	(void)fd;
	(void)what;
	link_init(&turn);
	/* those that ask for another turn get it in the next pass */
	link_move_all(&turn, &all->resume);
	while (!link_alone(&turn))
		connection_resume_or_wait(LINK_ELEMENT(turn.next, struct connection, turn));
}

static void see_newcomer(struct link *turn)
{
	connection_see_newcomer(LINK_ELEMENT(turn, struct connection, turn));
}

static void watch_newcomer(struct link *turn)
{
	connection_watch(LINK_ELEMENT(turn, struct connection, turn));
}

static void expired(struct deadline *d)
{
	connection_expired(LINK_ELEMENT(d, struct connection, deadline));
}

static void kept_event(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	crowd_keep_less(context);
}

/* ---- from beginning to end ---- */

static uint32_t idle_s(const struct front_limits *limits)
{
	return (uint32_t)(limits->idle_timeout.ns / NS_PER_S);
}

int connections_new(struct connections **ret, struct event_base *base, struct reaper *reaper,
	const struct front_handler *handler, void *context, const struct front_limits *limits)
{
	struct connections *all = calloc(1, sizeof(*all));
	struct serving *s;

	if (!all)
		return -ENOMEM;
	all->base = base;
	pool_init(&all->pool, sizeof(struct connection));
	all->reaper = reaper;
	all->limits = *limits;
	s = &all->serving;
	s->handler = handler;
	s->context = context;
	s->idle_s = idle_s(limits);
	share_init(&s->sharing, base, limits->max_connections_per_user, turn_come);
	replies_init(&s->replies);
	replies_init(&all->late);
	outbox_init(&all->outbox, base, &s->replies, connection_sent);
	deadlines_init(
		&all->idle, base, limits->idle_timeout, duration_ms(IDLE_PERIOD_MS), expired);
	deadlines_init(
		&all->busy, base, limits->request_deadline, duration_ms(BUSY_PERIOD_MS), expired);
	link_init(&all->held);
	link_init(&all->resume);
	evtimer_assign(&all->resume_event, base, resume_event, all);
	newcomers_init(&all->newcomers, base, see_newcomer, watch_newcomer);
	heap_trim_init(&all->trim, base);
	evtimer_assign(&all->kept_event, base, kept_event, all);
	*ret = all;
	return 0;
}

static struct connection *connection_first(struct link *list)
{
	return connection_at(list->next);
}

void connections_free(struct connections *all)
{
	struct link *lists[3];

	if (!all)
		return;
	lists[0] = &all->held;
	lists[1] = &all->busy.list;
	lists[2] = &all->idle.list;
	all->serving.stopping = true;
	outbox_flush(&all->outbox);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		while (!link_alone(lists[i]))
			connection_free(connection_first(lists[i]));
	event_del(&all->resume_event);
	newcomers_fini(&all->newcomers);
	heap_trim_fini(&all->trim);
	event_del(&all->kept_event);
	share_fini(&all->serving.sharing);
	peer_table_trim(&all->peers);
	deadlines_fini(&all->idle);
	deadlines_fini(&all->busy);
	outbox_fini(&all->outbox);
	replies_fini(&all->serving.replies);
	replies_fini(&all->late);
	pool_fini(&all->pool);
	free(all);
}

void connections_set_limits(struct connections *all, const struct front_limits *limits)
{
	all->limits = *limits;
	all->serving.idle_s = idle_s(limits);
	share_set_limit(&all->serving.sharing, limits->max_connections_per_user);
	deadlines_set_length(&all->idle, limits->idle_timeout);
	deadlines_set_length(&all->busy, limits->request_deadline);
}

void connections_stop(struct connections *all)
{
	all->serving.stopping = true;
	outbox_flush(&all->outbox);
	/* None comes back to this list: whatever it has sent, it is closed with the reply. */
	while (!link_alone(&all->idle.list))
		connection_read_last(connection_first(&all->idle.list));
}

struct front_counters *connections_counters(struct connections *all)
{
	return &all->serving.counters;
}

/* ---- who is let in ---- */

/* Root and admins. Reads the groups of `peer`. */
static bool privileged(struct connections *all, int fd, struct peer *peer, bool *ret_groups_read)
{
	const struct serving *s = &all->serving;

	if (!s->handler->privileged)
		return false;
	peer_read_groups(&all->peers, fd, peer);
	*ret_groups_read = true;
	return s->handler->privileged(s->context, peer);
}

/* How many places are taken. Those that are being closed, or cannot be, count for the user they
 * came from; for all only if they leave no descriptors for others. A few never do: they will be
 * gone before anybody misses them. */
static uint32_t taken(const struct connections *all)
{
	uint32_t closing = reaper_pending(all->reaper), free = all->limits.max_closing;

	if (free < CONNECTIONS_CLOSING_FEW)
		free = CONNECTIONS_CLOSING_FEW;
	return all->serving.counters.connections + (closing > free ? closing - free : 0);
}

/* There is room for one more of a user who has `has` and is at `fd`, or it has been made if they
 * `may_have` one. *ret_reserved: it is one of the places that are kept. *ret_groups_read: `peer`
 * has its groups now. */
static bool has_room(struct connections *all, int fd, struct peer *peer, uint32_t has,
	bool may_have, bool *ret_reserved, bool *ret_groups_read)
{
	uint32_t most = room_for_all(all->limits.max_connections);
	uint32_t connections = all->serving.counters.connections;

	*ret_reserved = *ret_groups_read = false;
	if (taken(all) < most)
		return true;
	if (privileged(all, fd, peer, ret_groups_read)) {
		*ret_reserved = true;
		most = all->limits.max_connections;
		if (taken(all) < most)
			return true;
	}
	/* Where only places are lacking that are being closed, nobody has to give way for those. */
	if (connections >= most && may_have)
		crowd_make_room(all, has, connections - most + 1);
	return taken(all) < most;
}

/* Whether this user may have one more, if there is room: ADMITTED. What is being closed for them is
 * as good as open. */
static enum admission admission_of_user(
	const struct connections *all, uid_t uid, const struct peer_user *user, uint32_t has)
{
	struct reaper_user closing = reaper_user(all->reaper, uid);

	if (toll_holds_off(uid))
		return REFUSED_USER_HELD_OFF;
	if (closing.stuck)
		return REFUSED_USER_CLOSING;
	if ((uint64_t)has + closing.pending >= all->limits.max_connections_per_user)
		return REFUSED_USER_LIMIT;
	if (!share_may_connect(&all->serving.sharing, user ? &user->share : NULL))
		return REFUSED_USER_RATE;
	return ADMITTED;
}

/* Whether one more of `peer` may be let in, who is at `fd`: ADMITTED. */
static enum admission admission_of(struct connections *all, int fd, struct peer *peer,
	bool *ret_reserved, bool *ret_groups_read)
{
	struct front_counters *counters = &all->serving.counters;
	const struct peer_user *user = peer_user_find(&all->peers, peer->uid);
	uint32_t has = user ? user->connections : 0;
	enum admission admission = admission_of_user(all, peer->uid, user, has);

	*ret_reserved = *ret_groups_read = false;
	if (admission != REFUSED_USER_HELD_OFF &&
		!has_room(all, fd, peer, has, admission == ADMITTED, ret_reserved, ret_groups_read))
		admission = REFUSED_TOTAL_LIMIT;
	switch (admission) {
	case REFUSED_TOTAL_LIMIT:
		counters->refused_total_limit++;
		break;
	case REFUSED_USER_LIMIT:
	case REFUSED_USER_CLOSING:
	case REFUSED_USER_HELD_OFF:
		counters->refused_user_limit++;
		break;
	case REFUSED_USER_RATE:
		counters->refused_user_rate++;
		break;
	case ADMITTED:
	case ADMISSION_FAILED:
		break;
	}
	return admission;
}

void connections_let_in_begin(struct connections *all)
{
	newcomers_begin(&all->newcomers);
}

void connections_let_in_end(struct connections *all, bool more)
{
	newcomers_end(&all->newcomers, more);
}

enum admission connections_admit(
	struct connections *all, int fd, bool guarded, const struct protocol *protocol)
{
	struct front_counters *counters = &all->serving.counters;
	enum admission admission;
	struct peer peer;
	bool reserved, groups_read;

	peer_read_credentials(fd, &peer);
	admission = admission_of(all, fd, &peer, &reserved, &groups_read);
	if (admission != ADMITTED) {
		peer_release(&all->peers, &peer);
		return admission;
	}
	/* before it, because that may already be asked for */
	counters->accepted++;
	if (connection_open(all, fd, guarded, reserved, &peer, groups_read, protocol) < 0) {
		counters->accepted--;
		counters->accept_failures++;
		return ADMISSION_FAILED;
	}
	return ADMITTED;
}
