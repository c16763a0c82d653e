/* One connection to a Redis server, or to a Sentinel: it connects, plain or with TLS, and says who
 * this host is; then commands go out and answers come in, in the order of the commands. Never
 * blocks. No command and no password leaves before the server's certificate is verified. */
#ifndef GCTOKEND_STORE_REDIS_LINK_H
#define GCTOKEND_STORE_REDIS_LINK_H

#include "core/times.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define REDIS_WHY_MAX 600 /* of the words why a connection failed */

struct event_base;
struct fleet_element;
struct resolve_address;
struct ssl_ctx_st;
struct redis_link;

struct redis_link_settings {
	const char *name;       /* what the certificate has to be for, and how errors call it */
	struct ssl_ctx_st *tls; /* NULL: plain */
	const char *user, *password; /* NULL: none */
	/* As store_settings have it, for an address that is a path. */
	bool (*listener_fit)(const char *path, uid_t listener, char *problem, size_t problem_size);
	unsigned database;       /* not 0: SELECT */
	bool wants_primary;      /* ROLE has to say that it is one */
	struct duration connect; /* to get ready within */
};

/* All come from the loop, never from within a function of this header. From any of them
 * redis_link_free may be called. */
struct redis_link_hooks {
	void (*ready)(void *context);
	void (*answered)(void *context, const struct fleet_element *answer); /* lent */
	/* Once, and nothing after it; redis_link_free is still to be called. `why` is lent: words
	 * for an operator, without a byte that the server chose. */
	void (*down)(void *context, const char *why);
};

/* The texts of the settings are lent as long as it lives. 0; -ENOMEM; negative errno: a
 * connection cannot be begun. */
int redis_link_new(struct redis_link **ret, struct event_base *base,
	const struct resolve_address *address, const struct redis_link_settings *settings,
	const struct redis_link_hooks *hooks, void *context);
/* Closes it, at once. NULL is fine. */
void redis_link_free(struct redis_link *l);
/* From now on these. */
void redis_link_set_hooks(
	struct redis_link *l, const struct redis_link_hooks *hooks, void *context);
const struct resolve_address *redis_link_address(const struct redis_link *l);
/* When the server's certificate ends, in s since 1970; 0: it was spoken to without. */
int64_t redis_link_certificate_end(const struct redis_link *l);

/* Sends the bytes of commands, once it is ready. 0 or -ENOMEM. */
int redis_link_send(struct redis_link *l, const char *bytes, size_t length);
/* While true answers stay where they are, and nobody is woken for them. */
void redis_link_hold_answers(struct redis_link *l, bool hold);
/* It goes down if it is not called again within that time. Zero: it does not. */
void redis_link_expect(struct redis_link *l, struct duration within);

#endif
