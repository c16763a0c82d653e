/* The store that the hosts of a fleet share, as the broker sees it: a few operations on one token,
 * each decided in the store at once, and the messages that others' operations send. Which engine it
 * is, how it is reached, and what its commands are stays below; here it is Redis or Valkey, 6.2 or
 * later, one primary, found by its name or by Sentinel.
 *
 * There are two connections, one for operations and one by which messages come. Both are opened
 * and opened again by themselves, with pauses that are random and grow, so that the hosts of a
 * fleet do not all come at once. Nothing here blocks: names are resolved in a thread, and all the
 * rest happens on the loop. Nothing here decides about tokens.
 *
 * What a store answers is bounded and strictly read (core/fleet_reply). An answer that cannot be
 * takes the connection down, as does one that is late. */
#ifndef GCTOKEND_STORE_STORE_H
#define GCTOKEND_STORE_STORE_H

#include "core/fleet_key.h"
#include "core/fleet_reply.h"
#include "core/times.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct store;
struct store_token; /* a token that hosts share, at this store */

#define STORE_HOSTS_MAX 16
#define STORE_PREFIX_MAX 32
#define STORE_CONNECT_S 15 /* to connect, with all that belongs to it */
/* On the connection by which messages come a ping is sent with a READ, so that the host wakes once
 * for both, and at the latest so long after the one before. */
#define STORE_PING_S 12

struct store_host {
	const char *name; /* or an address, without brackets */
	uint16_t port;
};

struct store_settings {
	const char *path; /* of a Unix socket; NULL: by the hosts */
	/* Without `sentinel_name` one host, the server; with it those of the Sentinels. */
	struct store_host hosts[STORE_HOSTS_MAX];
	size_t host_count;
	const char *sentinel_name; /* what Sentinels call the primary; NULL: there are none */
	unsigned database;         /* of Redis; 0 needs no right to SELECT */
	const char *user;          /* NULL: the default user */
	const char *password;      /* NULL: none */
	/* Whether whoever listens at `path` as that uid may be told the password; else why not, a
	 * phrase that goes on after the path. NULL: whoever it is. */
	bool (*listener_fit)(const char *path, uid_t listener, char *problem, size_t problem_size);
	bool tls;            /* to the Sentinels as well; never to a path */
	const char *ca_file; /* PEM, trusted instead of the system's; NULL: that */
	const char *cert_file, *cert_key_file; /* PEM, of this host; NULL: none */
	const char *prefix;                    /* of all keys, 1 to STORE_PREFIX_MAX characters */
	const char *host;        /* this host, in leases: 1 to FLEET_ID_MAX printable characters */
	struct duration timeout; /* of an operation, above 0 */
	struct duration ping;    /* zero: STORE_PING_S */
	uint64_t seed;           /* for the jitter */
};

/* What became of an operation. */
struct store_result {
	enum fleet_operation operation;
	struct boot_time sent, received;   /* the store carried it out in between */
	const struct fleet_answer *answer; /* lent; NULL: it was refused, and `problem` says why */
	const char *problem;
};

/* All are called from the loop, and never from within a function of this header. From them
 * anything may be called but store_free and store_token_free. */
struct store_hooks {
	/* Connected, to a primary, and every message that is sent from now on comes. */
	void (*up)(void *context, struct boot_time at);
	/* It was up and is no more, or another try to connect failed. What is under way is lost, no
	 * result will come. `why`: words for an operator, without a secret or a byte that the
	 * store chose. */
	void (*down)(void *context, bool was_up, const char *why);
	/* A ping that was sent then on the connection of messages was answered. */
	void (*anchored)(void *context, struct boot_time sent);
	/* These are about one token; `token_context` is what store_token_new was given. */
	void (*ended)(void *token_context, const struct store_result *result);
	void (*message)(void *token_context, struct boot_time at, const struct fleet_message *m);
	void (*permitted)(void *token_context, bool granted, uint32_t rank);
};

/* `clock_read` fills in every clock. The settings are copied, files are read now; the first try to
 * connect begins with the loop. 0; -ENOMEM; -EINVAL: a file cannot be used, and ret_why says which
 * and why. */
int store_new(struct store **ret, struct event_base *base,
	void (*clock_read)(struct clock_reading *ret), const struct store_settings *settings,
	const struct store_hooks *hooks, void *context, char ret_why[256]);
/* Closes all; no hook is called. Its tokens are freed before. NULL is fine. */
void store_free(struct store *s);
/* How many hosts heard of messages about any of its tokens, at the latest READ; 0: not known. */
int64_t store_hosts(const struct store *s);

/* From now on messages about it come. 0 or -ENOMEM. */
int store_token_new(struct store_token **ret, struct store *s, const struct fleet_subject *subject,
	unsigned slot, void *context);
void store_token_free(struct store_token *t);

/* ---- operations; each ends with `ended` once, or with `down` ---- */

struct store_acquire {
	uint64_t known, reject, floor; /* generations; 0: none */
	struct duration lease;
	unsigned mint_limit; /* so many requests in ... */
	struct duration mint_window;
	struct duration cooldown;
	const char *tag; /* of its credentials: fleet_key_tag */
	const struct fleet_id *break_lease, *break_hold;
	bool check;       /* whether the API takes `reject` is to be asked; else a token request */
	uint64_t doubted; /* the fence of a verdict that does not count; 0: none */
};

struct store_put {
	uint64_t generation;
	int64_t stamp_us; /* what the store's clock said, */
	int64_t left_us;  /* and what was left of the token's life then */
	struct duration issued;
	const char *sealed;
	size_t sealed_length;
};

struct store_fail {
	uint64_t fence;
	enum response_class class;   /* one that has a fleet_class_word */
	struct duration least, most; /* of the hold, and of the backoff */
	const char *tag;
};

struct store_accept {
	uint64_t fence, generation; /* of the lease, and of the token */
	const char *proof;          /* fleet_key_proof */
};

struct store_stop {
	uint64_t generation;
	struct duration issued; /* how long the record stays */
	const char *sealed;
	size_t sealed_length;
};

/* 0; -ENOTCONN: it is not up; -EBUSY: an operation on this token is under way; -ENOMEM. */
int store_read(struct store_token *t);
int store_acquire(struct store_token *t, const struct store_acquire *a);
int store_renew(struct store_token *t, uint64_t fence, struct duration lease);
int store_put(struct store_token *t, const struct store_put *p);
int store_fail(struct store_token *t, const struct store_fail *f);
int store_accept(struct store_token *t, const struct store_accept *a);
/* FLEET_SAYS_GRANTED: there may be higher generations; it has to be this one. */
int store_stop(struct store_token *t, const struct store_stop *o);
/* May this host, among `most`, mint without the store? Held for `keep` after each time it asks;
 * `permitted` says, and where the store refuses to, nothing does. Beside an operation. */
int store_permit(struct store_token *t, uint32_t most, struct duration keep);

#endif
