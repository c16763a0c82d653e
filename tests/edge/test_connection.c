/* One connection in trouble: held while its client goes away in every way, floods of pipelined
 * requests, answers nobody reads; and many connections doing all of it at random. */
#include "front_fixture.h"

#include <malloc.h>

static size_t heap_used(void)
{
	struct mallinfo2 m = mallinfo2();

	/* in the heap, and in mappings of their own */
	return m.uordblks + m.hblkhd;
}

static void held_ones_are_answered_later(void **state)
{
	int fd = client_served();
	struct got g = {0};
	char body[64];

	(void)state;
	client_write(fd, REQUEST("/hold"));
	WAIT_UNTIL(held_count == 1);
	turn_for(5);
	assert_false(has_answers(fd, &g, 1));
	release_one("at last");
	assert_int_equal(front_counters(front)->requests[200], 1);
	assert_true(has_answers(fd, &g, 1));
	assert_int_equal(answer_at(&g, 0, body, sizeof(body)), 200);
	assert_string_equal(body, "at last");
	assert_null(strstr(g.bytes, "Connection: close"));
	assert_answers_now(fd);
	/* as the last request of its connection */
	client_write(fd, "GET /hold HTTP/1.0\r\n\r\n");
	WAIT_UNTIL(held_count == 1);
	release_one("bye");
	assert_true(has_ended(fd, &g));
	assert_non_null(strstr(g.bytes, "Connection: close\r\n"));
	assert_int_equal(g.answers, 2);
	assert_int_equal(abandoned_count, 0);
	got_free(&g);
	close(fd);
}

static void answers_keep_the_order_of_requests(void **state)
{
	static const char *const expected[] = {"a", "1", "2", "b", "c", "3"};
	int fd = client_served();
	struct got g = {0};
	char body[64];

	(void)state;
	client_write(fd, REQUEST("/hold") REQUEST("/now?1") REQUEST("/now?2") REQUEST("/hold")
				 REQUEST("/hold") "GET /now?3 HTTP/1.1\r\n");
	WAIT_UNTIL(held_count == 1);
	/* comes while it is held */
	client_write(fd, H "\r\n");
	turn_for(5);
	assert_int_equal(asked_count, 1);
	release_one("a");
	WAIT_UNTIL(held_count == 1);
	assert_true(has_answers(fd, &g, 3));
	release_one("b");
	/* what is behind it waits for the next pass */
	assert_int_equal(held_count, 0);
	WAIT_UNTIL(held_count == 1);
	release_one("c");
	WAIT_UNTIL(has_answers(fd, &g, 6));
	for (size_t i = 0; i < COUNT(expected); i++) {
		assert_int_equal(answer_at(&g, i, body, sizeof(body)), 200);
		assert_string_equal(body, expected[i]);
	}
	assert_answers_now(fd);
	got_free(&g);
	close(fd);
}

static void others_are_answered_from_within_a_request(void **state)
{
	int fds[40], fd = client_served();
	char body[64];

	(void)state;
	for (size_t i = 0; i < COUNT(fds); i++) {
		fds[i] = client_served();
		client_write(fds[i], REQUEST("/hold") REQUEST("/now?n=1"));
	}
	WAIT_UNTIL(held_count == COUNT(fds));
	/* two of them cannot be written to any more: freed in the midst of it */
	close(fds[3]);
	close(fds[39]);
	client_write(fd, REQUEST("/now?before") REQUEST("/release?x") REQUEST("/now?after"));
	for (struct got g = {0};;) {
		turn_waiting(2);
		if (!has_answers(fd, &g, 3))
			continue;
		answer_at(&g, 0, body, sizeof(body));
		assert_string_equal(body, "before");
		answer_at(&g, 1, body, sizeof(body));
		assert_string_equal(body, "x");
		answer_at(&g, 2, body, sizeof(body));
		assert_string_equal(body, "after");
		got_free(&g);
		break;
	}
	for (size_t i = 0; i < COUNT(fds); i++) {
		struct got g = {0};

		if (i == 3 || i == 39)
			continue;
		WAIT_UNTIL(has_answers(fds[i], &g, 2));
		answer_at(&g, 0, body, sizeof(body));
		assert_string_equal(body, "released");
		got_free(&g);
		close(fds[i]);
	}
	close(fd);
	WAIT_UNTIL(front_counters(front)->connections == 0);
}

static void vanished_clients_are_abandoned(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 5; way++) {
		int fd = client_served();

		abandoned_count = 0;
		client_write(fd, REQUEST("/hold"));
		if (way == 1 || way == 2)
			client_write(fd, REQUEST("/now?n=0") "GET /now?n=1 HT");
		WAIT_UNTIL(held_count == 1);
		if (way == 2)
			client_write(fd, REQUEST("/now?n=0"));
		if (way == 3) {
			assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
		} else if (way == 4) {
			/* first half, and only later all of it */
			assert_int_equal(shutdown(fd, SHUT_WR), 0);
			turn_for(20);
			assert_int_equal(abandoned_count, 0);
			close(fd);
		} else {
			close(fd);
		}
		WAIT_UNTIL(abandoned_count == 1);
		assert_int_equal(held_count, 0);
		assert_int_equal(front_counters(front)->connections, 0);
		if (way == 3)
			close(fd);
	}
	assert_int_equal(asked_count, 5);
}

static void half_closed_clients_get_their_answers(void **state)
{
	static const struct {
		const char *bytes;
		unsigned holds, answers;
	} cases[] = {
		{REQUEST("/now"), 0, 1},
		{REQUEST("/now") REQUEST("/now") REQUEST("/now"), 0, 3},
		{REQUEST("/hold"), 1, 1},
		{REQUEST("/hold") REQUEST("/now"), 1, 2},
		{REQUEST("/now") REQUEST("/hold") REQUEST("/hold") REQUEST("/now"), 2, 4},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int fd = client_served();
		struct got g = {0};

		client_write(fd, cases[i].bytes);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		for (unsigned n = 0; n < cases[i].holds; n++) {
			WAIT_UNTIL(held_count == 1);
			/* let it be noticed, and then there is nothing to do */
			turn_for(5);
			memset(&calls, 0, sizeof(calls));
			turn_for(30);
			assert_true(calls.recv == 0);
			assert_int_equal(front_counters(front)->connections, 1);
			release_one("held");
		}
		WAIT_UNTIL(has_ended(fd, &g));
		assert_int_equal(g.answers, cases[i].answers);
		assert_int_equal(front_counters(front)->connections, 0);
		got_free(&g);
		close(fd);
	}
	assert_int_equal(abandoned_count, 0);
}

static void half_closed_held_ones_cost_no_wakeups(void **state)
{
	int fd = client_served();
	uint64_t begin;
	unsigned passes = 0;

	(void)state;
	client_write(fd, REQUEST("/hold"));
	WAIT_UNTIL(held_count == 1);
	shutdown(fd, SHUT_WR);
	turn_for(20);
	memset(&calls, 0, sizeof(calls));
	for (begin = now_ms(); now_ms() < begin + 100; passes++)
		turn_waiting(50);
	assert_in_range(passes, 1, 4);
	release_one("x");
	close(fd);
}

static void requests_cut_short_are_told_so(void **state)
{
	int fd = client_served();
	struct got g = {0};
	char body[256];

	(void)state;
	client_write(fd, REQUEST("/now?n=0") "GET /now HTTP/1.1\r\n" H);
	shutdown(fd, SHUT_WR);
	WAIT_UNTIL(has_ended(fd, &g));
	assert_int_equal(g.answers, 2);
	assert_int_equal(answer_at(&g, 1, body, sizeof(body)), 400);
	assert_non_null(strstr(body, "ended before"));
	assert_int_equal(front_counters(front)->requests[400], 1);
	got_free(&g);
	close(fd);
	/* and those who close without a word are not an error at all */
	fd = client_served();
	close(fd);
	WAIT_UNTIL(front_counters(front)->connections == 0);
	assert_int_equal(front_counters(front)->requests[400], 1);
}

/* Writes copies of `text`, each whole, until the socket takes no more for a while. */
static size_t flood(int fd, const char *text)
{
	size_t sent = 0, length = strlen(text);
	uint64_t last = now_ms();

	while (now_ms() < last + 50) {
		ssize_t n = write(fd, text + sent % length, length - sent % length);

		turn();
		if (n > 0) {
			sent += (size_t)n;
			last = now_ms();
		} else if (errno != EAGAIN) {
			break;
		}
		/* a flooder that is never stopped would end here */
		assert_true(sent < 64 << 20);
	}
	return sent;
}

static void floods_behind_a_held_one_are_bounded(void **state)
{
	static const char request[] = REQUEST("/now?n=flood");
	int fd = client_served();
	struct got g = {0};
	size_t sent, heap;

	(void)state;
	client_write(fd, REQUEST("/hold"));
	WAIT_UNTIL(held_count == 1);
	heap = heap_used();
	sent = flood(fd, request);
	assert_true(SANITIZED || heap_used() - heap < 100000);
	/* neither read nor looked at any more */
	memset(&calls, 0, sizeof(calls));
	turn_for(30);
	assert_int_equal(calls.recv, 0);
	assert_in_range(calls.epoll_wait, 1, 60);
	/* all of it is still served, in its turn */
	release_one("held");
	WAIT_UNTIL(has_answers(fd, &g, 1 + sent / (sizeof(request) - 1)));
	client_write(fd, request + sent % (sizeof(request) - 1));
	WAIT_UNTIL(has_answers(fd, &g, 2 + sent / (sizeof(request) - 1)));
	assert_answers_now(fd);
	/* and one that goes away full to the brim is noticed */
	client_write(fd, REQUEST("/hold"));
	WAIT_UNTIL(held_count == 1);
	flood(fd, request);
	close(fd);
	WAIT_UNTIL(abandoned_count == 1);
	got_free(&g);
}

static void floods_do_not_starve_others(void **state)
{
	static const char request[] = REQUEST("/big?8000");
	int flooder = client_served(), fd = client_served();
	struct got g = {0};
	size_t sent, length = strlen(request), heap = heap_used();
	char many[200 * sizeof(request)] = "";

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		memcpy(many + i * length, request, length);
	/* reads nothing: what is kept for it is bounded */
	sent = flood(flooder, many);
	assert_true(SANITIZED || heap_used() - heap < 300000);
	assert_answers_now(fd);
	/* reads and writes as fast as it can: others are answered in the pass they ask in */
	for (unsigned i = 0; i < 200; i++) {
		char answer[512];
		ssize_t n;

		client_pull(flooder, &g);
		do {
			n = write(flooder, request + sent % length, length - sent % length);
			sent += n > 0 ? (size_t)n : 0;
		} while (n > 0);
		client_write(fd, REQUEST("/now?n=0"));
		turn();
		assert_true(read(fd, answer, sizeof(answer)) > 0);
		/* no pass is allowed to serve more than its share */
		asked_count = 0;
		turn();
		assert_in_range(asked_count, 0, 2 * 64 + 1);
	}
	WAIT_UNTIL(has_answers(flooder, &g, sent / length));
	got_free(&g);
	close(fd);
	close(flooder);
}

static void check_number(size_t i, int status, const char *body, size_t length)
{
	char expected[32];

	snprintf(expected, sizeof(expected), "n=%zu", i);
	assert_int_equal(status, 200);
	assert_int_equal(length, strlen(expected));
	assert_memory_equal(body, expected, length);
}

static void giant_pipelines_are_served_in_order(void **state)
{
	enum { MANY = 20000 };
	int fd = client_served();
	char *bytes = malloc(MANY * 64);
	size_t length = 0, sent = 0;
	struct got g = {0};

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		length += (size_t)sprintf(bytes + length, "GET /now?n=%u HTTP/1.1\r\n" H "\r\n", i);
	while (sent < length) {
		ssize_t n = write(fd, bytes + sent, length - sent);

		assert_true(n > 0 || errno == EAGAIN);
		sent += n > 0 ? (size_t)n : 0;
		/* by its event and by its turn among those left over: twice a pass at most */
		asked_count = 0;
		turn();
		assert_in_range(asked_count, 0, 2 * 64);
		client_pull(fd, &g);
		assert_false(g.ended);
	}
	WAIT_UNTIL(has_answers(fd, &g, MANY));
	assert_int_equal(g.answers, MANY);
	answers_check(&g, check_number);
	assert_answers_now(fd);
	got_free(&g);
	free(bytes);
	close(fd);
}

static void unread_answers_are_cut_at_the_deadline(void **state)
{
	struct front_limits limits = limits_default();
	int fd = client_served(), holding = client_served();
	struct got g = {0};
	uint64_t begin;

	(void)state;
	limits.request_deadline = duration_ms(300);
	front_set_limits(front, &limits);
	begin = now_ms();
	client_write(fd, REQUEST("/big?4000000"));
	/* one that is held with an unread answer before it is let go likewise */
	client_write(holding, REQUEST("/big?4000000") REQUEST("/hold"));
	WAIT_UNTIL(front_counters(front)->connections == 0);
	assert_in_range(now_ms() - begin, 300, 300 + SLACK_MS);
	assert_int_equal(front_counters(front)->deadline_cut, 2);
	assert_int_equal(held_count, 0);
	assert_true(has_ended(fd, &g));
	assert_in_range(g.length, 1, 4000000);
	got_free(&g);
	close(fd);
	close(holding);
}

static void a_held_one_with_unread_answers_before_it(void **state)
{
	int fd = client_served();
	struct got g = {0};
	char body[64];

	(void)state;
	client_write(fd, REQUEST("/big?45000") REQUEST("/big?400000") REQUEST("/hold"));
	for (unsigned i = 0; i < 10; i++)
		turn();
	if (!held_count) {
		/* the second did not fit: the third is looked at when it has */
		client_pull(fd, &g);
		WAIT_UNTIL(held_count == 1 || has_answers(fd, &g, 2));
	}
	WAIT_UNTIL(held_count == 1);
	release_one("held");
	WAIT_UNTIL(has_answers(fd, &g, 3));
	answer_at(&g, 2, body, sizeof(body));
	assert_string_equal(body, "held");
	assert_answers_now(fd);
	got_free(&g);
	close(fd);
}

static void slow_readers_in_time_get_all(void **state)
{
	int fd = client_served();
	char *bytes = malloc(4000000);
	struct got g = {.bytes = bytes, .size = 4000000};
	char body[64];

	(void)state;
	client_write(fd, REQUEST("/big?3000000") REQUEST("/now?n=1"));
	while (g.length < 3000000) {
		ssize_t n = read(fd, g.bytes + g.length, 50000);

		assert_true(n > 0 || errno == EAGAIN);
		g.length += n > 0 ? (size_t)n : 0;
		turn();
	}
	WAIT_UNTIL(has_answers(fd, &g, 2));
	answer_at(&g, 1, body, sizeof(body));
	assert_string_equal(body, "n=1");
	assert_answers_now(fd);
	got_free(&g);
	close(fd);
}

/* Everything at once, from a seed: clients that send whole and broken-up requests, hold, stop
 * reading, half close and vanish, while answers to held ones come at any time. What must hold:
 * every client that stays gets each of its answers in order, and nothing is left over. */

struct actor {
	int fd;
	unsigned asked, answered, sent_at;
	bool half_closed;
	size_t pending_length;
	char pending[256];
	struct got got;
};

static uint64_t random_state;

static size_t random_below(size_t n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (size_t)(random_state * UINT64_C(2685821657736338717) >> 33) % n;
}

static void actor_leave(struct actor *a)
{
	close(a->fd);
	got_free(&a->got);
	*a = (struct actor){.fd = -1};
}

static void actor_act(struct actor *a)
{
	size_t n;

	if (a->fd < 0) {
		a->fd = client_new();
		return;
	}
	switch (random_below(12)) {
	case 0:
		if (random_below(4) == 0)
			actor_leave(a);
		return;
	case 1:
		if (random_below(4) == 0 && !a->pending_length) {
			shutdown(a->fd, SHUT_WR);
			a->half_closed = true;
		}
		return;
	case 2:
	case 3:
		client_pull(a->fd, &a->got);
		return;
	default:
		break;
	}
	if (a->half_closed || a->asked - a->answered > 1000)
		return;
	if (!a->pending_length) {
		static const char *const paths[] = {"hold", "now", "now", "now", "big"};
		const char *p = paths[random_below(COUNT(paths))];

		a->pending_length = (size_t)snprintf(a->pending, sizeof(a->pending),
			"GET /%s?%zu HTTP/1.1\r\n" H "X: y\r\n\r\n", p, random_below(30000));
		a->sent_at = 0;
		a->asked++;
	}
	n = 1 + random_below(a->pending_length * 2);
	n = n < a->pending_length ? n : a->pending_length;
	n = (size_t)write(a->fd, a->pending + a->sent_at, n);
	if (n == (size_t)-1)
		return;
	a->sent_at += (unsigned)n;
	a->pending_length -= n;
}

static void actor_finish(struct actor *a)
{
	if (a->fd < 0)
		return;
	while (a->pending_length) {
		ssize_t n = write(a->fd, a->pending + a->sent_at, a->pending_length);

		if (n > 0) {
			a->sent_at += (unsigned)n;
			a->pending_length -= (size_t)n;
		}
		turn();
		while (held_count)
			release_one("late");
		client_pull(a->fd, &a->got);
	}
	for (uint64_t give_up = now_ms() + 10000; a->got.answers < a->asked;) {
		turn_waiting(1);
		while (held_count)
			release_one("late");
		client_pull(a->fd, &a->got);
		assert_true(now_ms() < give_up);
	}
	assert_int_equal(a->got.answers, a->asked);
	actor_leave(a);
}

/* `pace`: as many things happen between two passes of the loop; where they are many, callers are a
 * crowd in each. */
static void anything_at(size_t pace)
{
	struct actor actors[48];

	for (uint64_t seed = 1; seed <= 6; seed++) {
		random_state = seed;
		for (size_t i = 0; i < COUNT(actors); i++)
			actors[i] = (struct actor){.fd = -1};
		for (unsigned step = 0; step < 12000; step++) {
			actor_act(&actors[random_below(COUNT(actors))]);
			if (random_below(pace) == 0)
				turn();
			if (held_count && random_below(5) == 0)
				release_one("some time");
		}
		for (size_t i = 0; i < COUNT(actors); i++)
			actor_finish(&actors[i]);
		WAIT_UNTIL(front_counters(front)->connections == 0);
		assert_int_equal(held_count, 0);
		assert_int_equal(front_counters(front)->deadline_cut, 0);
	}
}

static void anything_in_any_order(void **state)
{
	(void)state;
	anything_at(3);
}

static void anything_of_a_crowd(void **state)
{
	(void)state;
	anything_at(300);
}

#define CROWD 60

/* Of few passes: some are held behind a reply, some end, some have gone, some do not read, some
 * send more than one; each gets what is its own, and in its order. */
static void a_crowd_is_answered(void **state)
{
	int fds[CROWD];

	(void)state;
	for (size_t i = 0; i < CROWD; i++) {
		fds[i] = client_served();
		assert_answers_now(fds[i]);
	}
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < CROWD; i++) {
			char request[256];

			snprintf(request, sizeof(request), "GET /now?%zu HTTP/1.1\r\n" H "%s\r\n%s",
				i, i % 6 == 5 && round == 2 ? "Connection: close\r\n" : "",
				i % 6 == 4   ? REQUEST("/hold") REQUEST("/now?after")
				: i % 6 == 3 ? REQUEST("/now?second")
					     : "");
			client_write(fds[i], request);
		}
		if (round == 2) {
			for (size_t i = 0; i < CROWD; i += 6)
				close(fds[i]);
			for (size_t i = 1; i < CROWD; i += 6)
				shutdown(fds[i], SHUT_WR);
		}
		turn();
		for (size_t i = 0; i < CROWD; i++) {
			char body[64], expected[32];
			struct got g = {0};

			if (i % 6 == 0 && round == 2)
				continue;
			WAIT_UNTIL(has_answers(fds[i], &g, 1 + (i % 6 == 3)));
			assert_int_equal(g.answers, 1 + (i % 6 == 3));
			snprintf(expected, sizeof(expected), "%zu", i);
			assert_int_equal(answer_at(&g, 0, body, sizeof(body)), 200);
			assert_string_equal(body, expected);
			if (i % 6 == 3) {
				assert_int_equal(answer_at(&g, 1, body, sizeof(body)), 200);
				assert_string_equal(body, "second");
			}
			if (round == 2 && i % 6 == 5)
				WAIT_UNTIL(has_ended(fds[i], &g));
			assert_int_equal(g.ended, round == 2 && i % 6 == 5);
			got_free(&g);
		}
		assert_int_equal(held_count, CROWD / 6);
		while (held_count)
			release_one("held");
		for (size_t i = 4; i < CROWD; i += 6) {
			struct got g = {0};

			WAIT_UNTIL(has_answers(fds[i], &g, 2));
			got_free(&g);
		}
	}
	for (size_t i = 0; i < CROWD; i++)
		if (i % 6)
			close(fds[i]);
	WAIT_UNTIL(front_counters(front)->connections == 0);
	assert_int_equal(abandoned_count, 0);
}

#define FULL 30

/* All places are taken, and one of those who asked in this pass gives way to somebody else: not
 * before it has its answer, and where it is told so, behind that. */
static void one_gives_way(const char *asks, size_t told)
{
	struct front_limits limits = limits_default();
	struct got g[FULL] = {0};
	int fds[FULL], other;
	char body[64];

	limits.max_connections = FULL + 1; /* one is kept */
	front_set_limits(front, &limits);
	pretended_uid = 1000;
	for (size_t i = 0; i < FULL; i++) {
		fds[i] = client_served();
		assert_answers_now(fds[i]);
	}
	for (size_t i = 0; i < FULL; i++)
		client_write(fds[i], asks);
	pretended_uid = 2000;
	other = client_new();
	turn();
	assert_int_equal(front_counters(front)->gave_way, 1);
	assert_int_equal(front_counters(front)->connections, FULL);
	for (size_t i = 0, ended = 0; i < FULL; i++) {
		client_pull(fds[i], &g[i]);
		assert_int_equal(g[i].answers, g[i].ended ? 1 + told : 1);
		assert_int_equal(answer_at(&g[i], 0, body, sizeof(body)), 200);
		ended += g[i].ended;
		assert_int_equal(i == FULL - 1 && !ended, 0);
		got_free(&g[i]);
		close(fds[i]);
	}
	assert_answers_now(other);
	close(other);
}

static void one_of_a_crowd_gives_way(void **state)
{
	(void)state;
	one_gives_way(REQUEST("/now?1"), 0);
}

static void one_of_a_crowd_gives_way_amid_its_next_request(void **state)
{
	(void)state;
	one_gives_way(REQUEST("/now?1") "GET /now?2 HT", 1);
}

/* What the loop had for them is given out by whoever ends it. */
static void a_crowd_is_answered_when_all_ends(void **state)
{
	struct got first = {0};
	int fds[CROWD];

	(void)state;
	for (size_t i = 0; i < CROWD; i++) {
		fds[i] = client_served();
		assert_answers_now(fds[i]);
	}
	for (size_t i = 0; i < CROWD; i++)
		client_write(fds[i], i == CROWD / 2 ? REQUEST("/break") : REQUEST("/now?1"));
	turn();
	/* It was among the first, and waits with others. */
	assert_in_range(asked_count, CROWD + 2, 2 * CROWD - 1);
	assert_false(has_answers(fds[0], &first, 1));
	got_free(&first);
	front_stop(front);
	for (size_t i = 0; i < CROWD; i++) {
		struct got g = {0};

		WAIT_UNTIL(has_ended(fds[i], &g));
		assert_int_equal(g.answers, 1);
		got_free(&g);
		close(fds[i]);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, front_setup, front_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(held_ones_are_answered_later),
		TEST(answers_keep_the_order_of_requests),
		TEST(others_are_answered_from_within_a_request),
		TEST(vanished_clients_are_abandoned),
		TEST(half_closed_clients_get_their_answers),
		TEST(half_closed_held_ones_cost_no_wakeups),
		TEST(requests_cut_short_are_told_so),
		TEST(floods_behind_a_held_one_are_bounded),
		TEST(floods_do_not_starve_others),
		TEST(giant_pipelines_are_served_in_order),
		TEST(unread_answers_are_cut_at_the_deadline),
		TEST(a_held_one_with_unread_answers_before_it),
		TEST(slow_readers_in_time_get_all),
		TEST(anything_in_any_order),
		TEST(anything_of_a_crowd),
		TEST(a_crowd_is_answered),
		TEST(one_of_a_crowd_gives_way),
		TEST(one_of_a_crowd_gives_way_amid_its_next_request),
		TEST(a_crowd_is_answered_when_all_ends),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("connection", tests, NULL, NULL);
}
