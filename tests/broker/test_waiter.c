/* Held requests: when they are answered, and what becomes of them otherwise. The waiters are the
 * test's own, on connections that only remember what was done with them. */
#include "broker_fixture.h"

#include "broker/profile_type.h"
#include "broker/waiter.h"
#include "core/buffer.h"
#include "core/reply.h"
#include "front/connection_hold.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TWO "[profile a]\nprefetch = no\n[profile b]\nprefetch = no\n"
#define WAIT duration_s(10)

struct connection {
	void *hold;
	struct buffer out;
	bool begun;
	int status; /* 0: not answered */
};

void __wrap_connection_set_hold(struct connection *c, void *hold);
void __wrap_connection_reply_begin(struct connection *c, struct reply *ret);
void __wrap_connection_reply_end(struct connection *c, int status);

static bool no_memory;

int __wrap_event_add(struct event *e, const struct timeval *tv);
int __real_event_add(struct event *e, const struct timeval *tv);

int __wrap_event_add(struct event *e, const struct timeval *tv)
{
	return no_memory ? -1 : __real_event_add(e, tv);
}

void __wrap_connection_set_hold(struct connection *c, void *hold)
{
	c->hold = hold;
}

void __wrap_connection_reply_begin(struct connection *c, struct reply *ret)
{
	assert_false(c->begun);
	c->begun = true;
	*ret = (struct reply){.out = &c->out, .keep_alive = true};
}

void __wrap_connection_reply_end(struct connection *c, int status)
{
	assert_true(c->begun);
	assert_null(c->hold);
	c->begun = false;
	c->status = status;
}

/* What became of the waiters of a test. */
static struct {
	unsigned answered, gone, moved;
	const struct connection *first; /* that was answered */
	struct waiter_list *hold_on_in; /* not NULL: the answer is to hold on there */
} seen;

static void note_answer(struct waiter *w, const struct clock_reading *now)
{
	struct reply reply;

	(void)now;
	if (!seen.answered++)
		seen.first = w->connection;
	if (seen.hold_on_in) {
		waiter_wait(w, seen.hold_on_in);
		waiter_extend(w, WAIT);
		return;
	}
	connection_reply_begin(w->connection, &reply);
	waiter_answered(w, 200);
}

static void note_gone(struct waiter *w)
{
	seen.gone++;
	free(w);
}

static void note_moved(struct waiter *w)
{
	(void)w;
	seen.moved++;
}

static int note_stopped(const struct waiter *w, struct reply *reply)
{
	assert_non_null(w->connection);
	reply_not_modified(reply);
	return 304;
}

static const struct waiter_type stays = {note_answer, note_gone, NULL, NULL};
static const struct waiter_type follows = {note_answer, note_gone, note_moved, note_stopped};

static struct connection *connect_somebody(void)
{
	struct connection *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	buffer_init(&c->out, NULL, 0);
	return c;
}

static void hang_up(struct connection *c)
{
	buffer_fini(&c->out);
	free(c);
}

static struct waiter *begin_for(const struct waiter_type *type, struct profile *p,
	struct connection *c, struct duration wait)
{
	struct waiter *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(waiter_begin(w, type, p, c, wait), 0);
	assert_ptr_equal(c->hold, w);
	return w;
}

static struct waiter *begin(const struct waiter_type *type, struct profile *p, struct connection *c)
{
	return begin_for(type, p, c, WAIT);
}

static struct rig *start(const char *sections)
{
	memset(&seen, 0, sizeof(seen));
	return rig_new(sections);
}

static void test_answered_when_ready(void **state)
{
	struct rig *r = start(TWO);
	struct profile *p = rig_profile(r, "a");
	struct connection *c = connect_somebody();
	struct waiter *w = begin(&stays, p, c);

	(void)state;
	assert_int_equal(p->waiting_count, 1);
	assert_int_equal(r->broker->waiters.count, 1);
	rig_run(r);
	assert_int_equal(c->status, 0);
	waiter_make_ready(w);
	assert_int_equal(c->status, 0);
	rig_run(r);
	assert_int_equal(c->status, 200);
	assert_int_equal(seen.answered, 1);
	assert_int_equal(seen.gone, 1);
	assert_int_equal(p->waiting_count, 0);
	assert_int_equal(r->broker->waiters.count, 0);
	hang_up(c);
	rig_free(r);
}

static void test_ready_again_keeps_its_turn(void **state)
{
	struct rig *r = start(TWO);
	struct profile *p = rig_profile(r, "a");
	struct connection *c = connect_somebody(), *later = connect_somebody();
	struct waiter *w = begin(&stays, p, c);

	(void)state;
	waiter_make_ready(w);
	waiter_make_ready(begin(&stays, p, later));
	waiter_make_ready(w);
	rig_run(r);
	assert_int_equal(seen.answered, 2);
	assert_ptr_equal(seen.first, c);
	hang_up(c);
	hang_up(later);
	rig_free(r);
}

static void test_ready_when_nothing_is_pending(void **state)
{
	struct rig *r = start(TWO);
	struct connection *c = connect_somebody();
	struct waiter *w = begin(&stays, rig_profile(r, "a"), c);

	(void)state;
	w->pending = 3;
	waiter_done(w);
	waiter_done(w);
	rig_run(r);
	assert_int_equal(seen.answered, 0);
	waiter_done(w);
	rig_run(r);
	assert_int_equal(c->status, 200);
	hang_up(c);
	rig_free(r);
}

static void test_answered_when_its_time_is_over(void **state)
{
	struct rig *r = start(TWO);
	struct connection *c = connect_somebody();
	struct waiter *w = begin(&stays, rig_profile(r, "a"), c);

	(void)state;
	w->pending = 1;
	rig_pass_ms(r, 9999);
	assert_int_equal(seen.answered, 0);
	rig_pass_ms(r, 1);
	assert_int_equal(c->status, 200);
	hang_up(c);
	rig_free(r);
}

/* Never too early, and no later than a timer is. */
static void test_waits_as_long_as_it_is_to(void **state)
{
	static const struct {
		int64_t wait_ns, too_short_ms, long_enough_ms;
	} cases[] = {
		{-1, 0, 0},
		{0, 0, 0},
		{1, 0, 1},
		{1500 * NS_PER_MS, 1499, 1500},
		{1999999000, 1999, 2000},
	};
	struct rig *r = start(TWO);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct connection *c = connect_somebody();

		begin_for(&stays, rig_profile(r, "a"), c, duration_ns(cases[i].wait_ns));
		if (cases[i].wait_ns > 0) {
			rig_pass_ms(r, cases[i].too_short_ms);
			assert_int_equal(c->status, 0);
		}
		rig_pass_ms(r, cases[i].long_enough_ms - cases[i].too_short_ms);
		assert_int_equal(c->status, 200);
		hang_up(c);
	}
	rig_free(r);
}

static void test_what_ends_too_late_does_not_answer_twice(void **state)
{
	struct rig *r = start(TWO);
	struct connection *c = connect_somebody();
	struct waiter *w = begin(&stays, rig_profile(r, "a"), c);

	(void)state;
	w->pending = 1;
	waiter_make_ready(w);
	waiter_done(w);
	rig_run(r);
	assert_int_equal(seen.answered, 1);
	assert_int_equal(seen.gone, 1);
	hang_up(c);
	rig_free(r);
}

static void test_holds_on(void **state)
{
	struct rig *r = start(TWO);
	struct profile *p = rig_profile(r, "a");
	struct connection *c = connect_somebody();
	struct waiter *w = begin(&stays, p, c);

	(void)state;
	waiter_wait(w, &p->asking);
	seen.hold_on_in = &p->asking;
	rig_pass(r, 4);
	waiters_make_ready(&p->asking);
	assert_true(TAILQ_EMPTY(&p->asking));
	rig_run(r);
	assert_int_equal(seen.answered, 1);
	assert_ptr_equal(TAILQ_FIRST(&p->asking), w);
	/* its time goes on from where it was, and is there anew once it was over */
	rig_pass(r, 6);
	assert_int_equal(seen.answered, 2);
	rig_pass(r, 9);
	assert_int_equal(seen.answered, 2);
	rig_pass(r, 1);
	assert_int_equal(seen.answered, 3);
	seen.hold_on_in = NULL;
	waiters_make_ready(&p->asking);
	rig_run(r);
	assert_int_equal(c->status, 200);
	hang_up(c);
	rig_free(r);
}

/* In no list, in one, and when it is ready. */
static void test_a_caller_who_leaves_is_forgotten(void **state)
{
	struct rig *r = start(TWO);
	struct profile *p = rig_profile(r, "a");
	struct connection *c = connect_somebody();
	struct waiter *w;

	(void)state;
	waiter_free(begin(&stays, p, c));
	w = begin(&stays, p, c);
	waiter_wait(w, &p->asking);
	waiter_free(w);
	assert_true(TAILQ_EMPTY(&p->asking));
	w = begin(&stays, p, c);
	waiter_make_ready(w);
	waiter_free(w);
	assert_null(c->hold);
	assert_int_equal(p->waiting_count, 0);
	assert_int_equal(r->broker->waiters.count, 0);
	rig_pass(r, 20);
	assert_int_equal(seen.answered, 0);
	assert_int_equal(seen.gone, 3);
	assert_int_equal(c->status, 0);
	hang_up(c);
	rig_free(r);
}

static void test_no_memory_to_wait(void **state)
{
	struct rig *r = start(TWO);
	struct profile *p = rig_profile(r, "a");
	struct connection *c = connect_somebody();
	struct waiter w = {0};

	(void)state;
	no_memory = true;
	assert_int_equal(waiter_begin(&w, &stays, p, c, WAIT), -ENOMEM);
	no_memory = false;
	assert_null(c->hold);
	assert_int_equal(p->waiting_count, 0);
	assert_int_equal(r->broker->waiters.count, 0);
	hang_up(c);
	rig_free(r);
}

static void test_answered_without_memory_for_a_timer(void **state)
{
	struct rig *r = start(TWO);
	struct connection *c = connect_somebody();
	struct waiter *w = begin(&stays, rig_profile(r, "a"), c);

	(void)state;
	no_memory = true;
	waiter_make_ready(w);
	no_memory = false;
	assert_int_equal(c->status, 0);
	rig_run(r);
	assert_int_equal(c->status, 200);
	hang_up(c);
	rig_free(r);
}

static void test_many_are_answered_in_chunks(void **state)
{
	enum { MANY = 300, A_PASS = 128 };
	struct rig *r = start(TWO);
	struct profile *p = rig_profile(r, "a");
	struct connection *c[MANY];
	unsigned answered = 0;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		c[i] = connect_somebody();
		waiter_wait(begin(&stays, p, c[i]), &p->asking);
	}
	waiters_make_ready(&p->asking);
	while (seen.answered < MANY) {
		event_base_loop(r->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		/* a pass may be one that only finds the timer */
		if (seen.answered == answered)
			continue;
		assert_int_equal(seen.answered - answered,
			MANY - answered < A_PASS ? MANY - answered : A_PASS);
		answered = seen.answered;
		/* in the order in which they came */
		assert_int_equal(c[answered - 1]->status, 200);
		assert_true(answered == MANY || c[answered]->status == 0);
	}
	for (size_t i = 0; i < MANY; i++)
		hang_up(c[i]);
	rig_free(r);
}

static void test_a_profile_that_goes_is_told_to_those_who_wait(void **state)
{
	struct rig *r = start(TWO);
	struct connection *c = connect_somebody(), *other = connect_somebody();

	(void)state;
	begin(&follows, rig_profile(r, "a"), c);
	begin(&follows, rig_profile(r, "b"), other);
	rig_configure(r, "[profile b]\nprefetch = no\n");
	rig_reload(r);
	assert_int_equal(c->status, 404);
	assert_non_null(memmem(c->out.data, c->out.length, "\"unknown_profile\"", 17));
	assert_int_equal(seen.moved, 0);
	assert_int_equal(seen.answered, 0);
	assert_int_equal(seen.gone, 1);
	/* the other profile is the same as before */
	assert_int_equal(other->status, 0);
	waiter_free(other->hold);
	hang_up(c);
	hang_up(other);
	rig_free(r);
}

/* Another client under the same name: whoever asked by name asks it, but what was begun with the
 * old one is not finished with the new one. */
static void test_a_profile_that_is_another_now(void **state)
{
	struct rig *r = start(TWO);
	struct connection *by_name = connect_somebody(), *of_old = connect_somebody();
	struct profile *p;

	(void)state;
	begin(&follows, rig_profile(r, "a"), by_name);
	begin(&stays, rig_profile(r, "a"), of_old);
	seen.hold_on_in = &rig_profile(r, "b")->asking;
	rig_configure(r, "[profile a]\nprefetch = no\nclient_id = another\n"
			 "[profile b]\nprefetch = no\n");
	rig_reload(r);
	p = rig_profile(r, "a");
	assert_int_equal(of_old->status, 404);
	assert_int_equal(seen.moved, 1);
	assert_int_equal(seen.answered, 1);
	assert_int_equal(p->waiting_count, 1);
	assert_ptr_equal(((struct waiter *)by_name->hold)->profile, p);
	waiter_free(by_name->hold);
	assert_int_equal(p->waiting_count, 0);
	hang_up(by_name);
	hang_up(of_old);
	rig_free(r);
}

/* Ready or not, whatever they wait for. */
static void test_a_stop_answers_everybody(void **state)
{
	struct rig *r = start(TWO);
	struct profile *p = rig_profile(r, "a");
	struct connection *c = connect_somebody(), *ready = connect_somebody(),
			  *own_words = connect_somebody();

	(void)state;
	waiter_wait(begin(&stays, p, c), &p->asking);
	waiter_make_ready(begin(&stays, p, ready));
	begin(&follows, p, own_words)->pending = 1;
	waiters_stop(&r->broker->waiters);
	assert_int_equal(c->status, 503);
	assert_non_null(memmem(c->out.data, c->out.length, "\r\nRetry-After: 1\r\n", 18));
	assert_non_null(memmem(c->out.data, c->out.length, "\"temporarily_unavailable\"", 25));
	assert_int_equal(ready->status, 503);
	assert_int_equal(own_words->status, 304);
	assert_int_equal(seen.answered, 0);
	assert_int_equal(seen.gone, 3);
	assert_int_equal(r->broker->waiters.count, 0);
	hang_up(c);
	hang_up(ready);
	hang_up(own_words);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answered_when_ready),
		cmocka_unit_test(test_ready_again_keeps_its_turn),
		cmocka_unit_test(test_ready_when_nothing_is_pending),
		cmocka_unit_test(test_answered_when_its_time_is_over),
		cmocka_unit_test(test_waits_as_long_as_it_is_to),
		cmocka_unit_test(test_what_ends_too_late_does_not_answer_twice),
		cmocka_unit_test(test_holds_on),
		cmocka_unit_test(test_a_caller_who_leaves_is_forgotten),
		cmocka_unit_test(test_no_memory_to_wait),
		cmocka_unit_test(test_answered_without_memory_for_a_timer),
		cmocka_unit_test(test_many_are_answered_in_chunks),
		cmocka_unit_test(test_a_profile_that_goes_is_told_to_those_who_wait),
		cmocka_unit_test(test_a_profile_that_is_another_now),
		cmocka_unit_test(test_a_stop_answers_everybody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
