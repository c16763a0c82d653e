/* What one profile of a client was told, the others keep to as well. */
#include "source_fixture.h"

#include "core/token_sibling.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* Two profiles of one client, at one time. */
struct pair {
	struct rig *one, *other;
};

static struct pair pair_new(void)
{
	return (struct pair){rig_new(NULL, 1), rig_new(NULL, 2)};
}

static void pair_free(struct pair *p)
{
	rig_free(p->one);
	rig_free(p->other);
}

static void other_heeds(struct pair *p)
{
	p->other->now = p->one->now;
	token_source_sibling_fetched(&p->other->s, &p->other->now, &p->one->s);
}

static void pair_passes(struct pair *p, int64_t ns)
{
	rig_pass(p->one, ns);
	p->other->now = p->one->now;
}

static void one_is_refused(struct pair *p, const char *error)
{
	assert_true(rig_decide(p->one));
	rig_answer_failure(p->one, RESPONSE_CLIENT_REJECTED, -1);
	snprintf(p->one->s.last_failure.error, sizeof(p->one->s.last_failure.error), "%s", error);
}

static void what_throttles_one_throttles_both(void **state)
{
	struct pair p = pair_new();
	struct source_view view;

	(void)state;
	assert_true(rig_decide(p.one));
	rig_answer_failure(p.one, RESPONSE_THROTTLED, 600);
	other_heeds(&p);
	assert_true(token_source_needs_turn(&p.other->s));
	assert_false(rig_decide(p.other));
	assert_int_equal(rig_told(p.other, EVENT_THROTTLED), 1);
	token_source_view(&p.other->s, &p.other->now, &view);
	assert_int_equal(view.state, SOURCE_UNAVAILABLE);
	pair_passes(&p, 599 * S);
	assert_false(rig_decide(p.other));
	/* a second for rounding */
	pair_passes(&p, 3 * S);
	assert_true(rig_decide(p.other));
	pair_free(&p);
}

static void a_token_serves_on(void **state)
{
	struct pair p = pair_new();
	struct source_view view;

	(void)state;
	rig_fetch_token(p.other, "theirs", 3600);
	p.one->now = p.other->now;
	one_is_refused(&p, "invalid_client");
	other_heeds(&p);
	token_source_view(&p.other->s, &p.other->now, &view);
	assert_int_equal(view.state, SOURCE_FRESH);
	/* its own refresh comes after these 15 minutes */
	assert_false(rig_decide(p.other));
	pair_passes(&p, 3500 * S);
	assert_true(rig_decide(p.other));
	pair_free(&p);
}

/* What one is told is no reason to let the other's token end without another attempt. */
static void a_token_does_not_end_in_the_others_pause(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct pair p = pair_new();
		struct boot_time end, next;

		rig_fetch_token(p.other, "theirs", 300);
		end = lifetime_dead(&p.other->s.current.life);
		rig_pass_until(p.other, boot_sub(end, duration_s(50)));
		p.one->now = p.other->now;
		if (i) {
			one_is_refused(&p, "invalid_client");
		} else {
			assert_true(rig_decide(p.one));
			p.one->s.failures = 9;
			rig_answer_failure(p.one, RESPONSE_THROTTLED, -1);
			assert_true(boot_since(p.one->s.not_before, p.one->now.boot).ns >= 30 * S);
		}
		other_heeds(&p);
		assert_false(rig_decide(p.other));
		next = token_source_fetch_at(&p.other->s, &p.other->now);
		assert_in_range(boot_since(next, p.other->now.boot).ns, 5 * S, 25 * S);
		/* nor are all profiles of the client to ask so soon again and again */
		rig_pass_until(p.other, next);
		p.one->now = p.other->now;
		p.one->s.not_before = boot_add(next, duration_s(900));
		other_heeds(&p);
		next = token_source_fetch_at(&p.other->s, &p.other->now);
		assert_true(boot_since(next, p.other->now.boot).ns >= (i ? 12 : 5) * S);
		pair_free(&p);
	}
}

/* How long the server wants to be left in peace is for all. */
static void a_time_that_the_server_names_is_kept_to(void **state)
{
	struct pair p = pair_new();

	(void)state;
	rig_fetch_token(p.other, "theirs", 300);
	rig_pass_until(p.other, boot_sub(lifetime_dead(&p.other->s.current.life), duration_s(20)));
	p.one->now = p.other->now;
	assert_true(rig_decide(p.one));
	rig_answer_failure(p.one, RESPONSE_THROTTLED, 60);
	other_heeds(&p);
	assert_int_equal(p.other->s.not_before.ns, p.one->s.not_before.ns);
	assert_int_equal(p.other->s.not_before_waited.ns, p.one->s.not_before.ns);
	pair_free(&p);
}

/* Nor does it wait for its refresh once the client is accepted again: that may be long. */
static void accepted_again_it_is_refreshed_at_once(void **state)
{
	struct pair p = pair_new();

	(void)state;
	rig_fetch_token(p.other, "theirs", 86400);
	p.one->now = p.other->now;
	one_is_refused(&p, "invalid_client");
	other_heeds(&p);
	assert_false(rig_decide(p.other));
	pair_passes(&p, 60 * S);
	p.one->s.not_before = p.one->now.boot;
	assert_true(rig_decide(p.one));
	assert_true(rig_answer_token(p.one, "mine", 3600));
	other_heeds(&p);
	assert_true(rig_decide(p.other));
	pair_free(&p);
}

static void a_refused_client_is_asked_for_once(void **state)
{
	struct pair p = pair_new();
	struct source_view view;

	(void)state;
	one_is_refused(&p, "invalid_client");
	other_heeds(&p);
	assert_false(rig_decide(p.other));
	assert_int_equal(rig_told(p.other, EVENT_CLIENT_REJECTED), 1);
	token_source_view(&p.other->s, &p.other->now, &view);
	assert_int_equal(view.state, SOURCE_CLIENT_REJECTED);
	/* the same again tells nothing new */
	other_heeds(&p);
	assert_int_equal(rig_told(p.other, EVENT_CLIENT_REJECTED), 1);
	/* accepted again before the time is over: an admin asked */
	pair_passes(&p, 60 * S);
	p.one->s.not_before = p.one->now.boot;
	assert_true(rig_decide(p.one));
	assert_true(rig_answer_token(p.one, "mine", 3600));
	p.other->s.failures = 5;
	other_heeds(&p);
	assert_true(rig_decide(p.other));
	/* and what fails now is the first failure */
	rig_answer_failure(p.other, RESPONSE_UNAVAILABLE, -1);
	assert_in_range(boot_since(p.other->s.not_before, p.other->now.boot).ns, 500 * MS, S);
	pair_free(&p);
}

static void what_is_ones_own_is_not_the_others(void **state)
{
	static const char *const errors[] = {"invalid_scope", "unauthorized_client", ""};

	(void)state;
	for (size_t i = 0; i < COUNT(errors); i++) {
		struct pair p = pair_new();

		one_is_refused(&p, errors[i]);
		other_heeds(&p);
		assert_true(rig_decide(p.other));
		pair_free(&p);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct pair p = pair_new();

		assert_true(rig_decide(p.one));
		if (i)
			rig_answer_failure(p.one, RESPONSE_UNAVAILABLE, 600);
		else
			assert_true(rig_answer_token(p.one, "mine", 3600));
		other_heeds(&p);
		assert_true(rig_decide(p.other));
		pair_free(&p);
	}
}

/* A wait of its own is not made shorter, nor ended by another's token. */
static void ones_own_wait_stays(void **state)
{
	struct pair p = pair_new();

	(void)state;
	assert_true(rig_decide(p.other));
	rig_answer_failure(p.other, RESPONSE_THROTTLED, 600);
	p.one->now = p.other->now;
	assert_true(rig_decide(p.one));
	rig_answer_failure(p.one, RESPONSE_THROTTLED, 60);
	other_heeds(&p);
	pair_passes(&p, 100 * S);
	assert_false(rig_decide(p.other));
	assert_true(rig_decide(p.one));
	assert_true(rig_answer_token(p.one, "mine", 3600));
	other_heeds(&p);
	assert_false(rig_decide(p.other));
	pair_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_throttles_one_throttles_both),
		cmocka_unit_test(a_token_serves_on),
		cmocka_unit_test(a_token_does_not_end_in_the_others_pause),
		cmocka_unit_test(a_time_that_the_server_names_is_kept_to),
		cmocka_unit_test(accepted_again_it_is_refreshed_at_once),
		cmocka_unit_test(a_refused_client_is_asked_for_once),
		cmocka_unit_test(what_is_ones_own_is_not_the_others),
		cmocka_unit_test(ones_own_wait_stays),
	};

	return cmocka_run_group_tests_name("token_sibling", tests, NULL, NULL);
}
