/* A host and the login server: its token requests, and what befalls whoever sends one. */
#include "host_parts.h"

#include "core/exchange.h"
#include "core/lifetime_adopt.h"
#include "core/token_fetch.h"
#include "core/token_fleet.h"
#include "core/token_reject.h"
#include "core/token_response.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOGIN_TIMEOUT_S 10
#define TROUBLE_FROM_S 60 /* a fleet begins in peace */

static void issued(struct host *h, struct flight *f, const struct clock_reading *now)
{
	const struct exchange x = {.sent = f->sent, .received = *now, .status = 200, .body = ""};
	struct token_response response = {
		.class = RESPONSE_TOKEN, .status = 200, .expires_in = h->world->login.life};
	struct skew_sample sample = {.sent = f->sent,
		.received = now->boot,
		.date_s = f->date_s,
		.lo = {f->date_s * NS_PER_S - now->boot.ns},
		.hi = {(f->date_s + 1) * NS_PER_S - f->sent.boot.ns}};
	const struct skew_sample *known = h->world->run->settings->dates ? &sample : NULL;
	char text[32];

	if (h->fleet.current.generation >= h->fleet.fence) {
		token_source_superseded(&h->source, now);
		fleet_minted(&h->fleet, now->boot, now->boot, h->world->login.life);
		return;
	}
	snprintf(text, sizeof(text), "t%zu", f->token);
	if (token_init(&response.token, text, strlen(text)))
		abort();
	if (known) {
		skew_add(&h->skew, known, NULL);
		token_source_exchange(&h->source, now, known, DURATION_ZERO);
	}
	if (token_source_fetched(&h->source, now, &x, &response, known, DURATION_ZERO,
		    h->generation + 1) == FETCHED_TOKEN) {
		h->generation++;
		fleet_minted(&h->fleet, now->boot, lifetime_over(&h->source.current.life),
			h->world->login.life);
		token_source_share(&h->source, h->fleet.current.generation);
		h->sealed = (struct sealed){.token = f->token,
			.issued = h->world->login.life,
			.server_end =
				lifetime_server_end(known, h->world->login.life, &response.claims)};
	} else {
		fleet_mint_failed(&h->fleet, now->boot, RESPONSE_UNAVAILABLE, DURATION_ZERO);
	}
	token_response_fini(&response);
}

static void post_ended(void *context, uint64_t value)
{
	struct flight *f = context;
	struct host *h = f->host;

	if (h->life == f->life) {
		struct clock_reading now = host_clock(h);

		if (host_waits(h, post_ended, f, value))
			return;
		h->posting = false;
		if (f->failed) {
			const struct exchange x = {
				.sent = f->sent, .received = now, .status = 503, .body = ""};
			struct token_response response = {
				.class = RESPONSE_UNAVAILABLE, .status = 503};

			token_source_fetched(&h->source, &now, &x, &response, NULL, DURATION_ZERO,
				h->generation + 1);
			fleet_mint_failed(&h->fleet, now.boot, RESPONSE_UNAVAILABLE, DURATION_ZERO);
		} else {
			issued(h, f, &now);
		}
		host_turn(h);
	}
	free(f);
}

static void count_post(struct world *w)
{
	unsigned in_window = world_note(w, &w->posts, duration_s(300));

	if (in_window > w->figures.posts_in_window)
		w->figures.posts_in_window = in_window;
	w->figures.posts++;
}

static void post_arrived(void *context, uint64_t value)
{
	struct flight *f = context;
	struct world *w = f->host->world;

	(void)value;
	count_post(w);
	f->failed = w->login.down;
	f->date_s = login_clock_ns(&w->login) / NS_PER_S;
	if (!f->failed)
		f->token = login_issue(&w->login);
	sim_after(
		&w->sim, duration_ns(world_upto(w, 300 * NS_PER_MS)), SIM_WORLD, post_ended, f, 0);
}

static void trouble_the_minter(struct host *h)
{
	const struct minter_trouble *t = &h->world->run->settings->minter;
	struct world *w = h->world;

	if (w->sim.now.ns < TROUBLE_FROM_S * NS_PER_S || w->sim.now.ns >= w->trouble_until.ns)
		return;
	if (world_chance(w, t->stopped))
		host_stop(h, duration_s(5 + world_upto(w, 55)));
	if (world_chance(w, t->cut_from_store))
		host_cut(h, duration_s(5 + world_upto(w, 85)));
	if (world_chance(w, t->cut_from_login))
		host_cut_from_login(h, duration_s(30 + world_upto(w, 270)));
	if (world_chance(w, t->set_back) && world_dates(w))
		w->store.offset_us -= world_upto(w, INT64_C(3600) * 1000000);
	if (world_chance(w, t->killed))
		host_kill(h);
}

void host_post(struct host *h)
{
	struct world *w = h->world;
	struct flight *f = host_flight(h);

	f->sent = host_clock(h);
	h->posting = true;
	token_source_posts(&h->source, &f->sent);
	trouble_the_minter(h);
	if (h->login_cut_until.ns > w->sim.now.ns) {
		f->failed = true;
		sim_after(&w->sim, duration_s(LOGIN_TIMEOUT_S), SIM_WORLD, post_ended, f, 0);
	} else {
		sim_after(&w->sim, duration_ns(50 * NS_PER_MS + world_upto(w, 200 * NS_PER_MS)),
			SIM_WORLD, post_arrived, f, 0);
	}
}

/* ---- the API ---- */

static void api_ended(void *context, uint64_t value)
{
	struct flight *f = context;
	struct host *h = f->host;

	if (h->life == f->life) {
		struct clock_reading now = host_clock(h);

		if (host_waits(h, api_ended, f, value))
			return;
		h->asking_api = false;
		token_source_verified(&h->source, &now, f->generation,
			f->failed  ? VERDICT_NONE
			: f->taken ? VERDICT_ACCEPTED
				   : VERDICT_REFUSED);
		host_turn(h);
	}
	free(f);
}

static void api_asked(void *context, uint64_t value)
{
	struct flight *f = context;
	struct world *w = f->host->world;
	unsigned at_once;

	(void)value;
	if (f->token != w->head_token)
		w->heads.count = 0;
	w->head_token = f->token;
	at_once = world_note(w, &w->heads, COOLDOWN);
	w->figures.heads++;
	if (at_once > w->figures.heads_at_once)
		w->figures.heads_at_once = at_once;
	f->taken = !w->login.tokens[f->token].revoked && !login_over(&w->login, f->token);
	sim_after(&w->sim, duration_ns(world_upto(w, 200 * NS_PER_MS)), SIM_WORLD, api_ended, f, 0);
}

void host_ask_api(struct host *h)
{
	const struct token_slot *slot = token_source_to_verify(&h->source);
	struct world *w = h->world;
	struct flight *f = host_flight(h);

	f->generation = slot->generation;
	f->token = strtoul(slot->token.text + 1, NULL, 10);
	f->failed = h->login_cut_until.ns > w->sim.now.ns;
	h->asking_api = true;
	if (f->failed)
		sim_after(&w->sim, duration_s(LOGIN_TIMEOUT_S), SIM_WORLD, api_ended, f, 0);
	else
		sim_after(&w->sim, duration_ns(10 * NS_PER_MS + world_upto(w, 100 * NS_PER_MS)),
			SIM_WORLD, api_asked, f, 0);
	if (w->sim.now.ns >= TROUBLE_FROM_S * NS_PER_S && w->sim.now.ns < w->trouble_until.ns &&
		world_chance(w, w->run->settings->minter.killed))
		host_kill(h);
}
