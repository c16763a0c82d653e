/* Does with the core's decisions what the daemon's broker does with them, for one token source at
 * one login server: callers that are held and replied to, token requests, HEADs. It has no clock
 * and no network: both belong to the world around it, which is that of the simulation or that of
 * the fuzzer. */
#ifndef GCTOKEND_TESTS_SIM_BROKER_MODEL_H
#define GCTOKEND_TESTS_SIM_BROKER_MODEL_H

#include "core/history.h"
#include "core/retry.h"
#include "core/server_clock.h"
#include "core/token_ask.h"
#include "core/token_source.h"

#include <stdbool.h>
#include <stdint.h>

struct exchange;
struct token_response;

/* Somebody who asks. The owner keeps it until answered() was called or it is forgotten. */
struct call {
	struct token_ask ask;
	void (*answered)(void *context, struct call *call, const struct token_outcome *outcome);
	void *context;
	/* the model's own */
	struct call *next; /* of those held */
	uint64_t serial;
};

/* Of the world. */
struct broker_hooks {
	/* A token request, or a HEAD, leaves now; broker_model_post_ended or _head_ended is to
	 * follow. */
	void (*send)(void *world, bool head);
	/* An exchange has been learnt from, and what it brought is still to be taken. `dated`: its
	 * Date is evidence. */
	void (*learnt)(void *world, bool dated);
	/* Before each decision, and when it has been carried out; NULL: nobody looks. */
	void (*deciding)(void *world);
	void (*decided)(void *world);
	/* What the daemon may never do has been done. */
	void (*failed)(void *world, const char *what);
};

struct broker_model {
	const struct broker_hooks *hooks;
	void *world;
	struct server_clocks clocks;
	struct server_clock clock;
	struct mint_window mint;
	struct history history;
	struct token_source source;
	uint64_t generation;      /* the latest that was used */
	struct boot_time wake_at; /* as the source decided */
	struct call *held;
	uint64_t serial; /* of the latest call */
};

/* `m` is all zero. Before anything else, a turn is to be taken. */
void broker_model_init(struct broker_model *m, const struct broker_hooks *hooks, void *world,
	const struct clock_reading *now, const struct token_source_settings *settings, bool probing,
	uint64_t seed);
void broker_model_fini(struct broker_model *m);
/* Stops and starts again at once: what is on disk stays, nothing else. Returns who was held, linked
 * by `next`: their connections are broken. */
struct call *broker_model_restart(
	struct broker_model *m, const struct clock_reading *now, uint64_t seed);

/* After every event, and when the returned instant has come: decides and carries out. */
struct boot_time broker_model_turn(struct broker_model *m, const struct clock_reading *now);

/* True: answered. Else it is held, and answered in a turn or by broker_model_deadline. */
bool broker_model_ask(struct broker_model *m, const struct clock_reading *now, struct call *call);
/* Answers that call if it is still held and its deadline has come. Returns the deadline if it has
 * not, otherwise BOOT_TIME_NEVER. */
struct boot_time broker_model_deadline(
	struct broker_model *m, const struct clock_reading *now, uint64_t serial);
/* Is a turn due because of what a caller asked? */
bool broker_model_wants_turn(const struct broker_model *m);
/* Nobody waits for the answer any more. */
void broker_model_forget(struct broker_model *m, const struct call *call);

/* A turn is to follow each. True: it brought a new token, of generation m->generation, which was
 * taken out of `response`. */
bool broker_model_post_ended(struct broker_model *m, const struct clock_reading *now,
	const struct exchange *x, struct token_response *response);
void broker_model_head_ended(
	struct broker_model *m, const struct clock_reading *now, const struct exchange *x);

#endif
