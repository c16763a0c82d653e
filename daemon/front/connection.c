/* One client. Bytes come in, whole requests go to the handler, answers go out; everything that has
 * happened to a connection ends in settle(), which sends what there is to send and then derives
 * from the connection's facts - something unsent? held? something unparsed? ended? - what to watch
 * for, which deadline holds, or that it is over. Nothing else closes a served connection, but for
 * its deadline. No function here calls itself through the handler: requests behind a held one wait
 * for the next pass of the loop. */
#include "core/reply.h"
#include "state.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int place_move(struct connection *c, enum connection_place place)
{
	struct front *f = c->front;

	link_remove(&c->deadline.link);
	c->place = (uint8_t)place;
	switch (place) {
	case PLACE_HELD:
		link_append(&f->held, &c->deadline.link);
		return 0;
	case PLACE_IDLE:
		return deadlines_add(&f->idle, &c->deadline);
	default:
		return deadlines_add(&f->busy, &c->deadline);
	}
}

int connection_open(struct front *f, int fd, struct peer *peer, bool pages)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c)
		goto no_memory;
	c->user = peer_user_enter(&f->peers, peer->uid);
	if (!c->user)
		goto no_memory;
	c->front = f;
	c->peer = *peer;
	c->watch = WATCH_READ;
	c->pages = c->partial = pages;
	link_init(&c->deadline.link);
	link_init(&c->behind);
	f->counters.connections++;
	share_connected(f, c->user);
	event_assign(&c->event, f->base, fd, EV_READ | EV_PERSIST, connection_event, c);
	/* Nobody has a reason to come for a page and then be silent. */
	if (event_add(&c->event, NULL) < 0 ||
		place_move(c, pages ? PLACE_READING : PLACE_IDLE) < 0) {
		connection_free(c);
		return -ENOMEM;
	}
	return 0;

no_memory:
	free(c);
	close(fd);
	peer_release(&f->peers, peer);
	return -ENOMEM;
}

void connection_free(struct connection *c)
{
	struct front *f = c->front;

	if (c->held) {
		c->held = false;
		f->counters.held--;
		f->handler->abandoned(f->context, c);
	}
	event_del(&c->event);
	close(event_get_fd(&c->event));
	link_remove(&c->deadline.link);
	share_forget(c);
	connection_bytes_free(c);
	peer_release(&f->peers, &c->peer);
	peer_user_leave(&f->peers, c->user);
	f->counters.connections--;
	free(c->unit);
	free(c);
}

/* Whole requests that only wait for their turn. */
static bool has_backlog(const struct connection *c)
{
	return connection_unparsed(c) && !c->partial && !c->held && !connection_unsent(c);
}

static enum connection_place place_wanted(const struct connection *c)
{
	if (connection_unsent(c))
		return PLACE_WRITING;
	if (c->closing)
		return PLACE_DRAINING;
	if (c->held || c->attached)
		return PLACE_HELD;
	return connection_unparsed(c) ? PLACE_READING : PLACE_IDLE;
}

static enum connection_watch watch_wanted(const struct connection *c)
{
	if (connection_unsent(c))
		return WATCH_WRITE;
	if (c->held && (c->ended || connection_unparsed(c) >= READ_SIZE))
		return WATCH_HANGUP;
	return WATCH_READ;
}

static void refuse_truncated(struct connection *c)
{
	struct front *f = c->front;

	f->counters.bad_requests++;
	if (c->pages) {
		page_send_error(event_get_fd(&c->event), 400);
		return;
	}
	front_count(f, 400);
	front_send_error(event_get_fd(&c->event), 400, "invalid_request",
		"the request ended before its empty line", -1);
}

/* `progress`: a request was completed, so that a new deadline begins. May free `c`. */
static void settle(struct connection *c, struct buffer *out, bool progress)
{
	enum connection_place place;

	if (connection_send(c, out) < 0)
		goto over;
	if (c->closing && c->own)
		c->own->in_at = c->own->in.length;
	connection_bytes_trim(c);
	if (c->ended && !c->held && !c->closing && (c->partial || !connection_unparsed(c))) {
		if (c->partial && !connection_unsent(c))
			refuse_truncated(c);
		c->closing = true;
	}
	place = place_wanted(c);
	if (place == PLACE_IDLE && c->front->stopping)
		goto over;
	if (place == PLACE_DRAINING) {
		if (!c->refused || c->ended)
			goto over;
		if (c->place != PLACE_DRAINING && shutdown(event_get_fd(&c->event), SHUT_WR) < 0)
			goto over;
	}
	if (connection_watch(c, watch_wanted(c)) < 0)
		goto over;
	if (has_backlog(c) && connection_resume_later(c) < 0)
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

void connection_resume(struct connection *c)
{
	struct connection_bytes *own = c->own;
	bool progress;

	link_remove(&own->resume);
	if (!has_backlog(c))
		return;
	own->in_at += connection_serve(
		c, own->in.data + own->in_at, connection_unparsed(c), &own->parser, &progress);
	settle(c, &c->front->answers, progress);
}

/* `length` bytes have come into the shared buffer. */
static void received(struct connection *c, size_t length)
{
	struct front *f = c->front;
	struct http_parser parser = {0};
	bool progress = false;
	size_t used = 0;
	int r = 0;

	if (!c->held && !connection_unparsed(c)) {
		used = connection_serve(c, f->read_bytes, length, &parser, &progress);
		if (used < length && !c->closing) {
			r = connection_bytes_keep(c, f->read_bytes + used, length - used);
			if (!r)
				c->own->parser = parser;
		}
	} else {
		r = connection_bytes_keep(c, f->read_bytes, length);
		c->partial = false;
	}
	explicit_bzero(f->read_bytes, length);
	if (r < 0) {
		front_buffer_reset(f, &f->answers);
		connection_free(c);
	} else if (!used && has_backlog(c)) {
		connection_resume(c);
	} else {
		settle(c, &f->answers, progress);
	}
}

static ssize_t receive(struct connection *c, size_t room)
{
	ssize_t n = recv(event_get_fd(&c->event), c->front->read_bytes, room, MSG_DONTWAIT);

	return n < 0 ? -errno : n;
}

static void connection_read(struct connection *c)
{
	ssize_t n = receive(c, READ_SIZE - connection_unparsed(c));

	if (n > 0 && !c->attached) {
		received(c, (size_t)n);
	} else if (n == 0 && !c->attached) {
		c->ended = true;
		if (c->held && connection_hung_up(c))
			connection_free(c);
		else
			settle(c, &c->front->answers, false);
	} else if (n != -EAGAIN && n != -EINTR) {
		/* Whoever has a page has nothing more to say. */
		connection_free(c);
	}
}

static void connection_drain(struct connection *c)
{
	ssize_t n = receive(c, READ_SIZE);

	if (n > 0)
		explicit_bzero(c->front->read_bytes, (size_t)n);
	else if (n != -EAGAIN && n != -EINTR)
		connection_free(c);
}

static void connection_write(struct connection *c)
{
	if (connection_send_more(c) < 0)
		connection_free(c);
	else if (!connection_unsent(c))
		settle(c, &c->front->answers, false);
}

void connection_event(int fd, short what, void *context)
{
	struct connection *c = context;

	(void)fd;
	(void)what;
	if (c->watch == WATCH_HANGUP || !share_is_behind(c))
		connection_ready(c);
}

void connection_ready(struct connection *c)
{
	if (c->watch == WATCH_HANGUP) {
		if (connection_hung_up(c))
			connection_free(c);
	} else if (c->watch == WATCH_WRITE) {
		connection_write(c);
	} else if (c->place == PLACE_DRAINING) {
		connection_drain(c);
	} else if (has_backlog(c)) {
		/* not read before that is served, or the backlog could grow */
		connection_resume(c);
	} else {
		connection_read(c);
	}
}

void connection_expired(struct deadline *d)
{
	struct connection *c = LINK_ELEMENT(d, struct connection, deadline);
	struct front *f = c->front;

	if (c->place == PLACE_READING && !c->partial) {
		/* whole requests that wait for us */
		if (place_move(c, PLACE_READING) < 0)
			connection_free(c);
		return;
	}
	if (c->place == PLACE_READING) {
		f->counters.deadline_cut++;
		if (c->pages) {
			page_send_error(event_get_fd(&c->event), 408);
		} else {
			front_count(f, 408);
			front_send_error(event_get_fd(&c->event), 408, "request_timeout",
				"the request was not complete before its deadline", -1);
		}
	} else if (c->place == PLACE_WRITING) {
		f->counters.deadline_cut++;
	}
	connection_free(c);
}

void connection_stop(struct connection *c)
{
	ssize_t n = receive(c, READ_SIZE);

	if (n > 0)
		received(c, (size_t)n);
	else
		connection_free(c);
}

const struct peer *connection_peer(const struct connection *c)
{
	return &c->peer;
}

const char *connection_unit(struct connection *c)
{
	int r;

	if (c->unit_known)
		return c->unit;
	r = peer_unit(event_get_fd(&c->event), c->peer.pid, &c->unit);
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

bool connection_keep_alive(const struct connection *c)
{
	return c->keep_alive && !c->front->stopping;
}

struct buffer *connection_answer_begin(struct connection *c)
{
	struct front *f = c->front;

	assert(c->held && !f->late_open);
	f->late_open = true;
	return &f->late;
}

void connection_answer_end(struct connection *c, int status)
{
	struct front *f = c->front;

	assert(c->held && f->late_open);
	f->late_open = false;
	c->keep_alive = connection_keep_alive(c);
	c->held = false;
	c->hold = NULL;
	f->counters.held--;
	connection_answered(c, &f->late, 0, status);
	settle(c, &f->late, true);
}
