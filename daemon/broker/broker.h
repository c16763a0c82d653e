/* The one owner of everything. Events come in from the edges, the core decides, and the files of
 * this folder carry out what it has decided. */
#ifndef GCTOKEND_BROKER_BROKER_H
#define GCTOKEND_BROKER_BROKER_H

#include "handover.h"
#include "names.h"
#include "profile_set.h"
#include "service.h"
#include "sockets.h"
#include "turn.h"
#include "waiter.h"

#include "core/random.h"
#include "core/server_clock.h"
#include "core/times.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct config;
struct endpoint;
struct event_base;
struct fetcher;
struct fleet_link;
struct name_table;
struct oauth_client;
struct revocation;
struct state_writer;

struct broker {
	struct event_base *base;
	char *config_path;
	struct config *config;
	struct clock_reading recent; /* of the latest request */
	const char *version;
	uid_t uid;
	char *state_dir;           /* where the files are, even if a reload names another place */
	uint64_t generation_floor; /* at least as high as any that earlier runs can have used */
	char boot_id[40];
	char clock_id[64];    /* of CLOCK_BOOTTIME: see core/client_state.h */
	struct random random; /* seeds of the profiles' jitter */
	struct clock_reading started;
	struct server_clocks clocks; /* of the endpoints */

	struct fetcher *fetcher;
	struct fleet_link *fleet; /* NULL: there is no fleet */
	struct sockets sockets;
	struct service service;
	struct names names;
	struct handover handover;
	struct state_writer *writer;
	unsigned char *state_key; /* of SEALED_KEY_LENGTH; NULL: none (yet) */
	bool state_key_seen;      /* the daemon's own was in the directory, good or not */
	struct turn turn;
	struct event signals[3];
	struct event renewal;

	struct profile_set profiles;
	TAILQ_HEAD(, oauth_client) oauth_clients;
	TAILQ_HEAD(, endpoint) endpoints;
	struct waiters waiters;
	TAILQ_HEAD(, revocation) revocations;

	bool reload_waits; /* for the name service, until reload_deadline */
	struct event reload_deadline;
	bool reload_failed;
	char reload_problem[512];
	bool stopping;
};

/* Consumes `config`, which has been validated, `names`, which has been asked for its users and
 * groups, and `closer_fd` (front/closer.h), even on failure. 0 or negative errno; what was wrong is
 * in the log. */
int broker_new(struct broker **ret, struct event_base *base, const char *config_path,
	struct config *config, struct name_table *names, int closer_fd, const char *version);
void broker_free(struct broker *b);
/* Serves until SIGTERM or SIGINT. */
void broker_run(struct broker *b);
#endif
