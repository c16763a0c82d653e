/* A store on a real loop, with what it says written down. */
#ifndef GCTOKEND_TESTS_STORE_FIXTURE_H
#define GCTOKEND_TESTS_STORE_FIXTURE_H

#include "redis_fake.h"

#include "store/store.h"

#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))
#define PASSWORD "canary-pass-w0rd"

static const struct fleet_subject subject = {
	.client = "0123456789abcdef0123456789abcdef", .request = "0123456789abcdef"};
static const struct fleet_id no_id;
static const struct store_acquire acquire = {.lease = {5 * NS_PER_S},
	.mint_limit = 15,
	.mint_window = {300 * NS_PER_S},
	.cooldown = {60 * NS_PER_S},
	.tag = "tag",
	.break_lease = &no_id,
	.break_hold = &no_id};

struct heard {
	unsigned ups, downs, downs_of_up, anchors, messages, results, permits;
	char why[700];
	bool answered; /* the latest result has an answer */
	struct fleet_answer answer;
	char sealed[64];
	char problem[300];
	bool granted;
	uint32_t rank;
	struct boot_time sent, received;
	struct fleet_message message;
};

static struct event_base *base;
static struct heard heard;
static int64_t slowest_ms;    /* how long one pass of the loop stood, at the most */
static size_t most_memory;    /* in use, of this thread's heap */
static struct duration ahead; /* the clock that the store is given goes ahead by so much */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The same, but it stands while this thread could run and the kernel has others run: whoever waits
 * for a processor waits for nothing that the code under test does. */
static int64_t own_ms(void)
{
	FILE *file = fopen("/proc/thread-self/schedstat", "re");
	long long waited_ns = 0;

	if (file) {
		if (fscanf(file, "%*d %lld", &waited_ns) != 1)
			waited_ns = 0;
		fclose(file);
	}
	return now_ms() - waited_ns / 1000000;
}

static void read_clocks(struct clock_reading *ret)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	*ret = (struct clock_reading){
		.boot = boot_add((struct boot_time){t.tv_sec * NS_PER_S + t.tv_nsec}, ahead)};
}

static void on_up(void *context, struct boot_time at)
{
	(void)context, (void)at;
	heard.ups++;
}

static void on_down(void *context, bool was_up, const char *why)
{
	(void)context;
	heard.downs++;
	heard.downs_of_up += was_up;
	snprintf(heard.why, sizeof(heard.why), "%s", why);
}

static void on_anchored(void *context, struct boot_time sent)
{
	(void)context, (void)sent;
	heard.anchors++;
}

static void on_ended(void *context, const struct store_result *r)
{
	(void)context;
	heard.results++;
	heard.answered = r->answer != NULL;
	if (r->answer) {
		heard.answer = *r->answer;
		if (r->answer->record.sealed_length < sizeof(heard.sealed))
			snprintf(heard.sealed, sizeof(heard.sealed), "%.*s",
				(int)r->answer->record.sealed_length, r->answer->record.sealed);
	}
	snprintf(heard.problem, sizeof(heard.problem), "%s", r->problem ? r->problem : "");
	heard.sent = r->sent;
	heard.received = r->received;
}

static void on_message(void *context, struct boot_time at, const struct fleet_message *m)
{
	(void)context, (void)at;
	heard.messages++;
	heard.message = *m;
}

static void on_permitted(void *context, bool granted, uint32_t rank)
{
	(void)context;
	heard.permits++;
	heard.granted = granted;
	heard.rank = rank;
}

static const struct store_hooks store_hooks = {.up = on_up,
	.down = on_down,
	.anchored = on_anchored,
	.ended = on_ended,
	.message = on_message,
	.permitted = on_permitted};

static size_t memory_now(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* Until *count is at least `wanted`; false: not within that time. */
static bool run_until(const unsigned *count, unsigned wanted, int64_t ms)
{
	int64_t end = now_ms() + ms, before, passed;
	const struct timeval tick = {.tv_usec = 5000};

	while (*count < wanted) {
		if (now_ms() > end)
			return false;
		/* The wait for the tick itself is the loop's, and not counted. */
		before = own_ms();
		event_base_loopexit(base, &tick);
		event_base_loop(base, 0);
		passed = own_ms() - before - 5;
		if (passed > slowest_ms)
			slowest_ms = passed;
		if (memory_now() > most_memory)
			most_memory = memory_now();
	}
	return true;
}

static inline struct store_settings settings_of(const struct redis_fake *f)
{
	struct store_settings s = {.hosts = {{"127.0.0.1", (uint16_t)f->port}},
		.host_count = 1,
		.prefix = "gct",
		.host = "00112233445566778899aabbccddeeff",
		.timeout = duration_ms(500),
		.seed = 7};

	if (*f->path) {
		s.path = f->path;
		s.host_count = 0;
	}
	return s;
}

static struct store *store_begin(const struct store_settings *s, struct store_token **ret_token)
{
	struct store *store = NULL;
	char why[256] = "";

	memset(&heard, 0, sizeof(heard));
	slowest_ms = 0;
	most_memory = 0;
	ahead = DURATION_ZERO;
	if (store_new(&store, base, read_clocks, s, &store_hooks, NULL, why) != 0)
		fail_msg("store_new: %s", why);
	assert_int_equal(store_token_new(ret_token, store, &subject, 0, NULL), 0);
	return store;
}

static void store_end(struct store *store, struct store_token *token)
{
	store_token_free(token);
	store_free(store);
	/* What was deferred goes. */
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static int loop_set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	return base ? 0 : -1;
}

static int loop_tear_down(void **state)
{
	(void)state;
	event_base_free(base);
	return 0;
}

#endif
