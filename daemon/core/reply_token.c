#include "reply_token.h"

#include "config.h"
#include "reply.h"
#include "token_ask.h"

#include <string.h>

/* Before each of these, but the first, something goes that is not constant. */
enum part {
	HEAD,          /* up to the value of Gctoken-Expires-In-Ms */
	AUTHORIZATION, /* up to the token in its field, where there is one */
	MORE_HEAD,     /* up to the value of Content-Length */
	BEFORE_TOKEN,  /* the end of the header, and the body up to the token */
	BEHIND_TOKEN,  /* up to the value of expires_in; as text the end */
	BEHIND_EXPIRES /* `,"refresh_in":`; behind that value comes what is left */
};

void token_reply_cache_drop(struct token_reply_cache *s)
{
	s->made = false;
}

void token_reply_cache_fini(struct token_reply_cache *s)
{
	buffer_fini(&s->parts);
	*s = (struct token_reply_cache){0};
}

static void part_ends(struct token_reply_cache *s, enum part part)
{
	s->ends[part] = (uint16_t)s->parts.length;
}

static void put_member(struct buffer *b, const char *name, const char *text)
{
	buffer_put_text(b, name);
	buffer_put_json(b, text);
}

static void make_head(struct token_reply_cache *s, const struct profile_settings *settings,
	const struct token_slot *slot)
{
	struct buffer *b = &s->parts;

	reply_head(
		&(struct reply){.out = b, .keep_alive = s->keep_alive, .idle_s = s->idle_s}, 200);
	buffer_put_text(b, "Gctoken-Generation: ");
	buffer_put_unsigned(b, slot->generation);
	buffer_put_text(b, "\r\nGctoken-Expires-In-Ms: ");
	part_ends(s, HEAD);
	if (s->token_in != TOKEN_IN_BODY)
		buffer_put_text(b, "\r\nAuthorization: Bearer ");
	part_ends(s, AUTHORIZATION);
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
	part_ends(s, MORE_HEAD);
	buffer_put_text(b, "\r\n\r\n");
}

static void make_json(struct token_reply_cache *s, const struct profile_settings *settings,
	const struct token_slot *slot)
{
	struct buffer *b = &s->parts;

	buffer_put_text(b, "{\"access_token\":\"");
	part_ends(s, BEFORE_TOKEN);
	buffer_put_text(b, "\",\"token_type\":\"Bearer\",\"expires_in\":");
	part_ends(s, BEHIND_TOKEN);
	buffer_put_text(b, ",\"refresh_in\":");
	part_ends(s, BEHIND_EXPIRES);
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

static void make_text(struct token_reply_cache *s)
{
	part_ends(s, BEFORE_TOKEN);
	buffer_put_char(&s->parts, '\n');
	part_ends(s, BEHIND_TOKEN);
	part_ends(s, BEHIND_EXPIRES);
}

static uint16_t escapes_of(const struct token *token)
{
	unsigned count = 0;

	for (size_t i = 0; i < token->length; i++)
		count += token->text[i] == '"' || token->text[i] == '\\';
	return (uint16_t)count;
}

static bool fits(const struct token_reply_cache *s, const struct reply *r,
	const struct token_outcome *outcome)
{
	return s->made && s->generation == outcome->slot->generation &&
	       s->stale == outcome->stale && s->keep_alive == r->keep_alive &&
	       s->idle_s == r->idle_s && s->text == r->text && s->token_in == r->token_in;
}

/* Whatever it was made for before, its memory is used again. */
static bool make(struct token_reply_cache *s, const struct reply *r,
	const struct profile_settings *settings, const struct token_outcome *outcome)
{
	const size_t end_of_header = 4; /* of BEFORE_TOKEN */

	s->parts.length = 0;
	s->parts.failed = false;
	s->keep_alive = r->keep_alive;
	s->idle_s = r->idle_s;
	s->text = r->text;
	s->token_in = (uint8_t)r->token_in;
	s->stale = outcome->stale;
	s->generation = outcome->slot->generation;
	s->escapes = s->text ? 0 : escapes_of(&outcome->slot->token);
	make_head(s, settings, outcome->slot);
	if (s->token_in == TOKEN_IN_FIELD)
		part_ends(s, BEFORE_TOKEN);
	else if (s->text)
		make_text(s);
	else
		make_json(s, settings, outcome->slot);
	s->body_length = (uint16_t)(s->parts.length - s->ends[MORE_HEAD] - end_of_header);
	s->made = !buffer_failed(&s->parts) && s->parts.length <= UINT16_MAX;
	return s->made;
}

struct number {
	char text[20];
	size_t from; /* its digits are at the end */
};

static size_t number_set(struct number *n, uint64_t value)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930"
				    "31323334353637383940414243444546474849505152535455565758596061"
				    "62636465666768697071727374757677787980818283848586878889909192"
				    "93949596979899";

	n->from = sizeof(n->text);
	while (value >= 10) {
		n->from -= 2;
		memcpy(n->text + n->from, pairs + value % 100 * 2, 2);
		value /= 100;
	}
	if (value || n->from == sizeof(n->text))
		n->text[--n->from] = (char)('0' + value);
	return sizeof(n->text) - n->from;
}

static char *put(char *at, const char *bytes, size_t length)
{
	memcpy(at, bytes, length);
	return at + length;
}

static char *put_number(char *at, const struct number *n)
{
	return put(at, n->text + n->from, sizeof(n->text) - n->from);
}

static char *put_part(char *at, const struct token_reply_cache *s, enum part part)
{
	size_t from = part ? s->ends[part - 1] : 0;

	return put(at, s->parts.data + from, s->ends[part] - from);
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
	struct number expires_ms, expires_s, refresh_s, body;
	bool in_body = r->token_in != TOKEN_IN_FIELD, in_field = r->token_in != TOKEN_IN_BODY;
	size_t length = 0;
	char *at;

	if (!fits(s, r, outcome) && !make(s, r, settings, outcome)) {
		r->out->failed = true;
		return;
	}
	if (in_body)
		length = s->body_length + token->length + s->escapes;
	if (in_body && !s->text) {
		length += number_set(&expires_s, (uint64_t)(outcome->expires_in.ns / NS_PER_S));
		length += number_set(&refresh_s, (uint64_t)outcome->refresh_in_s);
	}
	length += s->parts.length - s->body_length + number_set(&body, length);
	length += in_field ? token->length : 0;
	length += number_set(&expires_ms, (uint64_t)(outcome->expires_in.ns / NS_PER_MS));
	at = buffer_claim(r->out, length);
	if (!at)
		return;
	at = put_part(at, s, HEAD);
	at = put_number(at, &expires_ms);
	if (in_field)
		at = put_token(put_part(at, s, AUTHORIZATION), token, 0);
	at = put_part(at, s, MORE_HEAD);
	at = put_number(at, &body);
	at = put_part(at, s, BEFORE_TOKEN);
	if (!in_body)
		return;
	at = put_token(at, token, s->escapes);
	at = put_part(at, s, BEHIND_TOKEN);
	if (s->text)
		return;
	at = put_number(at, &expires_s);
	at = put_part(at, s, BEHIND_EXPIRES);
	at = put_number(at, &refresh_s);
	put(at, s->parts.data + s->ends[BEHIND_EXPIRES], s->parts.length - s->ends[BEHIND_EXPIRES]);
}
