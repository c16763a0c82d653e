/* The token source as a state machine: the input is a list of events of eight bytes each, the first
 * of them the settings. Mutations keep to whole events, so that a history that led somewhere stays
 * one. What is checked stands in token_world.c. */
#include "fuzz.h"
#include "token_world.h"

#define RECORD 8
#define YEAR_S INT64_C(31536000)
/* Together as much as the daemon allows for. */
#define DRIFT_PPM_MAX 50
#define BEND_PPM_MAX 49

struct record {
	uint8_t op, a;
	uint16_t b;
	uint32_t c;
};

enum op {
	OP_ADVANCE,
	OP_ADVANCE_TO,
	OP_END_POST,
	OP_END_HEAD,
	OP_GET,
	OP_REJECT,
	OP_REFRESH,
	OP_SUSPEND,
	OP_STEP_WALL,
	OP_BEND,
	OP_STEP_SERVER,
	OP_VANISH,
	OP_REVOKE,
	OP_CONFIGURE,
	OP_RESTART,
	OPS
};

static struct token_source_settings settings_of(const struct record *r)
{
	static const int64_t margins_s[] = {0, 1, 5, 30, 300, 3600};
	static const unsigned limits[] = {1, 2, 3, 15, 15, 15, 100, MINT_LIMIT_MAX};

	return (struct token_source_settings){
		.policy =
			{
				.use_margin = duration_s(margins_s[r->b % 6]),
				.refresh_margin_auto = !(r->a & 2),
				.refresh_margin = duration_s(1 + margins_s[r->b / 8 % 6]),
			},
		.prefetch = !(r->a & 1),
		.reject_cooldown = duration_s(r->b >> 8),
		.mint_limit = limits[r->c % 8],
	};
}

/* From a nanosecond to years; the fuzzer chooses scale and number. */
static struct duration duration_of(unsigned scale, uint32_t c)
{
	switch (scale % 6) {
	case 0:
		return duration_ns(c % 5);
	case 1:
		return duration_ms(c % 2000);
	case 2:
		return duration_s(c % 20);
	case 3:
		return duration_s(c % 1000);
	case 4:
		return duration_s(c % 100000);
	default:
		return duration_ms(c);
	}
}

static struct duration signed_duration_of(unsigned scale, uint32_t c)
{
	struct duration d = duration_of(scale >> 1, c);

	return scale & 1 ? duration_ns(-d.ns) : d;
}

/* An instant at which something changes, or a nanosecond from it. */
static struct boot_time instant_of(const struct token_world *w, const struct record *r)
{
	const struct token_source *s = &w->broker.source;
	const struct boot_time instants[] = {
		w->broker.wake_at,
		s->refresh_at,
		s->not_before,
		s->current.life.valid,
		s->current.life.guard_until,
		lifetime_dead(&s->current.life),
		boot_sub(lifetime_dead(&s->current.life), duration_s(1)),
		lifetime_dead(&s->previous.life),
		w->held[r->b % HELD_MAX].call.ask.deadline,
		mint_window_next(w->broker.source.mint, s->settings.mint_limit, w->now.boot),
		boot_add(s->replaced_at, s->settings.reject_cooldown),
	};
	struct boot_time at = instants[r->a % (sizeof(instants) / sizeof(*instants))];

	return boot_add(at, duration_ns((int64_t)(r->c % 3) - 1));
}

static struct response_plan plan_of(const struct record *r)
{
	static const int64_t lives_s[] = {10, 11, 19, 20, 40, 60, 61, 300, 901, 3600, 86399, 86400,
		172800, INT64_C(450) * 86400};
	static const int64_t pauses_ns[] = {0, 1, NS_PER_S, 59 * NS_PER_S, 3599 * NS_PER_S,
		3600 * NS_PER_S, 3601 * NS_PER_S, INT64_MAX};
	static const enum response_class classes[] = {RESPONSE_TOKEN, RESPONSE_TOKEN,
		RESPONSE_TOKEN, RESPONSE_TOKEN, RESPONSE_UNAVAILABLE, RESPONSE_THROTTLED,
		RESPONSE_CLIENT_REJECTED, RESPONSE_LOGIN_REQUIRED};
	int64_t off = (int64_t)(r->c >> 8 & 0xfff);

	if (r->c >> 31)
		off = -off;
	if (r->c >> 30 & 1)
		off *= 100000;
	return (struct response_plan){
		.class = classes[r->a & 7],
		.same_token = (r->a & 0x38) == 0x38,
		.dated = !(r->a & 0x40),
		.has_iat = r->b & 1,
		.has_nbf = r->b & 2,
		.has_exp = r->b & 4,
		.has_retry_after = r->b & 8,
		.retry_after_ns = pauses_ns[r->b >> 4 & 7],
		.expires_in_s = r->b & 0x80 ? 10 + r->c % 100000 : lives_s[(r->b >> 8 & 15) % 14],
		.when = r->c & 0xff,
		.stale = r->b >> 12 << 4 & 0xff,
		.date_off_s = r->a & 0x80 ? off : 0,
		.claim_off_s = r->c >> 29 & 1 ? off : 0,
		.round_up = r->c >> 28 & 1,
	};
}

static struct token_ask ask_of(const struct token_world *w, const struct record *r)
{
	const struct token_source *s = &w->broker.source;
	const uint64_t generations[] = {
		s->current.generation, s->previous.generation, w->broker.generation, r->c % 16, 0};
	uint64_t generation = generations[(r->a >> 2) % 5];
	struct token_ask ask = {
		.deadline = boot_add(w->now.boot, duration_of(r->b & 7, r->c)),
	};

	/* Nobody knows a token that was never handed out. */
	if (generation > w->broker.generation)
		generation = w->broker.generation;
	switch (r->op % OPS) {
	case OP_GET:
		ask.min_ttl = r->a & 1 ? duration_s(r->b >> 3 & 0x1fff) : DURATION_ZERO;
		ask.has_after = r->a & 2;
		ask.after = ask.has_after ? generation : 0;
		break;
	case OP_REJECT:
		ask.kind = ASK_REJECT;
		ask.generation = generation;
		break;
	default:
		ask.kind = ASK_REFRESH;
	}
	return ask;
}

static void perform(struct token_world *w, const struct record *r)
{
	struct token_source_settings settings;
	struct response_plan plan;
	struct token_ask ask;

	switch ((enum op)(r->op % OPS)) {
	case OP_ADVANCE:
		world_advance(w, boot_add(w->now.boot, duration_of(r->a, r->c)));
		break;
	case OP_ADVANCE_TO:
		/* not to BOOT_TIME_NEVER */
		if (instant_of(w, r).ns < ns_add(w->now.boot.ns, 20 * YEAR_S * NS_PER_S))
			world_advance(w, boot_max(w->now.boot, instant_of(w, r)));
		break;
	case OP_END_POST:
		plan = plan_of(r);
		world_end_post(w, &plan);
		break;
	case OP_END_HEAD:
		plan = plan_of(r);
		world_end_head(w, &plan);
		world_end_knock(w, &plan);
		break;
	case OP_GET:
	case OP_REJECT:
	case OP_REFRESH:
		ask = ask_of(w, r);
		world_ask(w, &ask);
		break;
	case OP_SUSPEND:
		world_suspend(w, duration_of(r->a, r->c), r->b & 1);
		break;
	case OP_STEP_WALL:
		world_step_wall(w, signed_duration_of(r->a, r->c), r->b & 1);
		break;
	case OP_BEND:
		world_bend(w, (int64_t)(r->c % (2 * BEND_PPM_MAX + 1)) - BEND_PPM_MAX);
		break;
	case OP_STEP_SERVER:
		world_step_server(w, signed_duration_of(r->a, r->c));
		break;
	case OP_VANISH:
		world_caller_vanishes(w, r->a);
		break;
	case OP_REVOKE:
		world_revoke(w);
		break;
	case OP_CONFIGURE:
		settings = settings_of(r);
		world_configure(w, &settings, r->a & 4, r->a & 8);
		break;
	case OP_RESTART:
		world_restart(w, r->c);
		break;
	case OPS:
		break;
	}
}

/* To understand a finding: FUZZ_TRACE=1 prints the events and what the source says about them. */
static void trace(const struct token_world *w, const struct record *r, uint64_t *told)
{
	static const char *const names[OPS] = {"advance", "advance to", "end post", "end head",
		"get", "reject", "refresh", "suspend", "step wall", "bend", "step server", "vanish",
		"revoke", "configure", "restart"};
	const struct history *h = &w->broker.history;

	const struct history_event *all[HISTORY_ALL];
	size_t count = history_all(h, all);

	for (size_t i = 0; i < count; i++) {
		const struct history_event *e = all[i];

		if (e->order > *told)
			fprintf(stderr, "%22s %s %llu: %s\n", "", event_kind_name(e->kind),
				(unsigned long long)e->generation, e->words);
	}
	*told = h->order;
	if (r)
		fprintf(stderr, "%21.9f %s a=0x%x b=0x%x c=0x%x%s%s\n",
			(double)w->now.boot.ns / 1e9, names[r->op % OPS], r->a, r->b, r->c,
			w->post.under_way ? ", posting" : "", w->head.under_way ? ", asking" : "");
}

static struct record record_at(const uint8_t *data)
{
	struct record r = {.op = data[0], .a = data[1]};

	memcpy(&r.b, data + 2, sizeof(r.b));
	memcpy(&r.c, data + 4, sizeof(r.c));
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct token_world w;
	struct token_source_settings settings;
	const bool tracing = getenv("FUZZ_TRACE") != NULL;
	struct record first;
	uint64_t told = 0;

	if (size < RECORD)
		return 0;
	first = record_at(data);
	settings = settings_of(&first);
	world_init(&w, &settings, first.c);
	w.honest = !(first.a & 4);
	w.drift_ppm = first.op % (2 * DRIFT_PPM_MAX + 1) - DRIFT_PPM_MAX;
	world_advance(&w, w.now.boot);
	for (size_t at = RECORD; at + RECORD <= size; at += RECORD) {
		struct record r = record_at(data + at);

		if (tracing)
			trace(&w, &r, &told);
		perform(&w, &r);
		if (w.now.boot.ns > 100 * YEAR_S * NS_PER_S)
			break;
	}
	if (tracing)
		trace(&w, NULL, &told);
	world_fini(&w);
	return 0;
}

/* ---- mutation, by whole events ---- */

static void random_record(uint8_t *to, struct random *r)
{
	uint64_t bytes = random_next(r);

	memcpy(to, &bytes, RECORD);
	to[0] = (uint8_t)fuzz_below(r, OPS);
}

static size_t insert(uint8_t *data, size_t size, size_t max, size_t at, size_t length)
{
	if (size + length > max)
		return 0;
	memmove(data + at + length, data + at, size - at);
	return size + length;
}

static size_t mutate(uint8_t *data, size_t size, size_t max, struct random *r)
{
	size_t count = size / RECORD, at = fuzz_below(r, count) * RECORD;
	size_t from = fuzz_below(r, count) * RECORD;
	size_t length = (1 + fuzz_below(r, 8)) * RECORD, grown;
	uint8_t piece[8 * RECORD];

	switch (fuzz_below(r, 8)) {
	case 0: /* dropped */
		if (!at || at + length > size)
			return 0;
		memmove(data + at, data + at + length, size - at - length);
		return size - length;
	case 1: /* repeated somewhere else */
		if (!at || !from || from + length > size)
			return 0;
		memcpy(piece, data + from, length);
		grown = insert(data, size, max, at, length);
		if (grown)
			memcpy(data + at, piece, length);
		return grown;
	case 2:
	case 3: /* a new one */
		at += RECORD;
		grown = insert(data, size, max, at, RECORD);
		if (grown)
			random_record(data + at, r);
		return grown;
	case 4:
		random_record(data + at, r);
		return size;
	case 5: /* one number of it */
		data[at + fuzz_below(r, RECORD)] = (uint8_t)random_next(r);
		return size;
	case 6:
		data[at + fuzz_below(r, RECORD)] ^= (uint8_t)(1u << fuzz_below(r, 8));
		return size;
	default: /* what libFuzzer learnt from comparisons */
		return LLVMFuzzerMutate(data + at, RECORD, RECORD) ? size : 0;
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	struct random r = {seed};
	size_t result = 0;

	size -= size % RECORD;
	if (max < RECORD)
		return LLVMFuzzerMutate(data, size, max);
	if (size < RECORD) {
		random_record(data, &r);
		size = RECORD;
	}
	for (int i = 0; i < 8 && !result; i++)
		result = mutate(data, size, max, &r);
	return result ? result : size;
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
	uint8_t *out, size_t max, unsigned seed)
{
	struct random r = {seed};
	size_t a_part = fuzz_below(&r, a_size / RECORD + 1) * RECORD;
	size_t b_part = fuzz_below(&r, b_size / RECORD + 1) * RECORD;
	size_t b_length = b_size / RECORD * RECORD - b_part;

	if (a_part > max)
		a_part = max / RECORD * RECORD;
	if (b_length > max - a_part)
		b_length = (max - a_part) / RECORD * RECORD;
	memcpy(out, a, a_part);
	memcpy(out + a_part, b + b_part, b_length);
	return a_part + b_length;
}
