#include "handover_write.h"

#include "handover_fleet.h"
#include "handover_format.h"
#include "secret.h"
#include "server_clock.h"
#include "token_judge.h"

#include <openssl/evp.h>
#include <string.h>

static void put_bytes(struct handover_writer *w, const void *bytes, size_t length)
{
	if (w->full || (size_t)(w->end - w->at) < length) {
		w->full = true;
		return;
	}
	if (length)
		memcpy(w->at, bytes, length);
	w->at += length;
}

static void put_u64(struct handover_writer *w, uint64_t value)
{
	unsigned char bytes[8];

	handover_store_u64(bytes, value);
	put_bytes(w, bytes, sizeof(bytes));
}

static void put_i64(struct handover_writer *w, int64_t value)
{
	put_u64(w, (uint64_t)value);
}

static void put_text(struct handover_writer *w, const char *text, size_t length)
{
	put_u64(w, length);
	put_bytes(w, text, length);
}

static void put_reading(struct handover_writer *w, const struct clock_reading *r)
{
	put_i64(w, r->boot.ns);
	put_i64(w, r->wall.ns);
	put_i64(w, r->slew.ns);
	put_i64(w, r->suspended.ns);
}

static unsigned char *record_begin(struct handover_writer *w, uint32_t tag)
{
	unsigned char *record = w->at, head[8];

	handover_store_u32(head, tag);
	handover_store_u32(head + 4, 0);
	put_bytes(w, head, sizeof(head));
	return record;
}

/* A record is in whole or not at all: what does not fit may be followed by what does. */
static bool record_end(struct handover_writer *w, unsigned char *record)
{
#ifdef GCTOKEND_HANDOVER_NEXT
	/* What a later version would add: see docs/reliability.md, row 23. */
	put_text(w, "a field of a later version", 26);
#endif
	if (w->full) {
		secret_wipe(record, (size_t)(w->at - record));
		w->at = record;
		w->full = false;
		return false;
	}
	handover_store_u32(record + 4, (uint32_t)(w->at - record - 8));
	return true;
}

void handover_begin(struct handover_writer *w, void *to, size_t size,
	const struct handover_place *here, const struct clock_reading *now)
{
	unsigned char *record;

	*w = (struct handover_writer){
		.start = to, .at = to, .end = (unsigned char *)to + size, .full = size < 4096};
	if (w->full)
		return;
	memset(to, 0, HANDOVER_HEAD);
	w->at += HANDOVER_HEAD;
	record = record_begin(w, HANDOVER_WHERE);
	put_text(w, here->boot_id, strlen(here->boot_id));
	put_u64(w, here->time_namespace);
	put_reading(w, now);
	record_end(w, record);
}

static void put_lifetime(struct handover_writer *w, const struct lifetime *l)
{
	put_reading(w, &l->sent);
	put_i64(w, l->received.ns);
	put_i64(w, l->end.ns);
	put_i64(w, l->valid.ns);
	put_i64(w, l->guard_until.ns);
	put_i64(w, l->issued.ns);
	put_i64(w, l->margin.ns);
	put_i64(w, l->spread.ns);
	put_u64(w, l->dated);
	put_i64(w, l->hi0.ns);
	put_i64(w, l->step_most.ns);
	put_i64(w, l->step_second.ns);
	put_i64(w, l->step.ns);
	put_i64(w, l->wall_ref.ns);
	put_i64(w, l->wall_ref_at.ns);
	put_u64(w, l->by_exp);
}

static void put_slot(struct handover_writer *w, const struct token_slot *slot)
{
	put_text(w, slot->token.text, slot->token.text ? slot->token.length : 0);
	if (!slot->token.text)
		return;
	put_u64(w, slot->generation);
	put_u64(w, slot->rejected);
	put_lifetime(w, &slot->life);
}

/* Whether it ever happened, and when. */
static void put_if_ever(struct handover_writer *w, struct boot_time at)
{
	bool ever = at.ns != SOURCE_LONG_AGO.ns;

	put_u64(w, ever);
	put_i64(w, ever ? at.ns : 0);
}

static void put_profile(struct handover_writer *w, const struct handover_profile *profile)
{
	put_text(w, profile->name, strlen(profile->name));
	put_text(w, profile->client, strlen(profile->client));
	put_text(w, profile->request, strlen(profile->request));
}

bool handover_put_source(struct handover_writer *w, const struct handover_profile *profile,
	const struct token_source *s)
{
	unsigned char *record = record_begin(w, HANDOVER_SOURCE);

	put_profile(w, profile);
	put_slot(w, &s->current);
	put_slot(w, &s->previous);
	put_i64(w, s->refresh_at.ns);
	put_u64(w, s->revoked);
	/* for daemons of before, which hold callers only then */
	put_u64(w, s->current.rejected);
	put_u64(w, s->failures);
	put_if_ever(w, s->replaced_at);
	put_if_ever(w, s->step_refresh_at);
	return record_end(w, record);
}

bool handover_put_fleet(struct handover_writer *w, const struct handover_fleet *f)
{
	const struct fleet_token *t = &f->token;
	unsigned char *record = record_begin(w, HANDOVER_FLEET);

	put_profile(w, &f->profile);
	put_u64(w, f->lowest);
	put_u64(w, f->rank);
	put_u64(w, t->generation);
	put_i64(w, t->end.ns);
	put_i64(w, t->received.ns);
	put_i64(w, t->issued.ns);
	put_u64(w, t->stopped);
	put_u64(w, t->rejected);
	put_u64(w, t->own);
	put_i64(w, f->server_end.ns);
	put_bytes(w, f->host, sizeof(f->host));
	return record_end(w, record);
}

static void put_skew(struct handover_writer *w, const struct skew *skew)
{
	put_u64(w, skew->exchanges);
	put_u64(w, skew->conflict_left);
	put_u64(w, SKEW_GROUPS_MAX);
	for (size_t i = 0; i < SKEW_GROUPS_MAX; i++) {
		const struct skew_group *g = &skew->groups[i];

		put_i64(w, g->lo.ns);
		put_i64(w, g->hi.ns);
		put_reading(w, &g->at);
		put_u64(w, g->reach);
		put_u64(w, g->n);
		put_u64(w, g->born);
	}
}

bool handover_put_endpoint(
	struct handover_writer *w, const char *key, const struct server_clock *clock)
{
	const struct probe_plan *plan = &clock->plan;
	unsigned char *record = record_begin(w, HANDOVER_ENDPOINT);

	put_text(w, key, strlen(key));
	put_skew(w, &clock->skew);
	put_u64(w, clock->series_begun);
	put_u64(w, plan->foreign);
	put_u64(w, plan->judged);
	put_u64(w, plan->failures);
	put_i64(w, plan->not_before.ns);
	put_i64(w, plan->rtt_min.ns);
	put_u64(w, plan->sent_count);
	put_u64(w, PROBES_IN_WINDOW);
	for (size_t i = 0; i < PROBES_IN_WINDOW; i++)
		put_i64(w, plan->sent[i].ns);
	return record_end(w, record);
}

bool handover_seal(void *place, uint64_t records_length)
{
	unsigned char *start = place, hash[EVP_MAX_MD_SIZE];

	if (!EVP_Q_digest(NULL, "SHA256", NULL, start + HANDOVER_HASH,
		    HANDOVER_HEAD - HANDOVER_HASH + records_length, hash, NULL))
		return false;
	memcpy(start, hash, HANDOVER_HASH);
	return true;
}

bool handover_end(struct handover_writer *w, uint64_t sequence)
{
	unsigned char *head = w->start + HANDOVER_HASH;
	uint64_t length;

	if (w->full)
		return false;
#ifdef GCTOKEND_HANDOVER_NEXT
	record_end(w, record_begin(w, 9999));
#endif
	length = (uint64_t)(w->at - w->start) - HANDOVER_HEAD;
	memcpy(head, HANDOVER_MAGIC, 8);
	handover_store_u32(head + 8, HANDOVER_MAJOR | (uint32_t)HANDOVER_WRITTEN_MINOR << 16);
	handover_store_u64(head + 16, sequence);
	handover_store_u64(head + 24, length);
	return handover_seal(w->start, length);
}
