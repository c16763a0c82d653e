/* A host's part in a fleet, from the store's answers to its callers: what is asked of the store and
 * with what, which token is served, who is refused and why, and what is told of it. What is decided
 * is tests/unit/test_fleet.c's. */
#include "fleet_rig.h"

#include "broker/fleet_link.h"
#include "broker/fleet_member.h"
#include "broker/oauth_client.h"
#include "broker/profile_type.h"
#include "core/fleet_decide.h"
#include "core/fleet_key.h"
#include "core/retry.h"
#include "core/views.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ONE "[profile a]\nmint_limit = 10\n"
#define FOLLOWER "[profile a]\nclient_secret_file =\n"

static bool manager_there;
static int kept_fd = -1;

bool __wrap_systemd_is_there(void);
int __wrap_systemd_store_fd(const char *name, int fd);
int __wrap_systemd_take_fd(const char *name);

bool __wrap_systemd_is_there(void)
{
	return manager_there;
}

int __wrap_systemd_store_fd(const char *name, int fd)
{
	if (strcmp(name, "handover") != 0)
		return 0;
	kept_fd = dup(fd);
	return 0;
}

int __wrap_systemd_take_fd(const char *name)
{
	int fd = kept_fd;

	if (fd < 0 || strcmp(name, "handover") != 0)
		return -ENOENT;
	kept_fd = -1;
	return fd;
}

/* From here on there is one, which has kept nothing yet; or none. */
static void manager_is(bool there)
{
	manager_there = there;
	if (kept_fd >= 0)
		close(kept_fd);
	kept_fd = -1;
}

static const struct fleet *core(struct rig *r)
{
	return &rig_profile(r, "a")->fleet->fleet;
}

static void answer_word(struct rig *r, enum fleet_operation operation, enum fleet_word word)
{
	struct fleet_answer a = says(r, word);

	asked(r, operation);
	answers(r, &a);
}

/* This host fetches a token, which the store has then. */
static void fetch(struct rig *r, uint64_t fence, const char *token)
{
	grants(r, fence);
	rig_answer_token(r, rig_post(r), token, NULL);
	answer_reads(r, NULL);
	answer_word(r, FLEET_PUT, FLEET_SAYS_PUT);
}

/* A fleet whose token this host has fetched. */
static struct rig *start_with_own(void)
{
	struct rig *r = fleet_rig_connected("", ONE);

	fetch(r, 7, "token-7");
	return r;
}

/* ... or another host. */
static struct rig *start_with_others(struct sealed *ret)
{
	return fleet_rig_with(ret, "", ONE);
}

/* What a caller is told who gets no token. */
static void expect_refused(struct rig *r, const char *words)
{
	struct caller *c = caller_ask(r, "GET", "/v1/token?profile=a&wait=0");

	assert_int_equal(caller_status(r, c), 503);
	if (!strstr(caller_body(c), words))
		fail_msg("\"%s\" is not in %s", words, caller_body(c));
	caller_gone(r, c);
}

static void expect_state(struct rig *r, const char *state)
{
	struct caller *c = caller_ask(r, "GET", "/v1/status");
	const char *fleet;
	char expected[64];

	assert_int_equal(caller_status(r, c), 200);
	fleet = strstr(caller_body(c), "\"fleet\":");
	if (!*state)
		assert_null(fleet);
	snprintf(expected, sizeof(expected), "\"fleet\":{\"state\":\"%s\"", state);
	if (*state && (!fleet || strncmp(fleet, expected, strlen(expected)) != 0))
		fail_msg("not %s: %s", state, fleet ? fleet : caller_body(c));
	caller_gone(r, c);
}

static bool status_has(struct rig *r, const char *words)
{
	struct caller *c = caller_ask(r, "GET", "/v1/status");
	bool has;

	assert_int_equal(caller_status(r, c), 200);
	has = strstr(caller_body(c), words);
	caller_gone(r, c);
	return has;
}

static void post(struct rig *r, const char *path, int status)
{
	struct caller *c = caller_ask(r, "POST", path);

	assert_int_equal(caller_status(r, c), status);
	caller_gone(r, c);
}

static void open_record(
	const struct store_token *t, uint64_t generation, size_t length, struct fleet_record *ret)
{
	struct fleet_key key;

	assert_int_equal(fleet_key_init(&key, fleet_key_bytes(0), &t->subject), 0);
	assert_int_equal(
		fleet_record_open(&key, 1, &t->subject, generation, t->sealed, length, ret),
		SEALED_GOOD);
}

/* ---- one host fetches for all ---- */

static void test_the_store_is_asked_first(void **state)
{
	char tag[FLEET_TAG_DIGITS + 1];
	const struct store_token *t;
	struct rig *r = fleet_rig_new("", ONE "reject_cooldown = 40s\n");

	(void)state;
	assert_null(rig_post(r));
	expect_state(r, "down");
	store_connects(r);
	expect_state(r, "up");
	found(r, NULL);
	t = asked(r, FLEET_ACQUIRE);
	assert_null(rig_post(r));
	assert_int_equal(t->acquire.known, 0);
	assert_int_equal(t->acquire.reject, 0);
	assert_int_equal(t->acquire.floor, 0);
	assert_int_equal(t->acquire.lease.ns, FLEET_LEASE_S * NS_PER_S);
	assert_int_equal(t->acquire.mint_limit, 10);
	assert_int_equal(t->acquire.mint_window.ns, MINT_WINDOW_S * NS_PER_S);
	assert_int_equal(t->acquire.cooldown.ns, 40 * NS_PER_S);
	assert_string_equal(t->break_lease.text, "");
	assert_string_equal(t->break_hold.text, "");
	assert_int_equal(fleet_key_tag(fleet_key_bytes(0), "client", "secret", tag), 0);
	assert_string_equal(t->tag, tag);
	grants(r, 7);
	assert_non_null(rig_post(r));
	assert_int_equal(told(r, "a", "lets this host fetch the next token (number 7)"), 1);
	fleet_rig_free(r);
}

static void test_a_token_that_was_fetched_is_put_there(void **state)
{
	struct fleet_record record = FLEET_RECORD_NONE;
	struct rig *r = fleet_rig_connected("", ONE);
	const struct store_token *t;
	int64_t end_ns;

	(void)state;
	grants(r, 7);
	rig_answer_token(r, rig_post(r), "token-7", NULL);
	assert_string_equal(rig_token(r, "a"), "token-7");
	end_ns = r->now.wall.ns + LIFE_S * NS_PER_S;
	t = asked(r, FLEET_PUT);
	assert_int_equal(t->put.generation, 7);
	assert_int_equal(t->put.issued.ns, LIFE_S * NS_PER_S);
	assert_int_equal(t->put.stamp_us, store_now_us(r));
	assert_true(t->put.left_us <= LIFE_S * INT64_C(1000000) &&
		    t->put.left_us > (LIFE_S - 5) * INT64_C(1000000));
	open_record(t, 7, t->put.sealed_length, &record);
	assert_false(record.stopped);
	assert_string_equal(record.token.text, "token-7");
	assert_int_equal(record.issued.ns, LIFE_S * NS_PER_S);
	/* at the earliest, by the server's clock, which is ours */
	assert_true(record.end.ns <= end_ns && record.end.ns > end_ns - 5 * NS_PER_S);
	assert_int_equal(record.end.ns % NS_PER_MS, 0);
	assert_int_equal(record.not_before.ns, 0);
	assert_memory_equal(record.host, r->broker->fleet->host_bytes, FLEET_HOST_LENGTH);
	fleet_record_fini(&record);
	answer_word(r, FLEET_PUT, FLEET_SAYS_PUT);
	assert_int_equal(
		told(r, "a", "is in the fleet's store, and all hosts hear of it (number 7)"), 1);
	assert_true(status_has(r, "\"fetched_here\":true,\"generation\":7"));
	assert_false(shared(r, "a")->busy);
	fleet_rig_free(r);
}

static void test_a_token_for_later_is_put_with_that(void **state)
{
	struct fleet_record record = FLEET_RECORD_NONE;
	struct rig *r = start_with_own();
	const struct store_token *t;

	(void)state;
	r->server_ahead_s = 0;
	post(r, "/v1/refresh?profile=a", 0);
	pass_reading(r, 1, NULL);
	grants(r, 8);
	/* nbf is 5 s from now by the server's clock */
	rig_answer_token(r, rig_post(r), "e30.eyJuYmYiOjE3MDAwMDEwMDZ9.c2ln", NULL);
	answer_reads(r, NULL);
	t = asked(r, FLEET_PUT);
	open_record(t, 8, t->put.sealed_length, &record);
	assert_int_equal(record.not_before.ns,
		boot_since(rig_profile(r, "a")->source.current.life.valid, r->now.boot).ns);
	fleet_record_fini(&record);
	fleet_rig_free(r);
}

static void test_a_lease_is_kept_while_the_request_runs(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);
	const struct store_token *t;

	(void)state;
	grants(r, 7);
	assert_non_null(rig_post(r));
	assert_false(shared(r, "a")->busy);
	rig_pass(r, 2);
	t = asked(r, FLEET_RENEW);
	assert_int_equal(t->fence, 7);
	assert_int_equal(t->lease.ns, FLEET_LEASE_S * NS_PER_S);
	answer_word(r, FLEET_RENEW, FLEET_SAYS_KEPT);
	rig_pass(r, 2);
	answer_word(r, FLEET_RENEW, FLEET_SAYS_LATE);
	assert_int_equal(told(r, "a", "lets this host fetch"), 1);
	rig_answer_token(r, rig_post(r), "token-7", NULL);
	assert_string_equal(rig_token(r, "a"), "token-7");
	fleet_rig_free(r);
}

struct failure {
	long status;
	const char *body, *retry_after;
	enum response_class class;
	int64_t least_s; /* nobody asks for so long */
};

static void test_a_failure_is_told_to_all(void **state)
{
	static const struct failure failures[] = {
		{503, "", NULL, RESPONSE_UNAVAILABLE, 0},
		{503, "", "20", RESPONSE_UNAVAILABLE, 21},
		{429, "", "40", RESPONSE_THROTTLED, 41},
		{400, "{\"error\":\"invalid_client\"}", NULL, RESPONSE_CLIENT_REJECTED, 900},
		/* nobody's login is in question */
		{400, "{\"error\":\"invalid_grant\"}", NULL, RESPONSE_CLIENT_REJECTED, 900},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++) {
		struct rig *r = fleet_rig_connected("", ONE);
		char tag[FLEET_TAG_DIGITS + 1];
		const struct store_token *t;

		snprintf(tag, sizeof(tag), "%s", asked(r, FLEET_ACQUIRE)->tag);
		grants(r, 7);
		r->retry_after = failures[i].retry_after;
		rig_answer(r, rig_post(r), failures[i].status, failures[i].body);
		answer_reads(r, NULL);
		t = asked(r, FLEET_FAIL);
		assert_int_equal(t->fail.fence, 7);
		assert_int_equal(t->fail.class, failures[i].class);
		assert_int_equal(t->fail.least.ns, failures[i].least_s * NS_PER_S);
		assert_int_equal(t->fail.most.ns, 15 * NS_PER_S);
		assert_string_equal(t->tag, tag);
		answer_word(r, FLEET_FAIL, FLEET_SAYS_FAILED);
		assert_null(rig_post(r));
		fleet_rig_free(r);
	}
}

static void test_a_failure_while_a_token_lives_waits_for_longer(void **state)
{
	struct rig *r = start_with_own();

	(void)state;
	post(r, "/v1/refresh?profile=a", 0);
	answer_reads(r, NULL);
	assert_int_equal(
		asked(r, FLEET_ACQUIRE)->acquire.lease.ns, FLEET_LEASE_LIVING_S * NS_PER_S);
	assert_int_equal(shared(r, "a")->acquire.known, 7);
	grants(r, 8);
	rig_answer(r, rig_post(r), 503, "");
	answer_reads(r, NULL);
	assert_int_equal(asked(r, FLEET_FAIL)->fail.most.ns, 60 * NS_PER_S);
	fleet_rig_free(r);
}

static void test_a_server_that_gives_the_same_token_is_left_alone(void **state)
{
	struct rig *r = start_with_own();

	(void)state;
	post(r, "/v1/refresh?profile=a", 0);
	answer_reads(r, NULL);
	grants(r, 8);
	rig_answer_token(r, rig_post(r), "token-7", NULL);
	answer_reads(r, NULL);
	assert_int_equal(asked(r, FLEET_FAIL)->fail.least.ns, FLEET_SAME_WAIT_S * NS_PER_S);
	assert_int_equal(shared(r, "a")->fail.class, RESPONSE_UNAVAILABLE);
	assert_true(status_has(r, "\"generation\":7"));
	fleet_rig_free(r);
}

/* ---- others' tokens ---- */

static void test_another_hosts_token_is_read(void **state)
{
	struct sealed other;
	struct rig *r = start_with_others(&other);

	(void)state;
	assert_string_equal(rig_token(r, "a"), "token-7");
	assert_int_equal(r->fetches_begun, 0);
	assert_int_equal(
		told(r, "a",
			"another host of the fleet fetched it (read; the fleet's generation 7)"),
		1);
	assert_int_equal(told(r, "a", "lets this host fetch"), 0);
	assert_int_equal(told(r, "a", "sealed with a key"), 0);
	assert_true(status_has(r, "\"fetched_here\":false,\"generation\":7"));
	assert_memory_equal(rig_profile(r, "a")->fleet->host, "another host 16", 16);
	/* its number here is this host's, and is not given to another one */
	assert_int_equal(rig_profile(r, "a")->client->state.generation_used,
		rig_profile(r, "a")->source.current.generation);
	/* a later run knows what not to take any more */
	assert_int_equal(rig_profile(r, "a")->client->state.fleet_lowest, 7);
	fleet_rig_free(r);
}

static void test_another_hosts_token_is_told(void **state)
{
	struct sealed other;
	struct rig *r = start_with_others(&other);
	uint64_t before = rig_profile(r, "a")->source.current.generation;

	(void)state;
	rig_pass(r, 100);
	answer_reads(r, &other);
	seal(r, &other, 9, "token-9", 0);
	message(r, &other);
	assert_string_equal(rig_token(r, "a"), "token-9");
	assert_true(rig_profile(r, "a")->source.current.generation > before);
	assert_true(oauth_client_next_generation(rig_profile(r, "a")->client) >
		    rig_profile(r, "a")->source.current.generation);
	assert_int_equal(told(r, "a", "fetched it (told; the fleet's generation 9)"), 1);
	/* what is older counts for nothing */
	seal(r, &other, 8, "token-8", 0);
	message(r, &other);
	assert_string_equal(rig_token(r, "a"), "token-9");
	fleet_rig_free(r);
}

static void test_a_message_ends_the_wait_for_a_token(void **state)
{
	struct rig *r = start_with_own(); /* which sent a request of its own before */
	struct caller *c = caller_ask(r, "POST", "/v1/refresh?profile=a");
	struct sealed other;

	(void)state;
	answer_reads(r, NULL);
	asked(r, FLEET_ACQUIRE);
	assert_int_equal(caller_status(r, c), 0);
	seal(r, &other, 9, "token-9", 0);
	message(r, &other);
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(rig_token(r, "a"), "token-9");
	caller_gone(r, c);
	fleet_rig_free(r);
}

static void test_the_same_text_under_another_number(void **state)
{
	struct sealed other;
	struct rig *r = start_with_others(&other);
	uint64_t generation = rig_profile(r, "a")->source.current.generation;

	(void)state;
	seal(r, &other, 9, "token-7", 0);
	message(r, &other);
	assert_int_equal(rig_profile(r, "a")->source.current.generation, generation);
	assert_int_equal(rig_profile(r, "a")->source.current.fleet_generation, 9);
	/* who waits for another one hears so */
	post(r, "/v1/refresh?profile=a", 0);
	asked(r, FLEET_ACQUIRE);
	seal(r, &other, 10, "token-7", 0);
	message(r, &other);
	assert_int_equal(told(r, "a", "the fleet's newer token is the same again"), 1);
	fleet_rig_free(r);
}

static void test_a_token_that_has_no_second_left(void **state)
{
	struct sealed other;
	struct rig *r = fleet_rig_new("", ONE);

	(void)state;
	store_connects(r);
	seal(r, &other, 7, "token-7", 0);
	other.stored.left_us = INT64_C(5500000); /* half a second more than the margin */
	found(r, &other);
	assert_string_equal(rig_token(r, "a"), "");
	assert_int_equal(
		told(r, "a",
			"the fleet's token has ended by what is known here; next attempt in 1 s"),
		1);
	fleet_rig_free(r);
}

/* Who fetches has the login server's clock with the token. */
static void test_whoever_did_not_fetch_asks_for_the_clock(void **state)
{
	struct sealed other;
	struct rig *r = fleet_rig_with(&other, "", "[profile a]\nclock_probe = yes\n");

	(void)state;
	assert_true(TAILQ_EMPTY(&r->fetches));
	pass_reading(r, 60, &other);
	assert_int_equal(r->fetches_begun, 1);
	assert_int_equal(TAILQ_FIRST(&r->fetches)->method, FETCH_HEAD);
	rig_answer(r, TAILQ_FIRST(&r->fetches), 404, "");
	pass_reading(r, 60, &other);
	assert_int_equal(r->fetches_begun, 1);
	fleet_rig_free(r);
}

static void test_an_exchange_shows_that_a_token_ends_earlier(void **state)
{
	struct sealed other;
	struct rig *r = fleet_rig_with(&other, "", "[profile a]\nclock_probe = yes\n");
	struct boot_time before;

	(void)state;
	before = core(r)->current.end;
	store_goes(r, true, "gone"); /* or the record would tell */
	r->server_ahead_s = 600;
	for (int i = 0; i < 120; i++) {
		rig_pass(r, 1);
		if (!TAILQ_EMPTY(&r->fetches))
			rig_answer(r, TAILQ_FIRST(&r->fetches), 404, "");
	}
	rig_run(r);
	assert_true(boot_since(before, core(r)->current.end).ns > 500 * NS_PER_S);
	fleet_rig_free(r);
}

/* It is held back for as long as its host says, but for no longer than there is an older one. */
static void test_a_token_for_later(void **state)
{
	struct rig *r = fleet_rig_new("", ONE);
	struct token_slot *current;
	struct sealed other;

	(void)state;
	store_connects(r);
	seal_later(r, &other, 7, "token-7", 0, duration_s(8));
	found(r, &other);
	current = &rig_profile(r, "a")->source.current;
	assert_int_equal(boot_since(current->life.valid, r->now.boot).ns, 4 * NS_PER_S);
	pass_reading(r, 20, &other);
	assert_string_equal(rig_token(r, "a"), "token-7");
	seal_later(r, &other, 8, "token-8", 0, duration_s(8));
	message(r, &other);
	assert_int_equal(boot_since(current->life.valid, r->now.boot).ns, 8 * NS_PER_S);
	assert_string_equal(rig_token(r, "a"), "token-7");
	pass_reading(r, 20, &other);
	assert_string_equal(rig_token(r, "a"), "token-8");
	other.stored.rejected = true;
	pass_reading(r, 12, &other);
	asked(r, FLEET_ACQUIRE);
	seal_later(r, &other, 9, "token-9", 0, duration_s(8));
	message(r, &other);
	assert_int_equal(boot_since(current->life.valid, r->now.boot).ns, 4 * NS_PER_S);
	fleet_rig_free(r);
}

static void test_a_token_that_came_too_late(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);
	struct sealed other;
	struct fetch *f;

	(void)state;
	grants(r, 7);
	f = rig_post(r);
	seal(r, &other, 8, "token-8", 0);
	message(r, &other);
	/* it is served at once, and the request goes on */
	assert_string_equal(rig_token(r, "a"), "token-8");
	assert_ptr_equal(rig_post(r), f);
	rig_answer_token(r, f, "token-7", NULL);
	assert_string_equal(rig_token(r, "a"), "token-8");
	assert_int_equal(told(r, "a", "came too late: the fleet has a newer one"), 1);
	assert_false(core(r)->minting);
	/* and another can begin */
	post(r, "/v1/refresh?profile=a", 0);
	answer_reads(r, &other);
	asked(r, FLEET_ACQUIRE);
	fleet_rig_free(r);
}

static void test_a_token_ends_earlier_than_was_thought(void **state)
{
	struct sealed other;
	struct rig *r = start_with_others(&other);
	struct boot_time before = rig_profile(r, "a")->source.current.life.end;

	(void)state;
	other.stored.left_us -= INT64_C(600000000);
	pass_reading(r, 12, &other);
	assert_true(boot_since(before, rig_profile(r, "a")->source.current.life.end).ns >=
		    590 * NS_PER_S);
	fleet_rig_free(r);
}

static void test_a_token_that_was_rejected_elsewhere(void **state)
{
	struct sealed other;
	struct rig *r = start_with_others(&other);

	(void)state;
	other.stored.rejected = true;
	pass_reading(r, 12, &other);
	assert_true(rig_profile(r, "a")->source.current.rejected);
	asked(r, FLEET_ACQUIRE);
	fleet_rig_free(r);
}

/* ---- what cannot be opened ---- */

static void test_another_key_is_told_and_nothing_overwritten(void **state)
{
	struct rig *r = fleet_rig_new("", ONE);
	struct sealed other;

	(void)state;
	seal(r, &other, 7, "token-7", 1);
	store_connects(r);
	found(r, &other);
	expect_state(r, "other_key");
	pass_reading(r, 6, &other);
	expect_state(r, "other_key");
	expect_refused(r, "sealed with a key that is not known here; see fleet_key_file");
	assert_int_equal(
		told(r, "a", "sealed with a key that is not known here"), 2); /* and a failure */
	assert_null(rig_post(r));
	/* it is over */
	pass_reading(r, 12, NULL);
	expect_state(r, "up");
	asked(r, FLEET_ACQUIRE);
	fleet_rig_free(r);
}

static void test_an_old_key_opens(void **state)
{
	struct rig *r;
	struct sealed other;
	char keys[128];

	(void)state;
	fleet_rig_free(fleet_rig_new("", ONE)); /* the keys are there */
	snprintf(keys, sizeof(keys), "fleet_old_key_files = %s, %s\n", fleet_key_path(2),
		fleet_key_path(1));
	r = fleet_rig_new(keys, ONE);
	seal(r, &other, 7, "token-7", 1);
	store_connects(r);
	found(r, &other);
	assert_string_equal(rig_token(r, "a"), "token-7");
	fleet_rig_free(r);
}

static void test_what_is_damaged_is_replaced(void **state)
{
	struct rig *r = fleet_rig_new("", ONE);
	struct sealed other;

	(void)state;
	seal(r, &other, 7, "token-7", 0);
	other.bytes[110] ^= 1;
	store_connects(r);
	found(r, &other);
	expect_state(r, "up");
	assert_int_equal(asked(r, FLEET_ACQUIRE)->acquire.known, 7);
	grants(r, 8);
	assert_non_null(rig_post(r));
	fleet_rig_free(r);
}

/* ---- who waits, and for what ---- */

static void test_a_failure_of_another_host(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);

	(void)state;
	asked(r, FLEET_ACQUIRE);
	message_failure(r, RESPONSE_THROTTLED, duration_s(20));
	answer_word(r, FLEET_ACQUIRE, FLEET_SAYS_LATE); /* no answer to that: nothing is granted */
	expect_refused(r, "a token request of another host of the fleet failed (throttled)");
	assert_null(rig_post(r));
	pass_reading(r, 22, NULL);
	asked(r, FLEET_ACQUIRE);
	fleet_rig_free(r);
}

static struct fleet_answer waits(
	struct rig *r, enum fleet_word word, const char *id, int64_t wait_s, int64_t whole_s)
{
	struct fleet_answer a = says(r, word);

	a.wait = duration_s(wait_s);
	a.whole = duration_s(whole_s);
	snprintf(a.id.text, sizeof(a.id.text), "%s", id);
	snprintf(a.host, sizeof(a.host), "%s", id);
	a.class = RESPONSE_UNAVAILABLE;
	return a;
}

static void test_an_order_to_wait(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);
	struct fleet_answer a;

	(void)state;
	asked(r, FLEET_ACQUIRE);
	a = waits(r, FLEET_SAYS_HOLD, "hold-1", 30, 30);
	answers(r, &a);
	expect_refused(r, "a token request of another host of the fleet failed (unavailable)");
	/* it is the same after it should be over: it counts no more */
	for (int i = 0; i < 40 && !told(r, "a", "stood in the fleet's store for longer"); i++) {
		pass_reading(r, 1, NULL);
		if (is_asked(r, FLEET_ACQUIRE))
			answers(r, &a);
	}
	assert_int_equal(told(r, "a", "stood in the fleet's store for longer than it said"), 1);
	assert_string_equal(asked(r, FLEET_ACQUIRE)->break_hold.text, "hold-1");
	assert_string_equal(shared(r, "a")->break_lease.text, "");
	fleet_rig_free(r);
}

static void test_a_host_that_is_waited_for_is_named_once(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);
	struct fleet_answer a;

	(void)state;
	asked(r, FLEET_ACQUIRE);
	a = waits(r, FLEET_SAYS_HELD, "web-1", 4, 5);
	for (int i = 0; i < 3; i++) {
		snprintf(a.id.text, sizeof(a.id.text), "renewed-%d", i);
		answers(r, &a);
		pass_reading(r, 7, NULL);
		asked(r, FLEET_ACQUIRE);
	}
	assert_int_equal(told(r, "a", "host web-1 of the fleet is fetching a token for all"), 1);
	assert_null(rig_post(r));
	snprintf(a.host, sizeof(a.host), "web-2");
	answers(r, &a);
	assert_int_equal(told(r, "a", "host web-2 of the fleet is fetching a token for all"), 1);
	fleet_rig_free(r);
}

/* Once it is over, the same host may be waited for again, and that is told. */
static void test_a_host_that_is_waited_for_again(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);
	struct fleet_answer a;
	struct sealed other;

	(void)state;
	asked(r, FLEET_ACQUIRE);
	a = waits(r, FLEET_SAYS_HELD, "web-1", 4, 5);
	answers(r, &a);
	seal(r, &other, 7, "token-7", 0);
	message(r, &other);
	pass_reading(r, 12, &other);
	post(r, "/v1/refresh?profile=a", 0);
	asked(r, FLEET_ACQUIRE);
	a = waits(r, FLEET_SAYS_HELD, "web-1", 14, 15);
	answers(r, &a);
	assert_int_equal(told(r, "a", "host web-1 of the fleet is fetching a token for all"), 2);
	fleet_rig_free(r);
}

static void test_mint_limit_is_the_fleets(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);
	struct fleet_answer a;

	(void)state;
	asked(r, FLEET_ACQUIRE);
	a = waits(r, FLEET_SAYS_LIMIT, "", 120, 0);
	answers(r, &a);
	expect_refused(r, "mint_limit: the fleet has used up its token requests of 300 s");
	assert_null(rig_post(r));
	/* an admin has the store asked again */
	post(r, "/v1/refresh?profile=a", 0);
	answer_reads(r, NULL);
	asked(r, FLEET_ACQUIRE);
	fleet_rig_free(r);
}

static void test_a_report_of_what_was_replaced_only_just(void **state)
{
	struct sealed other;
	struct rig *r = fleet_rig_with(&other, "", ONE "api_url =\n");
	struct fleet_answer a;
	char path[128];

	(void)state;
	pass_reading(r, 20, &other);
	snprintf(path, sizeof(path), "/v1/token/reject?profile=a&generation=%llu",
		(unsigned long long)rig_profile(r, "a")->source.current.generation);
	post(r, path, 0);
	answer_reads(r, &other);
	assert_int_equal(asked(r, FLEET_ACQUIRE)->acquire.reject, 7);
	a = waits(r, FLEET_SAYS_COOLDOWN, "", 9, 0);
	answers(r, &a);
	assert_false(rig_profile(r, "a")->source.current.rejected);
	assert_string_equal(rig_token(r, "a"), "token-7");
	assert_int_equal(
		told(r, "a", "has only just replaced a rejected token (reject_cooldown)"), 1);
	fleet_rig_free(r);
}

static void test_a_follower_waits_for_others(void **state)
{
	struct rig *r = fleet_rig_connected("", FOLLOWER);
	struct sealed other;

	(void)state;
	assert_false(shared(r, "a")->busy);
	assert_true(status_has(r, "\"role\":\"follower\""));
	pass_reading(r, 12, NULL);
	expect_refused(r, "this host has no client secret, and no other host of the fleet has");
	assert_int_equal(shared(r, "a")->permits, 0);
	seal(r, &other, 7, "token-7", 0);
	message(r, &other);
	assert_string_equal(rig_token(r, "a"), "token-7");
	/* a revocation stops this host alone */
	post(r, "/v1/revoke?profile=a", 0);
	assert_false(shared(r, "a")->busy);
	fleet_rig_free(r);
}

/* ---- the store is away ---- */

static void test_the_stores_coming_and_going(void **state)
{
	struct rig *r = fleet_rig_new("", ONE);

	(void)state;
	store_goes(r, false, "/nowhere/redis.sock: nobody listens");
	store_goes(r, false, "/nowhere/redis.sock: still nobody");
	assert_true(rig_logged(
		r, "the fleet's store cannot be reached: /nowhere/redis.sock: nobody listens."));
	assert_false(rig_logged(r, "still nobody")); /* once */
	assert_true(status_has(r, "\"problem\":\"/nowhere/redis.sock: still nobody\""));
	rig_pass(r, 100);
	assert_true(status_has(r, "\"state\":\"down\",\"for\":100"));
	rig_forget_log(r);
	store_connects(r);
	assert_true(rig_logged(r, "the fleet's store is connected; this host is "));
	assert_true(rig_logged(r, r->broker->fleet->host));
	assert_true(status_has(r, "\"state\":\"up\",\"for\":0,\"problem\":null"));
	rig_pass(r, 5);
	assert_true(status_has(r, "\"state\":\"up\",\"for\":5"));
	assert_true(status_has(r, "\"hosts\":null"));
	shared(r, "a")->store->hosts = 1;
	assert_true(status_has(r, "\"hosts\":1"));
	rig_forget_log(r);
	store_goes(r, true, "the connection was lost");
	assert_true(rig_logged(r, "cannot be reached: the connection was lost"));
	rig_pass(r, 7);
	store_goes(r, false, "refused");
	assert_true(status_has(r, "\"state\":\"down\",\"for\":7"));
	fleet_rig_free(r);
}

static void test_a_token_is_served_without_the_store(void **state)
{
	struct rig *r = start_with_own();

	(void)state;
	store_goes(r, true, "gone");
	rig_pass(r, 600);
	assert_string_equal(rig_token(r, "a"), "token-7");
	assert_null(rig_post(r));
	expect_state(r, "down"); /* it is not alone with a token that all have */
	fleet_rig_free(r);
}

static void test_no_permit(void **state)
{
	struct rig *r = fleet_rig_new("", ONE);

	(void)state;
	store_goes(r, false, "it is switched off");
	rig_pass(r, 6);
	expect_refused(r,
		"the fleet's store cannot be reached, for 6 s now: it is switched off, and "
		"this host has no permit to fetch alone");
	for (int i = 0; i < 40; i++)
		rig_pass(r, 10);
	assert_null(rig_post(r));
	fleet_rig_free(r);
	r = fleet_rig_new("", FOLLOWER);
	rig_pass(r, 6);
	expect_refused(r, "cannot be reached, for 6 s now, and this host has no client secret");
	fleet_rig_free(r);
}

static void test_a_permit_that_the_store_may_have_forgotten(void **state)
{
	struct rig *r = start_with_own();
	struct store_token *t = shared(r, "a");

	(void)state;
	assert_int_equal(t->permits, 1);
	assert_int_equal(t->permit_most, 3);
	assert_int_equal(t->permit_keep.ns, 900 * NS_PER_S);
	t->store->hooks->permitted(t->context, true, 2);
	assert_int_equal(core(r)->rank, 2);
	assert_int_equal(rig_profile(r, "a")->client->state.fleet_rank, 2);
	/* it has forgotten the token, too */
	rig_pass(r, 12);
	found(r, NULL);
	answer_word(r, FLEET_PUT, FLEET_SAYS_PUT);
	assert_int_equal(t->permits, 2);
	fleet_rig_free(r);
}

static void test_permits_by_the_clock(void **state)
{
	struct rig *r = fleet_rig_new("", ONE);
	struct store_token *t;
	struct sealed other;

	(void)state;
	seal(r, &other, 7, "token-7", 0);
	store_connects(r);
	found(r, &other);
	t = shared(r, "a");
	assert_int_equal(t->permits, 1);
	pass_reading(r, 599, &other);
	assert_int_equal(t->permits, 1);
	pass_reading(r, 1, &other);
	assert_int_equal(t->permits, 2);
	t->store->hooks->permitted(t->context, false, 1);
	assert_int_equal(core(r)->rank, FLEET_NO_PERMIT);
	fleet_rig_free(r);
	r = fleet_rig_new("fleet_alone = 0\n", ONE);
	store_connects(r);
	found(r, &other);
	assert_int_equal(shared(r, "a")->permits, 0);
	fleet_rig_free(r);
}

static void test_with_a_permit_it_fetches_for_itself(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);
	struct store_token *t;
	uint64_t generation;

	(void)state;
	t = shared(r, "a");
	t->store->hooks->permitted(t->context, true, 1);
	store_goes(r, true, "the power is off");
	for (int i = 0; i < 31; i++)
		rig_pass(r, 1);
	assert_null(rig_post(r));
	rig_pass(r, 2);
	assert_int_equal(told(r, "a",
				 "the fleet's store is of no help, the power is off: this host "
				 "fetches for itself (it has permit number 2)"),
		1);
	rig_answer_token(r, rig_post(r), "alone-1", NULL);
	assert_string_equal(rig_token(r, "a"), "alone-1");
	expect_state(r, "alone");
	generation = core(r)->current.generation;
	/* and when the store is back, it is everybody's */
	store_connects(r);
	answer_reads(r, NULL);
	assert_int_equal(asked(r, FLEET_PUT)->put.generation, generation);
	answer_word(r, FLEET_PUT, FLEET_SAYS_PUT);
	expect_state(r, "up");
	fleet_rig_free(r);
}

/* Leases are refused, but looks are not, for so long or until it fetches. */
static void refuse_leases(struct rig *r, int seconds)
{
	for (int i = 0; i < seconds && !rig_post(r); i++) {
		answer_reads(r, NULL);
		if (is_asked(r, FLEET_ACQUIRE))
			refuses(r, "its user may not do that (NOPERM)");
		rig_pass(r, 1);
	}
}

/* What watches it is not told that all is well. */
static void test_a_store_that_refuses_is_told_of(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);
	struct store_token *t = shared(r, "a");
	struct fleet_view view;

	(void)state;
	refuse_leases(r, 6);
	expect_refused(
		r, "has refused what this host asks of it for 5 s, and this host has no permit");
	t->store->hooks->permitted(t->context, true, 0);
	refuse_leases(r, 60);
	expect_state(r, "up");
	rig_answer_token(r, rig_post(r), "alone-1", NULL);
	expect_state(r, "up"); /* it may be put yet */
	answer_reads(r, NULL);
	asked(r, FLEET_PUT);
	refuses(r, "its user may not do that (NOPERM)");
	rig_pass(r, 1);
	expect_state(r, "alone");
	fleet_member_view(rig_profile(r, "a"), &r->now, &view);
	assert_true(view.up);
	assert_int_equal(view.lasts.ns, NS_PER_S);
	assert_true(view.linked.ns > 30 * NS_PER_S);
	rig_pass(r, 2);
	answer_reads(r, NULL);
	answer_word(r, FLEET_PUT, FLEET_SAYS_PUT);
	expect_state(r, "up");
	fleet_rig_free(r);
}

/* ---- trouble ---- */

static void test_a_refused_command(void **state)
{
	struct rig *r = fleet_rig_new("", ONE);

	(void)state;
	store_connects(r);
	asked(r, FLEET_READ);
	refuses(r, "its user may not do that (NOPERM)");
	assert_int_equal(
		told(r, "a",
			"the fleet's store refused a command: its user may not do that (NOPERM)"),
		1);
	asked(r, FLEET_ACQUIRE);
	refuses(r, NULL);
	assert_int_equal(told(r, "a", "the fleet's store refused a command: "), 2);
	fleet_rig_free(r);
}

static void test_a_number_that_cannot_be_is_told(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);

	(void)state;
	grants(r, UINT64_C(1) << 50);
	assert_null(rig_post(r));
	assert_int_equal(told(r, "a", "gives out a number that cannot be"), 1);
	rig_pass(r, 2);
	answer_reads(r, NULL);
	grants(r, 8);
	assert_non_null(rig_post(r));
	assert_int_equal(told(r, "a", "gives out a number that cannot be"), 1);
	fleet_rig_free(r);
}

static void test_an_operation_that_cannot_begin(void **state)
{
	static const int quiet[] = {-ENOTCONN, -EBUSY};
	struct rig *r = fleet_rig_new("", ONE);

	(void)state;
	for (size_t i = 0; i < sizeof(quiet) / sizeof(*quiet); i++) {
		store_error = quiet[i];
		store_connects(r);
		assert_int_equal(told(r, "a", "could not be made"), 0);
		store_goes(r, true, "again");
	}
	store_error = -ENOMEM;
	store_connects(r);
	assert_int_equal(told(r, "a",
				 "what the fleet's store was to be told could not be made: Cannot "
				 "allocate memory"),
		1);
	store_error = 0;
	rig_pass(r, 3);
	asked(r, FLEET_READ);
	fleet_rig_free(r);
}

/* A host with many profiles wakes once for all. */
static void test_profiles_look_at_the_store_together(void **state)
{
	struct rig *r = fleet_rig_new("", ONE "[profile b]\nmint_limit = 10\n");
	struct sealed s;

	(void)state;
	seal(r, &s, 7, "token-7", 0);
	store_connects(r);
	for (unsigned n = 0; n < 4; n++) {
		/* whichever is due first */
		while (!shared(r, "a")->busy && !shared(r, "b")->busy)
			rig_pass_ms(r, 5);
		assert_true(shared(r, "a")->busy && shared(r, "b")->busy);
		found(r, &s);
		found_by(r, "b", &s);
	}
	fleet_rig_free(r);
}

static void test_what_the_store_lost_is_put_there_again(void **state)
{
	struct rig *r = start_with_own();

	(void)state;
	rig_pass(r, 12);
	found(r, NULL);
	asked(r, FLEET_PUT);
	answer_word(r, FLEET_PUT, FLEET_SAYS_PUT);
	assert_int_equal(told(r, "a",
				 "had lost the token, or dated it wrongly: this host put it there "
				 "again (number 7)"),
		1);
	assert_int_equal(told(r, "a", "all hosts hear of it"), 1);
	fleet_rig_free(r);
}

static void test_a_step_of_the_stores_clock_is_told(void **state)
{
	struct sealed other;
	struct rig *r = start_with_others(&other);
	struct fleet_answer a;

	(void)state;
	rig_pass(r, 12);
	asked(r, FLEET_READ);
	a = says(r, FLEET_SAYS_RECORD);
	a.stamp_us -= INT64_C(3600000000);
	a.record = other.stored;
	answers(r, &a);
	assert_int_equal(told(r, "a", "the clock of the fleet's store was set by -3600.0 s"), 1);
	fleet_rig_free(r);
}

static void test_a_token_of_the_future_is_told(void **state)
{
	struct rig *r = fleet_rig_new("", ONE);
	struct sealed other;

	(void)state;
	seal(r, &other, 7, "token-7", 0);
	other.stored.t0_us += INT64_C(60000000);
	store_connects(r);
	found(r, &other);
	assert_int_equal(told(r, "a", "the fleet's store dates its token in the future"), 1);
	assert_string_equal(rig_token(r, "a"), "");
	fleet_rig_free(r);
}

/* ---- an admin ---- */

static void test_a_revocation_stops_the_fleet(void **state)
{
	struct fleet_record record = FLEET_RECORD_NONE;
	struct rig *r = start_with_own();
	struct caller *c = caller_ask(r, "POST", "/v1/revoke?profile=a");
	struct fleet_answer a = says(r, FLEET_SAYS_GRANTED);
	const struct store_token *t;

	(void)state;
	rig_answer(r, rig_delete(r), 204, "");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	asked(r, FLEET_STOP);
	a.fence = 9;
	answers(r, &a);
	t = asked(r, FLEET_STOP);
	assert_int_equal(t->stop.generation, 9);
	assert_int_equal(t->stop.issued.ns, 86400 * NS_PER_S);
	open_record(t, 9, t->stop.sealed_length, &record);
	assert_true(record.stopped);
	assert_int_equal(record.issued.ns, 86400 * NS_PER_S);
	assert_memory_equal(record.host, r->broker->fleet->host_bytes, FLEET_HOST_LENGTH);
	fleet_record_fini(&record);
	answer_word(r, FLEET_STOP, FLEET_SAYS_PUT);
	expect_state(r, "stopped");
	assert_true(status_has(r, "\"fetched_here\":false"));
	pass_reading(r, 1, NULL);
	assert_null(rig_post(r));
	fleet_rig_free(r);
}

static void test_a_stop_by_another_host(void **state)
{
	struct sealed other;
	struct rig *r = start_with_others(&other);

	(void)state;
	seal(r, &other, 9, NULL, 0);
	message(r, &other);
	expect_state(r, "stopped");
	assert_string_equal(rig_token(r, "a"), "");
	assert_true(rig_profile(r, "a")->source.revoked);
	assert_true(client_state_revoked(&rig_profile(r, "a")->client->state, "a"));
	assert_int_equal(told(r, "a", "an admin revoked the token on another host"), 1);
	assert_null(rig_delete(r)); /* that host does it */
	/* once more, and it is no news */
	seal(r, &other, 10, NULL, 0);
	message(r, &other);
	assert_int_equal(told(r, "a", "an admin revoked the token on another host"), 1);
	/* and it is started again there */
	seal(r, &other, 11, "token-11", 0);
	message(r, &other);
	assert_string_equal(rig_token(r, "a"), "token-11");
	expect_state(r, "up");
	fleet_rig_free(r);
}

static void test_an_admin_starts_it_again(void **state)
{
	struct sealed other;
	struct rig *r = start_with_others(&other);

	(void)state;
	seal(r, &other, 9, NULL, 0);
	message(r, &other);
	pass_reading(r, 12, &other);
	assert_false(shared(r, "a")->busy);
	post(r, "/v1/refresh?profile=a", 0);
	answer_reads(r, &other);
	assert_int_equal(asked(r, FLEET_ACQUIRE)->acquire.known, 9);
	fetch(r, 10, "token-10");
	assert_string_equal(rig_token(r, "a"), "token-10");
	fleet_rig_free(r);
}

/* ---- from one run to the next ---- */

static void test_the_next_run_takes_nothing_older(void **state)
{
	struct sealed other;
	struct rig *r = start_with_others(&other);

	(void)state;
	shared(r, "a")->store->hooks->permitted(shared(r, "a")->context, true, 1);
	rig_run(r);
	rig_stop(r);
	rig_start(r);
	rig_run(r);
	assert_int_equal(core(r)->rank, 1);
	assert_int_equal(fleet_lowest(core(r)), 7);
	store_connects(r);
	seal(r, &other, 6, "token-6", 0);
	found(r, &other);
	assert_string_equal(rig_token(r, "a"), "");
	assert_true(asked(r, FLEET_ACQUIRE)->acquire.floor >= 7);
	seal(r, &other, 7, "token-7", 0);
	message(r, &other);
	assert_string_equal(rig_token(r, "a"), "token-7");
	fleet_rig_free(r);
}

static void test_the_next_run_serves_at_once(void **state)
{
	struct fleet_record record = FLEET_RECORD_NONE;
	const struct store_token *t;
	unsigned char host[FLEET_HOST_LENGTH];
	struct wall_time end;
	struct rig *r;

	(void)state;
	manager_is(true);
	r = start_with_own();
	end = rig_profile(r, "a")->fleet->server_end;
	memcpy(host, r->broker->fleet->host_bytes, sizeof(host));
	rig_run(r);
	rig_stop(r);
	rig_start(r);
	assert_string_equal(rig_token(r, "a"), "token-7");
	assert_null(rig_post(r));
	assert_true(status_has(r, "\"fetched_here\":true,\"generation\":7"));
	/* and puts it there, should the store have lost it */
	store_connects(r);
	rig_pass(r, 1);
	answer_reads(r, NULL);
	rig_pass(r, 11);
	answer_reads(r, NULL);
	t = asked(r, FLEET_PUT);
	open_record(t, 7, t->put.sealed_length, &record);
	assert_string_equal(record.token.text, "token-7");
	assert_int_equal(record.end.ns, end.ns / NS_PER_MS * NS_PER_MS);
	assert_true(end.ns);
	assert_memory_equal(record.host, host, sizeof(host));
	fleet_record_fini(&record);
	fleet_rig_free(r);
	manager_is(false);
}

static void test_the_next_run_stays_stopped(void **state)
{
	struct sealed other;
	struct rig *r;

	(void)state;
	manager_is(true);
	r = start_with_others(&other);
	seal(r, &other, 9, NULL, 0);
	message(r, &other);
	rig_stop(r);
	rig_start(r);
	expect_state(r, "down");
	store_connects(r);
	found(r, NULL);
	expect_state(r, "stopped");
	/* it is put there again, too */
	rig_pass(r, 12);
	answer_reads(r, NULL);
	assert_int_equal(core(r)->current.generation, 9);
	fleet_rig_free(r);
	manager_is(false);
}

/* An admin has started it again, and the run ended before there was a token. */
static void test_the_next_run_is_not_stopped_again(void **state)
{
	struct sealed other;
	struct rig *r;

	(void)state;
	manager_is(true);
	r = start_with_others(&other);
	seal(r, &other, 9, NULL, 0);
	message(r, &other);
	post(r, "/v1/refresh?profile=a", 0);
	answer_reads(r, &other);
	asked(r, FLEET_ACQUIRE);
	rig_stop(r);
	rig_start(r);
	store_connects(r);
	expect_state(r, "up");
	assert_int_equal(core(r)->current.generation, 0);
	fleet_rig_free(r);
	manager_is(false);
}

/* Nor if there is no token any more, and its files are gone. */
static void test_the_next_run_takes_nothing_older_without_files(void **state)
{
	struct sealed other;
	char command[128];
	struct rig *r;

	(void)state;
	manager_is(true);
	r = start_with_others(&other);
	store_goes(r, true, "gone");
	for (int i = 0; i < LIFE_S / 10 + 10; i++)
		rig_pass(r, 10);
	assert_string_equal(rig_token(r, "a"), "");
	assert_int_equal(fleet_lowest(core(r)), 8);
	rig_stop(r);
	snprintf(command, sizeof(command), "rm -f %s/*", r->state);
	assert_int_equal(system(command), 0);
	rig_start(r);
	assert_int_equal(fleet_lowest(core(r)), 8);
	fleet_rig_free(r);
	manager_is(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_store_is_asked_first),
		cmocka_unit_test(test_a_token_that_was_fetched_is_put_there),
		cmocka_unit_test(test_a_token_for_later_is_put_with_that),
		cmocka_unit_test(test_a_lease_is_kept_while_the_request_runs),
		cmocka_unit_test(test_a_failure_is_told_to_all),
		cmocka_unit_test(test_a_failure_while_a_token_lives_waits_for_longer),
		cmocka_unit_test(test_a_server_that_gives_the_same_token_is_left_alone),
		cmocka_unit_test(test_another_hosts_token_is_read),
		cmocka_unit_test(test_another_hosts_token_is_told),
		cmocka_unit_test(test_a_message_ends_the_wait_for_a_token),
		cmocka_unit_test(test_the_same_text_under_another_number),
		cmocka_unit_test(test_a_token_that_has_no_second_left),
		cmocka_unit_test(test_whoever_did_not_fetch_asks_for_the_clock),
		cmocka_unit_test(test_an_exchange_shows_that_a_token_ends_earlier),
		cmocka_unit_test(test_a_token_for_later),
		cmocka_unit_test(test_a_token_that_came_too_late),
		cmocka_unit_test(test_a_token_ends_earlier_than_was_thought),
		cmocka_unit_test(test_a_token_that_was_rejected_elsewhere),
		cmocka_unit_test(test_another_key_is_told_and_nothing_overwritten),
		cmocka_unit_test(test_an_old_key_opens),
		cmocka_unit_test(test_what_is_damaged_is_replaced),
		cmocka_unit_test(test_a_failure_of_another_host),
		cmocka_unit_test(test_an_order_to_wait),
		cmocka_unit_test(test_a_host_that_is_waited_for_is_named_once),
		cmocka_unit_test(test_a_host_that_is_waited_for_again),
		cmocka_unit_test(test_mint_limit_is_the_fleets),
		cmocka_unit_test(test_a_report_of_what_was_replaced_only_just),
		cmocka_unit_test(test_a_follower_waits_for_others),
		cmocka_unit_test(test_the_stores_coming_and_going),
		cmocka_unit_test(test_a_token_is_served_without_the_store),
		cmocka_unit_test(test_no_permit),
		cmocka_unit_test(test_a_permit_that_the_store_may_have_forgotten),
		cmocka_unit_test(test_permits_by_the_clock),
		cmocka_unit_test(test_with_a_permit_it_fetches_for_itself),
		cmocka_unit_test(test_a_store_that_refuses_is_told_of),
		cmocka_unit_test(test_a_refused_command),
		cmocka_unit_test(test_a_number_that_cannot_be_is_told),
		cmocka_unit_test(test_an_operation_that_cannot_begin),
		cmocka_unit_test(test_profiles_look_at_the_store_together),
		cmocka_unit_test(test_what_the_store_lost_is_put_there_again),
		cmocka_unit_test(test_a_step_of_the_stores_clock_is_told),
		cmocka_unit_test(test_a_token_of_the_future_is_told),
		cmocka_unit_test(test_a_revocation_stops_the_fleet),
		cmocka_unit_test(test_a_stop_by_another_host),
		cmocka_unit_test(test_an_admin_starts_it_again),
		cmocka_unit_test(test_the_next_run_takes_nothing_older),
		cmocka_unit_test(test_the_next_run_serves_at_once),
		cmocka_unit_test(test_the_next_run_stays_stopped),
		cmocka_unit_test(test_the_next_run_is_not_stopped_again),
		cmocka_unit_test(test_the_next_run_takes_nothing_older_without_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
