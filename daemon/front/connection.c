/* One connection. Bytes come in, whole requests go to the handler by way of the protocol, replies
 * go out; everything that has happened to a connection ends in settle(), which sends what there is
 * to send, or lets it wait for others (outbox.h), and then derives from the connection's facts -
 * something unsent? held? something unparsed? ended? - what to watch for, which deadline holds, or
 * that it is over. Nothing else closes a served connection, but for its deadline. No function here
 * calls itself through the handler: requests behind a held one wait for the next pass of the loop.
 */
#include "connection.h"

#include "connection_peer.h"
#include "connection_type.h"

#include "core/secret.h"
#include "deadlines.h"
#include "passing.h"
#include "peer.h"
#include "toll.h"
#include "untaken.h"
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Then replies are sent before more requests are looked at. */
#define REPLIES_FULL 49152

/* What the kernel keeps of one connection. It counts twice that, with what it needs itself. */
#define SEND_BUFFER 32768
/* The first that is sent, if it is not more, is kept in any case. */
#define UNBOUNDED_MOST 4096

static struct reaper *reaper_of(const struct connection *c)
{
	return c->guarded ? c->all->reaper : NULL;
}

static int place_move(struct connection *c, enum connection_place place)
{
	struct connections *all = c->all;

	link_remove(&c->deadline.link);
	c->place = place & 15;
	c->since_ms = (uint32_t)connection_loop_ms(all);
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

/* One more, or one less. */
static void count_connection(struct connections *all, int change)
{
	heap_trim_count(&all->trim, all->serving.counters.connections += (uint32_t)change);
}

static void newcomer_forget(struct connection *c)
{
	if (!c->newcomer)
		return;
	link_remove(&c->turn);
	c->newcomer = false;
}

void connection_free(struct connection *c)
{
	struct connections *all = c->all;

	if (c->held) {
		c->held = false;
		all->serving.handler->abandoned(all->serving.context, c);
	}
	/* It was answered before it is closed. */
	outbox_hurry(&all->outbox, &c->stream);
	count_kept(c, 0);
	untaken_forget(c);
	stream_close(&c->stream, reaper_of(c));
	link_remove(&c->deadline.link);
	newcomer_forget(c);
	share_forget(&c->user->share, &c->turn);
	peer_release(&all->peers, &c->peer);
	peer_user_leave(&all->peers, c->user);
	count_connection(all, -1);
	free(c->unit);
	if (all->unit_seen.of == c)
		all->unit_seen.of = NULL;
	pool_give(&all->pool, c);
}

/* As far as can be told of a request that is not whole, or that nobody has looked at. */
static bool is_head(const struct connection *c)
{
	const struct stream *s = &c->stream;

	if (c->held)
		return c->head;
	return stream_unparsed(s) && http_begins_as_head(stream_kept(s), stream_unparsed(s));
}

void connection_refuse(struct connection *c, const struct refusal *refusal)
{
	/* Behind what it was answered in this pass, and not in the middle of that. */
	if (outbox_hurry(&c->all->outbox, &c->stream) == 0)
		c->protocol->refuse(
			stream_fd(&c->stream), refusal, is_head(c), &c->all->serving.counters);
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

/* Answered as soon as it was let in, so that it may leave as soon: nothing is owed to it. */
static bool may_leave_now(const struct connection *c)
{
	return c->watch == WATCH_NOTHING && c->sent_some && place_wanted(c) == PLACE_IDLE;
}

static int watch_for(struct connection *c, enum stream_watch watch)
{
	if (c->watch == watch)
		return 0;
	if (may_leave_now(c) && newcomers_add(&c->all->newcomers, &c->turn)) {
		c->newcomer = true;
		return 0;
	}
	c->watch = watch & 15;
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

/* Between two requests, with nothing left over: so most are before and after each of them. */
static bool is_at_rest(const struct connection *c)
{
	return c->place == PLACE_IDLE && c->watch == WATCH_READ && !stream_keeps(&c->stream) &&
	       !c->ended && !c->closing && !c->held && !c->attached && !c->all->serving.stopping;
}

/* It has been served, and is at rest again. */
static int rest_again(struct connection *c)
{
	struct connections *all = c->all;

	if (!deadlines_is_latest(&all->idle, &c->deadline))
		return place_move(c, PLACE_IDLE);
	c->since_ms = (uint32_t)share_served_ms(&all->serving.sharing);
	return 0;
}

/* What the kernel keeps of `length` bytes, and of all that may follow: who asks once and goes has
 * to be told little, and needs no limit. */
static void bound_replies(struct connection *c, size_t length)
{
	static const int send_buffer = SEND_BUFFER;

	if (c->sent_some || length > UNBOUNDED_MOST) {
		setsockopt(stream_fd(&c->stream), SOL_SOCKET, SO_SNDBUF, &send_buffer,
			sizeof(send_buffer));
		c->bounded = true;
	}
	c->sent_some = true;
}

/* After what there is to send. `progress`: a request was completed, so that a new deadline begins.
 * May free `c`. */
static void settle_sent_fully(struct connection *c, bool progress)
{
	static const struct refusal truncated = {
		400, "invalid_request", "the request ended before its empty line", -1};
	struct stream *s = &c->stream;
	enum connection_place place;

	if (c->closing)
		stream_take(s, stream_unparsed(s));
	count_kept(c, 0);
	stream_trim(s);
	count_kept(c, stream_size(s));
	if (c->ended && !c->held && !c->closing && (c->partial || !stream_unparsed(s))) {
		if (c->partial && !stream_unsent(s))
			connection_refuse(c, &truncated);
		c->closing = true;
	}
	place = place_wanted(c);
	if (place == PLACE_IDLE && c->all->serving.stopping)
		goto over;
	if (place == PLACE_DRAINING) {
		if (!c->refused || c->ended)
			goto over;
		if (c->place != PLACE_DRAINING && toll_shutdown(stream_fd(s), SHUT_WR) < 0)
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

/* Likewise; mostly there is hardly anything to do. */
static inline void settle_sent(struct connection *c, bool progress)
{
	if (!progress || !is_at_rest(c))
		settle_sent_fully(c, progress);
	else if (rest_again(c) < 0)
		connection_free(c);
}

/* `progress`, and what becomes of `c`, as above. */
static void settle(struct connection *c, bool progress)
{
	struct outbox *o = &c->all->outbox;
	size_t length = outbox_written(o);

	if (!c->bounded && length)
		bound_replies(c, length);
	if ((progress && !c->closing && outbox_wait(o, &c->stream)) ||
		outbox_send(o, &c->stream) == 0)
		settle_sent(c, progress);
	else
		connection_free(c);
}

void connection_send(struct connection *c, struct replies *reply)
{
	const struct buffer *out = &reply->out;
	bool sent;

	if (!c->bounded)
		bound_replies(c, out->length);
	sent = outbox_hurry(&c->all->outbox, &c->stream) >= 0 && !buffer_failed(out) &&
	       stream_send(&c->stream, out->data, out->length) == 0;
	replies_reset(reply, 0);
	if (sent)
		settle_sent(c, true);
	else
		connection_free(c);
}

void connection_sent(struct stream *s, int result)
{
	struct connection *c = LINK_ELEMENT(s, struct connection, stream);

	if (result < 0)
		connection_free(c);
	else
		settle_sent(c, false);
}

/* What it was answered in this pass goes out before anything else is done. False: that is not
 * possible, and nothing is to be done. */
static bool catch_up(struct connection *c)
{
	int r = outbox_hurry(&c->all->outbox, &c->stream);

	if (r)
		connection_sent(&c->stream, r);
	return !r;
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
			untaken_add(c);
			break;
		}
		used += more;
		served++;
	}
	*ret_progress = served > 0;
	return used;
}

/* So much is kept that nobody for whom some is kept is served before some were closed, which is in
 * the next pass: else it could be any number of times as much by then. Its turn comes after that.
 */
static bool waits_for_room(struct connection *c)
{
	if (c->all->kept <= KEPT_MOST || !c->user->kept)
		return false;
	if (has_backlog(c) ? resume_later(c) < 0 : watch_for(c, watch_wanted(c)) < 0)
		connection_free(c);
	return true;
}

static void resume(struct connection *c)
{
	struct stream *s = &c->stream;
	bool progress;

	stop_resuming(c);
	if (!has_backlog(c) || waits_for_room(c))
		return;
	stream_take(s, serve(c, stream_kept(s), stream_unparsed(s), stream_parser(s), &progress));
	settle(c, progress);
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
		outbox_drop(&all->outbox);
		connection_free(c);
	} else if (!used && has_backlog(c)) {
		resume(c);
	} else {
		settle(c, progress);
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
		connection_refuse(c, &no_descriptors);
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
			settle(c, false);
	} else if (n == -EBADMSG) {
		passed(c);
	} else if ((n != -EAGAIN && n != -EINTR) || watch_for(c, watch_wanted(c)) < 0) {
		/* Whoever has a page has nothing more to say. */
		connection_free(c);
	}
}

static void drain(struct connection *c)
{
	ssize_t n = stream_discard(stream_fd(&c->stream), reaper_of(c), NULL);

	/* There is no end to it, and it takes as long as what is read for a request. */
	if (n > 0)
		share_served(&c->all->serving.sharing, &c->user->share, (size_t)n);
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
		settle(c, false);
}

void connection_resume_or_wait(struct connection *c)
{
	stop_resuming(c);
	if (catch_up(c) && !defer(c))
		resume(c);
}

void connection_ready(struct connection *c)
{
	if (!catch_up(c))
		return;
	if (c->untaken && untaken_still(c)) {
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
	} else if (!waits_for_room(c)) {
		read_more(c);
	}
}

static void ready_or_wait(struct connection *c)
{
	if (!defer(c))
		connection_ready(c);
}

void connection_see_newcomer(struct connection *c)
{
	newcomer_forget(c);
	ready_or_wait(c);
}

void connection_watch(struct connection *c)
{
	newcomer_forget(c);
	if (watch_for(c, watch_wanted(c)) < 0)
		connection_free(c);
}

static void connection_event(evutil_socket_t fd, short what, void *context)
{
	struct connection *c = context;

	(void)fd;
	(void)what;
	stop_resuming(c);
	if (c->watch == WATCH_HANGUP)
		connection_ready(c);
	else
		ready_or_wait(c);
}

void connection_expired(struct connection *c)
{
	static const struct refusal late = {
		408, "request_timeout", "the request was not complete before its deadline", -1};
	struct front_counters *counters = &c->all->serving.counters;

	if (c->place == PLACE_READING && !c->partial) {
		/* whole requests that wait for us */
		if (place_move(c, PLACE_READING) < 0)
			connection_free(c);
		return;
	}
	if (c->place == PLACE_READING) {
		counters->deadline_cut++;
		connection_refuse(c, &late);
	} else if (c->place == PLACE_WRITING) {
		counters->deadline_cut++;
	}
	connection_free(c);
}

void connection_read_last(struct connection *c)
{
	char *bytes = c->all->read_bytes;
	ssize_t n;

	newcomer_forget(c);
	n = stream_receive(&c->stream, reaper_of(c), bytes, STREAM_READ_SIZE);
	if (n > 0)
		received(c, (size_t)n);
	else if (n == -EBADMSG)
		passed(c);
	else
		connection_free(c);
}

int connection_open(struct connections *all, int fd, bool guarded, bool reserved, struct peer *peer,
	bool groups_known, const struct protocol *protocol)
{
	struct connection *c = pool_take(&all->pool);

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
	c->groups_known = groups_known;
	c->partial = protocol->speaks_at_once;
	link_init(&c->deadline.link);
	link_init(&c->turn);
	count_connection(all, 1);
	share_connected(&all->serving.sharing, &c->user->share);
	stream_open(&c->stream, all->base, fd, connection_event, c);
	if (place_move(c, protocol->speaks_at_once ? PLACE_READING : PLACE_IDLE) < 0) {
		connection_free(c);
		return -ENOMEM;
	}
	if (all->limits.units)
		connection_unit(c);
	/* Mostly the request is there already: who is answered and goes is never watched. */
	ready_or_wait(c);
	return 0;

no_memory:
	pool_give(&all->pool, c);
	passing_close(fd, guarded ? all->reaper : NULL);
	peer_release(&all->peers, peer);
	return -ENOMEM;
}
