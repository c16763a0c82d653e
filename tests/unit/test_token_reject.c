/* "The API answered 401 to this token": replaced once, whoever and however many report it; never a
 * way to make the broker fetch in a loop, nor to take a good token from everybody. */
#include "source_fixture.h"

#include "core/token_login.h"
#include "core/token_page.h"
#include "core/token_reject.h"

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void report_replaces_at_once(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask reporter, other;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_int_equal(rig_told(r, EVENT_REPLACED), 0);
	reporter = rig_reject(r, 1, 5);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_HOLD);
	/* nobody gets it while the replacement is on its way */
	other = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &other), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	assert_int_equal(r->d.probes, 1); /* one HEAD: was it the clock? */
	assert_true(r->d.changed);
	assert_int_equal(rig_ask(r, &other), OUTCOME_HOLD);
	rig_answer_token(r, "two", 3600);
	/* no guard: the old one serves nobody */
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "two");
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "two");
	assert_false(r->o.stale);
	rig_decide(r);
	assert_null(r->s.previous.token.text);
	assert_int_equal(rig_told(r, EVENT_REJECTED), 1);
	assert_int_equal(rig_told(r, EVENT_REPLACED), 1);
	rig_free(r);
}

static void thousand_reports_are_one_fetch(void **state)
{
	static struct token_ask asks[1000];
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	for (size_t i = 0; i < LENGTH(asks); i++) {
		asks[i] = rig_reject(r, 1, 5);
		assert_int_equal(rig_ask(r, &asks[i]), OUTCOME_HOLD);
		if (i == 500)
			assert_true(rig_decide(r));
	}
	assert_false(rig_decide(r));
	rig_answer_token(r, "two", 3600);
	for (size_t i = 0; i < LENGTH(asks); i++) {
		assert_int_equal(rig_ask(r, &asks[i]), OUTCOME_TOKEN);
		assert_int_equal(r->o.slot->generation, 2);
	}
	/* and those who are late get the newer one at once, cool-down or not */
	for (size_t i = 0; i < LENGTH(asks); i++) {
		asks[i] = rig_reject(r, 1, 0);
		assert_int_equal(rig_ask(r, &asks[i]), OUTCOME_TOKEN);
		assert_int_equal(r->o.slot->generation, 2);
	}
	assert_false(rig_decide(r));
	assert_int_equal(r->fetches, 2);
	assert_int_equal(r->s.counters.rejected, 1000);
	assert_int_equal(rig_told(r, EVENT_REJECTED), 1);
	rig_free(r);
}

static void unknown_generations_change_nothing(void **state)
{
	static const uint64_t generations[] = {0, 1, 4, 1000000};
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	r->generation = 4; /* the next is 5 */
	rig_fetch_token(r, "five", 3600);
	for (size_t i = 0; i < LENGTH(generations); i++) {
		struct token_ask ask = rig_reject(r, generations[i], 0);

		assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
		assert_int_equal(r->o.slot->generation, 5);
		assert_false(r->o.stale);
		assert_false(rig_decide(r));
	}
	assert_int_equal(r->s.counters.rejected, 0);
	rig_free(r);
}

static void report_joins_a_fetch_under_way(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask reporter, other;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_true(rig_wake(r));
	reporter = rig_reject(r, 1, 5);
	other = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_HOLD);
	assert_int_equal(rig_ask(r, &other), OUTCOME_HOLD);
	assert_false(rig_decide(r));
	rig_answer_token(r, "two", 3600);
	assert_false(rig_decide(r));
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "two");
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "two");
	assert_int_equal(r->fetches, 2);
	rig_free(r);
}

static void cool_down_stops_a_loop(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	unsigned replaced = 0, refused = 0;
	char text[32];

	(void)state;
	rig_fetch_token(r, "token-0", 3600);
	/* a client whose every call gets a 401, ten times a second, for five minutes */
	for (int i = 0; i < 3000; i++) {
		struct token_ask ask = rig_reject(r, r->s.current.generation, 0);
		int64_t since = boot_since(r->now.boot, r->s.replaced_at).ns;

		switch (rig_ask(r, &ask)) {
		case OUTCOME_COOLDOWN:
			refused++;
			assert_int_equal(r->o.retry_after_s, (30 * S - since + S - 1) / S);
			break;
		case OUTCOME_TIMEOUT: /* it would not wait for the fetch */
			replaced++;
			break;
		default:
			fail_msg("outcome %d", (int)r->o.kind);
		}
		if (rig_decide(r)) {
			snprintf(text, sizeof(text), "token-%u", r->fetches);
			rig_answer_token(r, text, 3600);
		}
		rig_pass(r, 100 * MS);
	}
	assert_in_range(replaced, 10, 11);
	assert_int_equal(refused, 3000 - replaced);
	assert_int_equal(r->fetches, 1 + replaced);
	assert_int_equal(r->s.counters.cooled_down, refused);
	rig_free(r);
}

/* In the cool-down others are served as if nothing had been said. */
static void refused_report_harms_nobody(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_reject(r, 1, 5);
	rig_ask(r, &ask);
	rig_decide(r);
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	rig_pass(r, 10 * S);
	ask = rig_reject(r, 2, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_COOLDOWN);
	assert_in_range(r->o.retry_after_s, 19, 20);
	assert_false(rig_decide(r));
	assert_string_equal(rig_served(r), "two");
	assert_false(r->o.stale);
	rig_free(r);
}

static void failed_replacement_leaves_it_stale(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask reporter, other;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	reporter = rig_reject(r, 1, 5);
	other = rig_get(r, 5);
	rig_ask(r, &reporter);
	rig_decide(r);
	assert_int_equal(rig_ask(r, &other), OUTCOME_HOLD);
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, 60);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_UNAVAILABLE);
	assert_int_equal(r->o.retry_after_s, 61);
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "one");
	assert_true(r->o.stale);
	assert_int_equal(rig_state(r), SOURCE_STALE);
	assert_false(rig_decide(r));
	/* it is still to be replaced */
	assert_int_equal(r->d.wake_at.ns, r->now.boot.ns + 61 * S);
	assert_true(rig_wake(r));
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	assert_string_equal(rig_served(r), "two");
	assert_false(r->o.stale);
	assert_int_equal(rig_told(r, EVENT_REPLACED), 1);
	rig_free(r);
}

/* Whoever does not want to wait for the replacement gets what there is, marked. */
static void wait_that_ends_first_gets_it_stale(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask reporter, other;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	reporter = rig_reject(r, 1, 2);
	rig_ask(r, &reporter);
	other = rig_get(r, 2);
	rig_ask(r, &other);
	rig_decide(r);
	assert_string_equal(rig_served(r), "one");
	assert_true(r->o.stale);
	rig_pass(r, 2 * S);
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_TIMEOUT); /* it knows better */
	rig_free(r);
}

static void same_token_again_is_a_failed_replacement(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask reporter, other;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	reporter = rig_reject(r, 1, 5);
	other = rig_get(r, 5);
	rig_ask(r, &reporter);
	rig_decide(r);
	rig_ask(r, &other);
	assert_false(rig_answer_token(r, "one", 3600));
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_UNAVAILABLE);
	assert_in_range(r->o.retry_after_s, 1790, 1800);
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	assert_false(rig_decide(r));
	assert_in_range(r->d.wake_at.ns, r->now.boot.ns + 1790 * S, r->now.boot.ns + 1800 * S);
	rig_free(r);
}

/* No fetch may begin for now: there is nothing to hold anybody for. */
static void report_in_a_backoff_holds_nobody(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask reporter, patient, other;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_true(rig_wake(r));
	rig_answer_failure(r, RESPONSE_THROTTLED, 59);
	rig_decide(r);
	reporter = rig_reject(r, 1, 5);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_UNAVAILABLE);
	assert_int_equal(r->o.retry_after_s, 60);
	other = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	assert_false(rig_decide(r));
	rig_pass(r, 31 * S); /* past the cool-down */
	patient = rig_reject(r, 1, 60);
	assert_int_equal(rig_ask(r, &patient), OUTCOME_HOLD);
	rig_decide(r);
	assert_true(rig_wake(r));
	rig_answer_token(r, "two", 3600);
	assert_int_equal(rig_ask(r, &patient), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "two");
	rig_free(r);
}

/* The newer token waits out its guard while the older serves; the older is rejected: the guard has
 * lost its purpose, for everybody. */
static void report_of_the_older_ends_the_guard(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask reporter, waiting;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	rig_wake(r);
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	assert_string_equal(rig_served(r), "one");
	reporter = rig_reject(r, 0, 0); /* not about either of them */
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "one");
	waiting = rig_get(r, 5);
	waiting.has_after = true;
	waiting.after = 1;
	assert_int_equal(rig_ask(r, &waiting), OUTCOME_HOLD);
	reporter = rig_reject(r, 1, 0);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "two");
	assert_int_equal(rig_told(r, EVENT_REJECTED), 1);
	assert_non_null(strstr(rig_told_last(r), "takes its place at once"));
	assert_true(token_source_needs_turn(&r->s));
	assert_false(rig_decide(r));
	assert_true(r->d.changed && !r->d.verify);
	assert_int_equal(rig_ask(r, &waiting), OUTCOME_TOKEN);
	assert_string_equal(rig_served(r), "two");
	rig_free(r);
}

/* "one" serves, and "two" is not valid yet, as the clocks of a cluster are apart. */
static struct rig *rig_between(bool verifiable)
{
	struct token_source_settings settings = usual_settings();
	struct rig *r;

	settings.verifiable = verifiable;
	r = rig_new(&settings, 1);
	rig_fetch_token(r, "one", 3600);
	rig_wake(r);
	r->spread.ns = 4 * S;
	rig_answer_jwt(r, "two", 3600);
	rig_decide(r);
	assert_string_equal(rig_served(r), "one");
	assert_true(boot_since(r->s.current.life.valid, r->now.boot).ns > 3 * S);
	return r;
}

/* Who rejects it waits for the newer one; others keep it, marked, and their pages say nothing. */
static void report_of_the_older_is_the_reporters_own(void **state)
{
	struct rig *r = rig_between(false);
	struct token_ask reporter, second;
	struct source_page page;

	(void)state;
	reporter = rig_reject(r, 1, 5);
	reporter.uid = 1234;
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_HOLD);
	assert_true(token_source_needs_turn(&r->s));
	token_source_page(&r->s, &r->now, &page);
	assert_null(page.slot);
	assert_int_equal(rig_told(r, EVENT_REJECTED), 1);
	assert_non_null(strstr(rig_told_last(r), "(uid 1234)"));
	assert_non_null(strstr(rig_told_last(r), "will be valid in a moment"));
	assert_false(rig_decide(r));
	assert_false(r->d.verify);
	assert_string_equal(rig_served(r), "one");
	assert_true(r->o.stale);
	assert_int_equal(rig_state(r), SOURCE_STALE);
	second = rig_reject(r, 1, 0);
	assert_int_equal(rig_ask(r, &second), OUTCOME_UNAVAILABLE);
	assert_int_equal(rig_told(r, EVENT_REJECTED), 1);
	assert_false(rig_wake(r));
	assert_int_equal(r->now.boot.ns, r->s.current.life.valid.ns);
	assert_true(r->d.changed);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "two");
	assert_string_equal(rig_served(r), "two");
	assert_false(r->o.stale);
	assert_int_equal(r->fetches, 2);
	rig_free(r);
}

/* Nor does anybody else notice where the API accepts it, and it is asked once in two seconds. */
static void api_accepts_the_older(void **state)
{
	struct rig *r = rig_between(true);
	struct token_ask reporter = rig_reject(r, 1, 5), second;

	(void)state;
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_HOLD);
	assert_false(rig_decide(r));
	assert_true(r->d.verify);
	assert_ptr_equal(token_source_to_verify(&r->s), &r->s.previous);
	assert_string_equal(rig_served(r), "one");
	token_source_verified(&r->s, &r->now, 1, VERDICT_ACCEPTED);
	assert_false(rig_decide(r));
	assert_false(r->d.verify);
	assert_string_equal(rig_served(r), "one");
	assert_false(r->o.stale);
	assert_int_equal(rig_told(r, EVENT_REJECTED), 2);
	assert_non_null(strstr(rig_told_last(r), "accepts token"));
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_HOLD);
	second = rig_reject(r, 1, 5);
	rig_pass(r, 1999 * MS);
	assert_int_equal(rig_ask(r, &second), OUTCOME_HOLD);
	assert_false(token_source_needs_turn(&r->s));
	rig_pass(r, MS);
	second = rig_reject(r, 1, 5);
	assert_int_equal(rig_ask(r, &second), OUTCOME_HOLD);
	assert_false(rig_decide(r));
	assert_true(r->d.verify);
	rig_free(r);
}

/* It has died: whoever wants a token waits for the one that will be valid. */
static void api_refuses_the_older(void **state)
{
	struct rig *r = rig_between(true);
	struct token_ask reporter = rig_reject(r, 1, 5), other;

	(void)state;
	rig_ask(r, &reporter);
	rig_decide(r);
	token_source_verified(&r->s, &r->now, 1, VERDICT_REFUSED);
	assert_non_null(strstr(rig_told_last(r), "refuses token"));
	assert_false(rig_decide(r));
	assert_true(r->d.changed);
	assert_null(rig_served(r));
	other = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &other), OUTCOME_HOLD);
	assert_false(rig_wake(r));
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "two");
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_TOKEN);
	rig_free(r);
}

/* Then there is no evidence but what one caller says; and a token that is new itself may not be
 * known there yet. */
static void api_says_nothing_of_the_older(void **state)
{
	struct token_ask reporter;
	struct rig *r;

	(void)state;
	for (int young = 0; young < 2; young++) {
		r = rig_between(true);
		reporter = rig_reject(r, 1, 5);
		rig_ask(r, &reporter);
		rig_decide(r);
		if (young)
			r->s.previous.life.received = r->now.boot;
		token_source_verified(&r->s, &r->now, 1, young ? VERDICT_REFUSED : VERDICT_NONE);
		assert_false(rig_decide(r));
		assert_string_equal(rig_served(r), "one");
		assert_true(r->o.stale);
		assert_int_equal(rig_told(r, EVENT_REJECTED), 1);
		rig_free(r);
	}
}

/* The newest is rejected, too, and asked about: that counts for more. */
static void api_is_asked_about_the_newer_one_instead(void **state)
{
	struct rig *r = rig_between(true);
	struct token_ask older = rig_reject(r, 1, 5), newer;

	(void)state;
	r->s.replaced_at = r->now.boot;
	rig_ask(r, &older);
	rig_decide(r);
	newer = rig_reject(r, 2, 5);
	assert_int_equal(rig_ask(r, &newer), OUTCOME_HOLD);
	token_source_verified(&r->s, &r->now, 1, VERDICT_REFUSED);
	assert_false(rig_decide(r));
	assert_true(r->d.verify);
	assert_ptr_equal(token_source_to_verify(&r->s), &r->s.current);
	assert_string_equal(rig_served(r), "one");
	/* and the older one's reporters do not end that */
	older = rig_reject(r, 1, 5);
	r->s.previous.rejected = false;
	rig_ask(r, &older);
	assert_false(rig_decide(r));
	assert_false(r->d.verify);
	token_source_verified(&r->s, &r->now, 2, VERDICT_ACCEPTED);
	assert_int_equal(rig_ask(r, &newer), OUTCOME_ACCEPTED);
	rig_free(r);
}

/* The newest is rejected while the one before it is still in use: that one is nobody's complaint.
 */
static void report_in_the_guard_leaves_the_older(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask reporter;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	rig_wake(r);
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	reporter = rig_reject(r, 2, 5);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_HOLD);
	assert_string_equal(rig_served(r), "one");
	assert_false(r->o.stale);
	assert_true(rig_decide(r));
	rig_answer_token(r, "three", 3600);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "three");
	/* a refused token of that age is a reason to doubt those before it */
	assert_string_equal(rig_served(r), "three");
	rig_free(r);
}

static void nothing_to_replace_is_a_plain_ask(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask = rig_reject(r, 0, 5);

	(void)state;
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	rig_answer_token(r, "one", 3600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_int_equal(r->s.counters.rejected, 0);
	assert_int_equal(r->s.replaced_at.ns, SOURCE_LONG_AGO.ns);
	rig_free(r);
}

/* Profiles of one client share its mint window: the last place in it may be taken between a report
 * and the decision that was to follow. */
static void report_whose_fetch_cannot_begin_holds_nobody(void **state)
{
	struct token_source_settings settings = usual_settings();
	struct token_ask reporter, other;
	struct rig *r;

	(void)state;
	settings.mint_limit = 2;
	r = rig_new(&settings, 1);
	rig_fetch_token(r, "one", 3600);
	reporter = rig_reject(r, 1, 5);
	other = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_HOLD);
	assert_int_equal(rig_ask(r, &other), OUTCOME_HOLD);
	mint_window_add(&r->mint, r->now.boot); /* the other profile's */
	assert_false(rig_decide(r));
	assert_true(r->d.changed);
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_UNAVAILABLE);
	/* it is replaced all the same when there is room */
	while (!rig_wake(r))
		assert_true(r->now.boot.ns < reporter.deadline.ns + 300 * S);
	rig_answer_token(r, "two", 3600);
	assert_string_equal(rig_served(r), "two");
	rig_free(r);
}

static void ask_whose_fetch_cannot_begin_is_told_so(void **state)
{
	struct token_source_settings settings = usual_settings();
	struct token_ask ask;
	struct rig *r;

	(void)state;
	settings.mint_limit = 1;
	settings.prefetch = false;
	r = rig_new(&settings, 1);
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	mint_window_add(&r->mint, r->now.boot); /* the other profile's */
	assert_false(rig_decide(r));
	assert_true(r->d.changed);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_UNAVAILABLE);
	assert_int_equal(r->o.retry_after_s, MINT_WINDOW_S);
	rig_free(r);
}

/* It is held as long as the next attempt falls inside its wait, and so is everybody. */
static void report_is_held_from_attempt_to_attempt(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask reporter, second, other;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	reporter = rig_reject(r, 1, 5);
	other = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, 2);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_HOLD);
	assert_int_equal(rig_ask(r, &other), OUTCOME_HOLD);
	/* whoever says the same joins, and is not too soon */
	second = rig_reject(r, 1, 5);
	assert_int_equal(rig_ask(r, &second), OUTCOME_HOLD);
	assert_false(rig_decide(r));
	assert_true(rig_wake(r));
	rig_answer_token(r, "two", 3600);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "two");
	assert_int_equal(rig_ask(r, &second), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "two");
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "two");
	assert_int_equal(r->s.counters.rejected, 2);
	assert_int_equal(rig_told(r, EVENT_REJECTED), 1);
	rig_free(r);
}

static void report_ends_when_no_attempt_is_in_its_wait(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask reporter, other;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	reporter = rig_reject(r, 1, 5);
	other = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, 2);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_HOLD);
	assert_int_equal(rig_ask(r, &other), OUTCOME_HOLD);
	assert_false(rig_decide(r));
	assert_true(rig_wake(r));
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, 9);
	assert_int_equal(rig_ask(r, &reporter), OUTCOME_UNAVAILABLE);
	assert_int_equal(r->o.retry_after_s, 10);
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	rig_free(r);
}

/* Without prefetch it is those who wait that have it fetched, and fetched again. */
static void report_without_prefetch(void **state)
{
	struct token_ask ask;
	struct rig *r = rig_without_prefetch();

	(void)state;
	ask = rig_get(r, 5);
	rig_ask(r, &ask);
	assert_true(rig_decide(r));
	rig_answer_token(r, "one", 3600);
	rig_decide(r);
	ask = rig_reject(r, 1, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, 2);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_false(rig_decide(r));
	assert_int_equal(r->d.wake_at.ns, r->now.boot.ns + 3 * S);
	assert_true(rig_wake(r));
	rig_answer_token(r, "two", 3600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	rig_free(r);
}

static void cool_down_counts_from_the_replacement(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_reject(r, 1, 300);
	rig_ask(r, &ask);
	rig_decide(r);
	rig_answer_failure(r, RESPONSE_THROTTLED, 39);
	rig_ask(r, &ask);
	rig_decide(r);
	assert_true(rig_wake(r));
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	rig_pass(r, 10 * S);
	ask = rig_reject(r, 2, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_COOLDOWN);
	assert_int_equal(r->o.retry_after_s, 20);
	rig_pass(r, 20 * S);
	ask = rig_reject(r, 2, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	rig_free(r);
}

/* ---- the API is asked ---- */

/* Its token "two" has replaced "one", which was rejected, `age_ms` ago; *ret_ask rejects it and is
 * held, and the API is asked. */
static struct rig *rig_verifying(
	unsigned mint_limit, int64_t age_ms, struct token_ask *ret_ask, int64_t wait_s)
{
	struct token_source_settings settings = usual_settings();
	struct rig *r;

	settings.verifiable = true;
	settings.mint_limit = mint_limit;
	r = rig_new(&settings, 1);
	rig_fetch_token(r, "one", 3600);
	*ret_ask = rig_reject(r, 1, 5);
	rig_ask(r, ret_ask);
	assert_true(rig_decide(r));
	assert_false(r->d.verify); /* the first is believed */
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	rig_pass(r, age_ms * MS);
	*ret_ask = rig_reject(r, 2, wait_s);
	assert_int_equal(rig_ask(r, ret_ask), wait_s ? OUTCOME_HOLD : OUTCOME_COOLDOWN);
	assert_true(token_source_needs_turn(&r->s));
	assert_false(rig_decide(r));
	assert_true(r->d.verify);
	return r;
}

static void verified(struct rig *r, enum verdict verdict)
{
	token_source_verified(&r->s, &r->now, 2, verdict);
	assert_true(token_source_needs_turn(&r->s));
}

/* Nobody else notices, nor does the API for each who says so. */
static void api_accepts_it(void **state)
{
	struct token_ask ask, second, late;
	struct rig *r = rig_verifying(15, 10000, &ask, 5);

	(void)state;
	second = rig_reject(r, 2, 5);
	assert_int_equal(rig_ask(r, &second), OUTCOME_HOLD);
	assert_false(token_source_needs_turn(&r->s));
	assert_string_equal(rig_served(r), "two");
	assert_false(r->o.stale);
	rig_pass(r, 100 * MS);
	verified(r, VERDICT_ACCEPTED);
	assert_false(rig_decide(r));
	assert_true(r->d.changed && !r->d.verify);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_ACCEPTED);
	assert_int_equal(r->o.retry_after_s, 20);
	assert_int_equal(rig_ask(r, &second), OUTCOME_ACCEPTED);
	rig_pass(r, 1999 * MS);
	late = rig_reject(r, 2, 5);
	assert_int_equal(rig_ask(r, &late), OUTCOME_ACCEPTED);
	rig_pass(r, MS);
	late = rig_reject(r, 2, 5);
	assert_int_equal(rig_ask(r, &late), OUTCOME_HOLD);
	assert_false(rig_decide(r));
	assert_true(r->d.verify);
	assert_int_equal(r->s.counters.rejected, 1);
	assert_int_equal(r->s.counters.cooled_down, 3);
	rig_free(r);
}

static void api_refuses_it(void **state)
{
	struct token_ask ask, other;
	struct rig *r = rig_verifying(15, 10000, &ask, 5);

	(void)state;
	verified(r, VERDICT_REFUSED);
	assert_true(rig_decide(r));
	assert_true(r->d.changed);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	other = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &other), OUTCOME_HOLD);
	rig_answer_token(r, "three", 3600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "three");
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "three");
	assert_int_equal(rig_told(r, EVENT_REJECTED), 2);
	rig_free(r);
}

static void api_does_not_tell(void **state)
{
	struct token_ask ask;
	struct rig *r = rig_verifying(15, 10000, &ask, 5);

	(void)state;
	verified(r, VERDICT_NONE);
	assert_false(rig_decide(r));
	assert_int_equal(rig_ask(r, &ask), OUTCOME_COOLDOWN);
	assert_string_equal(rig_served(r), "two");
	rig_free(r);
}

/* It may not know so new a token yet: a loop of replacements would never end. */
static void api_is_asked_once_more_about_a_very_new_one(void **state)
{
	static const enum verdict verdicts[] = {VERDICT_ACCEPTED, VERDICT_REFUSED, VERDICT_NONE};
	static const enum ask_outcome outcomes[] = {
		OUTCOME_ACCEPTED, OUTCOME_HOLD, OUTCOME_COOLDOWN};

	(void)state;
	for (size_t i = 0; i < LENGTH(verdicts); i++) {
		struct token_ask ask;
		struct rig *r = rig_verifying(15, 100, &ask, 5);

		rig_pass(r, 50 * MS);
		verified(r, VERDICT_REFUSED);
		assert_false(rig_decide(r));
		assert_false(r->d.changed || r->d.verify);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
		assert_int_equal(r->d.wake_at.ns, r->s.current.life.received.ns + 2500 * MS);
		rig_pass_until(r, r->d.wake_at);
		assert_false(rig_decide(r));
		assert_true(r->d.verify);
		verified(r, verdicts[i]);
		assert_int_equal(rig_decide(r), verdicts[i] == VERDICT_REFUSED);
		assert_int_equal(rig_ask(r, &ask), outcomes[i]);
		rig_free(r);
	}
}

static void api_answers_later_than_anybody_waits(void **state)
{
	struct token_ask ask, impatient;
	struct rig *r = rig_verifying(15, 10000, &ask, 5), *at_once;

	(void)state;
	rig_pass(r, 5 * S);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_COOLDOWN);
	assert_int_equal(r->o.retry_after_s, 15);
	rig_free(r);
	/* who does not wait at all has it found out for those who come after */
	at_once = rig_verifying(15, 10000, &impatient, 0);
	verified(at_once, VERDICT_REFUSED);
	assert_true(rig_decide(at_once));
	rig_free(at_once);
}

static void a_verdict_on_another_token_is_no_verdict(void **state)
{
	struct token_ask ask, refresh;
	struct rig *r = rig_verifying(15, 10000, &ask, 5);

	(void)state;
	refresh = rig_refresh(r, 5);
	rig_ask(r, &refresh);
	assert_true(rig_decide(r));
	rig_answer_token(r, "three", 3600);
	rig_decide(r);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "three");
	token_source_verified(&r->s, &r->now, 2, VERDICT_REFUSED);
	assert_false(rig_decide(r));
	assert_string_equal(rig_served(r), "three");
	assert_false(r->o.stale);
	/* and what is rejected now is asked about anew */
	ask = rig_reject(r, 3, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	rig_decide(r);
	assert_true(r->d.verify);
	rig_free(r);
}

static void a_verdict_keeps_to_the_mint_limit(void **state)
{
	struct token_ask ask;
	struct rig *r = rig_verifying(2, 10000, &ask, 5);

	(void)state;
	verified(r, VERDICT_REFUSED);
	assert_false(rig_decide(r));
	assert_int_equal(rig_ask(r, &ask), OUTCOME_UNAVAILABLE);
	assert_in_range(r->o.retry_after_s, 280, 290);
	assert_string_equal(rig_served(r), "two");
	assert_true(r->o.stale);
	rig_free(r);
}

/* A false report of one host costs no other its token. */
static void api_is_asked_about_a_shared_one(void **state)
{
	static const struct {
		enum verdict verdict;
		enum ask_outcome outcome;
		bool replaced;
	} cases[] = {
		{VERDICT_ACCEPTED, OUTCOME_ACCEPTED, false},
		{VERDICT_REFUSED, OUTCOME_HOLD, true},
		{VERDICT_NONE, OUTCOME_HOLD, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct token_source_settings settings = usual_settings();
		struct token_ask ask;
		struct rig *r;

		settings.verifiable = settings.shared = true;
		r = rig_new(&settings, 1);
		rig_fetch_token(r, "one", 3600);
		rig_pass(r, 10 * S);
		ask = rig_reject(r, 1, 5);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
		assert_false(rig_decide(r));
		assert_true(r->d.verify);
		assert_string_equal(rig_served(r), "one");
		token_source_verified(&r->s, &r->now, 1, cases[i].verdict);
		assert_int_equal(rig_decide(r), cases[i].replaced);
		assert_int_equal(rig_ask(r, &ask), cases[i].outcome);
		rig_free(r);
	}
}

/* Only a person could make up for a false one. */
static void api_is_asked_about_what_nothing_can_replace(void **state)
{
	static const struct {
		enum verdict verdict;
		enum ask_outcome outcome;
		bool stale;
	} cases[] = {
		{VERDICT_ACCEPTED, OUTCOME_ACCEPTED, false},
		{VERDICT_REFUSED, OUTCOME_LOGIN_REQUIRED, true},
		{VERDICT_NONE, OUTCOME_LOGIN_REQUIRED, true},
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct token_ask ask;
		struct rig *r = rig_verifiable();

		rig_fetch_token(r, "one", 3600);
		token_source_set_login(&r->s, i % 2 ? SOURCE_LOGIN_NONE : SOURCE_LOGIN_REFUSED);
		rig_pass(r, 10 * S);
		ask = rig_reject(r, 1, 5);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
		assert_false(rig_decide(r));
		assert_true(r->d.verify);
		token_source_verified(&r->s, &r->now, 1, cases[i / 2].verdict);
		assert_false(rig_decide(r));
		assert_int_equal(rig_ask(r, &ask), cases[i / 2].outcome);
		assert_string_equal(rig_served(r), "one");
		assert_int_equal(r->o.stale, cases[i / 2].stale);
		rig_free(r);
	}
}

/* ---- ... and also where the replacement fails ---- */

/* Its token "one" was rejected by *ret_reporter, *ret_other asks for it, and the fetch that is to
 * replace it has failed. The API is asked. */
static struct rig *rig_unreplaced(
	enum response_class class, struct token_ask *ret_reporter, struct token_ask *ret_other)
{
	struct rig *r = rig_verifiable();

	rig_fetch_token(r, "one", 3600);
	*ret_reporter = rig_reject(r, 1, 5);
	assert_int_equal(rig_ask(r, ret_reporter), OUTCOME_HOLD);
	*ret_other = rig_get(r, 5);
	assert_int_equal(rig_ask(r, ret_other), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	assert_false(r->d.verify); /* it need not be known if a new one comes */
	if (class == RESPONSE_TOKEN)
		rig_answer_token(r, "one", 3600);
	else
		rig_answer_failure(r, class, -1);
	assert_false(rig_decide(r));
	assert_true(r->d.verify);
	assert_int_equal(rig_ask(r, ret_reporter), OUTCOME_HOLD);
	return r;
}

static void verified_one(struct rig *r, enum verdict verdict)
{
	token_source_verified(&r->s, &r->now, 1, verdict);
	assert_true(token_source_needs_turn(&r->s));
}

/* Whatever the fetch failed at, one caller's word holds nobody up any longer. */
static void false_report_in_an_outage_is_dropped(void **state)
{
	static const enum response_class classes[] = {RESPONSE_TOKEN, RESPONSE_UNAVAILABLE,
		RESPONSE_THROTTLED, RESPONSE_CLIENT_REJECTED, RESPONSE_LOGIN_REQUIRED};

	(void)state;
	for (size_t i = 0; i < LENGTH(classes); i++) {
		struct token_ask reporter, other;
		struct rig *r = rig_unreplaced(classes[i], &reporter, &other);
		unsigned fetches = r->fetches;

		verified_one(r, VERDICT_ACCEPTED);
		assert_false(rig_decide(r));
		assert_true(r->d.changed && !r->d.verify);
		assert_int_equal(rig_ask(r, &reporter), OUTCOME_ACCEPTED);
		assert_in_range(r->o.retry_after_s, 29, 30);
		assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
		assert_string_equal(r->o.slot->token.text, "one");
		assert_false(r->o.stale);
		assert_int_equal(rig_told(r, EVENT_REPLACED), 0);
		/* and for the whole cool-down no report makes anybody wait */
		while (r->now.boot.ns < r->s.replaced_at.ns + 29 * S) {
			rig_pass(r, 500 * MS);
			reporter = rig_reject(r, 1, 0);
			assert_true(rig_ask(r, &reporter) == OUTCOME_ACCEPTED ||
				    r->o.kind == OUTCOME_COOLDOWN);
			other = rig_get(r, 5);
			assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
			assert_false(r->o.stale);
			rig_decide(r);
			if (r->d.verify)
				verified_one(r, VERDICT_ACCEPTED);
			rig_decide(r);
		}
		assert_int_equal(r->fetches, fetches);
		/* its refresh comes when it would have come */
		while (!rig_wake(r))
			if (r->d.verify)
				verified_one(r, VERDICT_ACCEPTED);
		if (classes[i] != RESPONSE_TOKEN)
			assert_in_range(r->now.boot.ns, r->s.current.life.received.ns + 2700 * S,
				r->s.current.life.received.ns + 3200 * S);
		rig_free(r);
	}
}

/* Then everything is as it was without the question, and the API is not asked in a loop. */
static void report_in_an_outage_that_is_not_false(void **state)
{
	static const enum verdict verdicts[] = {VERDICT_REFUSED, VERDICT_NONE};

	(void)state;
	for (size_t i = 0; i < LENGTH(verdicts); i++) {
		struct token_ask reporter, other;
		struct rig *r = rig_unreplaced(RESPONSE_UNAVAILABLE, &reporter, &other);
		struct boot_time asked = r->now.boot;
		unsigned again = 0;

		rig_pass(r, 3 * S);
		verified_one(r, verdicts[i]);
		for (int n = 0; n < 200; n++) {
			if (rig_decide(r))
				rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
			if (r->d.verify) {
				assert_true(boot_since(r->now.boot, asked).ns >= 2 * S);
				asked = r->now.boot;
				again++;
				verified_one(r, verdicts[i]);
			}
			other = rig_get(r, 0);
			assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
			assert_true(r->o.stale);
			reporter = rig_reject(r, 1, 0);
			assert_int_not_equal(rig_ask(r, &reporter), OUTCOME_TOKEN);
			assert_int_not_equal(r->o.kind, OUTCOME_ACCEPTED);
			rig_pass(r, 100 * MS);
		}
		/* one refusal is enough; who did not say is asked after each failure */
		if (verdicts[i] == VERDICT_REFUSED)
			assert_int_equal(again, 0);
		else
			assert_in_range(again, 2, 10);
		rig_free(r);
	}
}

/* Nobody waits for the API longer than they said. */
static void verdict_after_the_wait(void **state)
{
	struct token_ask reporter, other;
	struct rig *r = rig_unreplaced(RESPONSE_UNAVAILABLE, &reporter, &other);

	(void)state;
	rig_pass_until(r, reporter.deadline);
	assert_int_not_equal(rig_ask(r, &reporter), OUTCOME_HOLD);
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	/* it counts all the same */
	if (rig_decide(r))
		rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
	verified_one(r, VERDICT_ACCEPTED);
	rig_decide(r);
	assert_string_equal(rig_served(r), "one");
	assert_false(r->o.stale);
	rig_free(r);
}

/* What else was to cause a fetch still does. */
static void dropped_report_leaves_other_reasons(void **state)
{
	struct token_source_settings settings = usual_settings();
	struct token_ask reporter, other, refresh;
	struct rig *r = rig_unreplaced(RESPONSE_UNAVAILABLE, &reporter, &other);

	(void)state;
	settings.verifiable = true;
	token_source_configure(&r->s, &r->now, &settings, true, false);
	verified_one(r, VERDICT_ACCEPTED);
	rig_decide(r);
	assert_true(r->d.wake_at.ns < r->now.boot.ns + 10 * S);
	assert_true(rig_wake(r)); /* another scope, say */
	rig_free(r);

	r = rig_unreplaced(RESPONSE_UNAVAILABLE, &reporter, &other);
	refresh = rig_refresh(r, 5);
	assert_int_equal(rig_ask(r, &refresh), OUTCOME_HOLD);
	verified_one(r, VERDICT_ACCEPTED);
	assert_true(rig_decide(r));
	rig_answer_token(r, "two", 3600);
	assert_int_equal(rig_ask(r, &refresh), OUTCOME_TOKEN);
	rig_free(r);
}

/* Not where nobody can be asked, nor, once more, about what a fleet shares. */
static void nobody_is_asked_elsewhere(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct token_source_settings settings = usual_settings();
		struct token_ask reporter;
		struct rig *r;

		settings.verifiable = settings.shared = i;
		r = rig_new(&settings, 1);
		rig_fetch_token(r, "one", 3600);
		rig_pass(r, 10 * S);
		reporter = rig_reject(r, 1, 5);
		rig_ask(r, &reporter);
		if (settings.shared) { /* the API was asked before, and did not tell */
			assert_false(rig_decide(r));
			verified_one(r, VERDICT_NONE);
		}
		assert_true(rig_decide(r));
		rig_answer_failure(r, RESPONSE_UNAVAILABLE, 60);
		assert_false(rig_decide(r));
		assert_false(r->d.verify);
		assert_int_equal(rig_ask(r, &reporter), OUTCOME_UNAVAILABLE);
		rig_free(r);
	}
}

/* ---- what rejections may use of the mint window ---- */

/* The API refuses the current token, and a caller says so. True: it is being replaced. */
static bool ended_and_rejected(struct rig *r, struct token_ask *ask)
{
	rig_pass(r, 3 * S);
	*ask = rig_reject(r, r->s.current.generation, 5);
	rig_ask(r, ask);
	if (!rig_decide(r) && r->d.verify) {
		token_source_verified(&r->s, &r->now, r->s.current.generation, VERDICT_REFUSED);
		rig_decide(r);
	}
	return r->d.fetch;
}

/* A token of that life after ten that were ended and rejected as soon as they came: so much of the
 * window's fifteen places is for that. The current one has ended and is rejected as well. */
static struct rig *rig_share_used_up(int64_t life_s)
{
	struct token_ask ask;
	struct rig *r = rig_verifiable();
	char text[32];

	rig_fetch_token(r, "first", life_s);
	for (int i = 0; i < 10; i++) {
		assert_true(ended_and_rejected(r, &ask));
		snprintf(text, sizeof(text), "token-%d", i);
		rig_answer_token(r, text, life_s);
		rig_decide(r);
	}
	assert_false(ended_and_rejected(r, &ask));
	assert_int_equal(rig_ask(r, &ask), OUTCOME_UNAVAILABLE);
	if (life_s > MINT_WINDOW_S)
		assert_in_range(r->o.retry_after_s, 268, 270);
	else /* its refresh is due before */
		assert_in_range(r->o.retry_after_s, 80, life_s);
	assert_int_equal(rig_told(r, EVENT_MINT_LIMIT), 1);
	assert_non_null(strstr(rig_told_last(r), "all 10 fetches that rejections may cause"));
	assert_int_equal(r->mint.count, 11);
	return r;
}

static void rejections_leave_room_for_others(void **state)
{
	struct rig *r = rig_share_used_up(3600);
	struct token_ask ask;

	(void)state;
	/* nobody is held for what cannot begin, and other profiles of the client go on */
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	assert_int_equal(mint_window_next(&r->mint, 15, r->now.boot).ns, r->now.boot.ns);
	assert_int_equal(mint_window_next_rejection(
				 &r->mint, 15, duration_s(30), r->s.mint_number + 1, r->now.boot)
				 .ns,
		r->now.boot.ns);
	/* it is replaced when the first of the ten has left */
	assert_in_range(boot_since(r->d.wake_at, r->now.boot).ns, 268 * S, 270 * S);
	assert_true(rig_wake(r));
	rig_answer_token(r, "last", 3600);
	rig_decide(r);
	assert_string_equal(rig_served(r), "last");
	assert_false(r->o.stale);
	rig_free(r);
}

/* An admin's refresh is not one of them, nor is that of the token itself when it is due. */
static void refreshes_are_not_of_the_share(void **state)
{
	struct rig *r = rig_share_used_up(3600);
	struct token_ask ask = rig_refresh(r, 5);

	(void)state;
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	rig_answer_token(r, "an-admins", 3600);
	assert_false(ended_and_rejected(r, &ask));
	rig_free(r);

	r = rig_share_used_up(120);
	assert_true(rig_wake(r));
	assert_in_range(boot_since(r->now.boot, r->s.current.life.received).ns, 80 * S, 120 * S);
	rig_answer_token(r, "last", 120);
	rig_decide(r);
	assert_string_equal(rig_served(r), "last");
	rig_free(r);
}

/* What brings none has used none: a server that is silent is tried as before. */
static void unanswered_replacements_are_not_of_the_share(void **state)
{
	struct token_response silence = {.class = RESPONSE_UNAVAILABLE, .minted = true};
	struct token_ask ask;
	struct rig *r = rig_verifiable();

	(void)state;
	rig_fetch_token(r, "first", 3600);
	assert_true(ended_and_rejected(r, &ask));
	rig_pass(r, 10 * S);
	rig_fetched(r, &silence);
	rig_decide(r);
	assert_int_equal(r->mint.count, 2);
	for (unsigned n = 0; n < r->mint.count; n++)
		assert_int_equal(r->mint.rejection[n], 0);
	rig_free(r);
}

static void who_goes_first(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	assert_int_equal(token_source_rank(&r->s, &r->now), 0);
	rig_fetch_token(r, "one", 3600);
	assert_int_equal(token_source_rank(&r->s, &r->now), 2);
	ask = rig_reject(r, 1, 5);
	rig_ask(r, &ask);
	assert_int_equal(token_source_rank(&r->s, &r->now), 1);
	rig_pass(r, 3600 * S);
	assert_int_equal(token_source_rank(&r->s, &r->now), 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(report_replaces_at_once),
		cmocka_unit_test(thousand_reports_are_one_fetch),
		cmocka_unit_test(unknown_generations_change_nothing),
		cmocka_unit_test(report_joins_a_fetch_under_way),
		cmocka_unit_test(cool_down_stops_a_loop),
		cmocka_unit_test(refused_report_harms_nobody),
		cmocka_unit_test(failed_replacement_leaves_it_stale),
		cmocka_unit_test(wait_that_ends_first_gets_it_stale),
		cmocka_unit_test(same_token_again_is_a_failed_replacement),
		cmocka_unit_test(report_in_a_backoff_holds_nobody),
		cmocka_unit_test(report_whose_fetch_cannot_begin_holds_nobody),
		cmocka_unit_test(ask_whose_fetch_cannot_begin_is_told_so),
		cmocka_unit_test(report_of_the_older_ends_the_guard),
		cmocka_unit_test(report_of_the_older_is_the_reporters_own),
		cmocka_unit_test(api_accepts_the_older),
		cmocka_unit_test(api_refuses_the_older),
		cmocka_unit_test(api_says_nothing_of_the_older),
		cmocka_unit_test(api_is_asked_about_the_newer_one_instead),
		cmocka_unit_test(report_in_the_guard_leaves_the_older),
		cmocka_unit_test(nothing_to_replace_is_a_plain_ask),
		cmocka_unit_test(report_is_held_from_attempt_to_attempt),
		cmocka_unit_test(report_ends_when_no_attempt_is_in_its_wait),
		cmocka_unit_test(report_without_prefetch),
		cmocka_unit_test(cool_down_counts_from_the_replacement),
		cmocka_unit_test(api_accepts_it),
		cmocka_unit_test(api_refuses_it),
		cmocka_unit_test(api_does_not_tell),
		cmocka_unit_test(api_is_asked_once_more_about_a_very_new_one),
		cmocka_unit_test(api_answers_later_than_anybody_waits),
		cmocka_unit_test(a_verdict_on_another_token_is_no_verdict),
		cmocka_unit_test(a_verdict_keeps_to_the_mint_limit),
		cmocka_unit_test(api_is_asked_about_a_shared_one),
		cmocka_unit_test(api_is_asked_about_what_nothing_can_replace),
		cmocka_unit_test(false_report_in_an_outage_is_dropped),
		cmocka_unit_test(report_in_an_outage_that_is_not_false),
		cmocka_unit_test(verdict_after_the_wait),
		cmocka_unit_test(dropped_report_leaves_other_reasons),
		cmocka_unit_test(nobody_is_asked_elsewhere),
		cmocka_unit_test(rejections_leave_room_for_others),
		cmocka_unit_test(refreshes_are_not_of_the_share),
		cmocka_unit_test(unanswered_replacements_are_not_of_the_share),
		cmocka_unit_test(who_goes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
