#include "token_world.h"

#include "core/exchange.h"
#include "core/token_judge.h"
#include "core/token_view.h"
#include "fuzz.h"
#include <time.h>

#define WAKES_MAX 64
#define DATE_MIN_S INT64_C(-62167219200)
#define DATE_MAX_S INT64_C(253402300799)

/* ---- the server ---- */

static int64_t server_ns(const struct token_world *w, struct boot_time at)
{
	return at.ns + w->theta_ns + at.ns / 1000000 * w->drift_ppm;
}

static int64_t floor_s(int64_t ns)
{
	return duration_floor_s(duration_ns(ns));
}

static struct token_fact *fact_of(struct token_world *w, uint64_t generation)
{
	struct token_fact *fact = &w->facts[generation % FACTS_MAX];

	return generation && fact->generation == generation ? fact : NULL;
}

static void forget_tokens(struct token_world *w)
{
	for (size_t i = 0; i < FACTS_MAX; i++)
		w->facts[i].gone = true;
}

/* ---- what must hold ---- */

/* Is nothing left of it but use_margin? */
static bool last_resort(const struct token_world *w, const struct token_slot *slot)
{
	return boot_since(lifetime_dead(&slot->life), w->now.boot).ns < NS_PER_S;
}

static struct boot_time served_until(const struct token_world *w, const struct token_slot *slot)
{
	const struct token_source *s = &w->broker.source;

	if (slot != &s->current || !last_resort(w, slot))
		return lifetime_dead(&slot->life);
	CHECK(token_source_no_other(s) || token_source_fetching(s));
	return token_source_over(s);
}

static void check_served(struct token_world *w, const struct token_slot *slot)
{
	struct token_fact *fact = fact_of(w, slot->generation);
	int64_t server = server_ns(w, w->now.boot);

	CHECK(slot == &w->broker.source.current || slot == &w->broker.source.previous);
	CHECK(!w->revoked && slot->token.text && !boot_before(w->now.boot, slot->life.valid));
	CHECK(boot_since(served_until(w, slot), w->now.boot).ns >= NS_PER_S);
	CHECK(fact && !fact->gone && !strcmp(fact->text, slot->token.text));
	/* One that a caller rejected goes on serving only until there is another. */
	if (slot == &w->broker.source.previous && slot->rejected)
		CHECK(!token_slot_usable(&w->broker.source.current, &w->now));
	/* Which token a server gives again, and what it says of its end, is its own affair. */
	if (fact->judged && !w->broker.source.latest.again) {
		int64_t margin_ns = last_resort(w, slot) ? 0 : fact->margin_ns;

		/* The margin is in our time, which drifts. */
		CHECK(server < fact->server_end_ns - margin_ns + fact->margin_ns / 1000);
		CHECK(server >= fact->server_start_ns);
	}
}

static void check_outcome(struct token_world *w, enum ask_kind kind, const struct token_ask *ask,
	const struct token_outcome *o)
{
	bool expired = !boot_before(w->now.boot, ask->deadline);

	CHECK(o->kind != OUTCOME_TIMEOUT || expired);
	CHECK(o->kind != OUTCOME_UNCHANGED || (expired && ask->has_after));
	CHECK((o->kind != OUTCOME_COOLDOWN && o->kind != OUTCOME_ACCEPTED) || kind == ASK_REJECT);
	CHECK(o->kind != OUTCOME_REVOKED || w->revoked);
	if (o->kind == OUTCOME_MIN_TTL) {
		CHECK(o->limit_s >= 0);
		CHECK(ask->min_ttl.ns > o->limit_s * NS_PER_S);
	}
	if (o->kind == OUTCOME_TOO_SHORT)
		CHECK(ask->min_ttl.ns > o->limit_s * NS_PER_S);
	if (o->kind == OUTCOME_TOO_SHORT || o->kind == OUTCOME_UNAVAILABLE ||
		o->kind == OUTCOME_CLIENT_REJECTED || o->kind == OUTCOME_LOGIN_REQUIRED ||
		o->kind == OUTCOME_COOLDOWN || o->kind == OUTCOME_ACCEPTED)
		CHECK(o->retry_after_s >= 1);
	if (o->kind != OUTCOME_TOKEN)
		return;
	check_served(w, o->slot);
	CHECK(o->expires_in.ns >= NS_PER_S);
	CHECK(o->expires_in.ns <= boot_since(served_until(w, o->slot), w->now.boot).ns);
	CHECK(!last_resort(w, o->slot) || o->stale);
	CHECK(o->refresh_in_s >= 5);
	CHECK(!o->slot->rejected || o->stale);
	/* What replaces the one before it is here already. */
	CHECK(!o->slot->rejected || o->slot == &w->broker.source.previous ||
		!token_source_fetching(&w->broker.source) || expired);
	if (kind == ASK_GET) {
		CHECK(boot_since(served_until(w, o->slot), w->now.boot).ns >= ask->min_ttl.ns);
		CHECK(!ask->has_after || o->slot->generation != ask->after);
	}
	if (kind == ASK_REJECT)
		CHECK(o->slot->generation != ask->generation);
}

static void check_slot(struct token_world *w, const struct token_slot *slot)
{
	struct token_fact *fact;
	struct boot_time dead = lifetime_dead(&slot->life);

	if (!slot->token.text)
		return;
	fact = fact_of(w, slot->generation);
	CHECK(fact);
	CHECK(dead.ns <= fact->dead.ns);
	fact->dead = dead;
	if (slot->refused)
		fact->gone = true;
}

static void check_estimate(const struct token_world *w)
{
	struct skew_estimate e;
	int64_t theta = server_ns(w, w->now.boot) - w->now.boot.ns;

	skew_query(&w->broker.clock.skew, &w->now, &e);
	if (!e.known)
		return;
	CHECK(e.lo.ns <= e.hi.ns && e.spread.ns >= 0 && e.clocks >= 1);
	CHECK(e.spread.ns <= SKEW_SPREAD_MAX_NS);
	if (w->honest)
		CHECK(theta >= e.lo.ns && theta <= e.hi.ns);
}

/* After a step of the wall clock that is too small to wake anybody, what was planned may be a
 * little off. */
static bool wall_clock_is_known(const struct token_world *w)
{
	return clock_wall_offset(&w->now).ns == w->broker.clocks.wall_offset.ns;
}

/* A caller is held only for a reason: if there is a token for it now, a wake-up was lost. */
static void check_held(struct token_world *w)
{
	for (size_t i = 0; i < HELD_MAX; i++) {
		struct token_source copy = w->broker.source;
		struct token_ask ask = w->held[i].call.ask;
		struct token_outcome o;

		if (!w->held[i].used || !boot_before(w->now.boot, ask.deadline))
			continue;
		token_source_ask(&copy, &w->now, &ask, &o);
		CHECK(o.kind != OUTCOME_TOKEN);
	}
}

static void check_all(struct token_world *w)
{
	struct token_source *s = &w->broker.source;
	struct source_view v;

	CHECK(token_source_fetching(s) == w->post.under_way);
	if (s->current.token.text && s->previous.token.text)
		CHECK(s->previous.generation < s->current.generation);
	check_slot(w, &s->current);
	check_slot(w, &s->previous);
	token_source_view(s, &w->now, &v);
	CHECK(*source_state_name(v.state));
	if (v.slot) {
		check_served(w, v.slot);
		CHECK(v.state == SOURCE_FRESH || v.state == SOURCE_STALE);
	}
	CHECK(!boot_before(v.next_attempt, w->now.boot));
	CHECK(!token_source_knocks(s) || w->knock.under_way ||
		boot_before(w->now.boot, s->knock.next));
	check_estimate(w);
	if (!wall_clock_is_known(w))
		return;
	/* Whatever happened so far, it goes on by itself. */
	CHECK(s->revoked == w->revoked);
	if (s->settings.prefetch && !s->revoked && !token_source_fetching(s)) {
		CHECK(v.next_attempt.ns != BOOT_TIME_NEVER.ns);
		/* A knock wakes the broker, too. */
		CHECK(!boot_before(v.next_attempt,
			token_source_knocks(s) ? boot_min(w->broker.wake_at, s->knock.next)
					       : w->broker.wake_at));
	}
	check_held(w);
}

/* ---- what the broker does ---- */

static size_t since(const struct boot_time *at, size_t count, struct boot_time from)
{
	size_t n = 0;

	while (n < count && boot_before(from, at[count - 1 - n]))
		n++;
	return n;
}

static void post_leaves(struct token_world *w)
{
	struct boot_time window = boot_sub(w->now.boot, duration_s(MINT_WINDOW_S));

	CHECK(!w->post.under_way && !w->revoked);
	CHECK(w->forced || !boot_before(w->now.boot, w->not_before));
	CHECK(w->post_count < POSTS_MAX);
	w->posts[w->post_count++] = w->now.boot;
	CHECK(since(w->posts, w->post_count, window) <= w->broker.source.settings.mint_limit);
	w->post = (struct request){true, w->now};
}

/* A HEAD for the time leaves, or a knock is answered. */
static void head_answers_or_leaves(struct token_world *w)
{
	struct boot_time window = boot_sub(w->now.boot, duration_s(PROBE_WINDOW_S));

	CHECK(w->head_count < POSTS_MAX);
	w->heads[w->head_count++] = w->now.boot;
	CHECK(since(w->heads, w->head_count, window) <= PROBES_IN_WINDOW);
}

static void head_leaves(struct token_world *w)
{
	CHECK(!w->head.under_way);
	head_answers_or_leaves(w);
	w->head = (struct request){true, w->now};
}

static void leaves(void *world, bool head)
{
	if (head)
		head_leaves(world);
	else
		post_leaves(world);
}

static void knock(void *world)
{
	struct token_world *w = world;

	CHECK(!w->knock.under_way);
	w->knock = (struct request){true, w->now};
}

static void give_up(void *world)
{
	struct token_world *w = world;
	struct exchange x = {
		.sent = w->post.sent, .received = w->post.sent, .silence = true, .body = ""};
	struct token_response a = {.class = RESPONSE_UNAVAILABLE, .minted = true};

	CHECK(w->post.under_way);
	w->post.under_way = false;
	CHECK(!broker_model_post_ended(&w->broker, &w->now, &x, &a));
}

static void deciding(void *world)
{
	struct token_world *w = world;

	w->forced = w->broker.source.next.urgency == URGENCY_FORCED;
	w->not_before = w->broker.source.not_before;
}

static uint64_t served_now(const struct token_world *w)
{
	const struct token_slot *slot = token_source_pick(&w->broker.source, &w->now, 0);

	return slot ? slot->generation : 0;
}

static void learnt(void *world, bool dated)
{
	struct token_world *w = world;
	const struct token_slot *c = &w->broker.source.current;

	w->dated = dated;
	w->serving = served_now(w);
	w->current_usable = c->token.text && token_slot_usable(c, &w->now);
}

static void failed(void *world, const char *what)
{
	(void)world;
	fuzz_finding(__FILE__, __LINE__, __func__, what);
}

static void expire_callers(struct token_world *w)
{
	for (size_t i = 0; i < HELD_MAX; i++)
		if (w->held[i].used && !boot_before(w->now.boot, w->held[i].call.ask.deadline)) {
			broker_model_deadline(&w->broker, &w->now, w->held[i].call.serial);
			CHECK(!w->held[i].used);
		}
}

static void settle(struct token_world *w)
{
	w->next = broker_model_turn(&w->broker, &w->now);
	check_all(w);
}

/* ---- time ---- */

static void pass(struct token_world *w, struct duration d)
{
	struct duration bent = duration_ns(d.ns / 1000000 * w->bend_ppm);

	w->now.slew = duration_sub(w->now.slew, bent);
	w->theta_ns -= bent.ns;
	w->now.boot = boot_add(w->now.boot, d);
	w->now.wall.ns = ns_add(w->now.wall.ns, d.ns);
}

void world_advance(struct token_world *w, struct boot_time to)
{
	unsigned wakes = 0;

	for (;;) {
		struct boot_time next = w->next;

		for (size_t i = 0; i < HELD_MAX; i++)
			if (w->held[i].used)
				next = boot_min(next, w->held[i].call.ask.deadline);
		if (!boot_before(next, to))
			break;
		if (boot_before(w->now.boot, next))
			pass(w, boot_since(next, w->now.boot));
		/* With nothing new from outside there are few reasons to wake up. */
		CHECK(++wakes <= WAKES_MAX);
		expire_callers(w);
		settle(w);
	}
	if (boot_before(w->now.boot, to))
		pass(w, boot_since(to, w->now.boot));
	expire_callers(w);
	settle(w);
}

void world_suspend(struct token_world *w, struct duration d, bool callers_first)
{
	pass(w, d);
	w->now.suspended = duration_add(w->now.suspended, d);
	/* Timers that came due meanwhile run in any order. */
	if (callers_first)
		expire_callers(w);
	settle(w);
	expire_callers(w);
	settle(w);
}

void world_step_wall(struct token_world *w, struct duration d, bool noticed)
{
	w->now.wall.ns = ns_add(w->now.wall.ns, d.ns);
	if (noticed)
		settle(w);
}

void world_bend(struct token_world *w, int64_t ppm)
{
	w->bend_ppm = ppm;
}

void world_step_server(struct token_world *w, struct duration d)
{
	if (!w->honest)
		w->theta_ns = ns_add(w->theta_ns, d.ns);
}

/* ---- responses ---- */

static struct boot_time responded_at(
	const struct token_world *w, const struct request *r, const struct response_plan *plan)
{
	struct duration trip = boot_since(w->now.boot, r->sent.boot);

	return boot_add(r->sent.boot, duration_ns(trip.ns / 255 * (int64_t)plan->when));
}

static void date_of(const struct token_world *w, const struct request *r,
	const struct response_plan *plan, char *text, size_t size)
{
	int64_t ns = server_ns(w, responded_at(w, r, plan));
	int64_t s = floor_s(ns - (int64_t)plan->stale * (NS_PER_S / 256));
	char year[8];
	struct tm tm;
	time_t at;

	if (!w->honest)
		s += plan->date_off_s;
	s = s < DATE_MIN_S ? DATE_MIN_S : s > DATE_MAX_S ? DATE_MAX_S : s;
	at = (time_t)s;
	CHECK(gmtime_r(&at, &tm));
	CHECK(strftime(text, size, "%a, %d %b @@@@ %H:%M:%S GMT", &tm) == 29);
	snprintf(year, sizeof(year), "%04d", tm.tm_year + 1900);
	memcpy(strchr(text, '@'), year, 4);
}

static void begin_exchange(struct token_world *w, struct request *r, struct exchange *x, bool any,
	const struct response_plan *plan)
{
	*x = (struct exchange){.sent = r->sent, .received = w->now, .body = ""};
	if (any && plan->dated)
		date_of(w, r, plan, x->date, sizeof(x->date));
	r->under_way = false;
}

static int64_t claim_limited(int64_t s)
{
	return s < 0 ? 0 : s > (INT64_C(1) << 53) ? INT64_C(1) << 53 : s;
}

/* The claims, and what the token really is. */
static void make_token(struct token_world *w, struct boot_time at, const struct response_plan *plan,
	struct token_response *a, struct token_fact *fact)
{
	int64_t issued = server_ns(w, at);
	int64_t iat = floor_s(issued) + (plan->round_up && issued % NS_PER_S ? 1 : 0);
	int64_t off = w->honest ? 0 : plan->claim_off_s;
	/* An honest server may end a token early, if its exp says so. */
	int64_t early = w->honest ? llabs(plan->claim_off_s) % (plan->expires_in_s / 2) : 0;

	a->expires_in = duration_s(plan->expires_in_s);
	a->claims = (struct jwt_claims){
		.has_iat = plan->has_iat,
		.has_nbf = plan->has_nbf,
		.has_exp = plan->has_exp,
		.iat = plan->has_iat ? claim_limited(iat + off) : 0,
		.nbf = plan->has_nbf ? claim_limited(iat + off) : 0,
		.exp = plan->has_exp ? claim_limited(iat + plan->expires_in_s - early + off) : 0,
	};
	if (!w->honest)
		return;
	fact->judged = true;
	fact->server_start_ns =
		plan->dated && (plan->has_iat || plan->has_nbf) ? iat * NS_PER_S : INT64_MIN;
	fact->server_life_ends_ns = ns_add(issued, plan->expires_in_s * NS_PER_S);
	fact->server_end_ns = fact->server_life_ends_ns;
	if (plan->has_exp && plan->dated && a->claims.exp * NS_PER_S < fact->server_end_ns)
		fact->server_end_ns = a->claims.exp * NS_PER_S;
	fact->margin_ns = duration_min(
		w->broker.source.settings.policy.use_margin, duration_ns(a->expires_in.ns / 10))
				  .ns;
}

static bool claims_were_ignored(const struct token_world *w, uint64_t since_event)
{
	for (uint64_t n = since_event + 1; n <= w->broker.history.count; n++) {
		const struct history_event *e = history_get(&w->broker.history, n);

		if (e && e->kind == EVENT_CLAIMS_IGNORED)
			return true;
	}
	return false;
}

static void token_came(struct token_world *w, const struct exchange *x, struct token_response *a,
	const struct response_plan *plan, bool same)
{
	const struct token_source *s = &w->broker.source;
	const struct token_slot *c = &s->current;
	uint64_t rejected = c->token.text && c->rejected ? c->generation : 0;
	uint64_t next = w->broker.generation + 1, events = w->broker.history.count;
	struct token_fact fact = {.generation = next, .dead = BOOT_TIME_NEVER};
	bool revoked = s->revoked;

	snprintf(fact.text, sizeof(fact.text), "token-%llu",
		(unsigned long long)(same ? c->generation : next));
	CHECK(token_init(&a->token, fact.text, strlen(fact.text)) == 0);
	make_token(w, responded_at(w, &w->post, plan), plan, a, &fact);
	if (!same)
		w->facts[next % FACTS_MAX] = fact;
	if (broker_model_post_ended(&w->broker, &w->now, x, a)) {
		struct token_fact *known = fact_of(w, next);

		CHECK(!revoked && !same && c->generation == next && w->broker.generation == next);
		/* Without a Date, or against the rest of the response, claims prove nothing. */
		if (!w->dated || claims_were_ignored(w, events)) {
			known->server_start_ns = INT64_MIN;
			known->server_end_ns = known->server_life_ends_ns;
		}
		if (fact_of(w, rejected))
			fact_of(w, rejected)->gone = true;
		return;
	}
	/* Useless on arrival, or not new: what served before still does. */
	CHECK(served_now(w) == w->serving || same);
	if (same && w->current_usable && !revoked &&
		boot_since(lifetime_dead(&c->life), w->now.boot).ns >= NS_PER_S)
		CHECK(token_slot_usable(c, &w->now));
}

static void fetch_failed(struct token_world *w, const struct exchange *x, struct token_response *a,
	const struct response_plan *plan)
{
	const struct token_source *s = &w->broker.source;

	a->has_retry_after = plan->has_retry_after;
	a->retry_after = duration_ns(plan->retry_after_ns);
	snprintf(a->error, sizeof(a->error), "an_error");
	snprintf(a->words, sizeof(a->words), "what the server said");
	CHECK(!broker_model_post_ended(&w->broker, &w->now, x, a));
	CHECK(served_now(w) == w->serving);
	CHECK(s->revoked ||
		boot_since(s->not_before, w->now.boot).ns <= RETRY_AFTER_CAP_S * NS_PER_S);
}

void world_end_post(struct token_world *w, const struct response_plan *plan)
{
	bool same = plan->same_token && w->broker.source.current.token.text;
	struct token_response a = {.class = plan->class};
	struct exchange x;

	if (!w->post.under_way)
		return;
	begin_exchange(w, &w->post, &x, plan->class != RESPONSE_UNAVAILABLE || plan->dated, plan);
	x.status = plan->class == RESPONSE_TOKEN         ? 200
		   : plan->class == RESPONSE_UNAVAILABLE ? (plan->dated ? 503 : 0)
							 : 400;
	a.status = x.status;
	a.minted = !x.status;
	/* Nothing was minted for it, unless nobody knows. */
	if (x.status && (plan->class != RESPONSE_TOKEN || same))
		w->post_count--;
	if (plan->class == RESPONSE_TOKEN)
		token_came(w, &x, &a, plan, same);
	else
		fetch_failed(w, &x, &a, plan);
	token_response_fini(&a);
	settle(w);
}

void world_end_head(struct token_world *w, const struct response_plan *plan)
{
	struct exchange x;

	if (!w->head.under_way)
		return;
	begin_exchange(w, &w->head, &x, true, plan);
	x.status = plan->class == RESPONSE_UNAVAILABLE ? 0 : 200;
	broker_model_head_ended(&w->broker, &w->now, &x);
	settle(w);
}

void world_end_knock(struct token_world *w, const struct response_plan *plan)
{
	struct exchange x;

	if (!w->knock.under_way)
		return;
	begin_exchange(w, &w->knock, &x, true, plan);
	x.status = plan->class == RESPONSE_UNAVAILABLE ? 0 : 503;
	if (x.status)
		head_answers_or_leaves(w);
	broker_model_knock_ended(&w->broker, &w->now, &x);
	settle(w);
}

/* ---- callers and admins ---- */

static void replied(void *context, struct call *call, const struct token_outcome *outcome)
{
	struct held_ask *h = context;

	h->used = false;
	check_outcome(h->world, h->kind, &call->ask, outcome);
}

static void forget(struct token_world *w, struct held_ask *h)
{
	broker_model_forget(&w->broker, &h->call);
	h->used = false;
}

void world_ask(struct token_world *w, const struct token_ask *ask)
{
	struct held_ask *h = w->held;

	if (ask->kind == ASK_REFRESH)
		w->revoked = false;
	while (h->used)
		h++;
	*h = (struct held_ask){
		.used = true,
		.kind = ask->kind,
		.call = {.ask = *ask, .replied = replied, .context = h},
		.world = w,
	};
	broker_model_ask(&w->broker, &w->now, &h->call);
	/* one caller too many: it goes away */
	if (h == &w->held[HELD_MAX])
		forget(w, h);
	settle(w);
}

void world_caller_vanishes(struct token_world *w, size_t which)
{
	forget(w, &w->held[which % HELD_MAX]);
}

void world_revoke(struct token_world *w)
{
	const struct token_slot *slots[] = {&w->broker.source.current, &w->broker.source.previous};
	char *expected[2];
	struct token tokens[2];

	for (size_t i = 0; i < 2; i++)
		expected[i] = slots[i]->token.text ? strdup(slots[i]->token.text) : NULL;
	token_source_revoke(&w->broker.source, &w->now, tokens);
	for (size_t i = 0; i < 2; i++) {
		CHECK(!expected[i] == !tokens[i].text);
		CHECK(!expected[i] || !strcmp(expected[i], tokens[i].text));
		token_fini(&tokens[i]);
		free(expected[i]);
	}
	forget_tokens(w);
	w->revoked = true;
	CHECK(!served_now(w));
	settle(w);
}

void world_configure(struct token_world *w, const struct token_source_settings *settings,
	bool request_changed, bool credential_changed)
{
	uint64_t serving = served_now(w);

	token_source_configure(
		&w->broker.source, &w->now, settings, request_changed, credential_changed);
	CHECK(served_now(w) == serving);
	settle(w);
}

void world_restart(struct token_world *w, uint64_t seed)
{
	forget_tokens(w);
	memset(w->held, 0, sizeof(w->held));
	w->post.under_way = w->head.under_way = w->knock.under_way = false;
	w->revoked = false;
	w->head_count = 0; /* the plan starts again with the daemon */
	broker_model_restart(&w->broker, &w->now, seed);
	settle(w);
}

void world_init(struct token_world *w, const struct token_source_settings *settings, uint64_t seed)
{
	static const struct broker_hooks hooks = {.send = leaves,
		.knock = knock,
		.give_up = give_up,
		.learnt = learnt,
		.deciding = deciding,
		.failed = failed};

	*w = (struct token_world){
		.now = {.boot = {1000 * NS_PER_S}, .wall = {784111777 * NS_PER_S}},
		.theta_ns = 784111777 * NS_PER_S,
		.next = {1000 * NS_PER_S},
	};
	broker_model_init(&w->broker, &hooks, w, &w->now, settings, true, seed);
}

void world_fini(struct token_world *w)
{
	broker_model_fini(&w->broker);
}
