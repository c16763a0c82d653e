/* Who asks without end does not keep others waiting, and who is alone waits for its own at most. */
#include "front_fixture.h"

#include "front/peer.h"
#include "front/share.h"
#include <limits.h>

#define GREEDY 5001
#define MODEST 5002
#define AT_ONCE 1200 /* max_connections_per_user in some of these */
#define LEAST 1000   /* a second, however few may be there at a time */
#define TICK_MS 20   /* the loop's clock may be that coarse */

static void buckets_fill_and_run_out(void **state)
{
	struct share s = {0};

	(void)state;
	share_fill(&s, 3, 1000, 5000);
	assert_int_equal(s.level, 3000);
	share_fill(&s, 0, 1000, 5002);
	assert_int_equal(s.level, 1000);
	/* a slow one loses nothing to rounding, however often it is looked at */
	s = (struct share){0};
	share_fill(&s, 1, 3, 1);
	for (int64_t ms = 2; ms < 101; ms++)
		share_fill(&s, 0, 3, ms);
	assert_int_equal(s.level, 1000 - 99 * 3);
	/* never below nothing; no overflow */
	share_fill(&s, 0, UINT32_MAX, INT64_MAX / 2);
	assert_int_equal(s.level, 0);
	/* a clock set back: nobody waits until it is where it was */
	share_fill(&s, 7, 1000, 9000);
	share_fill(&s, 0, 1000, 8500);
	assert_int_equal(s.level, 7000);
	share_fill(&s, 1, 1000, 7000);
	assert_int_equal(s.level, 1000);
	share_fill(&s, 0, 1000, 7001);
	assert_int_equal(s.level, 0);
}

/* However long somebody took much: a second later that is forgotten. */
static void buckets_have_a_brim(void **state)
{
	struct share s = {0};

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		share_fill(&s, UINT32_MAX, 1000, 5000);
	assert_int_equal(s.level, 1000 * 1000);
	share_fill(&s, 0, 1000, 6000);
	assert_int_equal(s.level, 0);
}

/* A client of that user, whom the front has accepted. */
static int client_of(uid_t uid)
{
	int fd;

	pretended_uid = uid;
	fd = client_served();
	return fd;
}

static void connects_at_once(unsigned limit)
{
	struct front_limits limits = limits_default();

	limits.max_connections_per_user = limit;
	front_set_limits(front, &limits);
}

/* One that comes, and goes when it has been seen to. */
static bool comes_and_goes(uid_t uid)
{
	const struct front_counters *n = front_counters(front);
	uint64_t before = n->accepted, refused = n->refused_user_rate;
	uint32_t others = n->connections;
	int fd;

	pretended_uid = uid;
	fd = client_new();
	WAIT_UNTIL(n->accepted + n->refused_user_rate > before + refused);
	close(fd);
	WAIT_UNTIL(n->connections == others);
	return n->accepted > before;
}

static void alone_may_connect_as_often_as_it_likes(void **state)
{
	(void)state;
	connects_at_once(AT_ONCE);
	for (unsigned i = 0; i < 5 * AT_ONCE; i++)
		assert_true(comes_and_goes(GREEDY));
	assert_int_equal(front_counters(front)->refused_user_rate, 0);
}

/* As many as it takes for one to be refused, a second's worth at most. */
static unsigned until_refused(void)
{
	unsigned count = 0;
	int modest = client_of(MODEST);

	while (count < 20 * AT_ONCE) {
		assert_answers_now(modest);
		if (!comes_and_goes(GREEDY))
			break;
		count++;
	}
	close(modest);
	WAIT_UNTIL(front_counters(front)->connections == 0);
	return count;
}

static void who_connects_without_end_is_turned_away(void **state)
{
	uint64_t begun = now_ms();
	char body[256];
	struct got g = {0};
	unsigned count;
	int fd;

	(void)state;
	connects_at_once(AT_ONCE);
	count = until_refused();
	/* what it may have at once, and what time has given back */
	assert_in_range(
		count, AT_ONCE - 1, AT_ONCE + 1 + (now_ms() - begun + TICK_MS) * AT_ONCE / 1000);
	/* not the other one, and with words */
	assert_true(comes_and_goes(MODEST));
	pretended_uid = GREEDY;
	do {
		got_free(&g);
		fd = client_new();
		WAIT_UNTIL(has_ended(fd, &g) || front_counters(front)->connections);
		close(fd);
		WAIT_UNTIL(!front_counters(front)->connections);
	} while (!g.answers);
	assert_int_equal(answer_at(&g, 0, body, sizeof(body)), 429);
	assert_non_null(strstr(body, "\"too_many_requests\""));
	assert_non_null(strstr(g.bytes, "Retry-After: 1\r\n"));
	got_free(&g);
}

static void nobody_is_turned_away_for_one_who_has_left(void **state)
{
	uint64_t begun;
	unsigned count;

	(void)state;
	connects_at_once(5);
	begun = now_ms();
	count = until_refused();
	assert_in_range(count, LEAST, LEAST + 1 + now_ms() - begun + TICK_MS);
	turn_for(1100);
	for (unsigned i = 0; i < 2 * LEAST; i++)
		assert_true(comes_and_goes(GREEDY));
}

/* Who connected faster than that while alone is as free as others when somebody else comes. */
static void what_was_free_is_not_held_against_anybody(void **state)
{
	int modest;

	(void)state;
	connects_at_once(5);
	for (unsigned i = 0; i < 6 * LEAST; i++)
		assert_true(comes_and_goes(GREEDY));
	modest = client_of(MODEST);
	assert_answers_now(modest);
	turn_for(100);
	assert_answers_now(modest);
	for (unsigned i = 0; i < 50; i++)
		assert_true(comes_and_goes(GREEDY));
	close(modest);
}

/* However many there are. */
static void those_turned_away_by_thousands_are_told(void **state)
{
	const struct front_counters *n = front_counters(front);
	unsigned told = 0;
	uint64_t begun = now_ms();
	int modest = client_of(MODEST);

	(void)state;
	connects_at_once(5);
	while (n->refused_user_rate < 3000 && now_ms() - begun < 20000) {
		struct got g = {0};
		uint64_t refused = n->refused_user_rate, accepted = n->accepted;
		int fd;

		assert_answers_now(modest);
		pretended_uid = GREEDY;
		fd = client_new();
		WAIT_UNTIL(n->refused_user_rate > refused || n->accepted > accepted);
		if (n->refused_user_rate > refused) {
			client_write(fd, REQUEST("/now"));
			WAIT_UNTIL(has_ended(fd, &g));
			assert_int_equal(g.answers, 1);
			told++;
		}
		got_free(&g);
		close(fd);
	}
	assert_int_equal(told, 3000);
	close(modest);
}

/* What it takes to understand them is shared, not how many they are. */
static void large_requests_count_as_many(void **state)
{
	struct share_user small, large, other;
	struct sharing s;
	struct link link;

	(void)state;
	share_init(&s, base, AT_ONCE, NULL);
	share_user_init(&small, GREEDY);
	share_user_init(&large, GREEDY + 1);
	share_user_init(&other, MODEST);
	link_init(&link);
	for (unsigned i = 0; i < 10; i++) {
		share_served(&s, &small, 1023);
		share_served(&s, &large, 16384);
	}
	share_served(&s, &other, 0);
	assert_false(share_defer(&s, &small, &link));
	assert_true(share_defer(&s, &large, &link));
	assert_int_equal(s.requests, 10 + 10 * 17 + 1);
	share_forget(&large, &link);
	share_fini(&s);
}

/* Nor how few bytes ask for how many. */
static void large_replies_count_as_many(void **state)
{
	int greedy[60], modest = client_of(MODEST);
	struct got got[COUNT(greedy)] = {{0}}, mine = {0};
	unsigned before;

	(void)state;
	assert_answers_now(modest);
	for (unsigned i = 0; i < COUNT(greedy); i++)
		greedy[i] = client_of(GREEDY);
	for (unsigned i = 0; i < COUNT(greedy); i++)
		client_write(greedy[i],
			i % 2 ? REQUEST("/big?100000") : "HEAD /big?100000 HTTP/1.1\r\n" H "\r\n");
	before = asked_count;
	/* until all of them wait behind */
	for (unsigned i = 0; i < 5; i++)
		turn();
	assert_in_range(asked_count - before, 2, 7);
	for (size_t answered = 0; answered < 5; answered = mine.answers) {
		before = asked_count;
		client_write(modest, REQUEST("/now?me"));
		turn();
		/* in one turn its own, and one of theirs */
		assert_true(has_answers(modest, &mine, answered + 1));
		assert_in_range(asked_count - before, 1, 2);
	}
	for (unsigned i = 1; i < COUNT(greedy); i += 2) {
		WAIT_UNTIL(has_answers(greedy[i], &got[i], 1));
		got_free(&got[i]);
	}
	for (unsigned i = 0; i < COUNT(greedy); i++)
		close(greedy[i]);
	got_free(&mine);
	close(modest);
}

/* However long after the request they come. */
static void large_replies_to_held_requests_count_as_well(void **state)
{
	static char text[300000];
	int modest = client_of(MODEST), greedy = client_of(GREEDY);
	struct got got = {0};
	char bytes[4096];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_answers_now(modest);
	for (unsigned i = 0; i < 20; i++) {
		client_write(greedy, "HEAD /hold HTTP/1.1\r\n" H "\r\n");
		WAIT_UNTIL(held_count == 1);
		release_one(text);
		WAIT_UNTIL(read(greedy, bytes, sizeof(bytes)) > 0);
	}
	client_write(greedy, REQUEST("/now"));
	client_write(modest, REQUEST("/now?me"));
	turn();
	assert_string_equal(last_query, "me");
	WAIT_UNTIL(has_answers(greedy, &got, 1));
	assert_string_equal(last_query, "");
	got_free(&got);
	close(greedy);
	close(modest);
}

/* Whoever is to come next does not wait for them either, although nobody else is there yet. */
static void alone_a_pass_has_an_end_too(void **state)
{
	struct got got[40] = {{0}};
	int fds[COUNT(got)];
	unsigned before;

	(void)state;
	for (unsigned i = 0; i < COUNT(fds); i++)
		fds[i] = client_of(GREEDY);
	for (unsigned i = 0; i < COUNT(fds); i++)
		client_write(fds[i], REQUEST("/big?700000"));
	do {
		before = asked_count;
		turn();
		/* each is as many as 684 small ones */
		assert_in_range(asked_count - before, 1, 16384 / 684 + 2);
		for (unsigned i = 0; i < COUNT(fds); i++)
			client_pull(fds[i], &got[i]);
	} while (asked_count < COUNT(fds));
	for (unsigned i = 0; i < COUNT(fds); i++) {
		WAIT_UNTIL(has_answers(fds[i], &got[i], 1));
		got_free(&got[i]);
		close(fds[i]);
	}
}

/* Nor do its own starve each other, however soon those ask again that have been answered. */
static void alone_all_of_its_connections_get_as_much(void **state)
{
	static const char request[] = "HEAD /big?300000 HTTP/1.1\r\n" H "\r\n";
	/* each is as many as 293 small ones, and so only half of them fit in a pass */
	int fds[120];
	unsigned answers[COUNT(fds)] = {0}, least = UINT_MAX, most = 0;
	char bytes[4096];

	(void)state;
	for (unsigned i = 0; i < COUNT(fds); i++) {
		fds[i] = client_of(GREEDY);
		client_write(fds[i], request);
	}
	for (unsigned passes = 0; passes < 100; passes++) {
		turn();
		for (unsigned i = 0; i < COUNT(fds); i++) {
			if (read(fds[i], bytes, sizeof(bytes)) > 0) {
				answers[i]++;
				client_write(fds[i], request);
			}
		}
	}
	for (unsigned i = 0; i < COUNT(fds); i++) {
		least = answers[i] < least ? answers[i] : least;
		most = answers[i] > most ? answers[i] : most;
		close(fds[i]);
	}
	/* one pass more or less between two, by where it stands among those that come at once */
	assert_in_range(least, 30, 50);
	assert_in_range(most, least, 2 * least);
	WAIT_UNTIL(front_counters(front)->connections == 0);
}

static void send_all_it_takes(int fd)
{
	static const char bytes[65536];

	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
}

/* Nor what is thrown away of those who were refused and do not stop. */
static void what_is_thrown_away_counts_as_well(void **state)
{
	int greedy[60], modest = client_of(MODEST);
	struct got mine = {0};

	(void)state;
	assert_answers_now(modest);
	for (unsigned i = 0; i < COUNT(greedy); i++)
		greedy[i] = client_of(GREEDY);
	for (unsigned i = 0; i < COUNT(greedy); i++)
		send_all_it_takes(greedy[i]);
	/* until all of them wait behind */
	for (unsigned i = 0; i < 5; i++)
		turn();
	for (size_t answered = 0; answered < 5; answered = mine.answers) {
		unsigned before = calls.recv;

		for (unsigned i = 0; i < COUNT(greedy); i++)
			send_all_it_takes(greedy[i]);
		client_write(modest, REQUEST("/now?me"));
		turn();
		/* in one turn its own, and 32 KiB of one of theirs */
		assert_true(has_answers(modest, &mine, answered + 1));
		assert_in_range(calls.recv - before, 1, 40);
	}
	WAIT_UNTIL(front_counters(front)->requests[400] == COUNT(greedy));
	for (unsigned i = 0; i < COUNT(greedy); i++)
		close(greedy[i]);
	got_free(&mine);
	close(modest);
}

#define CROWD 50
#define PIPELINED 400

/* More requests than are served in a turn. */
static void ask_much(int fd)
{
	static char bytes[PIPELINED * sizeof(REQUEST("/now"))];
	size_t length = 0;

	for (unsigned i = 0; i < PIPELINED; i++) {
		memcpy(bytes + length, REQUEST("/now"), strlen(REQUEST("/now")));
		length += strlen(REQUEST("/now"));
	}
	assert_int_equal(write(fd, bytes, length), length);
}

/* Many clients of one user do. */
static void crowd_asks(int fds[CROWD], struct got got[CROWD])
{
	memset(got, 0, CROWD * sizeof(*got));
	for (unsigned i = 0; i < CROWD; i++)
		fds[i] = client_of(GREEDY);
	for (unsigned i = 0; i < CROWD; i++)
		ask_much(fds[i]);
}

static void crowd_gets_it_all(int fds[CROWD], struct got got[CROWD])
{
	for (unsigned i = 0; i < CROWD; i++) {
		WAIT_UNTIL(has_answers(fds[i], &got[i], PIPELINED));
		assert_int_equal(got[i].answers, PIPELINED);
		got_free(&got[i]);
		close(fds[i]);
	}
}

static void who_asks_without_end_stands_behind(void **state)
{
	int fds[CROWD], modest = client_of(MODEST);
	struct got got[CROWD], mine = {0};
	unsigned before, turns = 0;

	(void)state;
	assert_answers_now(modest);
	crowd_asks(fds, got);
	/* until all of them wait behind */
	for (unsigned i = 0; i < 5; i++)
		turn();
	for (size_t answered = 0; answered < 20; answered = mine.answers, turns++) {
		before = asked_count;
		client_write(modest, REQUEST("/now?me"));
		turn();
		/* in one turn its own, and few of theirs */
		assert_true(has_answers(modest, &mine, answered + 1));
		assert_in_range(asked_count - before, 1, 40);
	}
	assert_int_equal(turns, 20);
	crowd_gets_it_all(fds, got);
	got_free(&mine);
	close(modest);
}

static void alone_nobody_stands_behind(void **state)
{
	struct got got[CROWD];
	int fds[CROWD];

	(void)state;
	crowd_asks(fds, got);
	turn();
	/* 16 of each that the loop tells of at once: of 32 at least */
	assert_in_range(asked_count, 32 * 16, CROWD * PIPELINED);
	crowd_gets_it_all(fds, got);
}

static void those_behind_may_leave(void **state)
{
	int fds[CROWD], modest = client_of(MODEST);
	struct got got[CROWD];

	(void)state;
	assert_answers_now(modest);
	crowd_asks(fds, got);
	for (unsigned i = 0; i < 5; i++)
		turn();
	for (unsigned i = 0; i < CROWD; i++)
		close(fds[i]);
	WAIT_UNTIL(front_counters(front)->connections == 1);
	assert_answers_now(modest);
	/* or be there still when all is over */
	crowd_asks(fds, got);
	for (unsigned i = 0; i < 5; i++)
		turn();
	for (unsigned i = 0; i < CROWD; i++)
		close(fds[i]);
	close(modest);
}

/* Of two who stand behind, one with many connections does not take the other's turns. */
static void those_behind_take_turns_by_user(void **state)
{
	int fds[CROWD], other, modest = client_of(MODEST);
	struct got got[CROWD], mine = {0};
	size_t before;

	(void)state;
	assert_answers_now(modest);
	other = client_of(GREEDY + 1);
	crowd_asks(fds, got);
	for (unsigned i = 0; i < 5; i++)
		turn();
	ask_much(other);
	/* until it has had its share */
	while (mine.answers < 160) {
		turn();
		has_answers(other, &mine, PIPELINED);
	}
	before = mine.answers;
	for (unsigned i = 0; i < 5; i++)
		turn();
	has_answers(other, &mine, PIPELINED);
	/* half of 32 in each */
	assert_in_range(mine.answers - before, 5 * 12, 5 * 20);
	crowd_gets_it_all(fds, got);
	got_free(&mine);
	close(other);
	close(modest);
}

static void users_without_connections_are_forgotten_in_the_end(void **state)
{
	struct peer_table t = {0};
	struct peer_user *kept = peer_user_enter(&t, 1);

	(void)state;
	assert_non_null(kept);
	peer_user_leave(&t, peer_user_enter(&t, 2));
	assert_non_null(peer_user_find(&t, 2));
	for (uid_t uid = 10; uid < 10 + 1000; uid++)
		peer_user_leave(&t, peer_user_enter(&t, uid));
	assert_null(peer_user_find(&t, 2));
	assert_in_range(t.idle, 1, 256);
	assert_ptr_equal(peer_user_find(&t, 1), kept);
	/* one that comes back is the same, and not idle */
	assert_int_equal(peer_user_find(&t, 1009)->connections, 0);
	assert_int_equal(peer_user_enter(&t, 1009)->connections, 1);
	peer_table_trim(&t);
	assert_int_equal(t.idle, 0);
	assert_non_null(peer_user_find(&t, 1009));
	peer_user_leave(&t, peer_user_find(&t, 1009));
	peer_user_leave(&t, kept);
	peer_table_trim(&t);
	assert_null(peer_user_find(&t, 1));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, front_setup, front_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_fill_and_run_out),
		cmocka_unit_test(buckets_have_a_brim),
		TEST(alone_may_connect_as_often_as_it_likes),
		TEST(who_connects_without_end_is_turned_away),
		TEST(nobody_is_turned_away_for_one_who_has_left),
		TEST(what_was_free_is_not_held_against_anybody),
		TEST(those_turned_away_by_thousands_are_told),
		TEST(large_requests_count_as_many),
		TEST(large_replies_count_as_many),
		TEST(large_replies_to_held_requests_count_as_well),
		TEST(alone_a_pass_has_an_end_too),
		TEST(alone_all_of_its_connections_get_as_much),
		TEST(what_is_thrown_away_counts_as_well),
		TEST(who_asks_without_end_stands_behind),
		TEST(alone_nobody_stands_behind),
		TEST(those_behind_may_leave),
		TEST(those_behind_take_turns_by_user),
		cmocka_unit_test(users_without_connections_are_forgotten_in_the_end),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
