#include "reply_token.h"

#include "config.h"
#include "reply.h"
#include "token_ask.h"

#include <string.h>

void token_reply_cache_drop(struct token_reply_cache *s)
{
	s->made = false;
}

void token_reply_cache_fini(struct token_reply_cache *s)
{
	buffer_fini(&s->front);
	buffer_fini(&s->behind);
	*s = (struct token_reply_cache){0};
}

static void put_place(struct buffer *b, uint64_t value, struct reply_place *ret)
{
	size_t at = b->length;

	buffer_put_unsigned(b, value);
	ret->value = value;
	ret->at = (uint16_t)at;
	ret->digits = (uint8_t)(b->length - at);
	ret->least = 0;
	ret->below = 10;
	for (unsigned i = 1; i < ret->digits; i++) {
		ret->least = ret->below;
		ret->below *= 10;
	}
}

/* Overwrites its digits where they are others. False: there is no room for so many, or too much. */
static bool place_set(const struct buffer *b, struct reply_place *place, uint64_t value)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930"
				    "31323334353637383940414243444546474849505152535455565758596061"
				    "62636465666768697071727374757677787980818283848586878889909192"
				    "93949596979899";
	char *first, *at;

	if (value == place->value)
		return true;
	if (value < place->least || value >= place->below)
		return false;
	place->value = value;
	first = b->data + place->at;
	for (at = first + place->digits; at - first >= 2; value /= 100) {
		at -= 2;
		memcpy(at, pairs + value % 100 * 2, 2);
	}
	if (at > first)
		*first = (char)('0' + value);
	return true;
}

static void put_member(struct buffer *b, const char *name, const char *text)
{
	buffer_put_text(b, name);
	buffer_put_json(b, text);
}

static uint64_t expires_ms(const struct token_outcome *outcome)
{
	return (uint64_t)(outcome->expires_in.ns / NS_PER_MS);
}

static void make_body(struct token_reply_cache *s, const struct profile_settings *settings,
	const struct token_outcome *outcome)
{
	const struct token_slot *slot = outcome->slot;
	struct buffer *b = &s->behind;

	buffer_put_text(b, "\",\"token_type\":\"Bearer\",\"expires_in\":");
	put_place(b, expires_ms(outcome) / 1000, &s->expires_s);
	buffer_put_text(b, ",\"refresh_in\":");
	put_place(b, (uint64_t)outcome->refresh_in_s, &s->refresh_s);
	buffer_put_text(b, ",\"generation\":");
	buffer_put_unsigned(b, slot->generation);
	buffer_put_text(b, ",\"fingerprint\":\"");
	buffer_put(b, slot->token.fingerprint, FINGERPRINT_LENGTH);
	buffer_put_text(b, s->stale ? "\",\"state\":\"stale\"" : "\",\"state\":\"fresh\"");
	put_member(b, ",\"profile\":", settings->name);
	put_member(b, ",\"region\":", settings->region);
	put_member(b, ",\"api_url\":", settings->api_url);
	buffer_put_text(b, "}\n");
}

static void make_front(struct token_reply_cache *s, const struct profile_settings *settings,
	const struct token_outcome *outcome)
{
	static const char json[] = "{\"access_token\":\"";
	const struct token_slot *slot = outcome->slot;
	struct buffer *b = &s->front;
	size_t body = 0;

	if (s->token_in != TOKEN_IN_FIELD)
		body = s->token_length + s->escapes + s->behind.length +
		       (s->text ? 0 : sizeof(json) - 1);
	reply_head(
		&(struct reply){.out = b, .keep_alive = s->keep_alive, .idle_s = s->idle_s}, 200);
	buffer_put_text(b, "Gctoken-Generation: ");
	buffer_put_unsigned(b, slot->generation);
	buffer_put_text(b, "\r\nGctoken-Expires-In-Ms: ");
	put_place(b, expires_ms(outcome), &s->expires_ms);
	if (s->token_in != TOKEN_IN_BODY)
		buffer_put_text(b, "\r\nAuthorization: Bearer ");
	s->field_at = s->token_in != TOKEN_IN_BODY ? b->length : 0;
	if (settings->api_url && *settings->api_url) {
		buffer_put_text(b, "\r\nGctoken-Api-Url: ");
		buffer_put_text(b, settings->api_url);
	}
	buffer_put_text(b, "\r\nGctoken-Fingerprint: ");
	buffer_put(b, slot->token.fingerprint, FINGERPRINT_LENGTH);
	buffer_put_text(b, s->stale ? "\r\nGctoken-State: stale" : "\r\nGctoken-State: fresh");
	if (s->token_in != TOKEN_IN_FIELD) {
		buffer_put_text(b, "\r\nContent-Type: ");
		buffer_put_text(b, s->text ? REPLY_TEXT : REPLY_JSON);
	}
	buffer_put_text(b, "\r\nContent-Length: ");
	buffer_put_unsigned(b, body);
	buffer_put_text(b, "\r\n\r\n");
	if (s->token_in != TOKEN_IN_FIELD && !s->text)
		buffer_put_text(b, json);
}

static unsigned escapes_of(const struct token *token)
{
	unsigned count = 0;

	for (size_t i = 0; i < token->length; i++)
		count += token->text[i] == '"' || token->text[i] == '\\';
	return count;
}

/* Brings it up to date, if that takes no more than other digits. */
static bool update(
	struct token_reply_cache *s, const struct reply *r, const struct token_outcome *outcome)
{
	uint64_t ms = expires_ms(outcome);

	return s->made && s->generation == outcome->slot->generation &&
	       s->token_length == outcome->slot->token.length && s->stale == outcome->stale &&
	       s->keep_alive == r->keep_alive && s->idle_s == r->idle_s && s->text == r->text &&
	       s->token_in == r->token_in && place_set(&s->front, &s->expires_ms, ms) &&
	       (!s->numbers_behind || (place_set(&s->behind, &s->expires_s, ms / 1000) &&
					      place_set(&s->behind, &s->refresh_s,
						      (uint64_t)outcome->refresh_in_s)));
}

static void buffer_empty(struct buffer *b)
{
	b->length = 0;
	b->failed = false;
}

/* Whatever it was made for before, its memory is used again. */
static bool make(struct token_reply_cache *s, const struct reply *r,
	const struct profile_settings *settings, const struct token_outcome *outcome)
{
	buffer_empty(&s->front);
	buffer_empty(&s->behind);
	s->keep_alive = r->keep_alive;
	s->idle_s = r->idle_s;
	s->text = r->text;
	s->stale = outcome->stale;
	s->generation = outcome->slot->generation;
	s->token_length = outcome->slot->token.length;
	s->token_in = (uint8_t)r->token_in;
	s->numbers_behind = s->token_in != TOKEN_IN_FIELD && !s->text;
	s->escapes = s->numbers_behind ? escapes_of(&outcome->slot->token) : 0;
	if (s->numbers_behind)
		make_body(s, settings, outcome);
	else if (s->token_in != TOKEN_IN_FIELD)
		buffer_put_char(&s->behind, '\n');
	make_front(s, settings, outcome);
	s->made = !buffer_failed(&s->front) && !buffer_failed(&s->behind) &&
		  s->front.length + s->behind.length <= UINT16_MAX;
	return s->made;
}

static char *put(char *at, const char *bytes, size_t length)
{
	memcpy(at, bytes, length);
	return at + length;
}

static char *put_token(char *at, const struct token *token, unsigned escapes)
{
	if (!escapes)
		return put(at, token->text, token->length);
	for (size_t i = 0; i < token->length; i++) {
		if (token->text[i] == '"' || token->text[i] == '\\')
			*at++ = '\\';
		*at++ = token->text[i];
	}
	return at;
}

void reply_token(const struct reply *r, struct token_reply_cache *s,
	const struct profile_settings *settings, const struct token_outcome *outcome)
{
	const struct token *token = &outcome->slot->token;
	size_t tokens;
	char *at;

	if (!update(s, r, outcome) && !make(s, r, settings, outcome)) {
		r->out->failed = true;
		return;
	}
	tokens = token->length * (s->token_in == TOKEN_IN_BOTH ? 2 : 1) + s->escapes;
	at = buffer_claim(r->out, s->front.length + tokens + s->behind.length);
	if (!at)
		return;
	if (s->field_at) {
		at = put(at, s->front.data, s->field_at);
		at = put_token(at, token, 0);
	}
	at = put(at, s->front.data + s->field_at, s->front.length - s->field_at);
	if (s->token_in == TOKEN_IN_FIELD)
		return;
	at = put_token(at, token, s->escapes);
	put(at, s->behind.data, s->behind.length);
}
