/* Replies to a crowd, in passes of a real loop: each step of a pass is an event of its own, as a
 * connection's would be. */
#include "front/outbox.h"

#include "front/stream.h"
#include "front/toll.h"
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define CALLERS 80
#define FEW 10

static struct event_base *base;
static struct replies replies;
static struct outbox outbox;
static struct stream streams[CALLERS];
static int callers[CALLERS]; /* their ends */
static struct event *steps[CALLERS];
static void (*step)(unsigned number, unsigned left);
static unsigned pass_length;
/* What was told. */
static unsigned told;
static struct stream *told_of;
static int told_result;
static void (*then)(struct stream *s); /* done about it */

static void sent(struct stream *s, int result)
{
	told++;
	told_of = s;
	told_result = result;
	if (then)
		then(s);
}

static void stream_ready(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what, (void)context;
}

static void stepped(evutil_socket_t fd, short what, void *context)
{
	unsigned number = (unsigned)((struct event **)context - steps);

	(void)fd, (void)what;
	step(number, pass_length - 1 - number);
}

static int setup(void **state)
{
	(void)state;
	base = event_base_new();
	if (!base)
		return -1;
	toll_init(NULL, NULL, NULL);
	replies_init(&replies);
	outbox_init(&outbox, base, &replies, sent);
	told = 0;
	then = NULL;
	for (unsigned i = 0; i < CALLERS; i++) {
		int ends[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
			return -1;
		callers[i] = ends[0];
		stream_open(&streams[i], base, ends[1], stream_ready, NULL);
		steps[i] = event_new(base, -1, 0, stepped, &steps[i]);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	outbox_fini(&outbox);
	replies_fini(&replies);
	for (unsigned i = 0; i < CALLERS; i++) {
		event_free(steps[i]);
		if (callers[i] >= 0)
			close(callers[i]);
		stream_close(&streams[i], NULL);
	}
	toll_fini();
	event_base_free(base);
	return 0;
}

/* One pass, with so many steps. */
static void pass(unsigned length, void (*each)(unsigned number, unsigned left))
{
	step = each;
	pass_length = length;
	for (unsigned i = 0; i < length; i++)
		event_active(steps[i], EV_READ, 1);
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void write_reply(unsigned number)
{
	char text[16];

	buffer_put(&replies.out, text, (size_t)snprintf(text, sizeof(text), "reply %u", number));
}

static void write_long(size_t length)
{
	memset(buffer_claim(&replies.out, length), 'x', length);
}

static size_t got(unsigned number, char text[16384])
{
	ssize_t n = recv(callers[number], text, 16383, MSG_DONTWAIT);

	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static void assert_got(unsigned number, const char *expected)
{
	char text[16384];

	got(number, text);
	assert_string_equal(text, expected);
}

static void assert_got_reply(unsigned number)
{
	char text[16];

	snprintf(text, sizeof(text), "reply %u", number);
	assert_got(number, text);
}

static void reply_at_once(unsigned number, unsigned left)
{
	(void)left;
	write_reply(number);
	assert_false(outbox_wait(&outbox, &streams[number]));
	assert_int_equal(outbox_send(&outbox, &streams[number]), 0);
	assert_got_reply(number);
}

static void a_few_do_not_wait(void **state)
{
	(void)state;
	pass(1, reply_at_once);
	pass(FEW, reply_at_once);
	pass(OUTBOX_CROWD, reply_at_once);
	assert_int_equal(replies.out.length, 0);
}

static void reply_waits(unsigned number, unsigned left)
{
	write_reply(number);
	assert_true(outbox_wait(&outbox, &streams[number]));
	assert_int_equal(outbox_written(&outbox), 0);
	if (!left)
		for (unsigned i = 0; i <= number; i++)
			assert_got(i, "");
}

static void a_crowd_waits_for_the_end_of_the_pass(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		pass(OUTBOX_CROWD + 1 + round * FEW, reply_waits);
		for (unsigned i = 0; i < OUTBOX_CROWD + 1 + round * FEW; i++)
			assert_got_reply(i);
	}
	assert_int_equal(told, 0);
	/* Nothing is left of it, nor is any token. */
	assert_int_equal(replies.out.length, 0);
	assert_int_equal(replies.storage[0], 0);
}

#define SENDS_AT 12

static void one_sends(unsigned number, unsigned left)
{
	write_reply(number);
	if (number != SENDS_AT) {
		assert_true(outbox_wait(&outbox, &streams[number]));
		return;
	}
	assert_true(left >= OUTBOX_CROWD);
	assert_int_equal(outbox_send(&outbox, &streams[number]), 0);
	for (unsigned i = 0; i <= number; i++)
		assert_got_reply(i);
}

/* Whoever does not wait goes behind those who do, and not before. */
static void the_order_is_kept(void **state)
{
	(void)state;
	pass(50, one_sends);
	for (unsigned i = SENDS_AT + 1; i < 50; i++)
		assert_got_reply(i);
}

/* To one stream, so that the bytes tell in which order they went. */
static void all_to_one(unsigned number, unsigned left)
{
	(void)left;
	if (number % 10 == 9)
		assert_int_equal(outbox_hurry(&outbox, &streams[0]), 0);
	buffer_put_char(&replies.out, (char)('a' + number % 26));
	if (number % 10 == 9 || !outbox_wait(&outbox, &streams[0]))
		assert_int_equal(outbox_send(&outbox, &streams[0]), 0);
}

static void more_for_one_go_in_their_order(void **state)
{
	(void)state;
	pass(52, all_to_one);
	assert_got(0, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
}

static void one_hurries(unsigned number, unsigned left)
{
	write_reply(number);
	assert_true(outbox_wait(&outbox, &streams[number]));
	if (left)
		return;
	assert_int_equal(outbox_hurry(&outbox, &streams[5]), 0);
	assert_got_reply(5);
	assert_got(4, "");
	assert_int_equal(outbox_hurry(&outbox, &streams[5]), 0);
	/* None waits for this one. */
	assert_int_equal(outbox_hurry(&outbox, &streams[number + 1]), 0);
	/* It is written and thought better of. */
	write_reply(999);
	outbox_drop(&outbox);
	assert_int_equal(outbox_written(&outbox), 0);
	write_reply(999);
	replies.out.failed = true;
	outbox_drop(&outbox);
}

static void one_goes_before_the_others(void **state)
{
	(void)state;
	pass(30, one_hurries);
	for (unsigned i = 0; i < 30; i++) {
		if (i == 5)
			assert_got(i, "");
		else
			assert_got_reply(i);
	}
	assert_got(30, "");
}

static void the_longest_wait(unsigned number, unsigned left)
{
	bool fits = (number + 1) * OUTBOX_REPLY_MOST <= OUTBOX_BYTES;

	(void)left;
	write_long(OUTBOX_REPLY_MOST);
	assert_int_equal(outbox_wait(&outbox, &streams[number]), fits);
	if (!fits) {
		outbox_drop(&outbox);
		write_long(16384);
		/* The longest next reply that was promised, without memory of its own. */
		assert_false(outbox_wait(&outbox, &streams[number]));
		assert_false(replies.out.on_heap);
		outbox_drop(&outbox);
	}
}

static void a_longer_one(unsigned number, unsigned left)
{
	(void)left;
	write_long(OUTBOX_REPLY_MOST + 1);
	assert_false(outbox_wait(&outbox, &streams[number]));
	outbox_drop(&outbox);
	assert_int_equal(replies.out.length, 0);
	/* nor nothing */
	assert_false(outbox_wait(&outbox, &streams[number]));
}

static void too_many(unsigned number, unsigned left)
{
	(void)left;
	write_reply(number);
	assert_int_equal(outbox_wait(&outbox, &streams[number]), number < OUTBOX_REPLIES);
	if (number >= OUTBOX_REPLIES)
		outbox_drop(&outbox);
}

static void what_waits_is_bounded(void **state)
{
	char text[16384];

	(void)state;
	pass(30, the_longest_wait);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(got(i, text),
			(i + 1) * OUTBOX_REPLY_MOST <= OUTBOX_BYTES ? OUTBOX_REPLY_MOST : 0);
	pass(30, a_longer_one);
	pass(CALLERS, too_many);
	for (unsigned i = 0; i < OUTBOX_REPLIES; i++)
		assert_got_reply(i);
	assert_got(OUTBOX_REPLIES, "");
}

static void full_for(struct stream *s)
{
	char bytes[4096] = {0};
	ssize_t n;

	do
		n = send(stream_fd(s), bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n > 0);
}

static void all_wait(unsigned number, unsigned left)
{
	(void)left;
	write_reply(number);
	assert_true(outbox_wait(&outbox, &streams[number]));
}

static void what_does_not_go_whole_is_told(void **state)
{
	(void)state;
	full_for(&streams[7]);
	pass(40, all_wait);
	assert_int_equal(told, 1);
	assert_ptr_equal(told_of, &streams[7]);
	assert_int_equal(told_result, 0);
	assert_true(stream_unsent(&streams[7]));
	for (unsigned i = 0; i < 40; i++)
		if (i != 7)
			assert_got_reply(i);
	/* One that hurries is not told of, but answered. */
	full_for(&streams[3]);
	write_reply(3);
	pass(40, all_wait);
	assert_int_equal(told, 3);
	assert_true(stream_unsent(&streams[3]));
}

/* As who closes a connection does, which may be another one's. */
static void close_two(struct stream *s)
{
	assert_int_equal(outbox_hurry(&outbox, s), 0);
	assert_int_equal(outbox_hurry(&outbox, &streams[20]), 0);
}

static void who_has_gone_is_told(void **state)
{
	(void)state;
	close(callers[9]);
	callers[9] = -1;
	then = close_two;
	pass(40, all_wait);
	assert_int_equal(told, 1);
	assert_ptr_equal(told_of, &streams[9]);
	assert_int_equal(told_result, -EPIPE);
	for (unsigned i = 0; i < 40; i++)
		if (i != 9)
			assert_got_reply(i);
}

static void hurries_in_vain(unsigned number, unsigned left)
{
	write_reply(number);
	assert_true(outbox_wait(&outbox, &streams[number]));
	if (left)
		return;
	assert_int_equal(outbox_hurry(&outbox, &streams[1]), 1);
	assert_int_equal(outbox_hurry(&outbox, &streams[2]), -EPIPE);
	assert_int_equal(told, 0);
}

static void who_hurries_learns_it(void **state)
{
	(void)state;
	full_for(&streams[1]);
	close(callers[2]);
	callers[2] = -1;
	pass(40, hurries_in_vain);
	assert_int_equal(told, 0);
	assert_true(stream_unsent(&streams[1]));
	assert_got_reply(3);
}

static void no_memory(unsigned number, unsigned left)
{
	write_reply(number);
	if (left) {
		assert_true(outbox_wait(&outbox, &streams[number]));
		return;
	}
	replies.out.failed = true;
	assert_false(outbox_wait(&outbox, &streams[number]));
	assert_int_equal(outbox_send(&outbox, &streams[number]), -ENOMEM);
	assert_int_equal(replies.out.length, 0);
	assert_false(buffer_failed(&replies.out));
}

static void a_reply_without_memory_is_not_sent(void **state)
{
	(void)state;
	pass(40, no_memory);
	for (unsigned i = 0; i < 39; i++)
		assert_got_reply(i);
	assert_got(39, "");
}

static void ends_the_loop(unsigned number, unsigned left)
{
	all_wait(number, left);
	if (!left)
		event_base_loopbreak(base);
}

static void a_loop_that_ends_leaves_it_to_whoever_ends(void **state)
{
	(void)state;
	pass(40, ends_the_loop);
	assert_got(0, "");
	outbox_flush(&outbox);
	for (unsigned i = 0; i < 40; i++)
		assert_got_reply(i);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_few_do_not_wait),
		TEST(a_crowd_waits_for_the_end_of_the_pass),
		TEST(the_order_is_kept),
		TEST(more_for_one_go_in_their_order),
		TEST(one_goes_before_the_others),
		TEST(what_waits_is_bounded),
		TEST(what_does_not_go_whole_is_told),
		TEST(who_has_gone_is_told),
		TEST(who_hurries_learns_it),
		TEST(a_reply_without_memory_is_not_sent),
		TEST(a_loop_that_ends_leaves_it_to_whoever_ends),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
