/* The broker on a simulated machine: its model with timers, and with letters that go over a
 * simulated network. */
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

/* One request on its way, or its answer. */
struct letter {
	bool used, head;
	bool lost; /* no answer will come */
	uint64_t serial;
	struct true_time left_at;
	struct clock_reading sent;
	struct server_answer answer;
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
	struct letter letters[16];
	uint64_t post, head;         /* serials of what is awaited, 0: nothing */
	const struct letter *ending; /* the one that is learnt from just now */
	uint64_t serial;
	struct boot_time timer_at; /* armed for */
	uint64_t timer_serial;
};

void driver_init(struct driver *d, struct sim *sim, struct machine *machine, struct server *server,
	struct tally *tally, const struct driver_settings *settings, uint64_t seed);
void driver_fini(struct driver *d);
/* The daemon stops and starts again at once: what is on disk stays, nothing else. Callers that are
 * held get OUTCOME_UNAVAILABLE, as from a connection that breaks. */
void driver_restart(struct driver *d);
/* For the network: what was awaited ended. */
void driver_ended(struct driver *d, const struct letter *l);
/* Calls back at once, or later. */
void driver_ask(struct driver *d, struct call *call);

#endif
