/* What becomes of the rules when the system comes to say something else of the users they name,
 * without a reload: the look that is taken every minute. */
#include "broker_fixture.h"

#include "broker/pages.h"
#include "broker/profile_type.h"
#include "core/config.h"
#include "host/name_table.h"

#include <errno.h>
#include <event2/event.h>
#include <pwd.h>
#include <stdatomic.h>
#include <string.h>

/* What the name service says of every user: an errno, and, where that is 0, a uid; 0 is none. */
static atomic_int service_error;
static atomic_uint service_uid;

int getpwnam_r(
	const char *name, struct passwd *entry, char *buffer, size_t size, struct passwd **ret)
{
	(void)name;
	(void)buffer;
	(void)size;
	memset(entry, 0, sizeof(*entry));
	entry->pw_uid = service_uid;
	*ret = !service_error && service_uid ? entry : NULL;
	return service_error;
}

static void service_says(int error, uid_t uid)
{
	service_error = error;
	service_uid = uid;
}

static void a_minute_passes(struct rig *r)
{
	event_active(&r->broker->names.minute, EV_TIMEOUT, 1);
	event_base_loop(r->base, EVLOOP_NONBLOCK);
	name_table_wait(r->broker->names.table, duration_s(60));
	event_base_loop(r->base, EVLOOP_NONBLOCK);
	rig_run(r);
}

static uid_t granted(const struct profile *p)
{
	return p->settings->allow.lists[ACCESS_USERS].ids[0];
}

static struct rig *with_a_page(const struct page **ret)
{
	struct rig *r;

	service_says(0, 71001);
	r = rig_new("[profile p]\nprefetch = no\nallow_users = ann\n");
	assert_int_equal(pages_get(rig_profile(r, "p"), ret), 0);
	return r;
}

static void test_another_uid_takes_the_old_ones_right_and_page(void **state)
{
	const struct page *page, *next;
	struct rig *r = with_a_page(&page);
	struct profile *p = rig_profile(r, "p");

	(void)state;
	a_minute_passes(r);
	assert_int_equal(granted(p), 71001);
	assert_int_equal(p->page.retired, 0);
	service_says(0, 71002);
	a_minute_passes(r);
	assert_int_equal(granted(p), 71002);
	assert_int_equal(p->page.retired, 1);
	assert_int_equal(pages_get(p, &next), 0);
	a_minute_passes(r);
	assert_int_equal(p->page.retired, 1);
	rig_free(r);
}

static void test_a_user_who_is_gone_has_nothing(void **state)
{
	const struct page *page;
	struct rig *r = with_a_page(&page);
	struct profile *p = rig_profile(r, "p");

	(void)state;
	service_says(0, 0);
	a_minute_passes(r);
	assert_int_equal(granted(p), ID_NOBODY);
	assert_int_equal(p->page.retired, 1);
	assert_int_equal(r->broker->names.unknown.count, 1);
	assert_string_equal(r->broker->names.unknown.text, "user \"ann\"");
	service_says(0, 71001);
	a_minute_passes(r);
	assert_int_equal(granted(p), 71001);
	assert_int_equal(r->broker->names.unknown.count, 0);
	rig_free(r);
}

static void test_a_failure_is_no_answer(void **state)
{
	static const int errors[] = {EIO, EAGAIN, ETIMEDOUT, EMFILE, ECONNREFUSED};
	const struct page *page;
	struct rig *r = with_a_page(&page);
	struct profile *p = rig_profile(r, "p");

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		service_says(errors[i], 0);
		a_minute_passes(r);
		assert_int_equal(granted(p), 71001);
		assert_int_equal(p->page.retired, 0);
		assert_int_equal(r->broker->names.unknown.count, 0);
	}
	rig_free(r);
}

/* The timer goes on by itself. */
static void test_every_minute(void **state)
{
	const struct page *page;
	struct rig *r = with_a_page(&page);
	struct timeval at, now;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(evtimer_pending(&r->broker->names.minute, &at));
		event_base_gettimeofday_cached(r->base, &now);
		assert_in_range(at.tv_sec - now.tv_sec, 55, 61);
		a_minute_passes(r);
	}
	rig_free(r);
}

static void answered(void *context)
{
	++*(unsigned *)context;
}

/* A daemon that nobody asks anything has no reason to wake up twice a minute. */
static void test_the_same_answer_wakes_nobody(void **state)
{
	static const struct {
		int error;
		uid_t uid;
		bool wakes;
	} answers[] = {{0, 71001, false}, {0, 71002, true}, {0, 71002, false}, {0, 0, true},
		{0, 0, false}, {EIO, 0, true}, {EIO, 0, false}, {ETIMEDOUT, 0, true}, {0, 0, true},
		{0, 71001, true}, {0, 71001, false}};
	const struct page *page;
	struct rig *r = with_a_page(&page);
	unsigned woken = 0;

	(void)state;
	name_table_set_hook(r->broker->names.table, answered, &woken);
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		service_says(answers[i].error, answers[i].uid);
		woken = 0;
		a_minute_passes(r);
		assert_int_equal(woken, answers[i].wakes);
	}
	/* but whoever waits for it is told in any case */
	name_table_refresh(r->broker->names.table);
	while (name_table_pending(r->broker->names.table))
		event_base_loop(r->base, EVLOOP_ONCE);
	rig_free(r);
}

static void test_where_nobody_is_named_nothing_is_looked_up(void **state)
{
	struct rig *r = rig_new("[profile p]\nprefetch = no\nallow_users = *\n");

	(void)state;
	assert_false(evtimer_pending(&r->broker->names.minute, NULL));
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_another_uid_takes_the_old_ones_right_and_page),
		cmocka_unit_test(test_a_user_who_is_gone_has_nothing),
		cmocka_unit_test(test_a_failure_is_no_answer),
		cmocka_unit_test(test_every_minute),
		cmocka_unit_test(test_the_same_answer_wakes_nobody),
		cmocka_unit_test(test_where_nobody_is_named_nothing_is_looked_up),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
