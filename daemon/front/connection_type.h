/* What a connection and all of them are made of: for the files of a connection, and for those who
 * look after all, connections.c and crowd.c. */
#ifndef GCTOKEND_FRONT_CONNECTION_TYPE_H
#define GCTOKEND_FRONT_CONNECTION_TYPE_H

#include "deadlines.h"
#include "handler.h"
#include "heap_trim.h"
#include "links.h"
#include "newcomers.h"
#include "outbox.h"
#include "peer.h"
#include "pool.h"
#include "protocol.h"
#include "stream.h"
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reaper;

/* What is kept, of all connections together: for callers who do not read, and of requests that wait
 * behind another. A reply that is read is never kept, unless it is larger than what the kernel
 * takes; a request only until the rest of it comes. While it is more, the users for whom
 * it is are not served: some are closed in the next pass, see crowd.h. */
#define KEPT_MOST (32 * 1024 * 1024)

struct connections {
	struct event_base *base;
	struct reaper *reaper;
	struct front_limits limits;
	struct serving serving;
	struct outbox outbox; /* of serving.replies */
	struct peer_table peers;
	struct pool pool;

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
	/* Connections of which a page is not taken, and when all of them were looked at. */
	struct {
		uint32_t count;
		int64_t looked_ms;
	} untaken;
	struct heap_trim trim;
	/* Of whose process it was found out last whether it still lives, and when. */
	struct {
		const struct connection *of;
		int64_t at_ms;
		bool lives;
	} unit_seen;
	/* Those with whole requests left over from this pass, for the next. */
	struct link resume;
	struct event resume_event;
	/* Those that are not watched yet. */
	struct newcomers newcomers;

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
	struct link turn; /* of those behind others, see share.h; in all->resume: `resuming`; or
			     among all->newcomers */
	void *hold;
	char *unit;
	uint8_t place : 4, watch : 4; /* enum connection_place, enum stream_watch */
	bool resuming : 1;
	bool held : 1;
	bool keep_alive : 1, text : 1, head : 1; /* of the held request */
	bool partial : 1;                        /* what is unparsed lacks something */
	bool ended : 1;                          /* the caller sends no more */
	bool closing : 1;                        /* when all is written */
	bool refused : 1;                        /* closing because of what was sent: drain */
	bool attached : 1;                       /* all was said */
	bool untaken : 1;                        /* its page, for all we know: see untaken.h */
	bool unit_known : 1;
	bool newcomer : 1;
	bool reserved : 1; /* one of the last places, see room.h */
	bool guarded : 1;  /* see passing.h */
	bool groups_known : 1;
	bool sent_some : 1;
	bool bounded : 1;  /* what the kernel keeps of replies */
	uint32_t since_ms; /* in this place */
};

static inline struct connection *connection_at(struct link *l)
{
	return LINK_ELEMENT(l, struct connection, deadline.link);
}

/* The loop's own time, read once a pass: a wall clock's, of which only differences count. */
static inline int64_t connection_loop_ms(const struct connections *all)
{
	struct timeval now = {0};

	event_base_gettimeofday_cached(all->base, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

#endif
