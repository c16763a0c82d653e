/* The broker's model on a simulated machine, with that machine's timers and a network. */
#ifndef GCTOKEND_TESTS_SIM_DRIVER_H
#define GCTOKEND_TESTS_SIM_DRIVER_H

#include "broker_model.h"
#include "core/token_source.h"
#include "machine.h"
#include "server.h"
#include "tally.h"

struct driver_settings {
	struct token_source_settings source;
	bool no_probes;
	struct duration fetch_timeout; /* 0 means 10 s */
};

enum message_kind {
	MESSAGE_POST,
	MESSAGE_HEAD,
	MESSAGE_KNOCK, /* a HEAD, too */
};

#define MESSAGE_KINDS 3

/* A request on its way, or its response. */
struct message {
	bool used;
	enum message_kind kind;
	bool lost;       /* no response will come */
	bool unsent;     /* not even a connection came about */
	bool late;       /* nor anything else until its deadline */
	unsigned resent; /* segments that were to begin a connection */
	size_t post;     /* in tally.posts */
	uint64_t serial;
	struct true_time left_at;
	struct clock_reading sent;
	struct server_response response;
};

struct driver {
	struct sim *sim;
	struct machine *machine;
	struct server *server;
	struct tally *tally;
	struct driver_settings settings;
	uint64_t seed;
	struct random random; /* lateness of timers */
	bool trace;
	uint64_t traced;

	struct broker_model broker;
	struct message messages[32];
	uint64_t under_way[MESSAGE_KINDS]; /* serials; 0: none */
	const struct message *ending;      /* the one being learnt from */
	uint64_t serial;
	struct boot_time timer_at; /* armed for */
	uint64_t timer_serial;
};

void driver_init(struct driver *d, struct sim *sim, struct machine *machine, struct server *server,
	struct tally *tally, const struct driver_settings *settings, uint64_t seed);
void driver_fini(struct driver *d);
/* The daemon stops and starts again at once; only what is on disk stays. Callers that are held get
 * OUTCOME_UNAVAILABLE, as if their connections broke. */
void driver_restart(struct driver *d);
/* For the network: the exchange has ended. */
void driver_arrived(struct driver *d, const struct message *m);
/* Replies at once, or later. */
void driver_ask(struct driver *d, struct call *call);

#endif
