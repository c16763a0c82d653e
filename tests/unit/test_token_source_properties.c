/* What the token source promises for any order of events: callers, admins, reloads, failing
 * servers, lying clocks, by seed. The driver does as the broker does: it decides when told to, and
 * asks again for those who are held only when something changed or their wait is over. */
#include "source_fixture.h"

#include "core/token_page.h"
#include "core/token_reject.h"

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))
#define CALLERS 12

#define assert_holds(condition) \
	do { \
		if (!(condition)) \
			fail_msg("seed %llu, %lld ms: %s", (unsigned long long)w->seed, \
				(long long)((w->r->now.boot.ns - 1000 * S) / MS), #condition); \
	} while (0)

struct caller {
	bool held;
	struct token_ask ask;
};

struct world {
	struct rig *r;
	uint64_t seed;
	struct random dice;
	struct token_source_settings settings;
	int64_t life_s;
	bool down;          /* the server answers nothing but errors */
	bool cached;        /* it gives the same token while that lives */
	int64_t fetch_ends; /* boot ns; INT64_MAX: none under way */
	int64_t head_ends;
	int64_t verdict_comes; /* INT64_MAX: the API is not asked */
	uint64_t verdict_on;
	struct clock_reading head_sent;
	struct caller callers[CALLERS];
	/* what was true before, and must not get better */
	uint64_t generation;
	int64_t dead;
	bool replaced[4096]; /* by generation: rejected, and a new one came */
	unsigned fetches_seen, tokens, pages;
	unsigned minting;    /* fetches that may have minted a token */
	int64_t began[4096]; /* of those */
};

static uint64_t roll(struct world *w, uint64_t sides)
{
	return random_next(&w->dice) % sides;
}

static void check_served(struct world *w, const struct token_ask *ask)
{
	const struct token_slot *slot = w->r->o.slot;

	/* valid <= now < dead is held by rig_ask */
	assert_holds(slot == &w->r->s.current || slot == &w->r->s.previous);
	assert_holds(!w->replaced[slot->generation]);
	assert_holds(w->r->o.expires_in.ns >= ask->min_ttl.ns ||
		     lifetime_suspect(&slot->life, &w->r->now).ns);
	if (slot->rejected)
		assert_holds(w->r->o.stale);
	if (token_source_doubtful(slot, &w->r->now))
		assert_holds(w->r->o.stale);
	if (ask->has_after)
		assert_holds(slot->generation != ask->after);
	/* the report of a token is never answered with it */
	if (ask->kind == ASK_REJECT)
		assert_holds(slot->generation != ask->generation);
}

static void ask(struct world *w, struct caller *c)
{
	enum ask_outcome kind = rig_ask(w->r, &c->ask);

	c->held = kind == OUTCOME_HOLD;
	if (kind == OUTCOME_TOKEN)
		check_served(w, &c->ask);
	if (kind == OUTCOME_REVOKED)
		assert_holds(w->r->s.revoked);
	if (kind == OUTCOME_UNCHANGED)
		assert_holds(c->ask.has_after);
	if (kind == OUTCOME_COOLDOWN || kind == OUTCOME_ACCEPTED)
		assert_holds(c->ask.kind == ASK_REJECT);
	if (kind == OUTCOME_TIMEOUT) /* only while a fetch runs, or begins in this wake-up */
		assert_holds(token_source_fetching(&w->r->s) || token_source_needs_turn(&w->r->s));
}

static void ask_again(struct world *w, bool all)
{
	for (size_t i = 0; i < CALLERS; i++) {
		struct caller *c = &w->callers[i];

		if (c->held && (all || !boot_before(w->r->now.boot, c->ask.deadline)))
			ask(w, c);
	}
}

static void note_fetch(struct world *w)
{
	unsigned limit = w->settings.mint_limit, n = w->minting++;

	w->fetches_seen++;
	assert_holds(n < LENGTH(w->began));
	w->began[n] = w->r->now.boot.ns;
	/* limits only grow in these worlds, so that the window is the same for all */
	if (n >= limit)
		assert_holds(w->began[n] - w->began[n - limit] >= MINT_WINDOW_S * S);
	w->fetch_ends = w->r->now.boot.ns + (int64_t)roll(w, 3000) * MS;
}

static void check_slots(struct world *w)
{
	const struct token_slot *c = &w->r->s.current, *p = &w->r->s.previous;

	if (c->token.text) {
		int64_t dead = lifetime_dead(&c->life).ns;

		assert_holds(c->generation >= w->generation);
		/* invariant 7: dead never moves out but by a new token */
		if (c->generation == w->generation)
			assert_holds(dead <= w->dead);
		if (c->generation != w->generation && w->generation)
			w->tokens++;
		w->generation = c->generation;
		w->dead = dead;
	}
	if (p->token.text)
		assert_holds(p->generation < w->generation);
	assert_holds(w->fetches_seen == w->r->s.fetches_ended + token_source_fetching(&w->r->s));
	assert_holds(token_source_fetching(&w->r->s) == (w->fetch_ends != INT64_MAX));
}

/* Decides until there is nothing to decide; more than a few turns would be a loop. */
static void turn(struct world *w)
{
	for (int turns = 0;
		token_source_needs_turn(&w->r->s) || !boot_before(w->r->now.boot, w->r->d.wake_at);
		turns++) {
		assert_holds(turns < 8);
		if (rig_decide(w->r))
			note_fetch(w);
		if (w->r->d.probes && w->head_ends == INT64_MAX) {
			w->head_sent = w->r->now;
			w->head_ends = w->r->now.boot.ns + (int64_t)roll(w, 200) * MS;
		}
		if (w->r->d.verify) {
			assert_holds(w->settings.verifiable);
			w->verdict_on = token_source_to_verify(&w->r->s)->generation;
			w->verdict_comes = w->r->now.boot.ns + (int64_t)roll(w, 3000) * MS;
		}
		if (w->r->d.changed)
			ask_again(w, true);
		check_slots(w);
	}
}

static void end_fetch(struct world *w)
{
	struct rig *r = w->r;
	uint64_t rejected = r->s.current.rejected ? r->s.current.generation : 0;
	bool failed = w->down || roll(w, 10) == 0;
	char text[32];

	w->fetch_ends = INT64_MAX;
	r->rtt = 0; /* the time has passed */
	if (failed) {
		enum response_class class =
			(enum response_class)(RESPONSE_UNAVAILABLE + roll(w, 4));

		rig_answer_failure(r, class, roll(w, 3) ? -1 : (int64_t)roll(w, 600));
	} else {
		struct jwt_claims claims = {0};

		if (roll(w, 4) == 0) {
			int64_t server_s = (r->now.boot.ns + r->theta) / S;

			claims.has_exp = claims.has_nbf = true;
			claims.nbf = server_s + (int64_t)roll(w, 30) - 10;
			claims.exp = server_s + w->life_s - (int64_t)roll(w, 10);
		}
		snprintf(text, sizeof(text), "token-%u",
			w->cached ? w->fetches_seen / 7 : w->fetches_seen);
		if (rig_answer_claims(r, text, w->life_s, &claims) && rejected)
			w->replaced[rejected] = true;
	}
	/* nothing was minted for it after all */
	w->minting -= failed || r->fetched == FETCHED_SAME;
	check_slots(w);
}

static void end_head(struct world *w)
{
	struct skew_sample sample = rig_sample(w->r, &w->head_sent, w->r->now.boot);

	w->head_ends = INT64_MAX;
	if (!w->down)
		token_source_exchange(&w->r->s, &w->r->now, &sample, w->r->spread);
	token_source_probed(&w->r->s);
	check_slots(w);
}

static void new_caller(struct world *w)
{
	struct caller *c = &w->callers[roll(w, CALLERS)];
	int64_t wait_s = (int64_t)roll(w, 8);

	if (c->held)
		return;
	*c = (struct caller){.held = false};
	switch (roll(w, 12)) {
	case 0:
	case 1:
		c->ask = rig_reject(w->r, w->r->s.current.generation, wait_s);
		break;
	case 2:
		c->ask = rig_reject(w->r, roll(w, w->generation + 1), wait_s);
		break;
	case 3:
		c->ask = rig_refresh(w->r, wait_s);
		break;
	default:
		c->ask = rig_get(w->r, wait_s);
		if (roll(w, 3) == 0)
			c->ask.min_ttl = duration_s((int64_t)roll(w, (uint64_t)w->life_s));
		if (roll(w, 4) == 0) {
			c->ask.has_after = true;
			c->ask.after = roll(w, w->generation + 1);
		}
	}
	ask(w, c);
}

/* Things that happen to a broker, rarely. */
static void happen(struct world *w)
{
	struct rig *r = w->r;

	switch (roll(w, 40)) {
	case 0:
		w->down = !w->down;
		break;
	case 1:
		w->cached = !w->cached;
		break;
	case 2:
		r->now.wall.ns += (int64_t)roll(w, 2 * (uint64_t)w->life_s) * S - w->life_s * S;
		token_source_clock_changed(&r->s);
		break;
	case 3: /* the server's clock is set, or time was lost */
		r->theta += (int64_t)roll(w, 1200) * S - 600 * S;
		break;
	case 4:
		r->spread.ns = (int64_t)roll(w, 5000) * MS;
		break;
	case 5:
		r->undated = !r->undated;
		break;
	case 6:
		if (roll(w, 10) == 0) {
			rig_revoke(r);
		}
		break;
	case 7:
		w->settings.prefetch = roll(w, 4) != 0;
		w->settings.policy.use_margin = duration_s((int64_t)roll(w, 10));
		if (w->settings.mint_limit < 40)
			w->settings.mint_limit += (unsigned)roll(w, 2);
		token_source_configure(
			&r->s, &r->now, &w->settings, roll(w, 4) == 0, roll(w, 4) == 0);
		break;
	default:
		break;
	}
	check_slots(w);
}

/* What the page tells ahead is what asking would have got, at any moment until it ends: the last
 * one, too. Asked of a copy, since asking leaves its traces. */
static void check_page(struct world *w)
{
	struct token_source copy;
	struct source_page page;
	struct token_outcome o;
	struct token_ask ask;
	struct clock_reading then = w->r->now;

	token_source_page(&w->r->s, &then, &page);
	if (!page.slot)
		return;
	w->pages++;
	assert_holds(page.until.ns > then.boot.ns);
	for (int i = 0; i < 4; i++) {
		int64_t ahead = page.until.ns - 1 - w->r->now.boot.ns;

		if (i < 3)
			ahead = (int64_t)roll(w, (uint64_t)ahead + 1);
		then.boot.ns = w->r->now.boot.ns + ahead;
		then.wall.ns = w->r->now.wall.ns + ahead;
		copy = w->r->s;
		ask = (struct token_ask){
			.kind = ASK_GET, .deadline = boot_add(then.boot, duration_s(5))};
		if (i == 1 && page.min_ttl_limit_s > 0) {
			int64_t left = boot_since(page.dead, then.boot).ns / S;

			ask.min_ttl = duration_s(
				left < page.min_ttl_limit_s ? left : page.min_ttl_limit_s);
		}
		token_source_ask(&copy, &then, &ask, &o);
		assert_holds(o.kind == OUTCOME_TOKEN);
		assert_holds((o.slot == &copy.current) == (page.slot == &w->r->s.current));
		assert_holds(o.expires_in.ns == page.dead.ns - then.boot.ns);
		assert_holds(o.stale == (then.boot.ns >= page.stale_from.ns));
		assert_holds(
			copy.next.urgency == w->r->s.next.urgency); /* asking changed nothing */
		if (page.min_ttl_limit_s > 0) {
			copy = w->r->s;
			ask = (struct token_ask){.min_ttl = duration_s(page.min_ttl_limit_s + 1),
				.deadline = boot_add(then.boot, duration_s(5))};
			token_source_ask(&copy, &then, &ask, &o);
			assert_holds(o.kind == OUTCOME_MIN_TTL);
		}
	}
}

static void world_run(
	uint64_t seed, unsigned *fetches, unsigned *tokens, uint64_t *served, unsigned *pages)
{
	static const int64_t lives_s[] = {10, 30, 300, 3600, 86400};
	struct world w_storage = {.seed = seed,
		.dice = {seed},
		.fetch_ends = INT64_MAX,
		.head_ends = INT64_MAX,
		.verdict_comes = INT64_MAX,
		.settings = usual_settings()};
	struct world *w = &w_storage;

	w->life_s = lives_s[roll(w, LENGTH(lives_s))];
	w->settings.prefetch = roll(w, 4) != 0;
	w->settings.mint_limit = 1 + (unsigned)roll(w, 20);
	w->settings.verifiable = roll(w, 2) != 0;
	w->r = rig_new(&w->settings, seed);
	turn(w);
	for (int n = 0; n < 1500; n++) {
		int64_t next = w->r->now.boot.ns +
			       (int64_t)roll(w, 2 * (uint64_t)w->life_s * 1000 / 40) * MS;

		/* whatever comes first: the timer, an answer, the end of a wait, somebody */
		next = w->r->d.wake_at.ns < next ? w->r->d.wake_at.ns : next;
		next = w->fetch_ends < next ? w->fetch_ends : next;
		next = w->head_ends < next ? w->head_ends : next;
		next = w->verdict_comes < next ? w->verdict_comes : next;
		for (size_t i = 0; i < CALLERS; i++)
			if (w->callers[i].held && w->callers[i].ask.deadline.ns < next)
				next = w->callers[i].ask.deadline.ns;
		if (next > w->r->now.boot.ns)
			rig_pass(w->r, next - w->r->now.boot.ns);
		if (w->verdict_comes <= w->r->now.boot.ns) {
			w->verdict_comes = INT64_MAX;
			token_source_verified(&w->r->s, &w->r->now, w->verdict_on,
				(enum verdict)(VERDICT_NONE + roll(w, 3)));
		}
		if (w->fetch_ends <= w->r->now.boot.ns)
			end_fetch(w);
		if (w->head_ends <= w->r->now.boot.ns)
			end_head(w);
		ask_again(w, false);
		turn(w);
		happen(w);
		check_page(w);
		new_caller(w);
		check_page(w);
		turn(w);
		check_page(w);
	}
	*fetches += w->fetches_seen;
	*tokens += w->tokens;
	*served += w->r->s.counters.served;
	*pages += w->pages;
	rig_free(w->r);
}

static void any_order_of_events(void **state)
{
	unsigned fetches = 0, tokens = 0, pages = 0;
	uint64_t served = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++)
		world_run(seed, &fetches, &tokens, &served, &pages);
	print_message("# %u fetches, %u tokens, served %llu times, %u pages\n", fetches, tokens,
		(unsigned long long)served, pages);
	/* or nothing much happened in these worlds */
	assert_true(fetches > 10000);
	assert_true(tokens > 3000);
	assert_true(served > 50000);
	assert_true(pages > 50000);
}

/* The broker asks again for held callers only when told that something changed. That must lose
 * nothing: whoever is held would be held also if it were asked all the time. */
static void held_callers_miss_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 120; seed++) {
		struct world w_storage = {.seed = seed,
			.dice = {seed},
			.fetch_ends = INT64_MAX,
			.head_ends = INT64_MAX,
			.life_s = 300,
			.settings = usual_settings()};
		struct world *w = &w_storage;

		w->r = rig_new(&w->settings, seed);
		turn(w);
		for (int n = 0; n < 3000; n++) {
			rig_pass(w->r, 50 * MS + (int64_t)roll(w, 100) * MS);
			if (w->fetch_ends <= w->r->now.boot.ns)
				end_fetch(w);
			if (w->head_ends <= w->r->now.boot.ns)
				end_head(w);
			ask_again(w, false);
			turn(w);
			happen(w);
			new_caller(w);
			turn(w);
			for (size_t i = 0; i < CALLERS; i++) {
				struct caller copy = w->callers[i];

				/* both: while they wait, what is left may become too little */
				if (!copy.held || (copy.ask.has_after && copy.ask.min_ttl.ns))
					continue;
				assert_holds(rig_ask(w->r, &copy.ask) == OUTCOME_HOLD);
				/* asking without news asks for nothing new */
				if (copy.ask.kind == ASK_GET && !copy.ask.has_after)
					assert_holds(token_source_fetching(&w->r->s) ||
						     w->r->d.wake_at.ns <= copy.ask.deadline.ns);
			}
			turn(w);
		}
		rig_free(w->r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order_of_events),
		cmocka_unit_test(held_callers_miss_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
