/* What the front and its owner agree on: the handler of requests, limits, counters. */
#ifndef GCTOKEND_FRONT_HANDLER_H
#define GCTOKEND_FRONT_HANDLER_H

#include "core/times.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct connection;
struct http_request;
struct page;
struct peer;
struct reply;

#define FRONT_HELD 0

struct front_handler {
	/* One whole request of `c`. Either writes its whole reply and returns the HTTP status, or
	 * returns FRONT_HELD, writes nothing, and replies later by connection_reply_begin and _end:
	 * not before it has returned, but other connections may be replied to from here. The
	 * request's spans, and `reply`, are gone when it returns. */
	int (*request)(void *context, struct connection *c, const struct http_request *request,
		struct reply *reply);
	/* The caller of a held connection is gone, or it gives way to a user with far fewer, or the
	 * front is being closed: forget it. A
	 * caller that has only stopped sending (half a close) still gets its reply. */
	void (*abandoned)(void *context, struct connection *c);
	/* Descriptors or memory ran out, and accepting pauses for a moment: up to ten times a
	 * second. May be NULL. */
	void (*accept_failed)(void *context);
	/* `c` is being closed because a descriptor came with its bytes. Not called where the
	 * kernel refuses them. May be NULL. */
	void (*descriptor_refused)(void *context, const struct connection *c);
	/* What `uid` passed, (uid_t)-1 if that is not known, or left at a connection (toll.h), has
	 * not finished closing after a second. May be NULL. */
	void (*close_stuck)(void *context, uid_t uid);
	/* `uid` has kept us in the kernel for too long and is held off for a while: see toll.h. May
	 * be NULL. */
	void (*user_held_off)(void *context, uid_t uid);
	/* Nothing can be closed any more where a descriptor came with it. May be NULL. */
	void (*closers_lost)(void *context);
	/* May `peer` take the last of max_connections? May be NULL: nobody. */
	bool (*privileged)(void *context, const struct peer *peer);
	/* A caller on the page socket asks for the page of `profile`, a string that is not yet
	 * known to be a profile's name. 200 and *ret_page, which is handed over before anything
	 * else happens; or another status of gctoken_page.h. NULL where there is no such socket. */
	int (*page)(void *context, struct connection *c, const char *profile,
		const struct page **ret_page);
	/* That page could not be handed over, though `c` is there: told 503. -ETOOMANYREFS: more
	 * descriptors of ours than the limit of open files have not been taken by those they were
	 * sent to. -EDQUOT: as many as this user, or all, may leave (untaken.h). May be NULL. */
	void (*page_not_sent)(void *context, const struct connection *c, int error);
};

struct front_limits {
	uint32_t max_connections;
	uint32_t max_connections_per_user; /* one more is told 429 and closed; so are more than
					      that a second, while others want to be served */
	uint32_t max_turned_away;          /* over one of these limits and told so, kept until
					      they have asked */
	uint32_t max_closing;              /* that cannot be closed at once; more take the place of
					      others, but for a few */
	struct duration request_deadline;  /* from a request's first byte to its last: 408; also how
					      long a caller may take to read its replies, and to
					      close after it was refused. Late by 1/16, at most
					      half a second */
	bool units; /* the unit of whoever connects is wanted: it is found out at once */
	struct duration idle_timeout; /* between requests: closed silently. Late by 1/16, at
					 most 20 s */
};

struct front_counters {
	uint64_t accepted;
	uint64_t refused_total_limit, refused_user_limit, refused_user_rate;
	uint64_t accept_failures;     /* descriptors or memory ran out */
	uint64_t gave_way;            /* closed because a user with far fewer needed the room */
	uint64_t kept_cut;            /* closed because too much was kept for them */
	uint64_t descriptors_refused; /* connections that were closed for one */
	uint64_t closes_stuck;        /* closers that had not finished after a second */
	uint64_t users_held_off;      /* times that one was, see toll.h */
	uint64_t deadline_cut;        /* 408, or replies not read in time */
	uint64_t requests[600];       /* replied to, by status; not those turned away at accept */
	uint32_t connections;         /* now */
};

#endif
