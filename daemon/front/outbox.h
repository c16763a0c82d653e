/* Replies that go out together. Where many callers are ready in one pass of the loop, to read all
 * of their requests first and then to send all replies takes less time than to do both for each in
 * turn: what the kernel does for either stays at hand, and a program with many connections is woken
 * once. So the reply to one of a crowd waits, but not longer than the pass.
 *
 * The next reply is written behind those that wait. Then it waits too, or is sent behind them at
 * once: replies go out in the order in which they were written. */
#ifndef GCTOKEND_FRONT_OUTBOX_H
#define GCTOKEND_FRONT_OUTBOX_H

#include "stream.h"
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;

/* Where fewer are still to be looked at in a pass, to wait gains nothing: a handful that wait for
 * each other cost the most. */
#define OUTBOX_CROWD 16
/* That wait together, and their bytes; the next reply has the rest of the storage. */
#define OUTBOX_REPLIES 64
#define OUTBOX_BYTES 48000
/* A longer one does not wait. */
#define OUTBOX_REPLY_MOST 4096

struct outbox {
	struct event_base *base;
	struct replies *replies;
	void (*sent)(struct stream *s, int result);
	struct event event;
	size_t written; /* bytes of `replies` that wait or have gone */
	uint64_t some;  /* the bits of those that wait */
	unsigned count;
	struct {
		struct stream *stream; /* NULL: it has gone */
		size_t at, length;
	} waiting[OUTBOX_REPLIES];
};

/* `sent` is told of a reply that waited and has not gone whole, by what stream_send returned: it
 * may close that stream, and others. Both must outlive the outbox. */
void outbox_init(struct outbox *o, struct event_base *base, struct replies *replies,
	void (*sent)(struct stream *s, int result));
/* None waits any more. */
void outbox_fini(struct outbox *o);

/* Bytes of the next reply: what was written to `replies` behind those that wait. */
static inline size_t outbox_written(const struct outbox *o)
{
	return o->replies->out.length - o->written;
}
/* The next reply waits, and is for `s`, which must not go before outbox_hurry. False: it does not:
 * there is none, it is long, there are few others, or enough wait. */
bool outbox_wait(struct outbox *o, struct stream *s);
/* All that wait are sent, and then the next reply, if there is one, to `s`, for which none waits.
 * 0, or a negative errno as stream_send: about that one. */
int outbox_send(struct outbox *o, struct stream *s);
/* The next reply is not to be sent. */
void outbox_drop(struct outbox *o);
/* All that wait are sent; there is no next reply. */
void outbox_flush(struct outbox *o);
/* What waits for `s`, if anything, is sent before the others, and `sent` is not told: to be called
 * before anything else is done to the stream. 0; 1: a part of it is kept; a negative errno as
 * stream_send. */
int outbox_hurry_waiting(struct outbox *o, struct stream *s);
/* Whoever has a bit that none of those has who wait does not wait. */
static inline uint64_t outbox_bit(const struct stream *s)
{
	return UINT64_C(1) << (stream_fd(s) & 63);
}
static inline int outbox_hurry(struct outbox *o, struct stream *s)
{
	return o->some & outbox_bit(s) ? outbox_hurry_waiting(o, s) : 0;
}

#endif
