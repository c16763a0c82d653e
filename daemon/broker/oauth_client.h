/* One OAuth client: token URL + client id + grant. Lives as long as the daemon, so that neither a
 * reload nor a renamed profile forgets its mint window or repeats a generation. */
#ifndef GCTOKEND_BROKER_OAUTH_CLIENT_H
#define GCTOKEND_BROKER_OAUTH_CLIENT_H

#include "core/client_state.h"
#include "core/config.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct broker;
struct login;
struct profile;

/* Somebody who waits for what a client has to remember to be durable. All zero: nobody. */
struct state_wait {
	TAILQ_ENTRY(state_wait) link; /* client->waits */
	struct oauth_client *client;  /* NULL: it waits for nothing */
	uint64_t number;              /* of the write */
	void (*ended)(void *context); /* hook: it is, or that has failed */
	void *context;
};

struct oauth_client {
	TAILQ_ENTRY(oauth_client) link; /* broker->oauth_clients */
	struct broker *broker;
	char *token_url;
	char *client_id;
	enum grant grant;
	char file[40];
	struct client_state state;
	uint64_t writes_begun, writes_ended; /* of the state file; they end in order */
	TAILQ_HEAD(, state_wait) waits;      /* in the same order */
	bool write_failing;
	struct login *login; /* NULL unless it is people who log in */
};

/* Finds it, or makes it out of what its state file says. 0 or negative errno. */
int oauth_client_get(struct oauth_client **ret, struct broker *b, const char *token_url,
	const char *client_id, enum grant grant);
void oauth_client_free(struct oauth_client *c);
/* At the start: which generations the state files have used, also those of clients that are not
 * configured now. */
void oauth_clients_read_generations(struct broker *b);
/* The number for a token that may come; kept once it was used. */
uint64_t oauth_client_next_generation(const struct oauth_client *c);
void oauth_client_use_generation(struct oauth_client *c, uint64_t generation);
/* A token of an earlier run has it: nothing up to it may be given again. */
void oauth_client_have_generation(struct oauth_client *c, uint64_t generation);
/* Remembers what the profile's source must not forget, and begins to write it; `w` (may be NULL)
 * waits for the end of that, which is never told from within. 0; or negative errno: nothing is
 * written, and nobody waits. */
int oauth_client_save(struct oauth_client *c, const struct profile *p, struct state_wait *w);
/* Waits no longer, if it does. */
void state_wait_cancel(struct state_wait *w);

#endif
