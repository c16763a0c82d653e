/* What one run hands to the next: everything comes back, every bit that is wrong is noticed, and
 * what a later version added is skipped. */
#include "core/client_state.h"
#include "core/handover_read.h"
#include "core/handover_write.h"
#include "core/random.h"
#include "core/token_past.h"
#include "core/token_source.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 16384
#define NOW_S 5000

static const struct handover_place here = {"6f3c8f0e-0000-4000-8000-000000000001", 4026531834};
static const struct clock_reading now = {
	{NOW_S * NS_PER_S}, {1700000000 * NS_PER_S}, {12345}, {678}};
static const struct handover_profile mine = {"default", "client", "request"};

struct place {
	unsigned char bytes[SIZE];
};

static struct boot_time at_s(int64_t s)
{
	return (struct boot_time){s * NS_PER_S};
}

/* Every field another value. */
static struct lifetime some_life(void)
{
	return (struct lifetime){
		.sent = {at_s(1000), {2000}, {-3}, {4}},
		.received = at_s(1001),
		.end = at_s(4500),
		.valid = at_s(1002),
		.guard_until = at_s(1003),
		.issued = duration_s(3600),
		.margin = duration_s(5),
		.spread = duration_ms(7),
		.dated = true,
		.hi0 = duration_s(-77),
		.step_most = duration_ms(30),
		.step_second = duration_ms(20),
		.step = duration_ms(10),
		.wall_ref = duration_s(123456),
		.wall_ref_at = at_s(1004),
		.by_exp = true,
	};
}

static void fill_slot(struct token_slot *slot, const char *text, uint64_t generation)
{
	assert_int_equal(token_init(&slot->token, text, strlen(text)), 0);
	slot->generation = generation;
	slot->life = some_life();
}

static void some_source(struct token_source *s)
{
	*s = (struct token_source){
		.refresh_at = at_s(4000),
		.fetch = {.purpose = PURPOSE_TOKEN},
		.failures = 3,
		.replaced_at = at_s(1500),
		.step_refresh_at = at_s(1600),
	};
	fill_slot(&s->current, "the-current-token", 42);
	fill_slot(&s->previous, "the-previous-token", 41);
	s->current.rejected = true;
	s->previous.life.dated = false;
}

static void some_clock(struct server_clock *ret)
{
	*ret = (struct server_clock){
		.skew = {.exchanges = 17, .conflict_left = 31},
		.plan = {.foreign = true,
			.judged = true,
			.failures = 2,
			.not_before = at_s(6000),
			.rtt_min = duration_ms(40),
			.sent_count = 77},
		.series_begun = true,
	};
	for (int i = 0; i < 3; i++)
		ret->skew.groups[i] = (struct skew_group){.lo = duration_s(i),
			.hi = duration_s(i + 1),
			.at = {at_s(100 + i), {i}, {-i}, {2 * i}},
			.reach = (uint8_t)(0x81 + i),
			.n = (uint32_t)i + 1,
			.born = (uint64_t)i + 5};
	for (int i = 0; i < PROBES_IN_WINDOW; i++)
		ret->plan.sent[i] = at_s(i);
}

/* A source and an endpoint; the length of it all. */
static size_t write_both(struct place *p, uint64_t sequence)
{
	struct handover_writer w;
	struct token_source source;
	struct server_clock clock;

	some_source(&source);
	some_clock(&clock);
	handover_begin(&w, p, sizeof(*p), &here, &now);
	assert_true(handover_put_source(&w, &mine, &source));
	assert_true(handover_put_endpoint(&w, "key", &clock));
	assert_true(handover_end(&w, sequence));
	token_source_fini(&source);
	return (size_t)(w.at - w.start);
}

static void find(struct handover_reader r, enum handover_kind kind, struct handover_record *ret)
{
	while (handover_next(&r, ret))
		if (ret->kind == kind)
			return;
	fail_msg("there is no such record");
}

static void assert_slot(const struct token_slot *a, const struct token_slot *b)
{
	assert_string_equal(a->token.text, b->token.text);
	assert_string_equal(a->token.fingerprint, b->token.fingerprint);
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->rejected, b->rejected);
	assert_memory_equal(&a->life.sent, &b->life.sent, sizeof(a->life.sent));
	assert_int_equal(a->life.received.ns, b->life.received.ns);
	assert_int_equal(a->life.end.ns, b->life.end.ns);
	assert_int_equal(a->life.valid.ns, b->life.valid.ns);
	assert_int_equal(a->life.guard_until.ns, b->life.guard_until.ns);
	assert_int_equal(a->life.issued.ns, b->life.issued.ns);
	assert_int_equal(a->life.margin.ns, b->life.margin.ns);
	assert_int_equal(a->life.spread.ns, b->life.spread.ns);
	assert_int_equal(a->life.dated, b->life.dated);
	assert_int_equal(a->life.hi0.ns, b->life.hi0.ns);
	assert_int_equal(a->life.step_most.ns, b->life.step_most.ns);
	assert_int_equal(a->life.step_second.ns, b->life.step_second.ns);
	assert_int_equal(a->life.step.ns, b->life.step.ns);
	assert_int_equal(a->life.wall_ref.ns, b->life.wall_ref.ns);
	assert_int_equal(a->life.wall_ref_at.ns, b->life.wall_ref_at.ns);
	assert_int_equal(a->life.by_exp, b->life.by_exp);
}

static void assert_both(const struct handover_reader *r)
{
	struct handover_profile profile;
	struct handover_endpoint e;
	struct handover_record record;
	struct token_source_past past;
	struct token_source source;
	struct server_clock clock;

	some_source(&source);
	some_clock(&clock);
	find(*r, HANDOVER_SOURCE, &record);
	assert_true(handover_read_profile(&record, &profile));
	assert_string_equal(profile.name, mine.name);
	assert_string_equal(profile.client, mine.client);
	assert_string_equal(profile.request, mine.request);
	assert_int_equal(handover_read_source(r, &record, &past), 0);
	assert_slot(&past.current, &source.current);
	assert_slot(&past.previous, &source.previous);
	assert_int_equal(past.refresh_at.ns, source.refresh_at.ns);
	assert_false(past.revoked);
	assert_int_equal(past.failures, 3);
	assert_int_equal(past.replaced_at.ns, source.replaced_at.ns);
	assert_int_equal(past.step_refresh_at.ns, source.step_refresh_at.ns);
	token_source_past_fini(&past);
	token_source_fini(&source);
	assert_int_equal(handover_read_endpoint(r, &record, &e), -EINVAL);

	find(*r, HANDOVER_ENDPOINT, &record);
	assert_false(handover_read_profile(&record, &profile));
	assert_int_equal(handover_read_source(r, &record, &past), -EINVAL);
	assert_int_equal(handover_read_endpoint(r, &record, &e), 0);
	assert_string_equal(e.key, "key");
	assert_int_equal(e.clock.skew.exchanges, clock.skew.exchanges);
	assert_int_equal(e.clock.skew.conflict_left, clock.skew.conflict_left);
	for (size_t i = 0; i < SKEW_GROUPS_MAX; i++) {
		const struct skew_group *g = &e.clock.skew.groups[i], *h = &clock.skew.groups[i];

		assert_int_equal(g->lo.ns, h->lo.ns);
		assert_int_equal(g->hi.ns, h->hi.ns);
		assert_memory_equal(&g->at, &h->at, sizeof(g->at));
		assert_int_equal(g->reach, h->reach);
		assert_int_equal(g->n, h->n);
		assert_int_equal(g->born, h->born);
	}
	assert_true(e.clock.series_begun && e.clock.plan.foreign && e.clock.plan.judged);
	assert_int_equal(e.clock.plan.failures, clock.plan.failures);
	assert_int_equal(e.clock.plan.not_before.ns, clock.plan.not_before.ns);
	assert_int_equal(e.clock.plan.rtt_min.ns, clock.plan.rtt_min.ns);
	assert_int_equal(e.clock.plan.sent_count, clock.plan.sent_count);
	assert_memory_equal(e.clock.plan.sent, clock.plan.sent, sizeof(clock.plan.sent));
	assert_int_equal(e.clock.plan.planned.ns, BOOT_TIME_NEVER.ns);
}

static void everything_comes_back(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct handover_reader r;

	(void)state;
	assert_non_null(p);
	assert_int_equal(handover_open(p, SIZE, &here, now.boot, &r), HANDOVER_EMPTY);
	write_both(p, 9);
	assert_int_equal(handover_open(p, SIZE, &here, now.boot, &r), HANDOVER_GOOD);
	assert_int_equal(r.sequence, 9);
	assert_both(&r);
	free(p);
}

static void every_wrong_bit_is_noticed(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct handover_reader r;
	size_t length;

	(void)state;
	assert_non_null(p);
	length = write_both(p, 9);
	for (size_t i = 0; i < 8 * length; i++) {
		p->bytes[i / 8] ^= (unsigned char)(1 << i % 8);
		assert_int_equal(handover_open(p, SIZE, &here, now.boot, &r), HANDOVER_DAMAGED);
		p->bytes[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	assert_int_equal(handover_open(p, SIZE, &here, now.boot, &r), HANDOVER_GOOD);
	free(p);
}

/* A crash may leave any part of it unwritten, or wiped. */
static void every_cut_is_noticed(void **state)
{
	struct place *p = calloc(1, sizeof(*p)), *cut = calloc(1, sizeof(*p));
	struct handover_reader r;
	size_t length;

	(void)state;
	assert_true(p && cut);
	length = write_both(p, 9);
	for (size_t i = 0; i < length; i++) {
		assert_int_equal(handover_open(p, i, &here, now.boot, &r), HANDOVER_DAMAGED);
		/* a last zero that is cut off is no loss */
		if (!p->bytes[i])
			continue;
		memset(cut, 0, sizeof(*cut));
		memcpy(cut, p, i);
		assert_int_equal(handover_open(cut, SIZE, &here, now.boot, &r),
			i ? HANDOVER_DAMAGED : HANDOVER_EMPTY);
		memcpy(cut, p, sizeof(*cut));
		memset(cut, 0, i + 1);
		assert_int_not_equal(handover_open(cut, SIZE, &here, now.boot, &r), HANDOVER_GOOD);
	}
	assert_int_equal(handover_open(p, length, &here, now.boot, &r), HANDOVER_GOOD);
	free(cut);
	free(p);
}

static void another_place_or_time_tells_nothing(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct handover_place other;
	struct handover_reader r;
	size_t length;

	(void)state;
	assert_non_null(p);
	length = write_both(p, 9);
	other = here;
	other.boot_id[0] ^= 1;
	assert_int_equal(handover_open(p, SIZE, &other, now.boot, &r), HANDOVER_FOREIGN);
	other = here;
	other.time_namespace++;
	assert_int_equal(handover_open(p, SIZE, &other, now.boot, &r), HANDOVER_FOREIGN);
	assert_int_equal(handover_open(p, SIZE, &here, (struct boot_time){now.boot.ns - 1}, &r),
		HANDOVER_FOREIGN);
	p->bytes[40]++; /* major */
	assert_true(handover_seal(p, length - HANDOVER_HEAD));
	assert_int_equal(handover_open(p, SIZE, &here, now.boot, &r), HANDOVER_NEWER);
	free(p);
}

static void put_u32(unsigned char *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (unsigned char)(value >> 8 * i);
}

/* Longer records, unknown ones in between, a higher minor: what this version knows is all there. */
static void what_a_later_version_adds_is_skipped(void **state)
{
	struct place *p = calloc(1, sizeof(*p)), *later = calloc(1, sizeof(*p));
	size_t length, from = HANDOVER_HEAD, to = HANDOVER_HEAD;
	struct handover_reader r;

	(void)state;
	assert_true(p && later);
	length = write_both(p, 9);
	memcpy(later, p, HANDOVER_HEAD);
	later->bytes[42] = 200; /* minor */
	for (unsigned n = 0; from < length; n++) {
		uint32_t size = (uint32_t)p->bytes[from + 4] | (uint32_t)p->bytes[from + 5] << 8;

		memcpy(later->bytes + to, p->bytes + from, 8 + size);
		memset(later->bytes + to + 8 + size, 0xee, n + 1);
		put_u32(later->bytes + to + 4, size + n + 1);
		from += 8 + size;
		to += 8 + size + n + 1;
		put_u32(later->bytes + to, 1000 + n);
		put_u32(later->bytes + to + 4, n);
		to += 8 + n;
	}
	put_u32(later->bytes + 56, (uint32_t)(to - HANDOVER_HEAD));
	assert_true(handover_seal(later, to - HANDOVER_HEAD));
	assert_int_equal(handover_open(later, SIZE, &here, now.boot, &r), HANDOVER_GOOD);
	assert_both(&r);
	free(later);
	free(p);
}

static struct handover_fleet some_fleet(void)
{
	return (struct handover_fleet){
		.profile = mine,
		.lowest = 77,
		.rank = 2,
		.token =
			{
				.generation = 77,
				.end = boot_add(now.boot, duration_s(500)),
				.received = boot_sub(now.boot, duration_s(100)),
				.issued = duration_s(3600),
				.rejected = true,
				.own = true,
			},
		.server_end = {1700000000 * NS_PER_S},
		.host = "who minted it..",
	};
}

static int fleet_read_back(const struct handover_fleet *f, struct handover_fleet *ret)
{
	struct place *p = calloc(1, sizeof(*p));
	struct handover_record record;
	struct handover_reader r;
	struct handover_writer w;
	int error;

	assert_non_null(p);
	handover_begin(&w, p, sizeof(*p), &here, &now);
	assert_true(handover_put_fleet(&w, f));
	assert_true(handover_end(&w, 1));
	assert_int_equal(handover_open(p, SIZE, &here, now.boot, &r), HANDOVER_GOOD);
	find(r, HANDOVER_FLEET, &record);
	error = handover_read_fleet(&r, &record, ret);
	free(p);
	return error;
}

static void a_fleet_comes_back(void **state)
{
	struct handover_fleet past, f = some_fleet();

	(void)state;
	assert_int_equal(fleet_read_back(&f, &past), 0);
	assert_string_equal(past.profile.name, mine.name);
	assert_string_equal(past.profile.client, mine.client);
	assert_string_equal(past.profile.request, mine.request);
	assert_true(past.lowest == 77 && past.rank == 2 && past.token.generation == 77);
	assert_true(past.token.end.ns == f.token.end.ns);
	assert_true(past.token.received.ns == f.token.received.ns);
	assert_true(past.token.issued.ns == f.token.issued.ns);
	assert_true(past.token.rejected && past.token.own && !past.token.stopped);
	assert_true(past.server_end.ns == f.server_end.ns);
	assert_memory_equal(past.host, f.host, sizeof(f.host));
	/* a stop has no end */
	f.token.stopped = true;
	f.token.end = BOOT_TIME_NEVER;
	assert_int_equal(fleet_read_back(&f, &past), 0);
	assert_true(past.token.stopped && past.token.generation == 77);
	/* and where there is no token, nothing is said of one */
	f.token = (struct fleet_token){.generation = 0};
	assert_int_equal(fleet_read_back(&f, &past), 0);
	assert_true(past.token.generation == 0 && past.lowest == 77);
}

static void a_fleet_that_cannot_be(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		struct handover_fleet past, f = some_fleet();

		switch (i) {
		case 0:
			f.token.received = boot_add(now.boot, duration_ns(1));
			break;
		case 1:
			f.token.end = boot_add(now.boot, duration_s(3501));
			break;
		case 2:
			f.lowest = 78;
			break;
		case 3:
			f.token.generation = GENERATION_MAX + 1;
			break;
		case 4:
			f.token.issued = duration_s(-1);
			break;
		case 5:
			f.server_end.ns = -1;
			break;
		}
		assert_int_equal(fleet_read_back(&f, &past), -EINVAL);
	}
}

static int read_back(const struct token_source *source, struct token_source_past *ret)
{
	struct place *p = calloc(1, sizeof(*p));
	struct handover_record record;
	struct handover_reader r;
	struct handover_writer w;
	int error;

	assert_non_null(p);
	handover_begin(&w, p, sizeof(*p), &here, &now);
	assert_true(handover_put_source(&w, &mine, source));
	assert_true(handover_end(&w, 1));
	assert_int_equal(handover_open(p, SIZE, &here, now.boot, &r), HANDOVER_GOOD);
	find(r, HANDOVER_SOURCE, &record);
	error = handover_read_source(&r, &record, ret);
	free(p);
	return error;
}

/* The hash holds, and yet it cannot be: a mistake of ours, which must not be served. */
static void what_cannot_be_is_refused(void **state)
{
	const int64_t second = NS_PER_S;
	const struct {
		size_t offset;
		int64_t value;
	} cases[] = {
#define LIFE(member) offsetof(struct token_source, current.life.member)
		{LIFE(issued), 0},
		{LIFE(issued), -second},
		{LIFE(issued), INT64_MAX},
		{LIFE(received), 999 * second},
		{LIFE(received), (NOW_S + 1) * second},
		{LIFE(end), 4601 * second},
		{LIFE(end), INT64_MAX},
		{LIFE(margin), -1},
		{LIFE(spread), -1},
		{LIFE(step), -1},
		{LIFE(valid), 1000 * second},
		{LIFE(guard_until), 1001 * second},
		{LIFE(wall_ref_at), (NOW_S + 1) * second},
		{offsetof(struct token_source, current.generation), 0},
		{offsetof(struct token_source, current.generation), (int64_t)GENERATION_MAX + 1},
		{offsetof(struct token_source, replaced_at), (NOW_S + 1) * second},
		{offsetof(struct token_source, step_refresh_at), (NOW_S + 1) * second},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct token_source_past past;
		struct token_source source;

		some_source(&source);
		memcpy((char *)&source + cases[i].offset, &cases[i].value, 8);
		memset(&past, 0xa5, sizeof(past));
		assert_int_equal(read_back(&source, &past), -EINVAL);
		for (size_t k = 0; k < sizeof(past); k++)
			assert_int_equal(((unsigned char *)&past)[k], 0xa5);
		token_source_fini(&source);
	}
}

static void no_token_is_fine_too(void **state)
{
	struct token_source source = {.revoked = true,
		.replaced_at = SOURCE_LONG_AGO,
		.step_refresh_at = SOURCE_LONG_AGO};
	struct token_source_past past;

	(void)state;
	assert_int_equal(read_back(&source, &past), 0);
	assert_int_equal(past.replaced_at.ns, SOURCE_LONG_AGO.ns);
	assert_int_equal(past.step_refresh_at.ns, SOURCE_LONG_AGO.ns);
	assert_null(past.current.token.text);
	assert_null(past.previous.token.text);
	assert_true(past.revoked);
	/* but no token of who was revoked */
	some_source(&source);
	source.revoked = true;
	assert_int_equal(read_back(&source, &past), -EINVAL);
	token_source_fini(&source);
}

/* What does not fit is left out whole, and leaves nothing of its token behind. */
static void what_does_not_fit_is_left_out(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct handover_record record;
	struct token_source source;
	struct handover_reader r;
	struct handover_writer w;
	unsigned count = 0, put = 0;

	(void)state;
	assert_non_null(p);
	some_source(&source);
	handover_begin(&w, p, 4096, &here, &now);
	for (int i = 0; i < 20; i++)
		put += handover_put_source(&w, &mine, &source);
	assert_in_range(put, 2, 19);
	assert_true(handover_end(&w, 1));
	assert_int_equal(handover_open(p, 4096, &here, now.boot, &r), HANDOVER_GOOD);
	while (handover_next(&r, &record))
		count++;
	assert_int_equal(count, put);
	for (const unsigned char *at = w.at; at < p->bytes + SIZE; at++)
		assert_int_equal(*at, 0);
	handover_begin(&w, p, 100, &here, &now);
	assert_false(handover_end(&w, 1));
	token_source_fini(&source);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_comes_back),
		cmocka_unit_test(every_wrong_bit_is_noticed),
		cmocka_unit_test(every_cut_is_noticed),
		cmocka_unit_test(another_place_or_time_tells_nothing),
		cmocka_unit_test(a_fleet_comes_back),
		cmocka_unit_test(a_fleet_that_cannot_be),
		cmocka_unit_test(what_a_later_version_adds_is_skipped),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(no_token_is_fine_too),
		cmocka_unit_test(what_does_not_fit_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
