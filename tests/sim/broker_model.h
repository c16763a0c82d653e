/* Carries out the core's decisions as the daemon's broker does, for one token source at one login
 * server: it holds callers and replies to them, and says when token requests and HEADs leave. The
 * clock and the network belong to the world around it: the simulation's or the fuzzer's. */
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

/* One who asks. It stays with its owner until replied() is called or it is forgotten. */
struct call {
	struct token_ask ask;
	void (*replied)(void *context, struct call *call, const struct token_outcome *outcome);
	void *context;
	/* the model's own */
	struct call *next; /* of those held */
	uint64_t serial;
};

/* What the world does when the broker acts. */
struct broker_hooks {
	/* A token request or a HEAD leaves now; broker_model_post_ended or _head_ended follows. */
	void (*send)(void *world, bool head);
	/* A knock leaves now; broker_model_knock_ended follows. */
	void (*knock)(void *world);
	/* The token request under way is given up: broker_model_post_ended, before this returns. */
	void (*give_up)(void *world);
	/* The clock has learnt from an exchange; its token, if any, has not been taken yet.
	 * `dated`: its Date is evidence. */
	void (*learnt)(void *world, bool dated);
	/* Before each decision, and after it was carried out; may be NULL. */
	void (*deciding)(void *world);
	void (*decided)(void *world);
	/* The daemon must never do this. */
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

/* `m` is all zero. Take a turn before anything else. */
void broker_model_init(struct broker_model *m, const struct broker_hooks *hooks, void *world,
	const struct clock_reading *now, const struct token_source_settings *settings, bool probing,
	uint64_t seed);
void broker_model_fini(struct broker_model *m);
/* Stops and starts again at once; only what is on disk stays. Returns the calls that were held,
 * linked by `next`: their connections are broken. */
struct call *broker_model_restart(
	struct broker_model *m, const struct clock_reading *now, uint64_t seed);

/* Decides and carries out. Take a turn after every event, and at the instant returned. */
struct boot_time broker_model_turn(struct broker_model *m, const struct clock_reading *now);

/* True: it was replied to. False: it is held, until a turn or broker_model_deadline replies. */
bool broker_model_ask(struct broker_model *m, const struct clock_reading *now, struct call *call);
/* Replies to that call if it is still held and its deadline has come. Returns the deadline if it
 * has not come yet, otherwise BOOT_TIME_NEVER. */
struct boot_time broker_model_deadline(
	struct broker_model *m, const struct clock_reading *now, uint64_t serial);
/* Did a call make a turn due? */
bool broker_model_wants_turn(const struct broker_model *m);
/* Nobody waits for the reply any more. */
void broker_model_forget(struct broker_model *m, const struct call *call);

/* Take a turn after each. True: it brought a new token, of generation m->generation, which was
 * taken out of `response`. */
bool broker_model_post_ended(struct broker_model *m, const struct clock_reading *now,
	const struct exchange *x, struct token_response *response);
void broker_model_knock_ended(
	struct broker_model *m, const struct clock_reading *now, const struct exchange *x);
void broker_model_head_ended(
	struct broker_model *m, const struct clock_reading *now, const struct exchange *x);

#endif
