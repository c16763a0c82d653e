/* What a state file says is believed as far as its clock is ours: not by another boot or time
 * namespace, and nothing that lies in the future. */
#include "core/client_state.h"
#include "core/digest.h"
#include "core/fleet.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))
#define BOOT "6f3c8f0e-0000-4000-8000-000000000001"
#define HERE BOOT "/4026531834"
#define NOW_S 5000
#define S NS_PER_S

static struct client_state some_state(void)
{
	struct client_state s = {
		.generation_used = 7,
		.generation_reserved = 1000,
		.not_before = {(NOW_S + 900) * S},
		.failure = {.any = true,
			.class = RESPONSE_CLIENT_REJECTED,
			.status = 401,
			.error = "invalid_client",
			.words = "authentication failed",
			.at = {(NOW_S - 10) * S}},
	};

	for (int64_t at_s = NOW_S - 40; at_s <= NOW_S - 10; at_s += 10)
		mint_window_add(&s.mint, (struct boot_time){at_s * S});
	return s;
}

/* Written by one clock and read by another. */
static void carry(const char *written_by, const char *read_by, struct client_state *ret)
{
	struct client_state s = some_state();
	struct buffer text;

	buffer_init(&text, NULL, 0);
	client_state_write(&s, written_by, &text);
	assert_false(buffer_failed(&text));
	assert_int_equal(client_state_read(text.data, text.length, read_by, ret), 0);
	buffer_fini(&text);
}

static void instants_are_of_one_clock(void **state)
{
	static const struct {
		const char *written_by;
		bool counts;
	} cases[] = {
		{HERE, true},
		{BOOT, true}, /* a version that knew of no namespaces */
		{BOOT "/4026531835", false},
		{BOOT "/", false},
		{BOOT "/40265318340", false},
		{"6f3c8f0e-0000-4000-8000-000000000002/4026531834", false},
		{"6f3c8f0e", false},
		{"", false},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct client_state s;

		carry(cases[i].written_by, HERE, &s);
		assert_int_equal(s.mint.count, cases[i].counts ? 4 : 0);
		assert_int_equal(s.failure.any, cases[i].counts);
		assert_int_equal(s.not_before.ns, cases[i].counts ? (NOW_S + 900) * S : INT64_MIN);
		assert_int_equal(s.generation_used, 7);
		assert_int_equal(s.generation_reserved, 1000);
		client_state_fini(&s);
	}
}

static void the_future_is_dropped(void **state)
{
	static const struct {
		int64_t now_s;
		unsigned mints;
		bool failure, waits;
	} cases[] = {
		{NOW_S, 4, true, true},
		{NOW_S - 10, 4, true, true},
		{NOW_S - 11, 3, false, false},
		{NOW_S - 25, 2, false, false},
		{NOW_S - 41, 0, false, false},
		{1, 0, false, false},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct client_state s = some_state();

		client_state_drop_future(&s, (struct boot_time){cases[i].now_s * S});
		assert_int_equal(s.mint.count, cases[i].mints);
		for (unsigned n = 0; n < s.mint.count; n++)
			assert_int_equal(mint_window_at(&s.mint, s.mint.count - 1 - n).ns,
				(NOW_S - 40 + 10 * (int64_t)n) * S);
		assert_int_equal(s.failure.any, cases[i].failure);
		assert_int_equal(s.not_before.ns == INT64_MIN, !cases[i].waits);
		assert_int_equal(s.generation_used, 7);
	}
}

/* An hour is the longest that any failure makes it wait. */
static void nothing_waits_for_longer_than_an_hour(void **state)
{
	static const int64_t ahead_s[] = {-INT64_C(100000), 0, 3600, 3601, INT64_C(1) << 32};

	(void)state;
	for (size_t i = 0; i < LENGTH(ahead_s); i++) {
		struct client_state s = some_state();

		s.not_before.ns = (NOW_S + ahead_s[i]) * S;
		client_state_drop_future(&s, (struct boot_time){NOW_S * S});
		assert_int_equal(
			s.not_before.ns, ahead_s[i] > 3600 ? INT64_MIN : (NOW_S + ahead_s[i]) * S);
		assert_true(s.failure.any);
	}
}

/* A reboot changes nothing of it. */
static void what_a_fleet_had_is_remembered(void **state)
{
	static const struct {
		uint64_t lowest;
		uint32_t rank;
	} cases[] = {{0, FLEET_NO_PERMIT}, {1795693523001, 0}, {GENERATION_MAX, 16}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct client_state s = some_state(), read;
		struct buffer text;

		s.fleet = true;
		s.fleet_lowest = cases[i].lowest;
		s.fleet_rank = cases[i].rank;
		buffer_init(&text, NULL, 0);
		client_state_write(&s, HERE, &text);
		assert_int_equal(client_state_read(text.data, text.length, BOOT "/1", &read), 0);
		assert_true(read.fleet && read.fleet_lowest == cases[i].lowest);
		assert_int_equal(read.fleet_rank, cases[i].rank);
		buffer_fini(&text);
		client_state_fini(&read);
	}
	{
		struct client_state read;

		carry(HERE, HERE, &read);
		assert_false(read.fleet);
		client_state_fini(&read);
	}
}

/* Some state with one more line, and a checksum that holds. */
static int read_with_line(const char *line, struct client_state *ret)
{
	struct client_state s = some_state();
	char sum[65], *whole;
	const char *parts[1];
	struct buffer text;
	int r;

	buffer_init(&text, NULL, 0);
	client_state_write(&s, HERE, &text);
	text.length -= strlen("sum \n") + 64;
	buffer_printf(&text, "%s\n", line);
	buffer_put_char(&text, '\0');
	parts[0] = text.data;
	digest_hex(parts, 1, sum, 64);
	assert_true(asprintf(&whole, "%ssum %s\n", text.data, sum) > 0);
	r = client_state_read(whole, strlen(whole), HERE, ret);
	free(whole);
	buffer_fini(&text);
	return r;
}

/* Lines that no version writes. */
static void lines_that_cannot_be_are_damage(void **state)
{
	static const char *const lines[] = {"fleet ", "fleet 7", "fleet 7 ", "fleet - 7",
		"fleet x 7", "fleet 7 x", "fleet 7 -7", "fleet 7 - 7", "fleet 7 7 7",
		"fleet 9007199254740992 7", "mint", "mint x", "pace 0", "generation 7",
		"generation 9 8", "failure 9 0 0", "not_before soon", "revoked A", "revoked",
		"credential a"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct client_state read;

		assert_int_equal(read_with_line(lines[i], &read), -EINVAL);
	}
}

/* As when somebody goes back to this version. */
static void lines_of_a_later_version_are_skipped(void **state)
{
	static const char *const lines[] = {
		"colour red", "fleets 7", "mints 7", "x", " mint x", "words_of 7"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct client_state s = some_state(), read;

		assert_int_equal(read_with_line(lines[i], &read), 0);
		assert_int_equal(read.generation_reserved, s.generation_reserved);
		assert_int_equal(read.not_before.ns, s.not_before.ns);
		assert_int_equal(read.failure.class, s.failure.class);
		assert_int_equal(read.mint.count, s.mint.count);
		client_state_fini(&read);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instants_are_of_one_clock),
		cmocka_unit_test(the_future_is_dropped),
		cmocka_unit_test(what_a_fleet_had_is_remembered),
		cmocka_unit_test(lines_that_cannot_be_are_damage),
		cmocka_unit_test(lines_of_a_later_version_are_skipped),
		cmocka_unit_test(nothing_waits_for_longer_than_an_hour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
