/* What the daemon decides about clocks: which exchange leads to which HEADs, who is told of it, and
 * what a step of our own wall clock leads to. One login server, two token sources that use it, and
 * one server that nobody uses. */
#include "clock_model.h"
#include "core/server_clock.h"
#include "core/token_decide.h"
#include "core/token_judge.h"
#include "core/token_source.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))
#define MS NS_PER_MS
#define S NS_PER_S
#define RTT_NS (40 * MS)
#define URL "https://login.example/"

struct rig {
	struct server_clocks all;
	struct server_clock clock, unused;
	struct token_source sources[2];
	struct mint_window mint;
	struct history histories[2];
	struct clock_reading now;
	int64_t theta; /* ns: server clock - boot */
};

static struct rig *rig_new(bool probing)
{
	static const struct token_source_settings settings = {
		.policy = {.use_margin = {5 * S}, .refresh_margin_auto = true},
		.prefetch = true,
		.mint_limit = 15,
	};
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->now.boot.ns = 1000 * S;
	r->now.wall.ns = 1700001000 * S;
	r->theta = 1700000000 * S + 250 * MS;
	server_clocks_init(&r->all, &r->now);
	server_clock_init(&r->clock, &r->all, probing, URL);
	server_clock_init(&r->unused, &r->all, true, URL);
	for (size_t i = 0; i < 2; i++) {
		token_source_init(&r->sources[i], &settings, &r->mint, &r->histories[i], i);
		server_clock_join(&r->clock, &r->sources[i]);
		r->sources[i].attention = false;
	}
	return r;
}

static void rig_free(struct rig *r)
{
	for (size_t i = 0; i < 2; i++) {
		server_clock_leave(&r->sources[i]);
		token_source_fini(&r->sources[i]);
	}
	server_clock_fini(&r->unused);
	server_clock_fini(&r->clock);
	assert_true(LIST_EMPTY(&r->all.list));
	free(r);
}

static void pass(struct rig *r, int64_t ns)
{
	r->now.boot.ns += ns;
	r->now.wall.ns += ns;
}

/* A round trip that begins now. `status` 0: no response comes. */
static struct exchange exchange(struct rig *r, long status, bool dated)
{
	struct exchange x = {.sent = r->now, .status = status};
	int64_t server_ns = r->now.boot.ns + RTT_NS / 2 + r->theta;

	if (dated)
		model_write_date(&x, duration_floor_s(duration_ns(server_ns)));
	pass(r, RTT_NS);
	x.received = status ? r->now : x.sent;
	return x;
}

static bool post(struct rig *r, long status, bool dated)
{
	struct exchange x = exchange(r, status, dated);
	struct skew_sample sample;

	return server_clock_post_ended(&r->clock, &r->now, &x, &sample);
}

/* The source has a token that came at 950 s and lives so long. */
static void give_token(struct rig *r, size_t which, int64_t life_s)
{
	struct token_slot *c = &r->sources[which].current;

	if (!c->token.text)
		assert_int_equal(token_init(&c->token, "a-token", 7), 0);
	c->generation = 1;
	c->life = (struct lifetime){
		.sent = {.boot = {950 * S}, .wall = {1700000950 * S}},
		.received = {950 * S},
		.end = {950 * S + life_s * S},
		.valid = {950 * S},
		.issued = duration_s(life_s),
		.dated = true,
		.hi0 = {1700000002 * S},
		.wall_ref = {1700000000 * S},
		.wall_ref_at = {950 * S},
	};
	r->sources[which].refresh_at = (struct boot_time){950 * S + life_s * S / 2};
}

static bool head_is_due(struct rig *r)
{
	bool head;
	struct boot_time at = server_clock_turn(&r->clock, &r->now, &head);

	if (head)
		assert_int_equal(at.ns, BOOT_TIME_NEVER.ns);
	else
		assert_true(at.ns > r->now.boot.ns);
	return head;
}

/* Sends and answers what is due until there is nothing for some seconds; how many HEADs that were.
 */
static unsigned run_heads(struct rig *r)
{
	unsigned sent = 0;
	bool head;

	for (;;) {
		struct boot_time at = server_clock_turn(&r->clock, &r->now, &head);
		struct exchange x;

		if (!head && at.ns > r->now.boot.ns + 5 * S)
			return sent;
		if (!head) {
			pass(r, at.ns - r->now.boot.ns);
			continue;
		}
		assert_true(++sent < 20);
		x = exchange(r, 404, true);
		assert_true(server_clock_head_ended(&r->clock, &r->now, &x));
	}
}

static unsigned told(const struct rig *r, size_t which, enum event_kind kind)
{
	const struct history *h = &r->histories[which];
	unsigned n = 0;

	for (uint64_t i = history_first(h); i <= h->count; i++)
		n += history_get(h, i)->kind == kind;
	return n;
}

/* ---- after a POST ---- */

static void series_after_the_first_post(void **state)
{
	struct rig *r = rig_new(true);
	struct skew_estimate e;

	(void)state;
	assert_false(head_is_due(r)); /* nothing is asked before */
	assert_true(post(r, 200, true));
	assert_int_equal(r->clock.plan.wanted, PROBES_AT_START);
	/* each halves what is not known, down to the 100 ms that are enough */
	assert_in_range(run_heads(r), 3, PROBES_AT_START - 1);
	skew_query(&r->clock.skew, &r->now, &e);
	assert_true(e.tight_hi.ns - e.tight_lo.ns <= 100 * MS);
	assert_true(e.tight_lo.ns <= r->theta && r->theta <= e.tight_hi.ns);
	rig_free(r);
}

static void as_many_heads_as_the_tokens_live_long(void **state)
{
	static const struct {
		int64_t life_s[2]; /* 0: no token */
		unsigned heads;
	} cases[] = {
		{{0, 0}, 1},
		{{300, 300}, 1},
		{{900, 900}, 1},
		{{901, 0}, 2},
		{{300, 901}, 2},
		{{86400, 86400}, 2},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct rig *r = rig_new(true);

		post(r, 200, true);
		run_heads(r);
		for (size_t n = 0; n < 2; n++)
			if (cases[i].life_s[n])
				give_token(r, n, cases[i].life_s[n]);
		for (int again = 0; again < 3; again++) {
			pass(r, 20 * S);
			assert_true(post(r, 200, true));
			assert_false(head_is_due(r)); /* aimed, not at once */
			assert_int_equal(run_heads(r), cases[i].heads);
		}
		/* a source that goes elsewhere does not count here any more */
		server_clock_leave(&r->sources[1]);
		server_clock_join(&r->unused, &r->sources[1]);
		post(r, 200, true);
		assert_int_equal(run_heads(r), cases[i].life_s[0] > 900 ? 2 : 1);
		rig_free(r);
	}
}

static void server_in_trouble_is_not_asked(void **state)
{
	static const long statuses[] = {0, 400, 401, 429, 500, 503};
	struct rig *r = rig_new(true);

	(void)state;
	for (size_t i = 0; i < LENGTH(statuses); i++) {
		/* what it says of the time is evidence all the same */
		assert_int_equal(post(r, statuses[i], statuses[i] != 0), statuses[i] != 0);
		assert_int_equal(run_heads(r), 0);
	}
	assert_int_equal(r->clock.skew.exchanges, LENGTH(statuses) - 1);
	/* and the series comes with the first good one */
	post(r, 200, true);
	assert_int_equal(r->clock.plan.wanted, PROBES_AT_START);
	rig_free(r);
}

static void post_without_a_date_has_its_heads(void **state)
{
	struct rig *r = rig_new(true);

	(void)state;
	assert_false(post(r, 200, false));
	assert_int_equal(r->clock.skew.exchanges, 0);
	assert_int_equal(r->clock.plan.wanted, PROBES_AT_START);
	rig_free(r);
}

/* ---- what an exchange teaches ---- */

static void every_source_learns_from_every_exchange(void **state)
{
	struct rig *r = rig_new(true);
	struct exchange x;

	(void)state;
	post(r, 503, true);
	for (size_t i = 0; i < 2; i++) {
		give_token(r, i, 3600);
		r->sources[i].attention = false;
	}
	r->theta += 3 * S; /* within what is a cluster, not a step */
	x = exchange(r, 404, true);
	server_clock_measure(&r->clock, &r->now);
	assert_true(head_is_due(r));
	assert_true(server_clock_head_ended(&r->clock, &r->now, &x));
	for (size_t i = 0; i < 2; i++) {
		const struct lifetime *l = &r->sources[i].current.life;

		assert_true(r->sources[i].attention);
		assert_int_equal(l->step_most.ns, 0);
		assert_in_range(l->spread.ns, 2 * S, 4 * S);
	}
	assert_int_equal(
		server_clock_spread(&r->clock, &r->now).ns, r->sources[0].current.life.spread.ns);
	rig_free(r);
}

static void sample_of_a_post_is_handed_back(void **state)
{
	struct rig *r = rig_new(true);
	struct exchange x = exchange(r, 200, true);
	struct skew_sample sample = {.date_s = 0}, expected;

	(void)state;
	assert_true(skew_sample_of(&x, &expected));
	assert_true(server_clock_post_ended(&r->clock, &r->now, &x, &sample));
	assert_int_equal(sample.date_s, expected.date_s);
	assert_int_equal(sample.lo.ns, expected.lo.ns);
	assert_int_equal(sample.hi.ns, expected.hi.ns);
	assert_int_equal(server_clock_spread(&r->unused, &r->now).ns, 0); /* nothing known */
	rig_free(r);
}

/* A disagreement by more than a second is asked about at once, whatever the status. */
static void conflict_is_asked_about_at_once(void **state)
{
	static const struct {
		int64_t step_ms;
		bool asked;
	} cases[] = {
		{0, false},
		/* just under a second from one interval to the other */
		{2500, false},
		{-1500, false},
		{3000, true},
		{-3000, true},
		{3600000, true},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct rig *r = rig_new(true);
		struct skew_estimate e;

		post(r, 503, true);
		r->theta += cases[i].step_ms * MS;
		post(r, 503, true);
		skew_query(&r->clock.skew, &r->now, &e);
		assert_int_equal(e.consistent, !cases[i].step_ms);
		assert_int_equal(r->clock.plan.wanted, cases[i].asked);
		assert_int_equal(head_is_due(r), cases[i].asked);
		rig_free(r);
	}
}

/* The sample of a HEAD that proves another clock goes nowhere. */
static void another_clock_teaches_nothing(void **state)
{
	struct rig *r = rig_new(true);
	struct duration in;
	struct exchange x;

	(void)state;
	post(r, 503, true);
	give_token(r, 0, 3600);
	server_clock_measure(&r->clock, &r->now);
	assert_true(head_is_due(r));
	r->theta += 20 * S;
	x = exchange(r, 404, true);
	assert_false(server_clock_head_ended(&r->clock, &r->now, &x));
	assert_int_equal(r->clock.skew.exchanges, 1);
	assert_int_equal(r->sources[0].current.life.step_most.ns, 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(told(r, i, EVENT_CLOCK_FOREIGN), 1);
		assert_int_equal(history_get(&r->histories[i], 1)->generation, 0);
		assert_non_null(strstr(history_get(&r->histories[i], 1)->words, "HEAD " URL " "));
	}
	assert_int_equal(server_clock_may_measure(&r->clock, &r->now, &in), SERVER_CLOCK_FOREIGN);
	r->theta -= 20 * S;
	post(r, 200, true);
	assert_int_equal(run_heads(r), 0);
	rig_free(r);
}

/* Whether it could tell anything or not: a suspicion it did not clear is asked about again. */
static void after_a_head_every_source_looks_again(void **state)
{
	static const struct {
		long status;
		bool dated;
	} cases[] = {{404, true}, {404, false}, {0, false}};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct rig *r = rig_new(true);
		struct exchange x;

		server_clock_measure(&r->clock, &r->now);
		assert_true(head_is_due(r));
		x = exchange(r, cases[i].status, cases[i].dated);
		assert_int_equal(server_clock_head_ended(&r->clock, &r->now, &x), cases[i].dated);
		assert_true(r->sources[0].attention && r->sources[1].attention);
		rig_free(r);
	}
}

/* ---- our wall clock ---- */

static void wall_step_is_noticed_from_half_a_second_on(void **state)
{
	static const struct {
		int64_t step_ns;
		bool noticed;
	} cases[] = {
		{0, false},
		{499999999, false},
		{-499999999, false},
		{500000000, true},
		{-500000000, true},
		{86400 * S, true},
		{-86400 * S, true},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct rig *r = rig_new(true);

		r->now.wall.ns += cases[i].step_ns;
		server_clocks_look(&r->all, &r->now);
		assert_int_equal(r->all.wall_steps, cases[i].noticed);
		for (size_t n = 0; n < 2; n++) {
			assert_int_equal(told(r, n, EVENT_WALL_STEP), cases[i].noticed);
			assert_int_equal(r->sources[n].attention, cases[i].noticed);
		}
		if (cases[i].noticed) {
			const struct history_event *event = history_get(&r->histories[0], 1);

			assert_int_equal(event->generation, 0);
			assert_non_null(strstr(event->words,
				cases[i].step_ns > 0 ? "set ahead by" : "set back by"));
		}
		/* one HEAD, at once; of a server that nobody uses none, now or later */
		assert_int_equal(r->clock.plan.wanted, cases[i].noticed);
		assert_int_equal(head_is_due(r), cases[i].noticed);
		assert_int_equal(r->unused.plan.wanted, 0);
		/* once */
		server_clocks_look(&r->all, &r->now);
		assert_int_equal(r->all.wall_steps, cases[i].noticed);
		rig_free(r);
	}
}

static void small_wall_steps_add_up(void **state)
{
	struct rig *r = rig_new(true);

	(void)state;
	for (int i = 1; i <= 5; i++) {
		r->now.wall.ns += 200 * MS;
		pass(r, S);
		server_clocks_look(&r->all, &r->now);
		assert_int_equal(r->all.wall_steps, i >= 3);
	}
	assert_non_null(strstr(history_get(&r->histories[0], 1)->words, "ahead by 600 ms"));
	rig_free(r);
}

/* ---- what a source decides ---- */

static void decision_of_a_source_asks_at_once(void **state)
{
	struct rig *r = rig_new(true);
	struct token_source_decisions d;

	(void)state;
	give_token(r, 0, 3600);
	server_clock_decide(&r->clock, &r->sources[0], &r->now, &d);
	assert_int_equal(d.probes, 0);
	assert_false(head_is_due(r));
	/* time may have been lost: only the server's clock can tell */
	r->now.wall.ns += 20 * S;
	server_clock_decide(&r->clock, &r->sources[0], &r->now, &d);
	assert_int_equal(d.probes, 1);
	assert_true(head_is_due(r));
	rig_free(r);
}

/* As much as the decision itself: it is the source's. */
static void decision_of_a_source_comes_back(void **state)
{
	struct rig *r = rig_new(true);
	struct token_source_decisions d;

	(void)state;
	server_clock_decide(&r->clock, &r->sources[0], &r->now, &d);
	assert_true(d.fetch);
	assert_true(token_source_fetching(&r->sources[0]));
	assert_false(token_source_fetching(&r->sources[1]));
	rig_free(r);
}

/* ---- HEADs ---- */

static void one_head_at_a_time(void **state)
{
	struct rig *r = rig_new(true);
	struct exchange x;

	(void)state;
	server_clock_measure(&r->clock, &r->now);
	assert_int_equal(r->clock.plan.wanted, PROBES_ON_DEMAND);
	assert_true(head_is_due(r));
	server_clock_measure(&r->clock, &r->now);
	assert_false(head_is_due(r));
	x = exchange(r, 404, true);
	server_clock_head_ended(&r->clock, &r->now, &x);
	assert_true(head_is_due(r));
	/* that could not be sent: not wanted any more, and none for a while */
	r->sources[0].attention = false;
	server_clock_head_failed(&r->clock, &r->now);
	assert_false(r->sources[0].attention);
	assert_int_equal(run_heads(r), 0);
	server_clock_measure(&r->clock, &r->now);
	assert_false(head_is_due(r));
	pass(r, 5 * S);
	assert_true(head_is_due(r));
	rig_free(r);
}

static void only_a_server_in_use_is_asked(void **state)
{
	struct rig *r = rig_new(true);
	bool head;

	(void)state;
	server_clock_measure(&r->unused, &r->now);
	assert_int_equal(server_clock_turn(&r->unused, &r->now, &head).ns, BOOT_TIME_NEVER.ns);
	assert_false(head);
	server_clock_leave(&r->sources[0]);
	server_clock_join(&r->unused, &r->sources[0]);
	server_clock_turn(&r->unused, &r->now, &head);
	assert_true(head);
	rig_free(r);
}

static void probing_can_be_off(void **state)
{
	struct rig *r = rig_new(false);
	struct duration in;

	(void)state;
	post(r, 200, true);
	server_clock_measure(&r->clock, &r->now);
	assert_int_equal(run_heads(r), 0);
	assert_int_equal(r->clock.skew.exchanges, 1); /* POSTs teach all the same */
	assert_int_equal(server_clock_may_measure(&r->clock, &r->now, &in), SERVER_CLOCK_OFF);
	rig_free(r);
}

static void callers_may_measure_every_ten_seconds(void **state)
{
	struct rig *r = rig_new(true);
	struct duration in;

	(void)state;
	/* also where the machine has just booted */
	r->now.boot.ns = S;
	assert_int_equal(
		server_clock_may_measure(&r->clock, &r->now, &in), SERVER_CLOCK_MEASURABLE);
	server_clock_measure(&r->clock, &r->now);
	assert_true(head_is_due(r));
	pass(r, 4 * S);
	assert_int_equal(server_clock_may_measure(&r->clock, &r->now, &in), SERVER_CLOCK_TOO_SOON);
	assert_int_equal(in.ns, 6 * S);
	pass(r, 6 * S - 1);
	assert_int_equal(server_clock_may_measure(&r->clock, &r->now, &in), SERVER_CLOCK_TOO_SOON);
	pass(r, 1);
	assert_int_equal(
		server_clock_may_measure(&r->clock, &r->now, &in), SERVER_CLOCK_MEASURABLE);
	rig_free(r);
}

/* Who is let to look leaves some looks to the daemon, for a step or a conflict. */
static void callers_leave_some_heads_to_the_daemon(void **state)
{
	struct rig *r = rig_new(true);
	int64_t began = r->now.boot.ns;
	unsigned heads = 0;
	struct duration in;
	struct exchange x;

	(void)state;
	while (server_clock_may_measure(&r->clock, &r->now, &in) == SERVER_CLOCK_MEASURABLE) {
		server_clock_measure(&r->clock, &r->now);
		for (; head_is_due(r); heads++) {
			x = exchange(r, 404, true);
			server_clock_head_ended(&r->clock, &r->now, &x);
		}
		pass(r, 10 * S);
	}
	assert_int_equal(server_clock_may_measure(&r->clock, &r->now, &in), SERVER_CLOCK_TOO_OFTEN);
	assert_in_range(heads, 11, PROBES_IN_WINDOW - PROBES_KEPT_BACK);
	assert_int_equal(r->now.boot.ns + in.ns, began + PROBE_WINDOW_S * S);
	for (; heads < PROBES_IN_WINDOW - 1; heads++) {
		probe_want(&r->clock.plan, 1, true);
		assert_true(head_is_due(r));
		x = exchange(r, 404, true);
		server_clock_head_ended(&r->clock, &r->now, &x);
	}
	probe_want(&r->clock.plan, 1, true);
	assert_false(head_is_due(r));
	rig_free(r);
}

/* ---- over a restart ---- */

static void goes_on_where_an_earlier_run_ended(void **state)
{
	static const bool probing[] = {true, false};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rig *before = rig_new(true), *r = rig_new(probing[i]);
		struct server_clock_past past;
		struct skew_estimate e;

		post(before, 200, true);
		run_heads(before);
		past = (struct server_clock_past){.skew = before->clock.skew,
			.plan = before->clock.plan,
			.series_begun = before->clock.series_begun};
		past.plan.enabled = false; /* what the file does not have */
		server_clock_resume(&r->clock, &past);
		r->now = before->now;
		skew_query(&r->clock.skew, &r->now, &e);
		assert_true(e.known);
		assert_int_equal(r->clock.plan.sent_count, before->clock.plan.sent_count);
		/* no second series; and whether to ask is the configuration's to say */
		post(r, 200, true);
		assert_int_equal(run_heads(r), probing[i]);
		rig_free(r);
		rig_free(before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(series_after_the_first_post),
		cmocka_unit_test(as_many_heads_as_the_tokens_live_long),
		cmocka_unit_test(server_in_trouble_is_not_asked),
		cmocka_unit_test(post_without_a_date_has_its_heads),
		cmocka_unit_test(every_source_learns_from_every_exchange),
		cmocka_unit_test(sample_of_a_post_is_handed_back),
		cmocka_unit_test(conflict_is_asked_about_at_once),
		cmocka_unit_test(another_clock_teaches_nothing),
		cmocka_unit_test(after_a_head_every_source_looks_again),
		cmocka_unit_test(wall_step_is_noticed_from_half_a_second_on),
		cmocka_unit_test(small_wall_steps_add_up),
		cmocka_unit_test(decision_of_a_source_asks_at_once),
		cmocka_unit_test(decision_of_a_source_comes_back),
		cmocka_unit_test(one_head_at_a_time),
		cmocka_unit_test(only_a_server_in_use_is_asked),
		cmocka_unit_test(probing_can_be_off),
		cmocka_unit_test(callers_may_measure_every_ten_seconds),
		cmocka_unit_test(callers_leave_some_heads_to_the_daemon),
		cmocka_unit_test(goes_on_where_an_earlier_run_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
