/* What readers of the page are told, and when they have to ask; that it is always what asking would
 * have brought, test_token_source_properties.c shows. */
#include "source_fixture.h"

#include "core/token_page.h"

#define OVERDUE_S 15

static struct source_page page_now(const struct rig *r)
{
	struct source_page page;

	token_source_page(&r->s, &r->now, &page);
	return page;
}

static void without_a_token_readers_ask(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	assert_null(page_now(r).slot);
	rig_free(r);
}

static void a_fresh_token(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct boot_time dead;
	struct source_page page;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	dead = lifetime_dead(&r->s.current.life);
	page = page_now(r);
	assert_ptr_equal(page.slot, &r->s.current);
	assert_int_equal(page.dead.ns, dead.ns);
	assert_int_equal(page.until.ns, dead.ns - S + 1);
	assert_int_equal(page.min_ttl_limit_s, 1800);
	rig_free(r);
}

/* A refresh that hangs makes the token stale, to the nanosecond when it does for those who ask. */
static void it_gets_stale_when_its_refresh_is_overdue(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct boot_time stale_from;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	stale_from = page_now(r).stale_from;
	assert_int_equal(stale_from.ns, r->s.refresh_at.ns + OVERDUE_S * S + 1);
	assert_true(rig_wake(r));
	assert_int_equal(page_now(r).stale_from.ns, stale_from.ns);
	rig_pass_until(r, (struct boot_time){stale_from.ns - 1});
	assert_string_equal(rig_served(r), "one");
	assert_false(r->o.stale);
	rig_pass(r, 1);
	assert_string_equal(rig_served(r), "one");
	assert_true(r->o.stale);
	rig_free(r);
}

/* Who asks may be held for the next attempt, which a reader cannot be. */
static void a_rejected_token_is_not_read_until_it_is_replaced(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_reject(r, 1, 5);
	rig_ask(r, &ask);
	assert_null(page_now(r).slot); /* at once, before any decision */
	assert_true(rig_decide(r));
	assert_null(page_now(r).slot);
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
	assert_null(page_now(r).slot);
	assert_false(rig_decide(r));
	assert_true(rig_wake(r));
	rig_answer_token(r, "two", 3600);
	assert_ptr_equal(page_now(r).slot, &r->s.current);
	rig_free(r);
}

/* Time that may have been lost is not promised to readers, who notice nothing of it. */
static void a_doubt_shortens_it(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct boot_time dead;
	struct source_page page;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	dead = lifetime_dead(&r->s.current.life);
	r->now.wall.ns += 100 * S;
	page = page_now(r);
	assert_int_equal(page.dead.ns, dead.ns - 100 * S);
	assert_int_equal(page.until.ns, page.dead.ns - S + 1);
	rig_free(r);
}

static void without_prefetch_it_ends_at_the_refresh(void **state)
{
	struct token_ask ask;
	struct rig *r = rig_without_prefetch();

	(void)state;
	ask = rig_get(r, 5);
	rig_ask(r, &ask);
	rig_fetch_token(r, "one", 3600);
	assert_int_equal(page_now(r).until.ns, r->s.refresh_at.ns);
	assert_int_equal(page_now(r).stale_from.ns, BOOT_TIME_NEVER.ns);
	rig_pass_until(r, r->s.refresh_at);
	assert_null(page_now(r).slot);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_token_readers_ask),
		cmocka_unit_test(a_fresh_token),
		cmocka_unit_test(it_gets_stale_when_its_refresh_is_overdue),
		cmocka_unit_test(a_rejected_token_is_not_read_until_it_is_replaced),
		cmocka_unit_test(a_doubt_shortens_it),
		cmocka_unit_test(without_prefetch_it_ends_at_the_refresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
