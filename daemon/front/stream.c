#include "stream.h"

#include "core/http_request.h"
#include "core/secret.h"
#include "passing.h"
#include "toll.h"
#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct stream_bytes {
	struct buffer in; /* not yet parsed, from in_at */
	size_t in_at;
	struct http_parser parser;
	struct buffer out; /* not yet taken, from out_at */
	size_t out_at;
	size_t counted;
};

/* Only a level-triggered reader gets a request with one system call, but one that must not read
 * would be woken without end: by an end of file that stays, or by bytes it has no room for. Edge
 * triggered it is woken once per change, and the last change is the hang-up. */
static const short watch_flags[] = {
	[WATCH_READ] = EV_READ | EV_PERSIST,
	[WATCH_WRITE] = EV_WRITE | EV_PERSIST,
	[WATCH_HANGUP] = EV_READ | EV_ET | EV_PERSIST,
	[WATCH_TAKEN] = EV_READ | EV_WRITE | EV_ET | EV_PERSIST,
};

void replies_init(struct replies *r)
{
	buffer_init(&r->out, r->storage, sizeof(r->storage));
}

void replies_reset(struct replies *r, size_t wiped)
{
	if (r->out.on_heap || r->out.failed) {
		buffer_fini(&r->out);
		replies_init(r);
		return;
	}
	secret_wipe(r->out.data + wiped, r->out.length - wiped);
	r->out.length = 0;
}

void replies_fini(struct replies *r)
{
	buffer_fini(&r->out);
}

void stream_open(struct stream *s, struct event_base *base, int fd,
	void (*ready)(evutil_socket_t fd, short what, void *context), void *context)
{
	s->own = NULL;
	event_assign(&s->event, base, fd, watch_flags[WATCH_READ], ready, context);
}

static void bytes_free(struct stream *s)
{
	if (!s->own)
		return;
	buffer_fini(&s->own->in);
	buffer_fini(&s->own->out);
	free(s->own);
	s->own = NULL;
}

void stream_close(struct stream *s, struct reaper *reaper)
{
	event_del(&s->event);
	passing_close(stream_fd(s), reaper);
	bytes_free(s);
}

int stream_watch(struct stream *s, enum stream_watch watch)
{
	struct event *e = &s->event;

	event_del(e);
	event_assign(e, event_get_base(e), stream_fd(s), watch_flags[watch], event_get_callback(e),
		event_get_callback_arg(e));
	return event_add(e, NULL) < 0 ? -ENOMEM : 0;
}

bool stream_hung_up(const struct stream *s)
{
	struct pollfd p = {.fd = stream_fd(s)};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

bool stream_untaken(const struct stream *s)
{
	int left;

	/* The kernel tells of the space before it has counted the last byte of it. */
	return ioctl(stream_fd(s), SIOCOUTQ, &left) == 0 && left > 1;
}

ssize_t stream_receive(
	const struct stream *s, const struct reaper *reaper, char *bytes, size_t room)
{
	return passing_receive(stream_fd(s), reaper, bytes, room);
}

ssize_t stream_discard(int fd, const struct reaper *reaper, bool *ret_head)
{
	char bytes[STREAM_READ_SIZE];
	ssize_t n = passing_receive(fd, reaper, bytes, sizeof(bytes));

	if (ret_head)
		*ret_head = n > 0 && http_begins_as_head(bytes, (size_t)n);
	if (n > 0)
		secret_wipe(bytes, (size_t)n);
	return n;
}

static struct stream_bytes *bytes_get(struct stream *s)
{
	if (!s->own)
		s->own = calloc(1, sizeof(*s->own));
	return s->own;
}

const char *stream_kept(const struct stream *s)
{
	return s->own->in.data + s->own->in_at;
}

size_t stream_unparsed_kept(const struct stream *s)
{
	return s->own->in.length - s->own->in_at;
}

struct http_parser *stream_parser(struct stream *s)
{
	return &s->own->parser;
}

int stream_keep(struct stream *s, const char *bytes, size_t length)
{
	struct stream_bytes *own = bytes_get(s);
	size_t left;

	if (!own)
		return -ENOMEM;
	if (own->in_at) {
		left = own->in.length - own->in_at;
		memmove(own->in.data, own->in.data + own->in_at, left);
		secret_wipe(own->in.data + left, own->in.length - left);
		own->in.length = left;
		own->in_at = 0;
	}
	buffer_put(&own->in, bytes, length);
	return buffer_failed(&own->in) ? -ENOMEM : 0;
}

void stream_take(struct stream *s, size_t length)
{
	if (s->own)
		s->own->in_at += length;
}

bool stream_unsent_kept(const struct stream *s)
{
	return s->own->out.length > s->own->out_at;
}

static int send_some(int fd, const char *bytes, size_t length, size_t *ret_sent)
{
	ssize_t n = toll_send(fd, bytes, length);

	if (n < 0)
		return (int)n;
	*ret_sent = (size_t)n;
	return 0;
}

int stream_send(struct stream *s, const char *bytes, size_t length)
{
	struct stream_bytes *own;
	size_t sent = 0;
	int r;

	if (!stream_unsent(s)) {
		r = send_some(stream_fd(s), bytes, length, &sent);
		if (r < 0 || sent == length)
			return r;
	}
	own = bytes_get(s);
	if (!own)
		return -ENOMEM;
	buffer_put(&own->out, bytes + sent, length - sent);
	return buffer_failed(&own->out) ? -ENOMEM : 0;
}

int stream_send_more(struct stream *s)
{
	struct stream_bytes *own = s->own;
	size_t sent = 0;
	int r = send_some(
		stream_fd(s), own->out.data + own->out_at, own->out.length - own->out_at, &sent);

	if (r < 0)
		return r;
	own->out_at += sent;
	return 0;
}

size_t stream_size(const struct stream *s)
{
	return s->own ? s->own->in.length + s->own->out.length : 0;
}

size_t stream_count(struct stream *s, size_t bytes)
{
	size_t before = 0;

	if (s->own) {
		before = s->own->counted;
		s->own->counted = bytes;
	}
	return before;
}

void stream_trim(struct stream *s)
{
	struct stream_bytes *own = s->own;

	if (!own)
		return;
	if (!stream_unparsed(s)) {
		buffer_fini(&own->in);
		own->in_at = 0;
	}
	if (!stream_unsent(s)) {
		buffer_fini(&own->out);
		own->out_at = 0;
	}
	if (!own->in.length && !own->out.length)
		bytes_free(s);
}
