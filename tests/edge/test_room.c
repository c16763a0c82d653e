/* Who gives way when all connections are taken: the rule alone, over many histories, and a front
 * that keeps to it. */
#include "front_fixture.h"

#include "front/connections.h"
#include "front/reaper.h"
#include "front/room.h"
#include "front/toll.h"
#include <sys/resource.h>

#define USERS 40
#define MOST 400

static void a_few_are_kept(void **state)
{
	(void)state;
	assert_int_equal(room_for_all(16384), 16320);
	assert_int_equal(room_for_all(1024), 1008);
	assert_int_equal(room_for_all(16), 15);
	assert_int_equal(room_for_all(2), 1);
	assert_int_equal(room_for_all(1), 1);
	for (uint32_t max = 1; max < 70000; max++) {
		assert_true(room_for_all(max) > 0);
		assert_true(max - room_for_all(max) <= 64);
	}
}

static void who_gives_way(void **state)
{
	(void)state;
	/* the first connection of somebody, against users with one each */
	assert_int_equal(room_gives_way_from(0, 1), 1);
	assert_int_equal(room_gives_way_from(0, 4096), 2048);
	assert_int_equal(room_gives_way_from(0, 0), 0);
	/* one who has as many as anybody, or half as many, gets no more */
	assert_int_equal(room_gives_way_from(1, 1), 0);
	assert_int_equal(room_gives_way_from(100, 200), 0);
	assert_int_equal(room_gives_way_from(100, 201), 201);
	assert_int_equal(room_gives_way_from(3, 4096), 2048);
	assert_int_equal(room_gives_way_from(UINT32_MAX, UINT32_MAX), 0);
}

static uint32_t heaviest_of(const uint32_t *has)
{
	uint32_t most = 0;

	for (unsigned i = 0; i < USERS; i++)
		if (has[i] > most)
			most = has[i];
	return most;
}

/* Users who want as much as they can get, and some who want little. */
static void those_with_few_are_let_in(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 200; seed++) {
		uint32_t has[USERS] = {0}, taken = 0;

		srand(seed);
		for (unsigned step = 0; step < 5000; step++) {
			unsigned who = (unsigned)rand() % USERS;
			uint32_t heaviest = heaviest_of(has), from;

			if (who < 4 && has[who] && rand() % 2) {
				has[who]--;
				taken--;
				continue;
			}
			if (who < 4 && has[who] >= 3)
				continue;
			from = taken < MOST ? 1 : room_gives_way_from(has[who], heaviest);
			if (taken >= MOST && !from) {
				/* only for want of anybody with twice as many */
				assert_true(heaviest <= 2 * has[who]);
				continue;
			}
			for (unsigned i = 0; i < USERS && taken >= MOST; i++) {
				if (has[i] < from)
					continue;
				/* nobody gives way to who then has more */
				assert_true(has[i] - 1 >= has[who]);
				assert_true(i != who);
				has[i]--;
				taken--;
			}
			assert_true(taken < MOST);
			has[who]++;
			taken++;
			assert_true(who >= 4 || has[who] <= 3);
		}
	}
}

static unsigned pretended_closing;

unsigned __real_reaper_pending(const struct reaper *r);
unsigned __wrap_reaper_pending(const struct reaper *r);

unsigned __wrap_reaper_pending(const struct reaper *r)
{
	return pretended_closing ? pretended_closing : __real_reaper_pending(r);
}

static struct reaper_user pretended_user; /* of SOMEBODY */
static bool pretended_held_off;           /* SOMEBODY */

bool __real_toll_holds_off(uid_t uid);
bool __wrap_toll_holds_off(uid_t uid);

struct reaper_user __real_reaper_user(const struct reaper *r, uid_t uid);
struct reaper_user __wrap_reaper_user(const struct reaper *r, uid_t uid);

#define CROWD 128 /* max_connections, two of which are kept */
#define SOMEBODY 100000

struct reaper_user __wrap_reaper_user(const struct reaper *r, uid_t uid)
{
	return uid == SOMEBODY ? pretended_user : __real_reaper_user(r, uid);
}

bool __wrap_toll_holds_off(uid_t uid)
{
	return (uid == SOMEBODY && pretended_held_off) || __real_toll_holds_off(uid);
}

static int client_of(uid_t uid)
{
	pretended_uid = uid;
	int fd = client_served();

	pretended_uid = 0;
	return fd;
}

static void set_crowd(struct front_limits *limits)
{
	*limits = limits_default();
	limits->max_connections = CROWD;
	front_set_limits(front, limits);
}

static unsigned ended_of(const int *fds, unsigned count)
{
	unsigned ended = 0;

	for (unsigned i = 0; i < count; i++) {
		struct got g = {0};

		ended += has_ended(fds[i], &g);
		got_free(&g);
	}
	return ended;
}

static void close_all(const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

/* One user has all there is: half of it goes, and no more, whoever comes. */
static void the_heaviest_gives_way(void **state)
{
	struct front_limits limits;
	int greedy[CROWD - 2], modest[3];

	(void)state;
	set_crowd(&limits);
	for (unsigned i = 0; i < COUNT(greedy); i++)
		greedy[i] = client_of(SOMEBODY);
	for (unsigned i = 0; i < COUNT(modest); i++) {
		modest[i] = client_of(SOMEBODY + 1);
		assert_answers_now(modest[i]);
	}
	WAIT_UNTIL(ended_of(greedy, COUNT(greedy)) == front_counters(front)->gave_way);
	assert_in_range(front_counters(front)->gave_way, 1, ROOM_AT_ONCE);
	assert_int_equal(front_counters(front)->refused_total_limit, 0);
	assert_answers_now(greedy[COUNT(greedy) - 1]);
	close_all(greedy, COUNT(greedy));
	close_all(modest, COUNT(modest));
}

/* As many users as there are connections, whatever they do: nothing, half a request, not read. */
static void many_users_take_nothing(void **state)
{
	struct front_limits limits;
	int crowd[CROWD - 2], newcomer;

	(void)state;
	set_crowd(&limits);
	for (unsigned i = 0; i < COUNT(crowd); i++) {
		crowd[i] = client_of(SOMEBODY + i);
		if (i % 3 == 1)
			client_write(crowd[i], "GET /now");
		else if (i % 3 == 2)
			client_write(crowd[i], REQUEST("/big?200000"));
	}
	turn_for(20);
	for (unsigned i = 0; i < CROWD; i++) {
		newcomer = client_of(SOMEBODY / 2 + i);
		assert_answers_now(newcomer);
		close(newcomer);
	}
	assert_true(front_counters(front)->gave_way > 0);
	assert_int_equal(front_counters(front)->refused_total_limit, 0);
	close_all(crowd, COUNT(crowd));
}

/* Nobody gives way to whoever has as many; the last ones are the privileged's. */
static void the_last_are_kept(void **state)
{
	struct front_limits limits;
	int waiting[CROWD - 2], privileged[2], refused;
	struct got got = {0};
	char body[256];

	(void)state;
	set_crowd(&limits);
	for (unsigned i = 0; i < COUNT(waiting); i++) {
		waiting[i] = client_of(SOMEBODY);
		client_write(waiting[i], REQUEST("/hold"));
	}
	WAIT_UNTIL(held_count == COUNT(waiting));
	pretended_uid = SOMEBODY;
	refused = client_new();
	WAIT_UNTIL(has_ended(refused, &got) || got.answers);
	assert_int_equal(answer_at(&got, 0, body, sizeof(body)), 503);
	pretended_uid = 0;
	got_free(&got);
	close(refused);
	for (unsigned i = 0; i < COUNT(privileged); i++) {
		privileged[i] = client_served();
		assert_answers_now(privileged[i]);
	}
	assert_int_equal(front_counters(front)->refused_total_limit, 1);
	assert_int_equal(front_counters(front)->gave_way, 0);
	close_all(waiting, COUNT(waiting));
	close_all(privileged, COUNT(privileged));
	WAIT_UNTIL(front_counters(front)->connections == 0);
	assert_int_equal(abandoned_count, COUNT(waiting));
}

static unsigned told_to_come_again(const int *fds, unsigned count)
{
	unsigned told = 0;

	for (unsigned i = 0; i < count; i++) {
		struct got g = {0};
		char body[256];

		client_pull(fds[i], &g);
		if (g.answers) {
			assert_int_equal(answer_at(&g, 0, body, sizeof(body)), 503);
			assert_non_null(strstr(g.bytes, "\r\nRetry-After: 1\r\n"));
			assert_non_null(strstr(g.bytes, "\r\nConnection: close\r\n"));
			assert_true(g.ended);
			told++;
		} else {
			assert_false(g.ended);
		}
		got_free(&g);
	}
	return told;
}

/* All is taken by requests that wait, of one user or of as many as there are connections. */
static void those_who_wait_give_way(void **state)
{
	static const unsigned users[] = {1, 4, CROWD};
	struct front_limits limits;
	int waiting[CROWD - 2], newcomers[CROWD / 4];

	(void)state;
	set_crowd(&limits);
	for (unsigned u = 0; u < COUNT(users); u++) {
		uint64_t before = front_counters(front)->gave_way;
		uint64_t gave_way, refused = front_counters(front)->requests[503];

		abandoned_count = 0;
		for (unsigned i = 0; i < COUNT(waiting); i++) {
			waiting[i] = client_of(SOMEBODY + i % users[u]);
			client_write(waiting[i], REQUEST("/hold"));
		}
		WAIT_UNTIL(held_count == COUNT(waiting));
		/* the loop's clock is a coarse one: newcomers are to be younger by it */
		turn_for(30);
		for (unsigned i = 0; i < COUNT(newcomers); i++) {
			newcomers[i] = client_of(SOMEBODY / 2 + i);
			assert_answers_now(newcomers[i]);
		}
		gave_way = front_counters(front)->gave_way - before;
		assert_in_range(gave_way, COUNT(newcomers), COUNT(newcomers) + ROOM_AT_ONCE);
		assert_int_equal(abandoned_count, gave_way);
		assert_int_equal(front_counters(front)->requests[503] - refused, gave_way);
		assert_int_equal(told_to_come_again(waiting, COUNT(waiting)), gave_way);
		close_all(waiting, COUNT(waiting));
		close_all(newcomers, COUNT(newcomers));
		WAIT_UNTIL(front_counters(front)->connections == 0);
	}
	assert_int_equal(front_counters(front)->refused_total_limit, 0);
}

/* Before those who wait go others of the same user, although they came later. */
static void those_who_wait_go_last(void **state)
{
	struct front_limits limits;
	int waiting[CROWD / 2], idle[CROWD / 2 - 2], newcomers[CROWD / 4];

	(void)state;
	set_crowd(&limits);
	for (unsigned i = 0; i < COUNT(waiting); i++) {
		waiting[i] = client_of(SOMEBODY);
		client_write(waiting[i], REQUEST("/hold"));
	}
	WAIT_UNTIL(held_count == COUNT(waiting));
	for (unsigned i = 0; i < COUNT(idle); i++)
		idle[i] = client_of(SOMEBODY);
	turn_for(1100);
	for (unsigned i = 0; i < COUNT(newcomers); i++) {
		newcomers[i] = client_of(SOMEBODY / 2 + i);
		assert_answers_now(newcomers[i]);
	}
	assert_in_range(front_counters(front)->gave_way, COUNT(newcomers), COUNT(idle));
	assert_int_equal(ended_of(idle, COUNT(idle)), front_counters(front)->gave_way);
	assert_int_equal(abandoned_count, 0);
	close_all(waiting, COUNT(waiting));
	close_all(idle, COUNT(idle));
	close_all(newcomers, COUNT(newcomers));
	WAIT_UNTIL(front_counters(front)->connections == 0);
}

/* Places that only wait to be closed: whoever else has connections does not give way for those. */
static void what_is_being_closed_costs_nobody(void **state)
{
	struct front_limits limits;
	int greedy[CROWD / 2], refused;
	struct got got = {0};
	char body[256];

	(void)state;
	set_crowd(&limits);
	for (unsigned i = 0; i < COUNT(greedy); i++)
		greedy[i] = client_of(SOMEBODY);
	/* as many as there are descriptors for */
	limits.max_closing = pretended_closing = 10 * CROWD;
	front_set_limits(front, &limits);
	pretended_uid = SOMEBODY + 1;
	refused = client_served();
	assert_answers_now(refused);
	close(refused);
	limits.max_closing = 0;
	front_set_limits(front, &limits);
	refused = client_new();
	WAIT_UNTIL(has_ended(refused, &got) || got.answers);
	assert_int_equal(answer_at(&got, 0, body, sizeof(body)), 503);
	pretended_uid = pretended_closing = 0;
	got_free(&got);
	assert_int_equal(front_counters(front)->gave_way, 0);
	assert_int_equal(ended_of(greedy, COUNT(greedy)), 0);
	close(refused);
	close_all(greedy, COUNT(greedy));
}

/* Callers who ask much and read nothing: what is kept for all of them has an end, and whoever reads
 * is served meanwhile. */
static void what_nobody_reads_is_bounded(void **state)
{
	struct front_limits limits = limits_default();
	const struct front_counters *n = front_counters(front);
	int deaf[60], reader = client_served();

	(void)state;
	limits.request_deadline = duration_s(60);
	front_set_limits(front, &limits);
	for (unsigned i = 0; i < COUNT(deaf); i++) {
		deaf[i] = client_served();
		client_write(deaf[i], REQUEST("/big?1000000"));
		assert_answers_now(reader);
	}
	WAIT_UNTIL(n->kept_cut > 0);
	turn_for(50);
	/* 32 MiB and a quarter less, in buffers that grow by doubling */
	assert_in_range(n->connections, 10, 36);
	assert_int_equal(n->connections + n->kept_cut, COUNT(deaf) + 1);
	assert_answers_now(reader);
	close_all(deaf, COUNT(deaf));
	close(reader);
}

/* Nor is it more for a moment, where all of them ask at once. */
static void what_nobody_reads_is_bounded_at_once(void **state)
{
	const struct front_counters *n = front_counters(front);
	int deaf[60];
	unsigned asked = 0;

	(void)state;
	for (unsigned i = 0; i < COUNT(deaf); i++)
		deaf[i] = client_served();
	for (unsigned i = 0; i < COUNT(deaf); i++)
		client_write(deaf[i], REQUEST("/big?4000000"));
	for (unsigned i = 0; i < 40 && n->kept_cut + 8 < COUNT(deaf); i++) {
		turn();
		/* 32 MiB are nine of them, one of which is in excess */
		assert_in_range(asked_count - asked, 0, 9);
		asked = asked_count;
	}
	WAIT_UNTIL(asked_count == COUNT(deaf));
	assert_in_range(n->connections, 6, 9);
	close_all(deaf, COUNT(deaf));
}

/* Requests that wait behind held ones. Whoever has most of them goes first, and is told why. */
static void what_waits_behind_others_is_bounded(void **state)
{
	static char many[30000];
	static int greedy[1300];
	const struct front_counters *n = front_counters(front);
	int modest[20], deaf = client_of(SOMEBODY + 2);
	struct rlimit before, raised;
	size_t at = 0, requests = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	raised = before;
	raised.rlim_cur = raised.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &raised), 0);
	if (raised.rlim_cur < 2 * COUNT(greedy) + 100)
		skip();
	for (; at < sizeof(many) - 100; requests++)
		at += (size_t)sprintf(many + at, "%s", at ? REQUEST("/now?n") : REQUEST("/hold"));
	for (unsigned i = 0; i < COUNT(modest); i++) {
		modest[i] = client_of(SOMEBODY + 1);
		client_write(modest[i], many);
	}
	client_write(deaf, REQUEST("/big?1000000"));
	for (unsigned i = 0; i < COUNT(greedy); i++) {
		greedy[i] = client_of(SOMEBODY);
		client_write(greedy[i], many);
	}
	turn_for(100);
	assert_in_range(n->kept_cut, COUNT(greedy) / 8, COUNT(greedy) / 2);
	assert_int_equal(n->connections, COUNT(greedy) + COUNT(modest) + 1 - n->kept_cut);
	assert_int_equal(abandoned_count, n->kept_cut);
	assert_int_equal(told_to_come_again(greedy, COUNT(greedy)), n->kept_cut);
	assert_int_equal(told_to_come_again(modest, COUNT(modest)), 0);
	/* all of it is still served */
	while (held_count)
		release_one("at last");
	for (unsigned i = 0; i < COUNT(modest); i++) {
		struct got g = {0};

		WAIT_UNTIL(has_answers(modest[i], &g, requests));
		got_free(&g);
	}
	close_all(greedy, COUNT(greedy));
	close_all(modest, COUNT(modest));
	close(deaf);
	WAIT_UNTIL(n->connections == 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, front_setup, front_teardown)

static void assert_told(uid_t uid, int status, const char *words)
{
	struct got got = {0};
	char body[256];
	int fd;

	pretended_uid = uid;
	fd = client_new();
	WAIT_UNTIL(has_ended(fd, &got) || got.answers);
	pretended_uid = 0;
	assert_int_equal(answer_at(&got, 0, body, sizeof(body)), status);
	assert_non_null(strstr(body, words));
	got_free(&got);
	close(fd);
}

/* What is being closed for a user counts as if it were open, and what does not finish keeps that
 * user out: others are served. */
static void what_is_being_closed_is_the_users(void **state)
{
	struct front_limits limits;
	int fds[4], other;

	(void)state;
	set_crowd(&limits);
	limits.max_connections_per_user = 10;
	front_set_limits(front, &limits);
	pretended_user.pending = 6;
	for (unsigned i = 0; i < COUNT(fds); i++)
		fds[i] = client_of(SOMEBODY);
	assert_told(SOMEBODY, 429, "too many connections of this user");
	pretended_user.pending = 5;
	other = client_of(SOMEBODY);
	close(other);
	WAIT_UNTIL(front_counters(front)->connections == COUNT(fds));
	pretended_user.stuck = true;
	assert_told(SOMEBODY, 429, "take long to close");
	assert_answers_now(fds[0]);
	other = client_of(SOMEBODY + 1);
	assert_answers_now(other);
	assert_int_equal(front_counters(front)->refused_user_limit, 2);
	pretended_user = (struct reaper_user){0};
	close(other);
	other = client_of(SOMEBODY);
	assert_answers_now(other);
	close(other);
	close_all(fds, COUNT(fds));
}

/* Whoever is held off connects without end. Where the reaper has enough of that to give away, what
 * is empty is closed at once, and the rest is let in no faster than it is given away; others are
 * served meanwhile, and lose no places to it. */
static void who_is_held_off_takes_nobodys_place(void **state)
{
	struct front_limits limits;
	int full[4], empty[4], other;
	unsigned before;

	(void)state;
	set_crowd(&limits);
	limits.max_closing = 0;
	front_set_limits(front, &limits);
	pretended_uid = SOMEBODY;
	pretended_held_off = true;
	pretended_closing = CONNECTIONS_CLOSING_FEW;
	for (unsigned i = 0; i < COUNT(empty); i++)
		empty[i] = client_new();
	WAIT_UNTIL(ended_of(empty, COUNT(empty)) == COUNT(empty));
	assert_int_equal(front_counters(front)->refused_user_limit, COUNT(empty));
	for (unsigned i = 0; i < COUNT(full); i++) {
		full[i] = client_new();
		client_write(full[i], REQUEST("/now"));
	}
	before = calls.accept;
	WAIT_UNTIL(calls.accept > before);
	assert_int_equal(calls.accept, before + 1);
	WAIT_UNTIL(front_counters(front)->refused_user_limit == COUNT(empty) + COUNT(full));
	pretended_uid = SOMEBODY + 1;
	other = client_served();
	assert_answers_now(other);
	assert_int_equal(front_counters(front)->accept_failures, 0);
	pretended_uid = pretended_closing = 0;
	pretended_held_off = false;
	close(other);
	close_all(full, COUNT(full));
	close_all(empty, COUNT(empty));
}

#define HEADS 32 /* more than are answered in a turn */

/* Also a HEAD that nobody has looked at yet gets no body, where its connection gives way. */
static void a_head_that_waits_gives_way_without_a_body(void **state)
{
	static char bytes[HEADS * 64], text[HEADS * 512];
	int crowd[CROWD - 2], newcomer;
	struct front_limits limits;
	uint64_t told;

	(void)state;
	set_crowd(&limits);
	for (unsigned i = 0; i < HEADS; i++)
		strcat(bytes, "HEAD /now HTTP/1.1\r\n" H "\r\n");
	for (unsigned i = 0; i < COUNT(crowd); i++)
		crowd[i] = client_of(SOMEBODY);
	for (unsigned i = 0; i < COUNT(crowd); i++)
		client_write(crowd[i], bytes);
	turn();
	pretended_uid = SOMEBODY + 1;
	newcomer = client_new();
	WAIT_UNTIL(front_counters(front)->gave_way > 0);
	pretended_uid = 0;
	told = front_counters(front)->requests[503];
	assert_int_equal(told, front_counters(front)->gave_way);
	turn_for(50);
	for (unsigned i = 0; i < COUNT(crowd); i++) {
		ssize_t n = read(crowd[i], text, sizeof(text) - 1);

		assert_true(n > 0);
		text[n] = '\0';
		assert_null(strchr(text, '{'));
		told -= strstr(text, "HTTP/1.1 503 ") != NULL;
	}
	assert_int_equal(told, 0);
	close_all(crowd, COUNT(crowd));
	close(newcomer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_few_are_kept),
		cmocka_unit_test(who_gives_way),
		cmocka_unit_test(those_with_few_are_let_in),
		TEST(the_heaviest_gives_way),
		TEST(many_users_take_nothing),
		TEST(the_last_are_kept),
		TEST(those_who_wait_give_way),
		TEST(those_who_wait_go_last),
		TEST(a_head_that_waits_gives_way_without_a_body),
		TEST(what_is_being_closed_costs_nobody),
		TEST(what_is_being_closed_is_the_users),
		TEST(who_is_held_off_takes_nobodys_place),
		TEST(what_nobody_reads_is_bounded),
		TEST(what_nobody_reads_is_bounded_at_once),
		TEST(what_waits_behind_others_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
