#include "redis_commands.h"

#include "redis_codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 24
#define NUMBER_MAX 21
#define US_PER_MS 1000

void redis_keys_init(struct redis_keys *ret, const char *prefix,
	const struct fleet_subject *subject, unsigned slot)
{
	const char *c = subject->client, *r = subject->request;

	snprintf(ret->record, sizeof(ret->record), "%s:{%s}:%s:%u:rec", prefix, c, r, slot);
	snprintf(ret->lease, sizeof(ret->lease), "%s:{%s}:%s:%u:lease", prefix, c, r, slot);
	snprintf(ret->channel, sizeof(ret->channel), "%s:{%s}:%s:%u:new", prefix, c, r, slot);
	snprintf(ret->mints, sizeof(ret->mints), "%s:{%s}:mints", prefix, c);
	snprintf(ret->hold, sizeof(ret->hold), "%s:{%s}:hold", prefix, c);
	snprintf(ret->fails, sizeof(ret->fails), "%s:{%s}:fails", prefix, c);
	snprintf(ret->seq, sizeof(ret->seq), "%s:{%s}:seq", prefix, c);
	snprintf(ret->alone, sizeof(ret->alone), "%s:{%s}:alone", prefix, c);
}

/* ---- words ---- */

struct words {
	struct redis_word of[WORDS_MAX];
	size_t count, numbers;
	char digits[WORDS_MAX][NUMBER_MAX];
};

static void add_bytes(struct words *w, const char *bytes, size_t length)
{
	w->of[w->count++] = (struct redis_word){bytes, length};
}

static void add(struct words *w, const char *text)
{
	add_bytes(w, text, strlen(text));
}

static void add_number(struct words *w, int64_t value)
{
	char *digits = w->digits[w->numbers++];

	snprintf(digits, NUMBER_MAX, "%" PRId64, value);
	add(w, digits);
}

static void add_ms(struct words *w, struct duration d)
{
	add_number(w, d.ns / NS_PER_MS);
}

static void add_us(struct words *w, struct duration d)
{
	add_number(w, d.ns / (NS_PER_MS / US_PER_MS));
}

static void begin(struct words *w, const char *command)
{
	w->count = w->numbers = 0;
	add(w, command);
}

static void begin_script(struct words *w, const struct redis_script *script,
	const char *const *keys, size_t key_count)
{
	begin(w, "EVALSHA");
	add(w, script->sha1);
	add_number(w, (int64_t)key_count);
	for (size_t i = 0; i < key_count; i++)
		add(w, keys[i]);
}

#define BEGIN_SCRIPT(w, script, ...) \
	do { \
		const char *const begin_keys[] = {__VA_ARGS__}; \
		begin_script(w, script, begin_keys, sizeof(begin_keys) / sizeof(*begin_keys)); \
	} while (0)

static void write(struct buffer *out, const struct words *w)
{
	redis_command_write(out, w->of, w->count);
}

/* ---- operations ---- */

void redis_write_read(struct buffer *out, const struct redis_keys *k)
{
	static const char *const fields[] = {
		"gen", "t0", "left", "issued", "sealed", "rejected", "accepted"};
	struct words w;

	/* The clock is read after the record, so that the record seems older rather than younger.
	 */
	begin(&w, "HMGET");
	add(&w, k->record);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		add(&w, fields[i]);
	write(out, &w);
	begin(&w, "TIME");
	write(out, &w);
	begin(&w, "PUBSUB");
	add(&w, "NUMSUB");
	add(&w, k->channel);
	write(out, &w);
}

void redis_write_acquire(struct buffer *out, const struct redis_keys *k, const char *host,
	const struct store_acquire *a)
{
	struct words w;

	BEGIN_SCRIPT(&w, &redis_script_acquire, k->record, k->lease, k->mints, k->hold, k->seq);
	add(&w, host);
	add_number(&w, (int64_t)a->known);
	add_number(&w, (int64_t)a->reject);
	add_number(&w, (int64_t)a->floor);
	add_ms(&w, a->lease);
	add_number(&w, a->mint_limit);
	add_ms(&w, a->mint_window);
	add_ms(&w, a->cooldown);
	add(&w, a->tag);
	add(&w, a->break_lease->text);
	add(&w, a->break_hold->text);
	add_number(&w, a->check);
	add_number(&w, (int64_t)a->doubted);
	write(out, &w);
}

void redis_write_renew(
	struct buffer *out, const struct redis_keys *k, uint64_t fence, struct duration lease)
{
	struct words w;

	BEGIN_SCRIPT(&w, &redis_script_renew, k->lease);
	add_number(&w, (int64_t)fence);
	add_ms(&w, lease);
	write(out, &w);
}

void redis_write_put(struct buffer *out, const struct redis_keys *k, const struct store_put *p)
{
	struct words w;

	BEGIN_SCRIPT(&w, &redis_script_put, k->record, k->lease, k->hold, k->seq, k->fails);
	add_number(&w, (int64_t)p->generation);
	add_number(&w, p->stamp_us);
	add_number(&w, p->left_us);
	add_us(&w, p->issued);
	add_bytes(&w, p->sealed, p->sealed_length);
	add(&w, k->channel);
	write(out, &w);
}

void redis_write_fail(struct buffer *out, const struct redis_keys *k, const struct store_fail *f,
	unsigned permille)
{
	struct words w;

	BEGIN_SCRIPT(&w, &redis_script_fail, k->lease, k->hold, k->fails);
	add_number(&w, (int64_t)f->fence);
	add(&w, fleet_class_word(f->class));
	add_ms(&w, f->least);
	add_ms(&w, f->most);
	add_number(&w, permille);
	add(&w, f->tag);
	add(&w, k->channel);
	write(out, &w);
}

void redis_write_accept(
	struct buffer *out, const struct redis_keys *k, const struct store_accept *a)
{
	struct words w;

	BEGIN_SCRIPT(&w, &redis_script_accept, k->record, k->lease);
	add_number(&w, (int64_t)a->fence);
	add_number(&w, (int64_t)a->generation);
	add(&w, a->proof);
	write(out, &w);
}

void redis_write_stop(struct buffer *out, const struct redis_keys *k, const struct store_stop *o)
{
	struct words w;

	BEGIN_SCRIPT(&w, &redis_script_stop, k->record, k->lease, k->seq);
	add_number(&w, (int64_t)o->generation);
	add_us(&w, o->issued);
	add_us(&w, o->issued);
	add_bytes(&w, o->sealed, o->sealed_length);
	add(&w, k->channel);
	write(out, &w);
}

void redis_write_permit(struct buffer *out, const struct redis_keys *k, const char *host,
	uint32_t most, struct duration keep)
{
	struct words w;

	BEGIN_SCRIPT(&w, &redis_script_permit, k->alone);
	add(&w, host);
	add_number(&w, most);
	add_ms(&w, keep);
	write(out, &w);
}

void redis_write_load(struct buffer *out, const struct redis_script *script)
{
	struct words w;

	begin(&w, "SCRIPT");
	add(&w, "LOAD");
	add_bytes(&w, script->text, script->length);
	write(out, &w);
}

void redis_write_plain(struct buffer *out, const char *command, const char *channel)
{
	struct words w;

	begin(&w, command);
	if (channel)
		add(&w, channel);
	write(out, &w);
}
