/* One OAuth client: token URL + client id + grant. Lives as long as the daemon, so that neither a
 * reload nor a renamed profile forgets its mint window or repeats a generation. */
#ifndef GCTOKEND_BROKER_OAUTH_CLIENT_H
#define GCTOKEND_BROKER_OAUTH_CLIENT_H

#include "core/client_state.h"
#include "core/config.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct broker;
struct login;
struct profile;

/* Somebody who waits for a client's state to be durable. `client` is NULL while nobody does. */
struct state_wait {
	TAILQ_ENTRY(state_wait) link; /* client->waits */
	struct oauth_client *client;
	uint64_t number;              /* of the write */
	void (*ended)(void *context); /* hook: it is durable, or the write failed */
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
	struct event write_again; /* after a write that failed */
	struct login *login;      /* NULL unless people log in to it */
};

/* Finds it, or makes it, with what its state file says. 0 or negative errno. */
int oauth_client_get(struct oauth_client **ret, struct broker *b, const char *token_url,
	const char *client_id, enum grant grant);
void oauth_client_free(struct oauth_client *c);
/* At the start: which generations the state files have used, including those of clients that are no
 * longer configured. */
void oauth_clients_read_generations(struct broker *b);
/* The generation that a token gets if it comes. */
uint64_t oauth_client_next_generation(const struct oauth_client *c);
/* It has come. */
void oauth_client_use_generation(struct oauth_client *c, uint64_t generation);
/* A token of an earlier run has it: no number up to it may be used again. */
void oauth_client_have_generation(struct oauth_client *c, uint64_t generation);
/* Takes from the profile's source what must outlive the process and begins to write it. `w` (may be
 * NULL) waits for that; it is never told from within this call. 0; negative errno: nothing is being
 * written, and nobody waits. What could not be written is tried again, until it can. */
int oauth_client_save(struct oauth_client *c, const struct profile *p, struct state_wait *w);
/* Begins to write all that clients keep on the disk, the files of logins included: it was lost. */
void oauth_clients_write_all(struct broker *b);
/* At the end, while the state writer is there: a last attempt at what could not be written. */
void oauth_clients_write_last(struct broker *b);
/* It waits no longer, if it does. */
void state_wait_cancel(struct state_wait *w);

#endif
