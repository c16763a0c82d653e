/* Whatever is read here was hashed, so only an error of ours or of a later version can make it
 * contradict itself. Then it is dropped as well: a token with an impossible life is worse than
 * none. */
#include "handover_read.h"

#include "client_state.h"
#include "handover_format.h"
#include "token_past.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#define DAY_S 86400
#define ISSUED_MAX_S (INT64_C(450) * DAY_S)

struct cursor {
	const unsigned char *at, *end;
	bool bad;
};

static const unsigned char *take(struct cursor *c, uint64_t length)
{
	const unsigned char *at = c->at;

	if (c->bad || (uint64_t)(c->end - c->at) < length) {
		c->bad = true;
		return NULL;
	}
	c->at += length;
	return at;
}

static uint64_t take_u64(struct cursor *c)
{
	const unsigned char *at = take(c, 8);

	return at ? handover_load_u64(at) : 0;
}

static int64_t take_i64(struct cursor *c)
{
	return (int64_t)take_u64(c);
}

static bool take_bool(struct cursor *c)
{
	uint64_t value = take_u64(c);

	c->bad |= value > 1;
	return value == 1;
}

static unsigned take_count(struct cursor *c, unsigned most)
{
	uint64_t value = take_u64(c);

	c->bad |= value > most;
	return c->bad ? 0 : (unsigned)value;
}

static struct boot_time take_boot(struct cursor *c)
{
	return (struct boot_time){take_i64(c)};
}

static struct duration take_duration(struct cursor *c)
{
	return duration_ns(take_i64(c));
}

static struct clock_reading take_reading(struct cursor *c)
{
	struct clock_reading r;

	r.boot = take_boot(c);
	r.wall = (struct wall_time){take_i64(c)};
	r.slew = take_duration(c);
	r.suspended = take_duration(c);
	return r;
}

static void take_text(struct cursor *c, char *ret, size_t size)
{
	uint64_t length = take_u64(c);
	const unsigned char *at = take(c, length);

	if (!at || length >= size || memchr(at, '\0', length)) {
		c->bad = true;
		*ret = '\0';
		return;
	}
	memcpy(ret, at, length);
	ret[length] = '\0';
}

static struct cursor cursor_of(const struct handover_record *record)
{
	return (struct cursor){.at = record->at, .end = record->end};
}

/* ---- the whole ---- */

static bool hash_holds(const unsigned char *start, uint64_t length)
{
	unsigned char hash[EVP_MAX_MD_SIZE];

	return EVP_Q_digest(NULL, "SHA256", NULL, start + HANDOVER_HASH,
		       HANDOVER_HEAD - HANDOVER_HASH + length, hash, NULL) &&
	       !CRYPTO_memcmp(hash, start, HANDOVER_HASH);
}

static bool any_record(struct handover_reader *r, struct handover_record *ret)
{
	uint32_t length;

	if (r->end - r->at < 8)
		return false;
	ret->kind = handover_load_u32(r->at);
	length = handover_load_u32(r->at + 4);
	if ((uint64_t)(r->end - r->at - 8) < length)
		return false;
	ret->at = r->at + 8;
	ret->end = ret->at + length;
	r->at = ret->end;
	return true;
}

static bool records_are_whole(struct handover_reader r)
{
	struct handover_record record;

	while (any_record(&r, &record))
		;
	return r.at == r.end;
}

static bool is_empty(const unsigned char *start)
{
	for (size_t i = 0; i < HANDOVER_HEAD; i++)
		if (start[i])
			return false;
	return true;
}

static enum handover_verdict judge_place(
	struct handover_reader *r, const struct handover_place *here, struct boot_time now)
{
	struct handover_record record;
	struct clock_reading written;
	char boot_id[HANDOVER_TEXT_MAX];
	uint64_t time_namespace;
	struct cursor c;

	if (!any_record(r, &record) || record.kind != HANDOVER_WHERE)
		return HANDOVER_DAMAGED;
	c = cursor_of(&record);
	take_text(&c, boot_id, sizeof(boot_id));
	time_namespace = take_u64(&c);
	written = take_reading(&c);
	if (c.bad)
		return HANDOVER_DAMAGED;
	if (strcmp(boot_id, here->boot_id) || time_namespace != here->time_namespace ||
		boot_before(now, written.boot))
		return HANDOVER_FOREIGN;
	r->written_at = written.boot;
	r->read_at = now;
	return HANDOVER_GOOD;
}

enum handover_verdict handover_open(const void *place, size_t size,
	const struct handover_place *here, struct boot_time now, struct handover_reader *ret)
{
	const unsigned char *start = place, *head = start + HANDOVER_HASH;
	struct handover_reader r = {0};
	enum handover_verdict verdict;
	uint64_t length;

	if (size < HANDOVER_HEAD)
		return HANDOVER_DAMAGED;
	if (is_empty(start))
		return HANDOVER_EMPTY;
	length = handover_load_u64(head + 24);
	if (memcmp(head, HANDOVER_MAGIC, 8) || length > size - HANDOVER_HEAD ||
		!hash_holds(start, length))
		return HANDOVER_DAMAGED;
	if ((handover_load_u32(head + 8) & 0xffff) != HANDOVER_MAJOR)
		return HANDOVER_NEWER;
	r.sequence = handover_load_u64(head + 16);
	r.at = start + HANDOVER_HEAD;
	r.end = r.at + length;
	if (!records_are_whole(r))
		return HANDOVER_DAMAGED;
	verdict = judge_place(&r, here, now);
	if (verdict == HANDOVER_GOOD)
		*ret = r;
	return verdict;
}

const char *handover_verdict_words(enum handover_verdict verdict)
{
	switch (verdict) {
	case HANDOVER_GOOD:
		return "it is whole";
	case HANDOVER_EMPTY:
		return "it is empty";
	case HANDOVER_DAMAGED:
		return "it is damaged";
	case HANDOVER_NEWER:
		return "another version wrote it, in a way that this one cannot read";
	case HANDOVER_FOREIGN:
		return "it is of another boot or time namespace";
	}
	return "";
}

bool handover_next(struct handover_reader *r, struct handover_record *ret)
{
	while (any_record(r, ret))
		if (ret->kind == HANDOVER_SOURCE || ret->kind == HANDOVER_ENDPOINT ||
			ret->kind == HANDOVER_FLEET)
			return true;
	return false;
}

/* ---- a token source ---- */

/* What happened before it was written down, or never. */
static struct boot_time take_if_ever(struct cursor *c, struct boot_time written_at)
{
	bool ever = take_bool(c);
	struct boot_time at = take_boot(c);

	c->bad |= boot_before(written_at, at);
	return ever ? at : SOURCE_LONG_AGO;
}

static void take_profile(struct cursor *c, struct handover_profile *ret)
{
	take_text(c, ret->name, sizeof(ret->name));
	take_text(c, ret->client, sizeof(ret->client));
	take_text(c, ret->request, sizeof(ret->request));
}

bool handover_read_profile(const struct handover_record *record, struct handover_profile *ret)
{
	struct cursor c = cursor_of(record);
	struct handover_profile profile;

	if (record->kind != HANDOVER_SOURCE)
		return false;
	take_profile(&c, &profile);
	if (c.bad)
		return false;
	*ret = profile;
	return true;
}

static void take_lifetime(struct cursor *c, struct lifetime *l)
{
	l->sent = take_reading(c);
	l->received = take_boot(c);
	l->end = take_boot(c);
	l->valid = take_boot(c);
	l->guard_until = take_boot(c);
	l->issued = take_duration(c);
	l->margin = take_duration(c);
	l->spread = take_duration(c);
	l->dated = take_bool(c);
	l->hi0 = take_duration(c);
	l->step_most = take_duration(c);
	l->step_second = take_duration(c);
	l->step = take_duration(c);
	l->wall_ref = take_duration(c);
	l->wall_ref_at = take_boot(c);
	l->by_exp = take_bool(c);
}

/* Received before it was written down, and living no longer than it was issued for. */
static bool life_can_be(const struct lifetime *l, struct boot_time written_at)
{
	return l->issued.ns > 0 && l->issued.ns <= ISSUED_MAX_S * NS_PER_S &&
	       !boot_before(l->received, l->sent.boot) && !boot_before(written_at, l->received) &&
	       !boot_before(boot_add(l->sent.boot, l->issued), l->end) && l->margin.ns >= 0 &&
	       l->spread.ns >= 0 && l->step.ns >= 0 && !boot_before(l->guard_until, l->valid) &&
	       !boot_before(l->valid, l->received) && !boot_before(written_at, l->wall_ref_at);
}

static int take_slot(struct cursor *c, struct boot_time written_at, struct token_slot *ret)
{
	uint64_t length = take_u64(c);
	const unsigned char *text = take(c, length);
	int r;

	if (!text)
		return -EINVAL;
	if (!length)
		return 0;
	ret->generation = take_u64(c);
	ret->rejected = take_bool(c);
	take_lifetime(c, &ret->life);
	if (c->bad || !ret->generation || ret->generation > GENERATION_MAX ||
		!life_can_be(&ret->life, written_at))
		return -EINVAL;
	r = token_init(&ret->token, (const char *)text, length);
	return r;
}

int handover_read_source(const struct handover_reader *r, const struct handover_record *record,
	struct token_source_past *ret)
{
	struct cursor c = cursor_of(record);
	struct token_source_past past = {0};
	struct handover_profile profile;
	int error;

	if (record->kind != HANDOVER_SOURCE)
		return -EINVAL;
	take_profile(&c, &profile);
	error = take_slot(&c, r->written_at, &past.current);
	if (!error)
		error = take_slot(&c, r->written_at, &past.previous);
	past.refresh_at = take_boot(&c);
	past.revoked = take_bool(&c);
	take_bool(&c); /* see handover_put_source */
	past.failures = take_count(&c, UINT32_MAX);
	past.replaced_at = take_if_ever(&c, r->written_at);
	past.step_refresh_at = take_if_ever(&c, r->written_at);
	if (!error && (c.bad || (past.revoked && past.current.token.text)))
		error = -EINVAL;
	if (error) {
		token_source_past_fini(&past);
		return error;
	}
	*ret = past;
	return 0;
}

/* ---- a fleet ---- */

static bool fleet_can_be(const struct handover_fleet *f, struct boot_time written_at)
{
	const struct fleet_token *t = &f->token;

	if (f->lowest > GENERATION_MAX || t->generation > GENERATION_MAX || f->server_end.ns < 0)
		return false;
	if (!t->generation)
		return true;
	if (t->generation < f->lowest || boot_before(written_at, t->received) || t->issued.ns < 0 ||
		t->issued.ns > ISSUED_MAX_S * NS_PER_S)
		return false;
	return t->stopped || !boot_before(boot_add(t->received, t->issued), t->end);
}

int handover_read_fleet(const struct handover_reader *r, const struct handover_record *record,
	struct handover_fleet *ret)
{
	struct cursor c = cursor_of(record);
	struct handover_fleet f = {0};
	struct fleet_token *t = &f.token;
	const unsigned char *host;

	if (record->kind != HANDOVER_FLEET)
		return -EINVAL;
	take_profile(&c, &f.profile);
	f.lowest = take_u64(&c);
	f.rank = take_count(&c, UINT32_MAX);
	t->generation = take_u64(&c);
	t->end = take_boot(&c);
	t->received = take_boot(&c);
	t->issued = take_duration(&c);
	t->stopped = take_bool(&c);
	t->rejected = take_bool(&c);
	t->own = take_bool(&c);
	f.server_end.ns = take_i64(&c);
	host = take(&c, sizeof(f.host));
	if (host)
		memcpy(f.host, host, sizeof(f.host));
	if (c.bad || !fleet_can_be(&f, r->written_at))
		return -EINVAL;
	*ret = f;
	return 0;
}

/* ---- an endpoint ---- */

static bool group_can_be(
	const struct skew_group *g, uint64_t exchanges, struct boot_time written_at)
{
	return g->born <= exchanges && (!g->born || (g->n && g->lo.ns <= g->hi.ns)) &&
	       !boot_before(written_at, g->at.boot);
}

static void take_skew(struct cursor *c, struct boot_time written_at, struct skew *ret)
{
	ret->exchanges = take_u64(c);
	ret->conflict_left = take_count(c, SKEW_CONFLICT_MEMORY);
	c->bad |= take_u64(c) != SKEW_GROUPS_MAX;
	for (size_t i = 0; i < SKEW_GROUPS_MAX; i++) {
		struct skew_group *g = &ret->groups[i];

		g->lo = take_duration(c);
		g->hi = take_duration(c);
		g->at = take_reading(c);
		g->reach = (uint8_t)take_count(c, UINT8_MAX);
		g->n = take_count(c, UINT32_MAX);
		g->born = take_u64(c);
		c->bad |= !group_can_be(g, ret->exchanges, written_at);
	}
}

int handover_read_endpoint(const struct handover_reader *r, const struct handover_record *record,
	struct handover_endpoint *ret)
{
	struct cursor c = cursor_of(record);
	struct handover_endpoint e = {.clock.plan.planned = BOOT_TIME_NEVER};
	struct probe_plan *plan = &e.clock.plan;

	if (record->kind != HANDOVER_ENDPOINT)
		return -EINVAL;
	take_text(&c, e.key, sizeof(e.key));
	take_skew(&c, r->written_at, &e.clock.skew);
	e.clock.series_begun = take_bool(&c);
	plan->foreign = take_bool(&c);
	plan->judged = take_bool(&c);
	plan->failures = take_count(&c, UINT32_MAX);
	plan->not_before = take_boot(&c);
	plan->rtt_min = take_duration(&c);
	plan->sent_count = take_count(&c, UINT32_MAX);
	c.bad |= take_u64(&c) != PROBES_IN_WINDOW || plan->rtt_min.ns < 0;
	for (size_t i = 0; i < PROBES_IN_WINDOW; i++) {
		plan->sent[i] = take_boot(&c);
		c.bad |= boot_before(r->written_at, plan->sent[i]);
	}
	if (c.bad)
		return -EINVAL;
	*ret = e;
	return 0;
}
