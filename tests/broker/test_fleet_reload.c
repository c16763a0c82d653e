/* What the configuration makes of a fleet: how the store is reached, who is in the fleet, and what
 * a reload changes of that while a token is served and requests are under way. */
#include "fleet_rig.h"

#include "broker/fleet_link.h"
#include "broker/fleet_member.h"
#include "broker/oauth_client.h"
#include "broker/profile_type.h"
#include "core/fleet_key.h"
#include "core/fleet_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ONE "[profile a]\nmint_limit = 10\n"
#define TLS "fleet_store = rediss://redis.test\n"
#define TWO ONE "[profile b]\nclient_id = another\n"

/* A fleet whose token another host fetched. */
static struct rig *start(struct sealed *ret, const char *broker, const char *profiles)
{
	struct rig *r = fleet_rig_with(ret, broker, profiles);

	assert_string_equal(rig_token(r, "a"), "token-7");
	return r;
}

static void reload(struct rig *r, const char *broker, const char *profiles)
{
	fleet_rig_configure(r, broker, profiles);
	rig_reload(r);
	assert_false(r->broker->reload_failed);
}

static void write_strict(const char *path, const char *text)
{
	mode_t before = umask(0077);
	FILE *to = fopen(path, "we");

	umask(before);
	assert_non_null(to);
	assert_true(fprintf(to, "%s", text) > 0);
	assert_int_equal(fclose(to), 0);
}

static const struct fleet_settings *settings(struct rig *r)
{
	return &rig_profile(r, "a")->fleet->fleet.settings;
}

/* A file of the test's, to be removed by it. */
static const char *file_of(struct rig *r, const char *name)
{
	static char paths[2][128];
	static unsigned next;
	char *path = paths[next++ % 2];

	snprintf(path, sizeof(paths[0]), "%s/%s", r->directory, name);
	return path;
}

/* ---- how it is reached ---- */

static void test_the_store_is_reached_as_configured(void **state)
{
	char broker[512];
	struct rig *r = fleet_rig_new("", ONE);
	const struct store_settings *s = &r->broker->fleet->store->settings;
	const char *path = file_of(r, "redis.password");

	(void)state;
	assert_string_equal(s->path, "/nowhere/redis.sock");
	assert_int_equal(s->host_count, 0);
	assert_null(s->sentinel_name);
	assert_null(s->user);
	assert_null(s->password);
	assert_string_equal(s->prefix, "gct");
	assert_int_equal(s->timeout.ns, 2 * NS_PER_S);
	assert_non_null(s->listener_fit);
	assert_false(s->tls);
	write_strict(path, "pass word\n");
	snprintf(broker, sizeof(broker),
		"fleet_user = hosts\nfleet_password_file = %s\nfleet_prefix = staging\n"
		"fleet_timeout = 700ms\nfleet_plain = yes\n",
		path);
	reload(r, broker, ONE);
	s = &r->broker->fleet->store->settings;
	assert_string_equal(s->user, "hosts");
	assert_string_equal(s->password, "pass word");
	assert_string_equal(s->prefix, "staging");
	assert_int_equal(s->timeout.ns, 700 * NS_PER_MS);
	assert_null(s->listener_fit);
	fleet_rig_free(r);
}

/* Its lease tells people which host it is, and the store which process. */
static void test_a_host_has_a_name(void **state)
{
	struct rig *r = fleet_rig_new("", ONE);
	const struct fleet_link *l = r->broker->fleet;
	char name[64], digits[2 * FLEET_HOST_LENGTH + 1];
	size_t length;

	(void)state;
	assert_int_equal(gethostname(name, sizeof(name)), 0);
	name[sizeof(name) - 1] = '\0';
	length = strspn(name, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_");
	if (length > 23)
		length = 23;
	assert_memory_equal(l->host, name, length);
	for (size_t i = 0; i < FLEET_HOST_LENGTH; i++)
		snprintf(digits + 2 * i, 3, "%02x", l->host_bytes[i]);
	assert_int_equal(strlen(l->host + length), 9);
	assert_int_equal(l->host[length], '.');
	assert_memory_equal(l->host + length + 1, digits, 8);
	assert_string_equal(l->store->settings.host, l->host);
	fleet_rig_free(r);
}

static void test_a_host_by_its_names_and_tls(void **state)
{
	struct store_settings s;
	struct fleet_config f = {.ca_file = (char[]){"ca"},
		.cert_file = (char[]){"cert"},
		.cert_key_file = (char[]){"key"},
		.prefix = (char[]){"gct"}};
	struct fleet_url url;

	(void)state;
	assert_int_equal(fleet_url_read("rediss+sentinel://s1:1,s2:2/mymaster", &url), 0);
	url.database = 3;
	fleet_link_settings(&f, &url, &s);
	assert_null(s.path);
	assert_true(s.tls);
	assert_int_equal(s.database, 3);
	assert_int_equal(s.host_count, 2);
	assert_string_equal(s.hosts[0].name, "s1");
	assert_string_equal(s.hosts[1].name, "s2");
	assert_int_equal(s.hosts[1].port, 2);
	assert_string_equal(s.sentinel_name, "mymaster");
	assert_string_equal(s.ca_file, "ca");
	assert_string_equal(s.cert_file, "cert");
	assert_string_equal(s.cert_key_file, "key");
}

/* ---- what a reload leaves alone ---- */

static void test_what_is_the_same_stays_connected(void **state)
{
	struct sealed other;
	struct rig *r = start(&other, "", ONE);
	const struct fleet_link *link = r->broker->fleet;
	const struct store_token *t = shared(r, "a");
	unsigned opened = stores_opened;

	(void)state;
	reload(r, "log_level = debug\nfleet_poll = 20s\nfleet_alone = all\n",
		"[profile a]\nuse_margin = 9s\n");
	assert_ptr_equal(r->broker->fleet, link);
	assert_ptr_equal(shared(r, "a"), t);
	assert_int_equal(stores_opened, opened);
	assert_int_equal(settings(r)->poll.ns, 20 * NS_PER_S);
	assert_int_equal(settings(r)->alone, FLEET_NO_PERMIT);
	assert_int_equal(settings(r)->use_margin.ns, 9 * NS_PER_S);
	assert_true(settings(r)->may_mint);
	assert_string_equal(rig_token(r, "a"), "token-7");
	fleet_rig_free(r);
}

static void expect_reconnected(struct rig *r, const struct sealed *other, unsigned opened)
{
	assert_int_equal(stores_opened, opened);
	/* of the store that there is now */
	assert_ptr_equal(shared(r, "a")->store, r->broker->fleet->store);
	assert_false(r->broker->fleet->up);
	assert_string_equal(rig_token(r, "a"), "token-7");
	store_connects(r);
	answer_reads(r, other);
	assert_string_equal(rig_token(r, "a"), "token-7");
	assert_false(shared(r, "a")->busy);
	assert_int_equal(r->fetches_begun, 0);
}

static void test_what_it_was_made_by_has_changed(void **state)
{
	struct sealed other;
	struct rig *r = start(&other, "", ONE);
	unsigned opened = stores_opened;
	const char *password = file_of(r, "redis.password");
	char users[2][192], keys[4][192];
	const struct {
		const char *before, *after;
	} changes[] = {
		{"", "fleet_store = unix:/nowhere/redis.sofa\n"},
		{"", "fleet_prefix = gcu\n"}, /* for gct */
		{"", "fleet_timeout = 3s\n"},
		{"", "fleet_plain = yes\n"},
		{users[0], users[1]},
		{keys[0], keys[1]},
		{keys[2], keys[3]},
		{TLS, TLS "fleet_ca_file = /etc/ssl/certs/ca-certificates.crt\n"},
	};

	(void)state;
	write_strict(password, "password\n");
	for (unsigned i = 0; i < 2; i++) {
		snprintf(users[i], sizeof(users[i]),
			"fleet_user = host%u\nfleet_password_file = %s\n", i, password);
		snprintf(keys[i], sizeof(keys[i]), "fleet_key_file = %s\n", fleet_key_path(i));
		snprintf(keys[2 + i], sizeof(keys[2 + i]), "fleet_old_key_files = %s\n",
			fleet_key_path(1 + i));
	}
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		reload(r, changes[i].before, ONE);
		opened = stores_opened;
		reload(r, changes[i].after, ONE);
		expect_reconnected(r, &other, opened + 1);
		reload(r, changes[i].after, ONE);
		assert_int_equal(stores_opened, opened + 1);
	}
	fleet_rig_free(r);
}

/* The same names, but not the same in them. */
static void test_files_that_were_replaced(void **state)
{
	struct sealed other;
	struct rig *r = start(&other, "", ONE);
	unsigned opened = stores_opened;
	const char *password = file_of(r, "redis.password"), *ca = file_of(r, "ca.pem");
	const struct timespec later[2] = {{.tv_sec = 1800000000}, {.tv_sec = 1800000000}};
	char broker[512];
	char command[256];

	(void)state;
	write_strict(password, "one\n");
	snprintf(command, sizeof(command), "cp /etc/ssl/certs/ca-certificates.crt %s", ca);
	assert_int_equal(system(command), 0);
	snprintf(broker, sizeof(broker),
		TLS "fleet_user = u\nfleet_password_file = %s\nfleet_ca_file = %s\n", password, ca);
	reload(r, broker, ONE);
	expect_reconnected(r, &other, opened + 1);
	write_strict(password, "two\n");
	reload(r, broker, ONE);
	assert_string_equal(r->broker->fleet->store->settings.password, "two");
	expect_reconnected(r, &other, opened + 2);
	assert_int_equal(utimensat(-1, ca, later, 0), 0);
	reload(r, broker, ONE);
	expect_reconnected(r, &other, opened + 3);
	reload(r, broker, ONE);
	assert_int_equal(stores_opened, opened + 3);
	fleet_rig_free(r);
}

static void test_a_store_that_cannot_be_opened(void **state)
{
	struct sealed other;
	struct rig *r = start(&other, "", ONE);
	const struct fleet_link *link = r->broker->fleet;

	(void)state;
	store_problem = "fleet_ca_file: no certificate is in it";
	fleet_rig_configure(r, "fleet_prefix = other\n", ONE);
	rig_reload(r);
	assert_true(rig_logged(r, "reload refused"));
	assert_true(rig_logged(r, "fleet_store: fleet_ca_file: no certificate is in it"));
	assert_ptr_equal(r->broker->fleet, link);
	assert_true(link->up);
	store_pings(r);
	assert_string_equal(rig_token(r, "a"), "token-7");
	fleet_rig_free(r);
}

/* ---- the key is changed ---- */

static void test_the_fleets_key_is_changed(void **state)
{
	struct sealed other;
	struct rig *r = start(&other, "", ONE);
	struct fleet_record record = FLEET_RECORD_NONE;
	struct fleet_key key;
	const struct store_token *t;
	struct fleet_answer a;
	struct caller *c;
	char broker[256];

	(void)state;
	snprintf(broker, sizeof(broker), "fleet_key_file = %s\nfleet_old_key_files = %s\n",
		fleet_key_path(1), fleet_key_path(0));
	reload(r, broker, ONE);
	store_connects(r);
	found(r, &other);
	assert_false(shared(r, "a")->busy);
	assert_string_equal(rig_token(r, "a"), "token-7");
	/* the next one is sealed with the new key */
	c = caller_ask(r, "POST", "/v1/refresh?profile=a");
	answer_reads(r, &other);
	grants(r, 8);
	rig_answer_token(r, rig_post(r), "token-8", NULL);
	answer_reads(r, &other);
	t = asked(r, FLEET_PUT);
	assert_int_equal(fleet_key_init(&key, fleet_key_bytes(1), &t->subject), 0);
	assert_int_equal(fleet_record_open(
				 &key, 1, &t->subject, 8, t->sealed, t->put.sealed_length, &record),
		SEALED_GOOD);
	fleet_record_fini(&record);
	a = says(r, FLEET_SAYS_PUT);
	answers(r, &a);
	caller_gone(r, c);
	fleet_rig_free(r);
}

/* ---- who is in it ---- */

static void test_a_fleet_that_is_joined(void **state)
{
	struct rig *r = rig_new(ONE);
	struct caller *c;

	(void)state;
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	assert_null(r->broker->fleet);
	assert_null(rig_profile(r, "a")->fleet);
	reload(r, "", ONE);
	store_connects(r);
	answer_reads(r, NULL);
	assert_string_equal(rig_token(r, "a"), "token-1");
	/* what it had before is its own, and not put there */
	assert_false(shared(r, "a")->busy);
	assert_int_equal(rig_profile(r, "a")->fleet->fleet.current.generation, 0);
	c = caller_ask(r, "POST", "/v1/refresh?profile=a");
	asked(r, FLEET_ACQUIRE);
	assert_null(rig_post(r));
	caller_gone(r, c);
	fleet_rig_free(r);
}

static void test_a_fleet_that_is_left(void **state)
{
	struct sealed other;
	struct rig *r = start(&other, "", ONE);

	(void)state;
	rig_configure(r, ONE);
	rig_reload(r);
	assert_null(r->broker->fleet);
	assert_null(rig_profile(r, "a")->fleet);
	assert_int_equal(rig_profile(r, "a")->source.current.fleet_generation, 0);
	assert_string_equal(rig_token(r, "a"), "token-7");
	assert_int_equal(r->fetches_begun, 0);
	/* and joined again: the token is not known to be the fleet's any more */
	reload(r, "", ONE);
	store_connects(r);
	found(r, NULL);
	assert_false(shared(r, "a")->busy);
	assert_string_equal(rig_token(r, "a"), "token-7");
	fleet_rig_free(r);
}

static void test_it_is_left_while_the_store_is_asked(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);
	struct caller *c;

	(void)state;
	asked(r, FLEET_ACQUIRE);
	c = caller_ask(r, "GET", "/v1/token?profile=a&wait=30");
	rig_configure(r, ONE);
	rig_reload(r);
	assert_int_equal(told(r, "a", "to which this profile does not belong any more"), 1);
	for (int i = 0; i < 10 && !rig_post(r); i++)
		rig_pass(r, 1);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	fleet_rig_free(r);
}

static void test_it_is_left_while_the_login_server_is_asked(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);
	struct fetch *f;

	(void)state;
	grants(r, 7);
	f = rig_post(r);
	rig_configure(r, ONE);
	rig_reload(r);
	assert_ptr_equal(rig_post(r), f);
	assert_int_equal(told(r, "a", "to which this profile does not belong any more"), 0);
	rig_answer_token(r, f, "token-1", NULL);
	assert_string_equal(rig_token(r, "a"), "token-1");
	fleet_rig_free(r);
}

static void test_the_store_is_another_while_the_login_server_is_asked(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);
	struct fetch *f;

	(void)state;
	grants(r, 7);
	f = rig_post(r);
	reload(r, "fleet_prefix = other\n", ONE);
	rig_answer_token(r, f, "token-7", NULL);
	assert_string_equal(rig_token(r, "a"), "token-7");
	/* it is put where the fleet is now */
	store_connects(r);
	answer_reads(r, NULL);
	assert_int_equal(asked(r, FLEET_PUT)->put.generation, 7);
	fleet_rig_free(r);
}

/* The new store is away since now, however long the old one was there. */
static void test_another_store_is_waited_for(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);

	(void)state;
	shared(r, "a")->store->hooks->permitted(shared(r, "a")->context, true, 0);
	reload(r, "fleet_prefix = other\n", ONE);
	rig_pass(r, 29);
	assert_null(rig_post(r));
	for (int i = 0; i < 20 && !rig_post(r); i++)
		rig_pass(r, 1);
	assert_non_null(rig_post(r));
	fleet_rig_free(r);
}

static void test_a_profile_that_is_not_in_it(void **state)
{
	struct rig *r = fleet_rig_new("", TWO "fleet = no\n");

	(void)state;
	assert_null(rig_profile(r, "b")->fleet);
	store_connects(r);
	store_pings(r);
	store_goes(r, true, "gone");
	rig_answer_token(r, rig_post(r), "token-b", NULL);
	assert_string_equal(rig_token(r, "b"), "token-b");
	reload(r, "", TWO);
	store_connects(r);
	assert_int_equal(shared(r, "b")->operation, FLEET_READ);
	assert_true(shared(r, "b")->busy);
	reload(r, "", TWO "fleet = no\n");
	assert_null(rig_profile(r, "b")->fleet);
	assert_int_equal(r->broker->fleet->store->tokens, 1);
	assert_string_equal(rig_token(r, "b"), "token-b");
	fleet_rig_free(r);
}

static void test_all_in_it_hear_of_the_store(void **state)
{
	struct rig *r = fleet_rig_new("", TWO);

	(void)state;
	assert_string_not_equal(shared(r, "a")->subject.client, shared(r, "b")->subject.client);
	store_connects(r);
	rig_pass(r, 1);
	store_pings(r);
	for (const char *name = "a"; *name <= 'b'; name = *name == 'a' ? "b" : "c") {
		assert_true(rig_profile(r, name)->fleet->fleet.up);
		assert_true(shared(r, name)->busy);
		assert_int_equal(rig_profile(r, name)->fleet->fleet.anchor.ns, r->now.boot.ns);
	}
	store_goes(r, true, "gone");
	assert_false(rig_profile(r, "a")->fleet->fleet.up);
	assert_false(rig_profile(r, "b")->fleet->fleet.up);
	fleet_rig_free(r);
}

static void test_another_request_is_another_token(void **state)
{
	struct sealed other;
	struct rig *r = start(&other, "", ONE);
	char request[FLEET_REQUEST_DIGITS + 1];

	(void)state;
	memcpy(request, shared(r, "a")->subject.request, sizeof(request));
	reload(r, "", ONE "scope = routing\n");
	assert_string_not_equal(shared(r, "a")->subject.request, request);
	assert_int_equal(rig_profile(r, "a")->fleet->fleet.current.generation, 0);
	/* the store is still the same, and is asked at once */
	found(r, NULL);
	assert_int_equal(asked(r, FLEET_ACQUIRE)->acquire.known, 0);
	fleet_rig_free(r);
}

static void test_another_secret_is_not_held(void **state)
{
	struct rig *r = fleet_rig_connected("", ONE);
	char before[FLEET_TAG_DIGITS + 1];
	struct fleet_answer a;

	(void)state;
	memcpy(before, asked(r, FLEET_ACQUIRE)->tag, sizeof(before));
	a = says(r, FLEET_SAYS_HOLD);
	a.wait = a.whole = duration_s(900);
	a.class = RESPONSE_CLIENT_REJECTED;
	snprintf(a.id.text, sizeof(a.id.text), "hold-1");
	answers(r, &a);
	assert_false(shared(r, "a")->busy);
	rig_secret(r, "a", "another secret");
	reload(r, "", ONE);
	answer_reads(r, NULL);
	asked(r, FLEET_ACQUIRE);
	assert_string_not_equal(shared(r, "a")->tag, before);
	fleet_rig_free(r);
}

static void test_a_host_that_only_follows_from_now_on(void **state)
{
	struct sealed other;
	struct rig *r = start(&other, "", ONE);

	(void)state;
	reload(r, "", "[profile a]\nclient_secret_file =\n");
	assert_false(settings(r)->may_mint);
	assert_string_equal(rig_token(r, "a"), "token-7");
	reload(r, "", ONE);
	assert_true(settings(r)->may_mint);
	assert_string_equal(rig_token(r, "a"), "token-7");
	fleet_rig_free(r);
}

static void test_without_memory_it_joins_later(void **state)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\n");
	struct caller *c, *status;

	(void)state;
	fleet_rig_configure(r, "", "[profile a]\nprefetch = no\n");
	store_error = -12;
	rig_reload(r);
	c = caller_ask(r, "GET", "/v1/token?profile=a&wait=30");
	assert_null(rig_post(r));
	status = caller_ask(r, "GET", "/v1/status");
	assert_int_equal(caller_status(r, status), 200);
	assert_null(strstr(caller_body(status), "\"fleet\":"));
	caller_gone(r, status);
	store_error = 0;
	rig_pass(r, 2);
	store_connects(r);
	asked(r, FLEET_READ);
	caller_gone(r, c);
	fleet_rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_store_is_reached_as_configured),
		cmocka_unit_test(test_a_host_has_a_name),
		cmocka_unit_test(test_a_host_by_its_names_and_tls),
		cmocka_unit_test(test_what_is_the_same_stays_connected),
		cmocka_unit_test(test_what_it_was_made_by_has_changed),
		cmocka_unit_test(test_files_that_were_replaced),
		cmocka_unit_test(test_a_store_that_cannot_be_opened),
		cmocka_unit_test(test_the_fleets_key_is_changed),
		cmocka_unit_test(test_a_fleet_that_is_joined),
		cmocka_unit_test(test_a_fleet_that_is_left),
		cmocka_unit_test(test_it_is_left_while_the_store_is_asked),
		cmocka_unit_test(test_it_is_left_while_the_login_server_is_asked),
		cmocka_unit_test(test_the_store_is_another_while_the_login_server_is_asked),
		cmocka_unit_test(test_another_store_is_waited_for),
		cmocka_unit_test(test_a_profile_that_is_not_in_it),
		cmocka_unit_test(test_all_in_it_hear_of_the_store),
		cmocka_unit_test(test_another_request_is_another_token),
		cmocka_unit_test(test_another_secret_is_not_held),
		cmocka_unit_test(test_a_host_that_only_follows_from_now_on),
		cmocka_unit_test(test_without_memory_it_joins_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
