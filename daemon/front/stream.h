/* The bytes of one socket: those that have come and are not yet understood, those that are to go
 * and are not yet taken, and what the loop watches for. Nothing here knows what the bytes mean,
 * decides or closes.
 *
 * Most of the time a stream has no bytes of its own. What comes is read into a buffer that all
 * share, and what goes is written from one; only what is left over then is kept, here. */
#ifndef GCTOKEND_FRONT_STREAM_H
#define GCTOKEND_FRONT_STREAM_H

#include "core/buffer.h"
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define STREAM_READ_SIZE 32768 /* of a shared buffer; also the most that is kept of what came */
#define REPLIES_SIZE 65536     /* a single reply larger than this goes by the heap */

struct http_parser;
struct reaper;
struct stream_bytes;

/* Replies that are being written, in storage that connections share. */
struct replies {
	struct buffer out;
	char storage[REPLIES_SIZE];
};

void replies_init(struct replies *r);
/* Wiped, and empty again; the first `wiped` bytes already are. */
void replies_reset(struct replies *r, size_t wiped);
void replies_fini(struct replies *r);

struct stream {
	struct event event;
	struct stream_bytes *own; /* NULL: none are kept */
};

enum stream_watch {
	WATCH_NOTHING, /* at first */
	WATCH_READ,
	WATCH_WRITE,
	WATCH_HANGUP, /* nothing is to be read, but the end must be noticed */
	WATCH_TAKEN,  /* likewise, and that the other end takes what was sent */
};

/* `fd` is its own from here on. Nothing is watched yet: what has come is read sooner. */
void stream_open(struct stream *s, struct event_base *base, int fd,
	void (*ready)(evutil_socket_t fd, short what, void *context), void *context);
/* It has bytes of its own, or memory for them that it does not need any more. */
static inline bool stream_keeps(const struct stream *s)
{
	return s->own;
}
/* Closes it and wipes what is kept. `reaper`, here and below: see passing.h. */
void stream_close(struct stream *s, struct reaper *reaper);
static inline int stream_fd(const struct stream *s)
{
	return s->event.ev_fd;
}
/* Watches for something else than before, and not for nothing. 0 or -ENOMEM. */
int stream_watch(struct stream *s, enum stream_watch watch);
/* Both directions are closed: nobody will read a reply. */
bool stream_hung_up(const struct stream *s);
/* Of what was sent something is still with the kernel, and descriptors in it are in flight: the
 * other end has neither read it nor closed. (It can look at it, and it can shut down both
 * directions: that is neither.) */
bool stream_untaken(const struct stream *s);

/* How many bytes came; 0: the end; a negative errno, -EBADMSG as in passing.h. */
ssize_t stream_receive(
	const struct stream *s, const struct reaper *reaper, char *bytes, size_t room);
/* The same, for bytes that nobody wants. *ret_head, where not NULL: they begin as a HEAD does. */
ssize_t stream_discard(int fd, const struct reaper *reaper, bool *ret_head);

/* Bytes that have come and are kept, and how many. */
const char *stream_kept(const struct stream *s);
size_t stream_unparsed_kept(const struct stream *s);
static inline size_t stream_unparsed(const struct stream *s)
{
	return s->own ? stream_unparsed_kept(s) : 0;
}
/* Where the parsing of those stands; there are some. */
struct http_parser *stream_parser(struct stream *s);
/* 0 or -ENOMEM. */
int stream_keep(struct stream *s, const char *bytes, size_t length);
/* The first of those kept have been understood. */
void stream_take(struct stream *s, size_t length);

/* Something is to go that the other end has not taken. */
bool stream_unsent_kept(const struct stream *s);
static inline bool stream_unsent(const struct stream *s)
{
	return s->own && stream_unsent_kept(s);
}
/* Sends all of it, or keeps what the other end does not take. 0, or a negative errno: the stream is
 * of no use any more. */
int stream_send(struct stream *s, const char *bytes, size_t length);
/* Goes on with what was kept; likewise. */
int stream_send_more(struct stream *s);

/* How many bytes are kept, of what came and of what is to go. */
size_t stream_size(const struct stream *s);
/* Notes that so many of them are counted somewhere, none where none are kept; returns how many were
 * before. What is given up is not counted any more. */
size_t stream_count(struct stream *s, size_t bytes);
/* Gives up the memory that is not needed any more. */
void stream_trim(struct stream *s);

#endif
