/* What a run of the daemon hands to the next. The input is records, each a kind (1 byte), a length
 * (2, little-endian) and that many bytes; this target puts a head and a hash around them, without
 * which nothing gets any further. "raw:" in front makes it a place as it is, but for the hash. */
#include "core/handover_format.h"
#include "core/handover_read.h"
#include "core/handover_write.h"
#include "core/token_past.h"
#include "core/token_source.h"
#include "fuzz.h"
#include <errno.h>

#define ROOM 65536
#define WRITTEN_NS (10000 * NS_PER_S)

static const struct handover_place here = {"6f3c8f0e-0000-4000-8000-000000000001", 4026531834};

static struct clock_reading reading(int64_t boot_ns)
{
	return (struct clock_reading){.boot = {boot_ns}, .wall = {1700000000 * NS_PER_S + boot_ns}};
}

static void check_slot(const struct token_slot *slot, struct boot_time written)
{
	if (!slot->token.text)
		return;
	CHECK(slot->token.length && slot->token.length <= TOKEN_MAX);
	CHECK(fuzz_printable(slot->token.text));
	CHECK(slot->generation);
	CHECK(!boot_before(written, slot->life.received));
	CHECK(!boot_before(slot->life.valid, slot->life.received));
	/* not a moment longer than it was issued for */
	CHECK(!boot_before(boot_add(slot->life.sent.boot, slot->life.issued), slot->life.end));
	CHECK(!boot_before(slot->life.end, lifetime_dead(&slot->life)));
}

/* What was taken over can be handed on, and is the same then. */
static void check_handed_on(struct token_source_past *past, const struct handover_profile *profile)
{
	static const struct token_source_settings settings = {
		.policy = {.use_margin = {5 * NS_PER_S}, .refresh_margin_auto = true},
		.prefetch = true,
		.reject_cooldown = {30 * NS_PER_S},
		.mint_limit = 15};
	struct clock_reading now = reading(WRITTEN_NS + NS_PER_S);
	struct history *history = calloc(1, sizeof(*history));
	struct mint_window mint = {0};
	struct token_source_past again;
	struct handover_record record;
	struct handover_reader r;
	struct handover_writer w;
	struct token_source s;
	char *place = malloc(ROOM);

	CHECK(history && place);
	token_source_init(&s, &settings, &mint, history, 1);
	token_source_resume(&s, &now, past, false);
	check_slot(&s.current, now.boot);
	handover_begin(&w, place, ROOM, &here, &now);
	CHECK(handover_put_source(&w, profile, &s));
	CHECK(handover_end(&w, 2));
	CHECK(handover_open(place, ROOM, &here, now.boot, &r) == HANDOVER_GOOD);
	CHECK(handover_next(&r, &record) && record.kind == HANDOVER_SOURCE);
	CHECK(handover_read_source(&r, &record, &again) == 0);
	CHECK(!again.current.token.text == !s.current.token.text);
	if (s.current.token.text) {
		CHECK(!strcmp(again.current.token.text, s.current.token.text));
		CHECK(again.current.generation == s.current.generation);
		CHECK(lifetime_dead(&again.current.life).ns == lifetime_dead(&s.current.life).ns);
	}
	CHECK(!handover_next(&r, &record));
	token_source_past_fini(&again);
	token_source_fini(&s);
	free(history);
	free(place);
}

static void check_source(const struct handover_reader *r, const struct handover_record *record)
{
	struct token_source_past past, untouched;
	struct handover_profile profile;
	int error;

	memset(&past, 0xa5, sizeof(past));
	memset(&untouched, 0xa5, sizeof(untouched));
	error = handover_read_source(r, record, &past);
	CHECK(error == 0 || error == -EINVAL);
	if (error) {
		CHECK(!memcmp(&past, &untouched, sizeof(past)));
		return;
	}
	CHECK(handover_read_profile(record, &profile));
	check_slot(&past.current, r->written_at);
	check_slot(&past.previous, r->written_at);
	check_handed_on(&past, &profile);
	token_source_past_fini(&past);
}

static void check_endpoint(const struct handover_reader *r, const struct handover_record *record)
{
	struct handover_endpoint *e = malloc(sizeof(*e));
	struct clock_reading now = reading(WRITTEN_NS + NS_PER_S);
	struct skew_estimate estimate;
	int error;

	CHECK(e);
	error = handover_read_endpoint(r, record, e);
	CHECK(error == 0 || error == -EINVAL);
	if (!error) {
		CHECK(e->clock.plan.rtt_min.ns >= 0 &&
			e->clock.skew.conflict_left <= SKEW_CONFLICT_MEMORY);
		skew_query(&e->clock.skew, &now, &estimate);
	}
	free(e);
}

static void check_fleet(const struct handover_reader *r, const struct handover_record *record)
{
	struct handover_fleet f, untouched;

	memset(&f, 0xa5, sizeof(f));
	memset(&untouched, 0xa5, sizeof(untouched));
	if (handover_read_fleet(r, record, &f)) {
		CHECK(!memcmp(&f, &untouched, sizeof(f)));
		return;
	}
	CHECK(memchr(f.profile.name, '\0', sizeof(f.profile.name)));
	if (!f.token.generation)
		return;
	CHECK(f.token.generation >= f.lowest);
	CHECK(!boot_before(r->written_at, f.token.received));
	CHECK(f.token.stopped || boot_since(f.token.end, f.token.received).ns <= f.token.issued.ns);
}

static void check_place(unsigned char *place, size_t size)
{
	struct handover_record record;
	struct handover_reader r;
	enum handover_verdict verdict =
		handover_open(place, size, &here, (struct boot_time){WRITTEN_NS + 1}, &r);

	CHECK(*handover_verdict_words(verdict));
	if (verdict != HANDOVER_GOOD)
		return;
	while (handover_next(&r, &record))
		switch (record.kind) {
		case HANDOVER_SOURCE:
			check_source(&r, &record);
			break;
		case HANDOVER_FLEET:
			check_fleet(&r, &record);
			break;
		default:
			check_endpoint(&r, &record);
			break;
		}
}

/* One bit, or its end missing: nothing of it is believed. */
static void check_damage(unsigned char *place, size_t used)
{
	struct random dice = fuzz_random(place, used);
	size_t at = fuzz_below(&dice, used);
	struct handover_reader r;
	enum handover_verdict verdict;

	place[at] ^= (unsigned char)(1u << fuzz_below(&dice, 8));
	verdict = handover_open(place, used, &here, (struct boot_time){WRITTEN_NS + 1}, &r);
	CHECK(verdict == HANDOVER_DAMAGED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct clock_reading written = reading(WRITTEN_NS);
	unsigned char *place = calloc(1, ROOM);
	struct handover_writer w;

	CHECK(place);
	if (size >= 4 && !memcmp(data, "raw:", 4)) {
		if (size - 4 <= ROOM)
			memcpy(place, data + 4, size - 4);
		handover_seal(place, size - 4 > HANDOVER_HEAD ? size - 4 - HANDOVER_HEAD : 0);
		check_place(place, size - 4 > HANDOVER_HEAD ? size - 4 : HANDOVER_HEAD);
		free(place);
		return 0;
	}
	handover_begin(&w, place, ROOM, &here, &written);
	for (size_t at = 0; at + 3 <= size && (size_t)(w.end - w.at) > size + 8;) {
		size_t length = (size_t)data[at + 1] | (size_t)data[at + 2] << 8;

		if (length > size - at - 3)
			length = size - at - 3;
		handover_store_u32(w.at, data[at]);
		handover_store_u32(w.at + 4, (uint32_t)length);
		memcpy(w.at + 8, data + at + 3, length);
		w.at += 8 + length;
		at += 3 + length;
	}
	CHECK(handover_end(&w, 1));
	check_place(place, (size_t)(w.at - place));
	check_damage(place, (size_t)(w.at - place));
	free(place);
	return 0;
}
