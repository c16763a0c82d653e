/* The pings on the connection by which messages come, and the wake-ups that they cost. */
#include "store_fixture.h"

struct rig {
	struct redis_fake fake;
	struct store *store;
	struct store_token *token;
};

/* It is up, and its first ping has not been sent. */
static void begin(struct rig *r, int64_t timeout_ms)
{
	struct store_settings s;

	snprintf(r->fake.path, sizeof(r->fake.path), "/tmp/test_store.%d", (int)getpid());
	fake_start(&r->fake);
	s = settings_of(&r->fake);
	s.timeout = duration_ms(timeout_ms);
	r->store = store_begin(&s, &r->token);
	assert_true(run_until(&heard.ups, 1, 15000));
}

static void finish(struct rig *r)
{
	store_end(r->store, r->token);
	fake_stop(&r->fake);
}

static void pass(int64_t ms)
{
	ahead = duration_add(ahead, duration_ms(ms));
}

static void read_once(const struct rig *r, unsigned results)
{
	assert_int_equal(store_read(r->token), 0);
	assert_true(run_until(&heard.results, results, 10000));
}

static void a_ping_goes_with_a_read(void **state)
{
	static const char pong[] = "*2\r\n$4\r\npong\r\n$0\r\n\r\n";
	struct rig r = {.fake = {.command = "PING",
				.answer = pong,
				.answer_length = strlen(pong),
				.slowly = true}};

	(void)state;
	begin(&r, 20000);
	read_once(&r, 1);
	/* it was only just found to work */
	assert_int_equal(heard.anchors, 0);
	for (unsigned n = 1; n <= 3; n++) {
		pass(10000);
		/* the answer waits for that of the ping: one wake-up does for both */
		read_once(&r, n + 1);
		assert_int_equal(heard.anchors, n);
	}
	assert_int_equal(heard.downs, 0);
	finish(&r);
}

static void a_ping_that_is_not_answered_ends_it_and_the_read(void **state)
{
	struct rig r = {.fake = {.command = "PING", .answer = ""}};

	(void)state;
	begin(&r, 500);
	pass(10000);
	assert_int_equal(store_read(r.token), 0);
	assert_true(run_until(&heard.downs_of_up, 1, 10000));
	assert_non_null(strstr(heard.why, "it did not answer in time"));
	assert_int_equal(heard.results, 0);
	/* and answers do not stay held when it is up again */
	assert_true(run_until(&heard.ups, 2, 20000));
	read_once(&r, 1);
	finish(&r);
}

/* Whichever of them is asked first. */
static void what_is_urgent_waits_for_no_ping(void **state)
{
	(void)state;
	for (int read_first = 0; read_first < 2; read_first++) {
		struct rig r = {.fake = {.command = "PING", .answer = ""}};
		struct store_token *other;

		begin(&r, 20000);
		assert_int_equal(store_token_new(&other, r.store, &subject, 1, NULL), 0);
		pass(10000);
		if (read_first)
			assert_int_equal(store_read(r.token), 0);
		assert_int_equal(store_renew(other, 7, duration_s(5)), 0);
		if (!read_first)
			assert_int_equal(store_read(r.token), 0);
		assert_true(run_until(&heard.results, 2, 10000));
		assert_int_equal(heard.downs, 0);
		store_token_free(other);
		finish(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ping_goes_with_a_read),
		cmocka_unit_test(a_ping_that_is_not_answered_ends_it_and_the_read),
		cmocka_unit_test(what_is_urgent_waits_for_no_ping),
	};

	return cmocka_run_group_tests(tests, loop_set_up, loop_tear_down);
}
