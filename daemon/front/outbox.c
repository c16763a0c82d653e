#include "outbox.h"

#include "core/secret.h"
#include "stream.h"
#include <errno.h>
#include <event2/event.h>

static void pass_ends(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	outbox_flush(context);
}

void outbox_init(struct outbox *o, struct event_base *base, struct replies *replies,
	void (*sent)(struct stream *s, int result))
{
	*o = (struct outbox){.base = base, .replies = replies, .sent = sent};
	event_assign(&o->event, base, -1, 0, pass_ends, o);
}

void outbox_fini(struct outbox *o)
{
	event_del(&o->event);
}

/* So many events of this pass are still to come, be they of connections or not. */
static bool is_crowded(const struct outbox *o)
{
	return event_base_get_num_events(o->base, EVENT_BASE_COUNT_ACTIVE) >= OUTBOX_CROWD;
}

bool outbox_wait(struct outbox *o, struct stream *s)
{
	size_t length;

	/* Mostly that is all: there is no crowd. */
	if (!o->count && !is_crowded(o))
		return false;
	length = outbox_written(o);
	if (!length || length > OUTBOX_REPLY_MOST || buffer_failed(&o->replies->out))
		return false;
	if (o->count == OUTBOX_REPLIES || o->written + length > OUTBOX_BYTES)
		return false;
	/* Behind all that is to be done in this pass, before the loop looks for more. */
	if (!o->count)
		event_active(&o->event, EV_TIMEOUT, 1);
	o->waiting[o->count].stream = s;
	o->waiting[o->count].at = o->written;
	o->waiting[o->count].length = length;
	o->count++;
	o->some |= outbox_bit(s);
	o->written += length;
	return true;
}

static int send_waiting(struct outbox *o, unsigned i)
{
	struct stream *s = o->waiting[i].stream;
	char *bytes = o->replies->out.data + o->waiting[i].at;
	int r = stream_send(s, bytes, o->waiting[i].length);

	o->waiting[i].stream = NULL;
	secret_wipe(bytes, o->waiting[i].length);
	return r;
}

static void send_all(struct outbox *o)
{
	for (unsigned i = 0; i < o->count; i++) {
		struct stream *s = o->waiting[i].stream;
		int r;

		if (!s)
			continue;
		r = send_waiting(o, i);
		if (r < 0 || stream_unsent(s))
			o->sent(s, r);
	}
	o->count = 0;
	o->some = 0;
}

static void start_again(struct outbox *o)
{
	replies_reset(o->replies, o->written);
	o->written = 0;
}

int outbox_send(struct outbox *o, struct stream *s)
{
	const struct buffer *out = &o->replies->out;
	size_t length = outbox_written(o);
	int r = 0;

	if (o->count)
		send_all(o);
	if (buffer_failed(out))
		r = -ENOMEM;
	else if (length)
		r = stream_send(s, out->data + o->written, length);
	start_again(o);
	return r;
}

void outbox_drop(struct outbox *o)
{
	struct buffer *out = &o->replies->out;

	if (!o->count) {
		start_again(o);
		return;
	}
	secret_wipe(out->data + o->written, outbox_written(o));
	out->length = o->written;
	out->failed = false;
}

void outbox_flush(struct outbox *o)
{
	send_all(o);
	start_again(o);
}

int outbox_hurry_waiting(struct outbox *o, struct stream *s)
{
	bool kept = false;

	for (unsigned i = 0; i < o->count; i++) {
		if (o->waiting[i].stream == s) {
			int r = send_waiting(o, i);

			if (r < 0)
				return r;
			kept = stream_unsent(s);
		}
	}
	return kept;
}
