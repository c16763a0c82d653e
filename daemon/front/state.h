/* What the files of this folder share: the front and its connections. Nobody else includes it. */
#ifndef GCTOKEND_FRONT_STATE_H
#define GCTOKEND_FRONT_STATE_H

#include "deadlines.h"
#include "front.h"
#include "links.h"
#include "peer.h"
#include "share.h"
#include <event2/event_struct.h>

#define READ_SIZE 32768    /* shared; also the most that is kept unparsed for a connection */
#define ANSWERS_SIZE 65536 /* shared; a single answer larger than this goes by the heap */
#define ANSWERS_FULL 49152 /* then they are sent before more requests are looked at */
#define LINGERING_MAX 32

struct listening {
	struct listening *next;
	struct front *front;
	bool pages; /* the page socket */
	struct event event;
};

/* Turned away and told so; its end waits a moment for the request that is on its way. */
struct lingering {
	struct front *front;
	struct event event;
	bool taken;
};

struct front {
	struct event_base *base;
	const struct front_handler *handler;
	void *context;
	struct front_limits limits;
	struct front_counters counters;

	struct listening *listening;
	struct event accept_again; /* after a shortage of descriptors or memory */
	int reserve;               /* a descriptor to give up when there are no others */
	struct lingering lingering[LINGERING_MAX];
	bool stopping;

	/* Every connection is in one of these: between requests; with a part of a request or of an
	 * answer; held by the handler. */
	struct deadlines idle, busy;
	struct link held;
	/* Those with whole requests left over from this pass, for the next; connection_bytes. */
	struct link resume;
	struct event resume_event;
	struct peer_table peers;
	struct sharing sharing;

	/* `answers`: those of the connection that is being served. `late`: one to a held request,
	 * apart because the handler may give it while it is being asked something else. */
	struct buffer answers, late;
	bool late_open;
	char read_bytes[READ_SIZE];
	char answers_bytes[ANSWERS_SIZE];
	char late_bytes[ANSWERS_SIZE];
};

/* What a connection has only in some moments. */
struct connection_bytes {
	struct connection *owner;
	struct link resume;
	struct buffer in; /* read and not yet parsed, from in_at */
	size_t in_at;
	struct http_parser parser;
	struct buffer out; /* not yet taken by the client, from out_at */
	size_t out_at;
};

enum connection_place {
	PLACE_IDLE,
	PLACE_READING, /* a request has begun */
	PLACE_WRITING, /* an answer is not taken */
	PLACE_HELD,
	PLACE_DRAINING, /* refused; what it still sends is thrown away until it closes, so that it
			   gets to read why */
};

enum connection_watch {
	WATCH_READ,
	WATCH_WRITE,
	WATCH_HANGUP, /* nothing is to be read, but the end must be noticed */
};

struct connection {
	struct event event;
	struct front *front;
	struct deadline deadline;
	struct peer peer;
	struct peer_user *user;
	struct link behind; /* share.h */
	struct connection_bytes *own;
	void *hold;
	char *unit;
	uint8_t place, watch;
	bool held : 1;
	bool keep_alive : 1; /* of the held request */
	bool partial : 1;    /* own->in has been parsed and lacks something */
	bool ended : 1;      /* the client sends no more */
	bool closing : 1;    /* when all is written */
	bool refused : 1;    /* closing because of what was sent: drain */
	bool unit_known : 1;
	bool pages : 1;    /* it came by the page socket */
	bool attached : 1; /* and has its page */
};

/* accept.c */
void accept_init(struct front *f);
/* Idempotent: no more accepts; the sockets stay open. */
void accept_stop(struct front *f);
void accept_fini(struct front *f);

/* connection.c. `fd` and the reference in `peer` are consumed, whatever the result. `pages`: it
 * came by the page socket. */
int connection_open(struct front *f, int fd, struct peer *peer, bool pages);
void connection_free(struct connection *c);
void connection_expired(struct deadline *d);
/* The front is stopping and nothing of this one is being worked on: what it has sent meanwhile is
 * answered, else it is closed. */
void connection_stop(struct connection *c);
void connection_resume(struct connection *c);
void connection_event(int fd, short what, void *context);
/* There is something to read, to write or to serve. */
void connection_ready(struct connection *c);

/* connection_serve.c */

/* Serves requests off the front of `bytes` until something is in the way of more; returns how many
 * bytes they took. *ret_progress: at least one was whole. */
size_t connection_serve(struct connection *c, const char *bytes, size_t length,
	struct http_parser *parser, bool *ret_progress);
/* A whole answer lies in `out` from `at` on, or the memory for it was lacking. */
void connection_answered(struct connection *c, struct buffer *out, size_t at, int status);

/* page_request.c: the same for the page socket, whose clients ask once. */
size_t connection_serve_page(
	struct connection *c, const char *bytes, size_t length, bool *ret_progress);
/* Sends the status of an error if that goes at once, else not. */
void page_send_error(int fd, int status);

/* connection_bytes.c: moving bytes; nothing here closes or decides. */

size_t connection_unparsed(const struct connection *c);
bool connection_unsent(const struct connection *c);
/* Gives up what is not needed any more of c->own. */
void connection_bytes_trim(struct connection *c);
void connection_bytes_free(struct connection *c);
int connection_bytes_keep(struct connection *c, const char *bytes, size_t length);
/* Sends all of `b`, or keeps what the client does not take; `b` is then wiped and empty. 0, or a
 * negative errno: the connection is of no use any more. */
int connection_send(struct connection *c, struct buffer *b);
/* Goes on with what was kept. */
int connection_send_more(struct connection *c);
int connection_watch(struct connection *c, enum connection_watch watch);
/* Both directions are closed: nobody will read an answer. */
bool connection_hung_up(const struct connection *c);
/* Lets connection_resume be called in the next pass of the loop. */
int connection_resume_later(struct connection *c);

/* front.c */
void front_count(struct front *f, int status);
/* An error answer to someone who is about to be closed: sent if that goes at once, else not. */
void front_send_error(
	int fd, int status, const char *code, const char *words, int64_t retry_after_s);
/* `b`, one of the shared buffers, is empty again and its old contents are wiped. */
void front_buffer_reset(struct front *f, struct buffer *b);

#endif
