/* A store that answers wrongly, in every way: the connection is dropped, within the time of an
 * operation, and with no more memory than an answer may have. */
#include "store_fixture.h"

#include <hiredis/hiredis.h>

#define X25 "xxxxxxxxxxxxxxxxxxxxxxxxx"
#define MANY_X X25 X25 X25 X25
#define SIMPLE(text) "+" text "\r\n"
#define RECORD(gen, t0, left, issued, sealed, rejected) \
	"*7\r\n" SIMPLE(gen) SIMPLE(t0) SIMPLE(left) SIMPLE(issued) SIMPLE(sealed) \
		SIMPLE(rejected) "$-1\r\n"
#define NILS "*7\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"
#define CHANNEL "gct:{0123456789abcdef0123456789abcdef}:0123456789abcdef:0:new"
#define MEMORY_MOST (64 * 1024)
#define TIME_MOST_MS 2000

/* Just when most of what came is held. */
int __real_redisReaderFeed(redisReader *r, const char *bytes, size_t length);
int __wrap_redisReaderFeed(redisReader *r, const char *bytes, size_t length);

int __wrap_redisReaderFeed(redisReader *r, const char *bytes, size_t length)
{
	int result = __real_redisReaderFeed(r, bytes, length);

	if (memory_now() > most_memory)
		most_memory = memory_now();
	return result;
}

enum when {
	AT_READ, /* an operation is under way */
	AT_RENEW,
	AT_CONNECT, /* before it is up */
	AT_ONCE,    /* up, and nothing was asked */
};

struct wrong {
	const char *command, *answer;
	enum when when;
	const char *flood;
	bool slowly, then_close;
};

static const struct wrong wrongs[] = {
	/* The bytes of no answer at all. */
	{"HMGET", "", AT_READ, NULL, false, true},
	{"HMGET", "", AT_READ, NULL, false, false}, /* nothing, for ever */
	{"HMGET", "x", AT_READ, NULL, false, false},
	{"HMGET", "\r\n", AT_READ, NULL, false, false},
	{"HMGET", "HTTP/1.1 400 Bad Request\r\n\r\n", AT_READ, NULL, false, false},
	{"HMGET", "\x15\x03\x03\x01\x02\x02\x28", AT_READ, NULL, false, false},
	{"HMGET", "*7\r\n$-1\r\n$-1\r\n", AT_READ, NULL, false, true}, /* cut off */
	{"HMGET", "*7\r\n$-1\r\n$-1\r\n", AT_READ, NULL, false, false},
	{"HMGET", "*7\r\n$5\r\nab", AT_READ, NULL, false, true},
	{"HMGET", "*", AT_READ, NULL, false, true},
	{"HMGET", NILS, AT_READ, NULL, true, false}, /* too slowly */
	/* Sizes. */
	{"HMGET", "*1000000000\r\n", AT_READ, NULL, false, false},
	{"HMGET", "*2147483647\r\n", AT_READ, NULL, false, false},
	{"HMGET", "*9223372036854775807\r\n", AT_READ, NULL, false, false},
	{"HMGET", "*-7\r\n", AT_READ, NULL, false, false},
	{"HMGET", "*17\r\n", AT_READ, NULL, false, false},
	{"HMGET", "$1000000000\r\n", AT_READ, MANY_X, false, false},
	{"HMGET", "$9223372036854775807\r\n", AT_READ, MANY_X, false, false},
	{"HMGET", "$-7\r\n", AT_READ, NULL, false, false},
	{"HMGET", "*7\r\n$100000\r\n", AT_READ, MANY_X, false, false},
	{"HMGET", "+", AT_READ, MANY_X, false, false},
	{"HMGET", "-", AT_READ, MANY_X, false, false},
	{"HMGET", ":", AT_READ, "1111111111111111", false, false},
	{"HMGET", "*7\r\n", AT_READ, "*7\r\n", false, false}, /* nested for ever */
	{"HMGET", "*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", AT_READ, NULL, false, false},
	{"HMGET", NILS, AT_READ, NILS, false, false}, /* unasked, for ever */
	{"HMGET", "", AT_READ, "+OK\r\n", false, false},
	/* Types of elements. */
	{"HMGET", "+OK\r\n", AT_READ, NULL, false, false},
	{"HMGET", ":6\r\n", AT_READ, NULL, false, false},
	{"HMGET", "$-1\r\n", AT_READ, NULL, false, false},
	{"HMGET", "*-1\r\n", AT_READ, NULL, false, false},
	{"HMGET", "*0\r\n", AT_READ, NULL, false, false},
	{"HMGET", "*5\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n", AT_READ, NULL, false, false},
	{"HMGET", "*8\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n", AT_READ, NULL,
		false, false},
	{"HMGET", "*7\r\n:1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n", AT_READ, NULL, false,
		false},
	{"HMGET", "*7\r\n-ERR\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n", AT_READ, NULL, false,
		false},
	{"HMGET", "*7\r\n*0\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n", AT_READ, NULL, false,
		false},
	{"HMGET", "%3\r\n+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n+f\r\n", AT_READ, NULL, false, false},
	{"HMGET", "_\r\n", AT_READ, NULL, false, false},
	/* What they say. */
	{"HMGET", RECORD("x", "1", "1", "1", "s", "0"), AT_READ, NULL, false, false},
	{"HMGET", RECORD("-1", "1", "1", "1", "s", "0"), AT_READ, NULL, false, false},
	{"HMGET", RECORD("9007199254740992", "1", "1", "1", "s", "0"), AT_READ, NULL, false, false},
	{"HMGET", RECORD("7", "-1", "1", "1", "s", "0"), AT_READ, NULL, false, false},
	{"HMGET", RECORD("7", "1", "1e9", "1", "s", "0"), AT_READ, NULL, false, false},
	{"HMGET", RECORD("7", "1", "1", "0", "s", "0"), AT_READ, NULL, false, false},
	{"HMGET", RECORD("7", "1", "1", "1", "", "0"), AT_READ, NULL, false, false},
	{"HMGET", RECORD("7", "1", "1", "1", "s", "2"), AT_READ, NULL, false, false},
	{"HMGET", "*7\r\n+7\r\n$-1\r\n+1\r\n+1\r\n+s\r\n+0\r\n$-1\r\n", AT_READ, NULL, false,
		false},
	{"TIME", "+1700000000\r\n", AT_READ, NULL, false, false},
	{"TIME", "*2\r\n+1700000000\r\n+1000000\r\n", AT_READ, NULL, false, false},
	{"TIME", "*1\r\n+1700000000\r\n", AT_READ, NULL, false, false},
	{"TIME", "*2\r\n:1700000000\r\n:1\r\n", AT_READ, NULL, false, false},
	{"TIME", NILS, AT_READ, NULL, false, false},
	{"PUBSUB", "+3\r\n", AT_READ, NULL, false, false},
	{"PUBSUB", "*2\r\n+a\r\n:-1\r\n", AT_READ, NULL, false, false},
	{"EVALSHA", "+OK\r\n", AT_RENEW, NULL, false, false},
	{"EVALSHA", "*2\r\n+granted\r\n+1\r\n", AT_RENEW, NULL, false, false},
	{"EVALSHA", "*3\r\n+kept\r\n+1\r\n+1\r\n", AT_RENEW, NULL, false, false},
	{"EVALSHA", "*2\r\n+kept\r\n+-1\r\n", AT_RENEW, NULL, false, false},
	{"EVALSHA", "*2\r\n$-1\r\n+1\r\n", AT_RENEW, NULL, false, false},
	{"EVALSHA", "*2\r\n+kept\r\n+1\r\n+1\r\n", AT_RENEW, NULL, false, false}, /* one more */
	{"EVALSHA", "$40\r\n0123456789012345678901234567890123456789\r\n", AT_RENEW, NULL, false,
		false},
	{"EVALSHA", "-NOSCRIPT\r\n", AT_RENEW, NULL, false, false}, /* and a wrong SCRIPT LOAD */
	{"EVALSHA", "-READONLY\r\n", AT_RENEW, NULL, false, false},
	{"EVALSHA", "-LOADING\r\n", AT_RENEW, NULL, false, false},
	{"EVALSHA", "-MASTERDOWN\r\n", AT_RENEW, NULL, false, false},
	{"EVALSHA", "-NOREPLICAS\r\n", AT_RENEW, NULL, false, false},
	{"EVALSHA", "-CLUSTERDOWN\r\n", AT_RENEW, NULL, false, false},
	{"EVALSHA", "-MOVED 7 10.0.0.1:6379\r\n", AT_RENEW, NULL, false, false},
	{"EVALSHA", "-NOAUTH\r\n", AT_RENEW, NULL, false, false},
	{"EVALSHA", "*2\r\n+kept\r\n", AT_RENEW, NULL, true, false},
	/* Before it is up. */
	{"ROLE", "", AT_CONNECT, NULL, false, true},
	{"ROLE", "+master\r\n", AT_CONNECT, NULL, false, false},
	{"ROLE", "*3\r\n$5\r\nslave\r\n$1\r\na\r\n:1\r\n", AT_CONNECT, NULL, false, false},
	{"ROLE", "*2\r\n$8\r\nsentinel\r\n*0\r\n", AT_CONNECT, NULL, false, false},
	{"ROLE", "*3\r\n:1\r\n:1\r\n*0\r\n", AT_CONNECT, NULL, false, false},
	{"ROLE", "*0\r\n", AT_CONNECT, NULL, false, false},
	{"ROLE", "-NOPERM\r\n", AT_CONNECT, NULL, false, false},
	{"ROLE", "-LOADING\r\n", AT_CONNECT, NULL, false, false},
	{"ROLE", "*1000000000\r\n", AT_CONNECT, NULL, false, false},
	{"ROLE", "$1000000000\r\n", AT_CONNECT, MANY_X, false, false},
	{"SUBSCRIBE", "+OK\r\n", AT_CONNECT, NULL, false, false},
	{"SUBSCRIBE", "-NOPERM\r\n", AT_CONNECT, NULL, false, false},
	{"SUBSCRIBE", "*3\r\n+subscribe\r\n+other\r\n:1\r\n", AT_CONNECT, NULL, false, false},
	{"SUBSCRIBE", "*3\r\n+subscribe\r\n+" CHANNEL "\r\n+1\r\n", AT_CONNECT, NULL, false, false},
	{"SUBSCRIBE", "*2\r\n+pong\r\n+\r\n", AT_CONNECT, NULL, false, false},
	{"SUBSCRIBE", "*3\r\n+unsubscribe\r\n+" CHANNEL "\r\n:0\r\n", AT_CONNECT, NULL, false,
		false},
	{"SUBSCRIBE", "*3\r\n+message\r\n+other\r\n+F 1 throttled\r\n", AT_CONNECT, NULL, false,
		false},
/* Unasked, once it is up: behind the subscription it comes by itself. */
#define SUBSCRIBED "*3\r\n+subscribe\r\n+" CHANNEL "\r\n:1\r\n"
	{"SUBSCRIBE", SUBSCRIBED "+OK\r\n", AT_ONCE, NULL, false, false},
	{"SUBSCRIBE", SUBSCRIBED SUBSCRIBED, AT_ONCE, NULL, false, false},
	{"SUBSCRIBE", SUBSCRIBED "*2\r\n+pong\r\n+\r\n", AT_ONCE, NULL, false, false},
	{"SUBSCRIBE", SUBSCRIBED "*3\r\n+message\r\n+other\r\n+F 1 throttled\r\n", AT_ONCE, NULL,
		false, false},
	{"SUBSCRIBE", SUBSCRIBED "*3\r\n+message\r\n+" CHANNEL "\r\n+F 1\r\n", AT_ONCE, NULL, false,
		false},
	{"SUBSCRIBE", SUBSCRIBED "*3\r\n+message\r\n+" CHANNEL "\r\n:1\r\n", AT_ONCE, NULL, false,
		false},
	{"SUBSCRIBE", SUBSCRIBED "*3\r\n+message\r\n+" CHANNEL "\r\n+T 7 1 1 1\r\n", AT_ONCE, NULL,
		false, false},
	{"SUBSCRIBE", SUBSCRIBED "*4\r\n+pmessage\r\n+g*\r\n+" CHANNEL "\r\n+x\r\n", AT_ONCE, NULL,
		false, false},
	{"SUBSCRIBE", SUBSCRIBED "-ERR\r\n", AT_ONCE, NULL, false, false},
	{"SUBSCRIBE", SUBSCRIBED "$1000000000\r\n", AT_ONCE, MANY_X, false, false},
	{"SUBSCRIBE", SUBSCRIBED, AT_ONCE, NULL, false, true},
};

static int64_t longest_ms;
static size_t largest;

static void play(const struct wrong *w)
{
	struct redis_fake f = {.command = w->command,
		.answer = w->answer,
		.answer_length = strlen(w->answer),
		.flood = w->flood,
		.slowly = w->slowly,
		.then_close = w->then_close};
	struct store_settings settings;
	struct store_token *token;
	struct store *store;
	bool late = w->when == AT_READ || w->when == AT_RENEW, was_up = w->when != AT_CONNECT;
	int64_t began;
	size_t before;

	snprintf(f.path, sizeof(f.path), "/tmp/test_store.%d", (int)getpid());
	fake_start(&f);
	settings = settings_of(&f);
	before = memory_now();
	store = store_begin(&settings, &token);
	if (late) {
		assert_true(run_until(&heard.ups, 1, 10000));
		before = memory_now();
		most_memory = 0;
		assert_int_equal(w->when == AT_READ ? store_read(token)
						    : store_renew(token, 7, duration_s(5)),
			0);
	}
	began = now_ms();
	if (!run_until(&heard.downs, 1, 20000) || now_ms() - began > TIME_MOST_MS ||
		heard.downs_of_up != was_up || !*heard.why)
		fail_msg("%s %s: %u downs, %u of them while it was up, after %lld ms: %s",
			w->command, w->answer, heard.downs, heard.downs_of_up,
			(long long)(now_ms() - began), heard.why);
	if (now_ms() - began > longest_ms)
		longest_ms = now_ms() - began;
	if (late && most_memory > before + largest)
		largest = most_memory - before;
	/* What one answer was fine before the other came. */
	assert_true(heard.results <= 1 && heard.ups == heard.downs_of_up);
	/* Two connections, and what one of them holds of an answer. */
	if (most_memory > before + (late ? MEMORY_MOST : 3 * MEMORY_MOST))
		fail_msg("%s %s: %zu bytes", w->command, w->answer, most_memory - before);
	store_end(store, token);
	fake_stop(&f);
}

static void every_wrong_answer_ends_the_connection(void **state)
{
	(void)state;
	assert_true(LENGTH(wrongs) >= 60);
	for (size_t i = 0; i < LENGTH(wrongs); i++)
		play(&wrongs[i]);
	print_message("# %zu wrong answers: dropped within %lld ms, %zu bytes\n", LENGTH(wrongs),
		(long long)longest_ms, largest);
}

/* An error that is this command's alone ends the operation, and the connection stays. */
static void errors_of_an_operation_end_it_alone(void **state)
{
	static const struct {
		const char *command, *answer, *words;
	} cases[] = {
		{"HMGET", "-NOPERM no hunter2\r\n", "NOPERM"},
		{"HMGET", "-WRONGTYPE\r\n", "WRONGTYPE"},
		{"TIME", "-NOPERM\r\n", "NOPERM"},
		{"HMGET", "-hunter2 token\r\n", "not known here"},
		{"EVALSHA", "-OOM\r\n", "no memory"},
		{"EVALSHA", "-ERR Error running script: -MISCONF\r\n", "MISCONF"},
		{"EVALSHA", "-BUSY\r\n", "busy"},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct redis_fake f = {.command = cases[i].command,
			.answer = cases[i].answer,
			.answer_length = strlen(cases[i].answer)};
		bool script = !strcmp(cases[i].command, "EVALSHA");
		struct store_settings settings;
		struct store_token *token;
		struct store *store;

		snprintf(f.path, sizeof(f.path), "/tmp/test_store.%d", (int)getpid());
		fake_start(&f);
		settings = settings_of(&f);
		store = store_begin(&settings, &token);
		assert_true(run_until(&heard.ups, 1, 10000));
		for (unsigned n = 1; n <= 2; n++) {
			assert_int_equal(
				script ? store_acquire(token, &acquire) : store_read(token), 0);
			assert_true(run_until(&heard.results, n, 10000));
			assert_false(heard.answered);
			assert_non_null(strstr(heard.problem, cases[i].words));
			assert_non_null(strstr(heard.problem, script ? "ACQUIRE" : "READ"));
			assert_null(strstr(heard.problem, "hunter2"));
		}
		assert_true(heard.ups == 1 && heard.downs == 0);
		store_end(store, token);
		fake_stop(&f);
	}
}

/* The number of hosts is worth knowing, and no more. */
static void without_the_right_to_count_hosts_all_goes_on(void **state)
{
	static const char denied[] = "-NOPERM\r\n";
	struct redis_fake f = {
		.command = "PUBSUB", .answer = denied, .answer_length = strlen(denied)};
	struct store_settings settings;
	struct store_token *token;
	struct store *store;

	(void)state;
	snprintf(f.path, sizeof(f.path), "/tmp/test_store.%d", (int)getpid());
	fake_start(&f);
	settings = settings_of(&f);
	store = store_begin(&settings, &token);
	assert_true(run_until(&heard.ups, 1, 10000));
	assert_int_equal(store_read(token), 0);
	assert_int_equal(store_read(token), -EBUSY);
	assert_true(run_until(&heard.results, 1, 10000));
	assert_true(heard.answered && heard.answer.word == FLEET_SAYS_RECORD);
	assert_true(heard.answer.stamp_us == INT64_C(1700000000123456));
	assert_int_equal(store_hosts(store), 0);
	store_end(store, token);
	fake_stop(&f);
}

/* Hosts that lost a store come back one after the other, and less and less often. */
static void pauses_grow(void **state)
{
	static const char no[] = "-LOADING\r\n";
	struct redis_fake f = {.command = "ROLE", .answer = no, .answer_length = strlen(no)};
	struct store_settings settings;
	struct store_token *token;
	struct store *store;
	int64_t at, first, fourth = 0;

	(void)state;
	snprintf(f.path, sizeof(f.path), "/tmp/test_store.%d", (int)getpid());
	fake_start(&f);
	settings = settings_of(&f);
	store = store_begin(&settings, &token);
	assert_int_equal(store_read(token), -ENOTCONN);
	assert_int_equal(store_permit(token, 3, duration_s(900)), -ENOTCONN);
	assert_true(run_until(&heard.downs, 1, 10000));
	at = now_ms();
	assert_true(run_until(&heard.downs, 2, 10000));
	first = now_ms() - at;
	assert_true(first >= 100);
	for (unsigned n = 3; n <= 4; n++) {
		at = now_ms();
		assert_true(run_until(&heard.downs, n, 20000));
		fourth = now_ms() - at;
	}
	assert_true(fourth >= 400); /* 0.1 s and more, doubled twice */
	assert_non_null(strstr(heard.why, "loading"));
	store_end(store, token);
	fake_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_wrong_answer_ends_the_connection),
		cmocka_unit_test(errors_of_an_operation_end_it_alone),
		cmocka_unit_test(without_the_right_to_count_hosts_all_goes_on),
		cmocka_unit_test(pauses_grow),
	};

	return cmocka_run_group_tests(tests, loop_set_up, loop_tear_down);
}
