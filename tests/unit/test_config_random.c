/* Whatever the bytes are: no crash, no leak, no configuration that lacks what it must have. Run
 * under the sanitizers this looks at memory too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_cases.h"
#include "config_fixture.h"
#include "core/retry.h"
#include "core/text.h"

static uint64_t random_state;

/* xorshift64*: the same bytes for the same seed on every machine. */
static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % limit;
}

static void check_rules(const struct access_rules *rules)
{
	const struct id_list *users = &rules->lists[ACCESS_USERS];
	const struct id_list *groups = &rules->lists[ACCESS_GROUPS];

	for (size_t i = 0; i < users->count; i++) {
		assert_true(users->ids[i] == 1001 || users->ids[i] == 1002);
		assert_non_null(users->names[i]);
	}
	for (size_t i = 0; i < groups->count; i++)
		assert_true(groups->ids[i] == 900 || groups->ids[i] == 950);
	if (access_needs_unit(rules))
		assert_true(users->everybody || users->count || groups->count);
}

static void check_whole(const struct config *c)
{
	assert_true(c->profile_count >= 1 && c->profile_count <= PROFILES_MAX);
	assert_int_equal(c->broker.socket[0], '/');
	assert_int_equal(c->broker.state_dir[0], '/');
	assert_int_equal(c->broker.socket_mode & 0600, 0600);
	assert_true(c->broker.max_connections >= 1 && c->broker.max_connections_per_user >= 1);
	assert_true(c->broker.request_deadline.ns > 0 && c->broker.idle_timeout.ns > 0);
	assert_true(c->broker.max_wait.ns > 0);
	assert_in_range(c->broker.log_level, 3, 7);
	check_rules(&c->broker.admins);
	check_rules(&c->broker.metrics);
	for (size_t i = 0; i < c->profile_count; i++) {
		const struct profile_settings *p = &c->profiles[i];

		assert_true(profile_name_valid(p->name));
		assert_non_null(p->region);
		assert_int_equal(strncmp(p->token_url, "https://", 8), 0);
		assert_int_equal(strncmp(p->clock_probe_url, "https://", 8), 0);
		assert_true(!*p->api_url || strncmp(p->api_url, "https://", 8) == 0);
		assert_true(!p->client_id != !p->client_id_file);
		assert_true(!p->client_secret_file != !p->client_secret_credential);
		assert_in_range(p->mint_limit, MINT_LIMIT_AUTO, 1000);
		assert_true(p->refresh_margin.automatic || p->refresh_margin.duration.ns > 0);
		assert_true(p->fetch.timeout.ns > 0 && p->use_margin.ns >= 0);
		check_rules(&p->allow);
		check_rules(&p->login);
	}
}

/* True: a configuration came of it. */
static bool try_bytes(const char *bytes, size_t length, size_t split)
{
	struct fake_system system = {0};
	const bool two = split > 0 && split < length;
	const struct config_text files[] = {
		{"f", bytes, two ? split : length},
		{"g", bytes + split, length - split},
	};
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL;
	int result = parse_files(files, two ? 2 : 1, &system, &config, &problems);

	if (result == CONFIG_VALID) {
		assert_int_equal(problems.errors, 0);
		check_whole(config);
	} else {
		assert_int_equal(result, CONFIG_INVALID);
		assert_null(config);
		assert_true(problems.errors > 0);
	}
	for (size_t i = 0; i < problems.count; i++) {
		for (const char *c = problems.items[i].message; *c; c++)
			assert_in_range((unsigned char)*c, 0x20, 0x7e);
	}
	config_problems_fini(&problems);
	config_free(config);
	return result == CONFIG_VALID;
}

static void noise_is_refused(void **state)
{
	char bytes[600];

	(void)state;
	random_state = UINT64_C(0x9e3779b97f4a7c15);
	for (int round = 0; round < 2000; round++) {
		size_t length = 1 + random_below(sizeof(bytes) - 1);

		for (size_t i = 0; i < length; i++)
			bytes[i] = (char)random_below(256);
		assert_false(try_bytes(bytes, length, 0));
	}
}

static void mutations_stay_whole(void **state)
{
	static const char *const seeds[] = {
		GOOD "allow_users = alice\nallow_units = a.service\nrefresh_margin = 5min\n",
		"[broker]\nsocket = /s\nsocket_mode = 0600\nmax_wait = 5s\nadmin_users = "
		"bob\n" GOOD,
		NOWHERE "token_url = https://[::1]:8443/t?q=%20\nextra_params = a=b&c=%41\n"
			"scope = x y ; comment\n[profile q]\nenvironment = a.example\n"
			"client_id = i\nclient_secret_file = /s\nprefetch = no\n",
	};
	char bytes[1024];
	int valid = 0;

	(void)state;
	random_state = UINT64_C(0x853c49e6748fea9b);
	for (int round = 0; round < 30000; round++) {
		const char *seed = seeds[random_below(3)];
		size_t length = strlen(seed);

		memcpy(bytes, seed, length);
		for (uint32_t n = random_below(4); n > 0; n--) {
			size_t at = random_below((uint32_t)length);
			size_t from = random_below((uint32_t)length);
			size_t count = random_below(20);

			switch (random_below(4)) {
			case 0:
				bytes[at] = (char)random_below(256);
				break;
			case 1:
				bytes[at] = "\n\r\t =;#[]*,:/\"\\&%?@-0"[random_below(22)];
				break;
			case 2: /* cut out */
				if (at + count < length) {
					memmove(bytes + at, bytes + at + count,
						length - at - count);
					length -= count;
				}
				break;
			default: /* repeat a piece somewhere else */
				if (from + count <= length && length + count <= sizeof(bytes)) {
					char piece[20];

					memcpy(piece, bytes + from, count);
					memmove(bytes + at + count, bytes + at, length - at);
					memcpy(bytes + at, piece, count);
					length += count;
				}
				break;
			}
		}
		/* Now and then as two files, cut anywhere. */
		valid += try_bytes(
			bytes, length, random_below(2) ? random_below((uint32_t)length) : 0);
	}
	/* The seeds themselves, and harmless changes: or the checks above saw nothing. */
	assert_true(valid > 1000);
}

static void cases_joined_at_random_stay_whole(void **state)
{
	const size_t count = sizeof(config_cases) / sizeof(config_cases[0]);
	char bytes[32768];

	(void)state;
	random_state = UINT64_C(0xda3e39cb94b95bdb);
	for (int round = 0; round < 2000; round++) {
		size_t length = 0;

		for (uint32_t n = 1 + random_below(5); n > 0; n--) {
			const struct config_case *one =
				&config_cases[random_below((uint32_t)count)];

			if (length + one->length > sizeof(bytes))
				break;
			memcpy(bytes + length, one->text, one->length);
			length += one->length;
		}
		try_bytes(bytes, length, random_below((uint32_t)length));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(noise_is_refused),
		cmocka_unit_test(mutations_stay_whole),
		cmocka_unit_test(cases_joined_at_random_stay_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
