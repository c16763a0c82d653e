/* One connection. Bytes come in, whole requests go to the handler by way of the protocol, replies
 * go out; everything that has happened to a connection ends in settle(), which sends what there is
 * to send and then derives from the connection's facts - something unsent? held? something
 * unparsed? ended? - what to watch for, which deadline holds, or that it is over. Nothing else
 * closes a served connection, but for its deadline. No function here calls itself through the
 * handler: requests behind a held one wait for the next pass of the loop. */
#include "connection.h"

#include "core/access.h"
#include "core/reply.h"
#include "core/secret.h"
#include "deadlines.h"
#include "http_protocol.h"
#include "passing.h"
#include "peer.h"
#include "peer_unit.h"
#include "reaper.h"
#include "room.h"
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Then replies are sent before more requests are looked at. */
#define REPLIES_FULL 49152

/* How late after T a connection may be cut: two ticks. Half a second for requests; the idle
 * timeout is housekeeping, and waking seldom is worth more than being exact. */
#define BUSY_PERIOD_MS 250
#define IDLE_PERIOD_MS 10000

/* What is kept, of all connections together: for callers who do not read, and of requests that wait
 * behind another. A reply that is read is never kept, unless it is larger than what the kernel
 * takes; a request only until the rest of it comes. */
#define KEPT_MOST (32 * 1024 * 1024)
#define KEPT_LESS (KEPT_MOST / 4 * 3) /* to which it is brought down then */
/* What the kernel keeps of one connection. It counts twice that, with what it needs itself. */
#define SEND_BUFFER 32768
/* Before room is looked for again where there was none. */
#define NO_ROOM_MS 50
#define CLOSING_FEW 256
/* Where nobody waits at a connection for so long, it gives way before those where somebody does.
 * Whoever has only just come gets to ask. */
#define SETTLED_MS 1000
#define LISTS 3 /* in which connections are */

struct connections {
	struct event_base *base;
	struct reaper *reaper;
	struct front_limits limits;
	struct serving serving;
	struct peer_table peers;

	/* Every connection is in one of these: between requests; with a part of a request or of a
	 * reply; held by the handler. */
	struct deadlines idle, busy;
	struct link held;
	/* Bytes that are kept, and when they are too many. */
	size_t kept;
	struct event kept_event;
	/* No room could be made for a user with so many connections, then. */
	struct {
		uint32_t newcomer;
		int64_t at_ms;
	} no_room;
	/* Those with whole requests left over from this pass, for the next. */
	struct link resume;
	struct event resume_event;

	/* To a held request: apart from serving.replies, because the handler may give it while it
	 * is being asked something else. */
	struct replies late;
	bool late_open;
	char read_bytes[STREAM_READ_SIZE];
};

enum connection_place {
	PLACE_IDLE,
	PLACE_READING, /* a request has begun */
	PLACE_WRITING, /* a reply is not taken */
	PLACE_HELD,
	PLACE_DRAINING, /* refused; what it still sends is thrown away until it closes, so that it
			   gets to read why */
};

struct connection {
	struct stream stream;
	struct connections *all;
	const struct protocol *protocol;
	struct deadline deadline;
	struct peer peer;
	struct peer_user *user;
	struct link turn; /* of those behind others, see share.h; or in all->resume: `resuming` */
	void *hold;
	char *unit;
	uint8_t place, watch;
	bool resuming : 1;
	bool held : 1;
	bool keep_alive : 1, text : 1, head : 1; /* of the held request */
	bool partial : 1;                        /* what is unparsed lacks something */
	bool ended : 1;                          /* the caller sends no more */
	bool closing : 1;                        /* when all is written */
	bool refused : 1;                        /* closing because of what was sent: drain */
	bool attached : 1;                       /* all was said */
	bool unit_known : 1;
	bool reserved : 1; /* one of the last places, see room.h */
	bool guarded : 1;  /* see passing.h */
	uint32_t since_ms; /* in this place */
};

static struct reaper *reaper_of(const struct connection *c)
{
	return c->guarded ? c->all->reaper : NULL;
}

/* The loop's own time, read once a pass: a wall clock's, of which only differences count. */
static int64_t loop_ms(const struct connections *all)
{
	struct timeval now = {0};

	event_base_gettimeofday_cached(all->base, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

static int place_move(struct connection *c, enum connection_place place)
{
	struct connections *all = c->all;

	link_remove(&c->deadline.link);
	c->place = (uint8_t)place;
	c->since_ms = (uint32_t)loop_ms(all);
	switch (place) {
	case PLACE_HELD:
		link_append(&all->held, &c->deadline.link);
		return 0;
	case PLACE_IDLE:
		return deadlines_add(&all->idle, &c->deadline);
	default:
		return deadlines_add(&all->busy, &c->deadline);
	}
}

/* So much of what is kept is counted for `c` from here on. */
static void count_kept(struct connection *c, size_t bytes)
{
	static const struct timeval at_once = {0};
	struct connections *all = c->all;
	size_t before = stream_count(&c->stream, bytes);

	all->kept += bytes - before;
	c->user->kept += bytes - before;
	if (all->kept > KEPT_MOST && !evtimer_pending(&all->kept_event, NULL))
		event_add(&all->kept_event, &at_once);
}

static void connection_free(struct connection *c)
{
	struct connections *all = c->all;

	if (c->held) {
		c->held = false;
		all->serving.handler->abandoned(all->serving.context, c);
	}
	count_kept(c, 0);
	stream_close(&c->stream, reaper_of(c));
	link_remove(&c->deadline.link);
	share_forget(&c->user->share, &c->turn);
	peer_release(&all->peers, &c->peer);
	peer_user_leave(&all->peers, c->user);
	all->serving.counters.connections--;
	free(c->unit);
	free(c);
}

/* As far as can be told of a request that is not whole. */
static bool is_head(struct connection *c)
{
	if (c->held)
		return c->head;
	return stream_unparsed(&c->stream) && stream_parser(&c->stream)->method == HTTP_HEAD;
}

/* Said at once or not at all, and then it is closed. */
static void refuse(struct connection *c, const struct refusal *refusal)
{
	c->protocol->refuse(stream_fd(&c->stream), refusal, is_head(c), &c->all->serving.counters);
}

/* ---- what happens next ---- */

/* Whole requests that only wait for their turn. */
static bool has_backlog(const struct connection *c)
{
	return stream_unparsed(&c->stream) && !c->partial && !c->held && !stream_unsent(&c->stream);
}

static enum connection_place place_wanted(const struct connection *c)
{
	if (stream_unsent(&c->stream))
		return PLACE_WRITING;
	if (c->closing)
		return PLACE_DRAINING;
	if (c->held || c->attached)
		return PLACE_HELD;
	return stream_unparsed(&c->stream) ? PLACE_READING : PLACE_IDLE;
}

static enum stream_watch watch_wanted(const struct connection *c)
{
	if (stream_unsent(&c->stream))
		return WATCH_WRITE;
	/* What else it sends meanwhile is the kernel's to keep, which counts it for the sender. */
	if (c->held && (c->ended || stream_unparsed(&c->stream)))
		return WATCH_HANGUP;
	return WATCH_READ;
}

static int watch_for(struct connection *c, enum stream_watch watch)
{
	if (c->watch == watch)
		return 0;
	c->watch = (uint8_t)watch;
	return stream_watch(&c->stream, watch);
}

/* Stands behind others if its user has had its share: true. */
static bool defer(struct connection *c)
{
	return share_defer(&c->all->serving.sharing, &c->user->share, &c->turn);
}

static void stop_resuming(struct connection *c)
{
	if (c->resuming)
		link_remove(&c->turn);
	c->resuming = false;
}

/* Its backlog is served in the next pass of the loop, or when its turn comes. */
static int resume_later(struct connection *c)
{
	static const struct timeval at_once = {0};
	struct connections *all = c->all;

	if (c->resuming || defer(c))
		return 0;
	/* A timer and not event_active(): that would run before the loop looks at other sockets. */
	if (link_alone(&all->resume) && event_add(&all->resume_event, &at_once) < 0)
		return -ENOMEM;
	link_append(&all->resume, &c->turn);
	c->resuming = true;
	return 0;
}

/* `progress`: a request was completed, so that a new deadline begins. May free `c`. */
static void settle(struct connection *c, struct replies *replies, bool progress)
{
	static const struct refusal truncated = {
		400, "invalid_request", "the request ended before its empty line", -1};
	struct stream *s = &c->stream;
	enum connection_place place;

	if (stream_send(s, replies) < 0)
		goto over;
	if (c->closing)
		stream_take(s, stream_unparsed(s));
	count_kept(c, 0);
	stream_trim(s);
	count_kept(c, stream_size(s));
	if (c->ended && !c->held && !c->closing && (c->partial || !stream_unparsed(s))) {
		if (c->partial && !stream_unsent(s))
			refuse(c, &truncated);
		c->closing = true;
	}
	place = place_wanted(c);
	if (place == PLACE_IDLE && c->all->serving.stopping)
		goto over;
	if (place == PLACE_DRAINING) {
		if (!c->refused || c->ended)
			goto over;
		if (c->place != PLACE_DRAINING && shutdown(stream_fd(s), SHUT_WR) < 0)
			goto over;
	}
	if (watch_for(c, watch_wanted(c)) < 0)
		goto over;
	if (has_backlog(c) && resume_later(c) < 0)
		goto over;
	/* Staying in one place keeps its deadline, however many bytes have moved. */
	if (place == c->place && !(progress && (place == PLACE_IDLE || place == PLACE_READING)))
		return;
	if (place_move(c, place) < 0)
		goto over;
	return;
over:
	connection_free(c);
}

/* ---- serving ---- */

/* Serves requests off the front of `bytes` until something is in the way of more; returns how many
 * bytes they took. *ret_progress: at least one was whole. */
static size_t serve(struct connection *c, const char *bytes, size_t length,
	struct http_parser *parser, bool *ret_progress)
{
	struct serving *s = &c->all->serving;
	struct caller caller = {.connection = c,
		.user = &c->user->share,
		.fd = stream_fd(&c->stream),
		.parser = parser};
	unsigned served = 0, most = share_requests(&s->sharing, caller.user, c->user->connections);
	size_t used = 0, more;

	c->partial = false;
	while (used < length && !c->held && !c->closing && !c->partial && served < most &&
		s->replies.out.length < REPLIES_FULL) {
		switch (c->protocol->serve(s, &caller, bytes + used, length - used, &more)) {
		case SERVED_PARTIAL:
			c->partial = true;
			continue;
		case SERVED_REPLIED:
			break;
		case SERVED_REFUSED:
			c->refused = c->closing = true;
			break;
		case SERVED_LAST:
			c->closing = true;
			break;
		case SERVED_HELD:
			c->held = true;
			c->keep_alive = caller.keep_alive;
			c->text = caller.text;
			c->head = caller.head;
			break;
		case SERVED_ATTACHED:
			c->attached = true;
			break;
		}
		used += more;
		served++;
	}
	*ret_progress = served > 0;
	return used;
}

static void resume(struct connection *c)
{
	struct stream *s = &c->stream;
	bool progress;

	stop_resuming(c);
	if (!has_backlog(c))
		return;
	stream_take(s, serve(c, stream_kept(s), stream_unparsed(s), stream_parser(s), &progress));
	settle(c, &c->all->serving.replies, progress);
}

/* `length` bytes have come into the shared buffer. */
static void received(struct connection *c, size_t length)
{
	struct connections *all = c->all;
	struct http_parser parser = {0};
	bool progress = false;
	size_t used = 0;
	int r = 0;

	if (!c->held && !stream_unparsed(&c->stream)) {
		used = serve(c, all->read_bytes, length, &parser, &progress);
		if (used < length && !c->closing) {
			r = stream_keep(&c->stream, all->read_bytes + used, length - used);
			if (!r)
				*stream_parser(&c->stream) = parser;
		}
	} else {
		r = stream_keep(&c->stream, all->read_bytes, length);
		c->partial = false;
	}
	secret_wipe(all->read_bytes, length);
	if (r < 0) {
		replies_reset(&all->serving.replies);
		connection_free(c);
	} else if (!used && has_backlog(c)) {
		resume(c);
	} else {
		settle(c, &all->serving.replies, progress);
	}
}

/* ---- what the loop tells ---- */

/* A descriptor came along, which nobody looks at. */
static void passed(struct connection *c)
{
	static const struct refusal no_descriptors = {
		400, "invalid_request", "descriptors cannot be passed here", -1};
	struct serving *s = &c->all->serving;

	s->counters.descriptors_refused++;
	if (s->handler->descriptor_refused)
		s->handler->descriptor_refused(s->context, c);
	if (!c->held && c->place != PLACE_DRAINING)
		refuse(c, &no_descriptors);
	connection_free(c);
}

static void read_more(struct connection *c)
{
	struct connections *all = c->all;
	ssize_t n = stream_receive(&c->stream, reaper_of(c), all->read_bytes,
		STREAM_READ_SIZE - stream_unparsed(&c->stream));

	if (n > 0 && !c->attached) {
		received(c, (size_t)n);
	} else if (n == 0 && !c->attached) {
		c->ended = true;
		if (c->held && stream_hung_up(&c->stream))
			connection_free(c);
		else
			settle(c, &all->serving.replies, false);
	} else if (n == -EBADMSG) {
		passed(c);
	} else if (n != -EAGAIN && n != -EINTR) {
		/* Whoever has a page has nothing more to say. */
		connection_free(c);
	} else if (watch_for(c, watch_wanted(c)) < 0) {
		connection_free(c);
	}
}

static void drain(struct connection *c)
{
	ssize_t n = stream_discard(stream_fd(&c->stream), reaper_of(c));

	if (n == -EBADMSG)
		passed(c);
	else if (n <= 0 && n != -EAGAIN && n != -EINTR)
		connection_free(c);
}

static void write_more(struct connection *c)
{
	if (stream_send_more(&c->stream) < 0)
		connection_free(c);
	else if (!stream_unsent(&c->stream))
		settle(c, &c->all->serving.replies, false);
}

/* There is something to read, to write or to serve. */
static void connection_ready(struct connection *c)
{
	if (c->attached && stream_untaken(&c->stream)) {
		/* Whatever else it does: the kernel counts a page's descriptor against us until it
		 * is taken, and so long the connection counts against its user. */
		if (watch_for(c, WATCH_TAKEN) < 0)
			connection_free(c);
	} else if (c->watch == WATCH_HANGUP) {
		if (stream_hung_up(&c->stream))
			connection_free(c);
	} else if (c->watch == WATCH_WRITE) {
		write_more(c);
	} else if (c->place == PLACE_DRAINING) {
		drain(c);
	} else if (has_backlog(c)) {
		/* not read before that is served, or the backlog could grow */
		resume(c);
	} else {
		read_more(c);
	}
}

static void connection_event(evutil_socket_t fd, short what, void *context)
{
	struct connection *c = context;

	(void)fd;
	(void)what;
	stop_resuming(c);
	if (c->watch == WATCH_HANGUP || !defer(c))
		connection_ready(c);
}

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
	while (!link_alone(&turn)) {
		struct connection *c = LINK_ELEMENT(turn.next, struct connection, turn);

		stop_resuming(c);
		if (!defer(c))
			resume(c);
	}
}

static void expired(struct deadline *d)
{
	static const struct refusal late = {
		408, "request_timeout", "the request was not complete before its deadline", -1};
	struct connection *c = LINK_ELEMENT(d, struct connection, deadline);
	struct front_counters *counters = &c->all->serving.counters;

	if (c->place == PLACE_READING && !c->partial) {
		/* whole requests that wait for us */
		if (place_move(c, PLACE_READING) < 0)
			connection_free(c);
		return;
	}
	if (c->place == PLACE_READING) {
		counters->deadline_cut++;
		refuse(c, &late);
	} else if (c->place == PLACE_WRITING) {
		counters->deadline_cut++;
	}
	connection_free(c);
}

/* ---- giving way ---- */

static struct connection *connection_at(struct link *l)
{
	return LINK_ELEMENT(l, struct connection, deadline.link);
}

/* Of users for whom more than `above` is kept: those of their connections that have been as they
 * are for longest, until it is less. */
static void keep_less(struct connections *all, struct link *list, size_t above)
{
	static const struct refusal too_much = {503, "temporarily_unavailable",
		"too much is kept for connections of this user: send further requests when this "
		"one is answered",
		1};
	struct link *next;

	for (struct link *l = list->next; l != list && all->kept > KEPT_LESS; l = next) {
		struct connection *c = connection_at(l);

		next = l->next;
		if (!stream_size(&c->stream) || c->user->kept <= above)
			continue;
		if (c->place == PLACE_HELD || c->place == PLACE_READING)
			refuse(c, &too_much);
		all->serving.counters.kept_cut++;
		connection_free(c);
	}
}

/* The users for whom most is kept go first. Each round leaves the heaviest with half of it, so that
 * there are few, however many users there are. */
static void kept_event(evutil_socket_t fd, short what, void *context)
{
	struct connections *all = context;
	struct link *lists[] = {&all->busy.list, &all->held};

	(void)fd;
	(void)what;
	for (size_t heaviest = 1; heaviest && all->kept > KEPT_LESS;) {
		heaviest = 0;
		for (size_t i = 0; i < 2; i++)
			for (struct link *l = lists[i]->next; l != lists[i]; l = l->next)
				if (connection_at(l)->user->kept > heaviest)
					heaviest = connection_at(l)->user->kept;
		for (size_t i = 0; i < 2; i++)
			keep_less(all, lists[i], heaviest / 2);
	}
}

/* Which connections give way. None of those that are kept. */
enum giving {
	GIVING_SETTLED,
	GIVING_ANY,
};

static bool may_give_way(const struct connection *c, enum giving giving)
{
	if (c->reserved)
		return false;
	if (giving == GIVING_ANY)
		return true;
	return !c->held && !(c->attached && stream_untaken(&c->stream)) &&
	       (int32_t)((uint32_t)loop_ms(c->all) - c->since_ms) >= SETTLED_MS;
}

/* Closes some of the connections in `lists` whose users have so many: those first that have been as
 * they are for longest, so that who has only just come gets to ask. */
static unsigned give_way(
	struct link *const lists[], size_t count, enum giving giving, uint32_t from, unsigned most)
{
	static const struct refusal crowded = {
		503, "temporarily_unavailable", "too many connections", 1};
	struct link *at[LISTS];
	unsigned closed = 0;

	for (size_t i = 0; i < count; i++)
		at[i] = lists[i]->next;
	while (closed < most) {
		struct connection *c, *oldest = NULL;
		size_t of = 0;

		for (size_t i = 0; i < count; i++) {
			if (at[i] == lists[i])
				continue;
			c = connection_at(at[i]);
			if (!oldest || (int32_t)(c->since_ms - oldest->since_ms) < 0) {
				oldest = c;
				of = i;
			}
		}
		if (!oldest)
			break;
		at[of] = at[of]->next;
		if (oldest->user->connections < from || !may_give_way(oldest, giving))
			continue;
		/* Not in the middle of another reply, nor after a page. */
		if (oldest->place == PLACE_READING || (oldest->held && oldest->place == PLACE_HELD))
			refuse(oldest, &crowded);
		connection_free(oldest);
		closed++;
	}
	return closed;
}

/* For a user who has `newcomer` connections: so many, or some more. */
static void make_room(struct connections *all, uint32_t newcomer, uint32_t least)
{
	struct link *lists[LISTS] = {&all->idle.list, &all->busy.list, &all->held};
	uint32_t heaviest = 0, from, some = room_at_once(all->limits.max_connections), closed;
	int64_t ms = loop_ms(all);

	if (newcomer >= all->no_room.newcomer && ms >= all->no_room.at_ms &&
		ms - all->no_room.at_ms < NO_ROOM_MS)
		return;
	for (size_t i = 0; i < LISTS; i++) {
		for (struct link *l = lists[i]->next; l != lists[i]; l = l->next) {
			const struct connection *c = connection_at(l);

			if (may_give_way(c, GIVING_ANY) && c->user->connections > heaviest)
				heaviest = c->user->connections;
		}
	}
	from = room_gives_way_from(newcomer, heaviest);
	if (!from) {
		all->no_room.newcomer = newcomer;
		all->no_room.at_ms = ms;
		return;
	}
	if (some < least)
		some = least;
	closed = give_way(lists, LISTS, GIVING_SETTLED, from, some);
	if (closed < least)
		closed += give_way(lists, LISTS, GIVING_ANY, from, some - closed);
	all->serving.counters.gave_way += closed;
}

/* ---- held requests ---- */

const struct peer *connection_peer(const struct connection *c)
{
	return &c->peer;
}

const char *connection_unit(struct connection *c)
{
	int r;

	if (c->unit_known)
		return c->unit && !peer_unit_still(stream_fd(&c->stream)) ? c->unit : NULL;
	r = peer_unit(stream_fd(&c->stream), c->peer.pid, &c->unit);
	c->unit_known = r != -EMFILE && r != -ENFILE && r != -ENOMEM;
	return c->unit;
}

void connection_set_hold(struct connection *c, void *hold)
{
	c->hold = hold;
}

void *connection_hold(const struct connection *c)
{
	return c->hold;
}

static struct reply late_reply(const struct connection *c)
{
	struct connections *all = c->all;

	return (struct reply){
		.out = &all->late.out,
		.keep_alive = c->keep_alive && !all->serving.stopping,
		.text = c->text,
		.head = c->head,
		.idle_s = all->serving.idle_s,
	};
}

void connection_reply_begin(struct connection *c, struct reply *ret)
{
	struct connections *all = c->all;

	assert(c->held && !all->late_open);
	all->late_open = true;
	*ret = late_reply(c);
}

void connection_reply_end(struct connection *c, int status)
{
	struct connections *all = c->all;
	const struct reply reply = late_reply(c);

	assert(c->held && all->late_open);
	all->late_open = false;
	c->held = false;
	c->hold = NULL;
	if (!http_reply_done(&all->serving.counters, &reply, 0, status))
		c->closing = true;
	settle(c, &all->late, true);
}

/* ---- all of them ---- */

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
	all->reaper = reaper;
	all->limits = *limits;
	s = &all->serving;
	s->handler = handler;
	s->context = context;
	s->idle_s = idle_s(limits);
	share_init(&s->sharing, base, limits->max_connections_per_user, turn_come);
	replies_init(&s->replies);
	replies_init(&all->late);
	deadlines_init(
		&all->idle, base, limits->idle_timeout, duration_ms(IDLE_PERIOD_MS), expired);
	deadlines_init(
		&all->busy, base, limits->request_deadline, duration_ms(BUSY_PERIOD_MS), expired);
	link_init(&all->held);
	link_init(&all->resume);
	evtimer_assign(&all->resume_event, base, resume_event, all);
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
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		while (!link_alone(lists[i]))
			connection_free(connection_first(lists[i]));
	event_del(&all->resume_event);
	event_del(&all->kept_event);
	share_fini(&all->serving.sharing);
	peer_table_trim(&all->peers);
	deadlines_fini(&all->idle);
	deadlines_fini(&all->busy);
	replies_fini(&all->serving.replies);
	replies_fini(&all->late);
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
	/* None comes back to this list: whatever it has sent, it is closed with the reply. */
	while (!link_alone(&all->idle.list)) {
		struct connection *c = connection_first(&all->idle.list);
		ssize_t n =
			stream_receive(&c->stream, reaper_of(c), all->read_bytes, STREAM_READ_SIZE);

		if (n > 0)
			received(c, (size_t)n);
		else if (n == -EBADMSG)
			passed(c);
		else
			connection_free(c);
	}
}

struct front_counters *connections_counters(struct connections *all)
{
	return &all->serving.counters;
}

/* Consumes `fd` and the reference in `peer`, whatever the result. */
static int connection_open(struct connections *all, int fd, bool guarded, bool reserved,
	struct peer *peer, const struct protocol *protocol)
{
	static const int send_buffer = SEND_BUFFER;
	struct connection *c = calloc(1, sizeof(*c));

	if (!c)
		goto no_memory;
	c->user = peer_user_enter(&all->peers, peer->uid);
	if (!c->user)
		goto no_memory;
	c->all = all;
	c->protocol = protocol;
	c->peer = *peer;
	c->guarded = guarded;
	c->reserved = reserved;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
	c->watch = WATCH_READ;
	c->partial = protocol->speaks_at_once;
	link_init(&c->deadline.link);
	link_init(&c->turn);
	all->serving.counters.connections++;
	share_connected(&all->serving.sharing, &c->user->share);
	if (stream_open(&c->stream, all->base, fd, connection_event, c) < 0 ||
		place_move(c, protocol->speaks_at_once ? PLACE_READING : PLACE_IDLE) < 0) {
		connection_free(c);
		return -ENOMEM;
	}
	if (all->limits.units)
		connection_unit(c);
	return 0;

no_memory:
	free(c);
	passing_close(fd, guarded ? all->reaper : NULL);
	peer_release(&all->peers, peer);
	return -ENOMEM;
}

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

/* How many places are taken. Of those that are being closed a few do not count: they will be gone
 * before anybody misses them. */
static uint32_t taken(const struct connections *all)
{
	uint32_t closing = reaper_pending(all->reaper);

	return all->serving.counters.connections +
	       (closing > CLOSING_FEW ? closing - CLOSING_FEW : 0);
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
		make_room(all, has, connections - most + 1);
	return taken(all) < most;
}

/* Whether this user may have one more, if there is room: ADMITTED. What is being closed for them is
 * as good as open. */
static enum admission admission_of_user(
	const struct connections *all, uid_t uid, const struct peer_user *user, uint32_t has)
{
	struct reaper_user closing = reaper_user(all->reaper, uid);

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

	if (!has_room(all, fd, peer, has, admission == ADMITTED, ret_reserved, ret_groups_read))
		admission = REFUSED_TOTAL_LIMIT;
	switch (admission) {
	case REFUSED_TOTAL_LIMIT:
		counters->refused_total_limit++;
		break;
	case REFUSED_USER_LIMIT:
	case REFUSED_USER_CLOSING:
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
	if (!groups_read)
		peer_read_groups(&all->peers, fd, &peer);
	if (connection_open(all, fd, guarded, reserved, &peer, protocol) < 0) {
		counters->accept_failures++;
		return ADMISSION_FAILED;
	}
	counters->accepted++;
	return ADMITTED;
}
