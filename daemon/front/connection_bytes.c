#include "state.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

size_t connection_unparsed(const struct connection *c)
{
	return c->own ? c->own->in.length - c->own->in_at : 0;
}

bool connection_unsent(const struct connection *c)
{
	return c->own && c->own->out.length > c->own->out_at;
}

static struct connection_bytes *bytes_get(struct connection *c)
{
	if (c->own)
		return c->own;
	c->own = calloc(1, sizeof(*c->own));
	if (!c->own)
		return NULL;
	c->own->owner = c;
	link_init(&c->own->resume);
	return c->own;
}

void connection_bytes_free(struct connection *c)
{
	if (!c->own)
		return;
	link_remove(&c->own->resume);
	buffer_fini(&c->own->in);
	buffer_fini(&c->own->out);
	free(c->own);
	c->own = NULL;
}

void connection_bytes_trim(struct connection *c)
{
	struct connection_bytes *own = c->own;

	if (!own)
		return;
	if (!connection_unparsed(c)) {
		buffer_fini(&own->in);
		own->in_at = 0;
		c->partial = false;
	}
	if (!connection_unsent(c)) {
		buffer_fini(&own->out);
		own->out_at = 0;
	}
	if (!own->in.length && !own->out.length)
		connection_bytes_free(c);
}

int connection_bytes_keep(struct connection *c, const char *bytes, size_t length)
{
	struct connection_bytes *own = bytes_get(c);
	size_t left;

	if (!own)
		return -ENOMEM;
	if (own->in_at) {
		left = own->in.length - own->in_at;
		memmove(own->in.data, own->in.data + own->in_at, left);
		OPENSSL_cleanse(own->in.data + left, own->in.length - left);
		own->in.length = left;
		own->in_at = 0;
	}
	buffer_put(&own->in, bytes, length);
	return buffer_failed(&own->in) ? -ENOMEM : 0;
}

static int send_some(int fd, const char *bytes, size_t length, size_t *ret_sent)
{
	ssize_t n;

	do
		n = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return -errno;
	*ret_sent = n < 0 ? 0 : (size_t)n;
	return 0;
}

static int send_or_keep(struct connection *c, const struct buffer *b)
{
	struct connection_bytes *own;
	size_t sent = 0;
	int r;

	if (!connection_unsent(c)) {
		r = send_some(event_get_fd(&c->event), b->data, b->length, &sent);
		if (r < 0 || sent == b->length)
			return r;
	}
	own = bytes_get(c);
	if (!own)
		return -ENOMEM;
	buffer_put(&own->out, b->data + sent, b->length - sent);
	return buffer_failed(&own->out) ? -ENOMEM : 0;
}

int connection_send(struct connection *c, struct buffer *b)
{
	int r;

	if (buffer_failed(b))
		r = -ENOMEM;
	else
		r = b->length ? send_or_keep(c, b) : 0;
	front_buffer_reset(c->front, b);
	return r;
}

int connection_send_more(struct connection *c)
{
	struct connection_bytes *own = c->own;
	size_t sent;
	int r = send_some(event_get_fd(&c->event), own->out.data + own->out_at,
		own->out.length - own->out_at, &sent);

	if (r < 0)
		return r;
	own->out_at += sent;
	return 0;
}

/* Only a level-triggered reader gets a request with one system call, but one that must not read
 * would be woken without end: by an end of file that stays, or by bytes it has no room for. Edge
 * triggered it is woken once per change, and the last change is the hang-up. */
int connection_watch(struct connection *c, enum connection_watch watch)
{
	static const short flags[] = {
		[WATCH_READ] = EV_READ | EV_PERSIST,
		[WATCH_WRITE] = EV_WRITE | EV_PERSIST,
		[WATCH_HANGUP] = EV_READ | EV_ET | EV_PERSIST,
	};
	int fd = event_get_fd(&c->event);

	if (c->watch == watch)
		return 0;
	event_del(&c->event);
	event_assign(&c->event, c->front->base, fd, flags[watch], connection_event, c);
	c->watch = (uint8_t)watch;
	return event_add(&c->event, NULL) < 0 ? -ENOMEM : 0;
}

bool connection_hung_up(const struct connection *c)
{
	struct pollfd p = {.fd = event_get_fd(&c->event)};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

int connection_resume_later(struct connection *c)
{
	static const struct timeval at_once = {0};
	struct front *f = c->front;

	if (!link_alone(&c->own->resume) || share_is_behind(c))
		return 0;
	/* A timer and not event_active(): that would run before the loop looks at other sockets. */
	if (link_alone(&f->resume) && event_add(&f->resume_event, &at_once) < 0)
		return -ENOMEM;
	link_append(&f->resume, &c->own->resume);
	return 0;
}
