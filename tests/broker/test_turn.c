/* When a turn is taken; what is done in one is the test's. */
#include "broker_fixture.h"

#include "broker/turn.h"

#include <event2/event.h>

static struct boot_time next; /* what a turn asks for */
static unsigned taken;
static bool no_memory;

int __wrap_event_add(struct event *e, const struct timeval *tv);
int __real_event_add(struct event *e, const struct timeval *tv);

int __wrap_event_add(struct event *e, const struct timeval *tv)
{
	return no_memory ? -1 : __real_event_add(e, tv);
}

static struct boot_time take(void *context)
{
	assert_ptr_equal(context, &next);
	taken++;
	return next;
}

/* The rig lends its loop and clocks; from here on its own broker takes no turn by the timer. */
static struct rig *start(struct turn *t)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\n");

	*t = (struct turn){0};
	assert_int_equal(turn_init(t, r->base, take, &next), 0);
	taken = 0;
	next = BOOT_TIME_NEVER;
	return r;
}

static void end_turns(struct rig *r, struct turn *t)
{
	turn_fini(t);
	rig_free(r);
}

static void test_now(void **state)
{
	struct turn t;
	struct rig *r = start(&t);

	(void)state;
	turn_now(&t);
	assert_int_equal(taken, 1);
	rig_pass(r, 3600);
	assert_int_equal(taken, 1);
	end_turns(r, &t);
}

static void test_soon_is_once(void **state)
{
	struct turn t;
	struct rig *r = start(&t);

	(void)state;
	turn_soon(&t);
	turn_soon(&t);
	assert_int_equal(taken, 0);
	rig_run(r);
	assert_int_equal(taken, 1);
	end_turns(r, &t);
}

static void test_now_is_also_soon(void **state)
{
	struct turn t;
	struct rig *r = start(&t);

	(void)state;
	turn_soon(&t);
	turn_now(&t);
	rig_run(r);
	assert_int_equal(taken, 1);
	end_turns(r, &t);
}

static void test_soon_without_memory_for_a_timer(void **state)
{
	struct turn t;
	struct rig *r = start(&t);

	(void)state;
	no_memory = true;
	turn_soon(&t);
	no_memory = false;
	assert_int_equal(taken, 0);
	rig_run(r);
	assert_int_equal(taken, 1);
	end_turns(r, &t);
}

static void test_at_the_time_that_the_latest_asked_for(void **state)
{
	struct turn t;
	struct rig *r = start(&t);

	(void)state;
	next = boot_add(r->now.boot, duration_s(5));
	turn_now(&t);
	next = boot_add(r->now.boot, duration_s(10));
	turn_now(&t);
	assert_int_equal(taken, 2);
	rig_pass_ms(r, 9999);
	assert_int_equal(taken, 2);
	next = BOOT_TIME_NEVER;
	rig_pass_ms(r, 1);
	assert_int_equal(taken, 3);
	rig_pass(r, 3600);
	assert_int_equal(taken, 3);
	end_turns(r, &t);
}

/* Whatever stage it has reached. */
static void test_ends_with_a_turn_due_and_before_it_began(void **state)
{
	struct turn t, none = {0};
	struct rig *r = start(&t);

	(void)state;
	turn_soon(&t);
	turn_fini(&t);
	rig_run(r);
	assert_int_equal(taken, 0);
	turn_fini(&none);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_now),
		cmocka_unit_test(test_soon_is_once),
		cmocka_unit_test(test_now_is_also_soon),
		cmocka_unit_test(test_soon_without_memory_for_a_timer),
		cmocka_unit_test(test_at_the_time_that_the_latest_asked_for),
		cmocka_unit_test(test_ends_with_a_turn_due_and_before_it_began),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
