#include "fleet_reply.h"

#include "fleet_record.h"
#include "retry.h"

#include <errno.h>
#include <string.h>

#define NUMBER_MAX ((INT64_C(1) << 53) - 1) /* a script counts in doubles */
#define DIGITS_MAX 16
/* What no host asks for: a lie may cost some time, but not for ever. */
#define LEASE_MAX_MS INT64_C(60000)
#define HOLD_MAX_MS (INT64_C(1000) * RETRY_AFTER_CAP_S)
#define US_PER_S 1000000
#define RANK_MAX 1000000

static const struct {
	const char *word;
	enum response_class class;
} classes[] = {
	{"throttled", RESPONSE_THROTTLED},
	{"client_rejected", RESPONSE_CLIENT_REJECTED},
	{"unavailable", RESPONSE_UNAVAILABLE},
};

const char *fleet_class_word(enum response_class class)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
		if (classes[i].class == class)
			return classes[i].word;
	return NULL;
}

/* ---- texts ---- */

struct text {
	const char *bytes;
	size_t length;
};

static bool is_word(struct text t, const char *word)
{
	return t.length == strlen(word) && !memcmp(t.bytes, word, t.length);
}

static bool read_class(struct text t, enum response_class *ret)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
		if (is_word(t, classes[i].word)) {
			*ret = classes[i].class;
			return true;
		}
	return false;
}

/* A decimal number between `least` and `most`, spelled in the one way there is. */
static bool read_number(struct text t, int64_t least, int64_t most, int64_t *ret)
{
	bool negative = t.length > 0 && t.bytes[0] == '-';
	size_t at = negative;
	int64_t value = 0;

	if (t.length == at || t.length - at > DIGITS_MAX)
		return false;
	if (t.bytes[at] == '0' && (negative || t.length > 1))
		return false;
	for (; at < t.length; at++) {
		if (t.bytes[at] < '0' || t.bytes[at] > '9')
			return false;
		value = value * 10 + (t.bytes[at] - '0');
	}
	value = negative ? -value : value;
	if (value < least || value > most)
		return false;
	*ret = value;
	return true;
}

static bool read_generation(struct text t, uint64_t *ret)
{
	int64_t value;

	if (!read_number(t, 1, NUMBER_MAX, &value))
		return false;
	*ret = (uint64_t)value;
	return true;
}

/* What is over already waits no more. */
static bool read_wait(struct text t, struct duration *ret)
{
	int64_t ms;

	if (!read_number(t, -NUMBER_MAX, NUMBER_MAX, &ms))
		return false;
	*ret = duration_ms(ms < 0 ? 0 : ms);
	return true;
}

static bool read_whole(struct text t, int64_t most_ms, struct duration *ret)
{
	int64_t ms;

	if (!read_number(t, 1, most_ms, &ms))
		return false;
	*ret = duration_ms(ms);
	return true;
}

static bool read_id(struct text t, char ret[FLEET_ID_MAX + 1])
{
	if (t.length == 0 || t.length > FLEET_ID_MAX)
		return false;
	for (size_t i = 0; i < t.length; i++)
		if (t.bytes[i] <= ' ' || t.bytes[i] > '~')
			return false;
	memcpy(ret, t.bytes, t.length);
	ret[t.length] = '\0';
	return true;
}

static bool read_sealed(struct text t, struct fleet_stored *ret)
{
	if (t.length == 0 || t.length > FLEET_SEALED_MAX)
		return false;
	ret->sealed = t.bytes;
	ret->sealed_length = t.length;
	return true;
}

/* Generation, t0, left and issued. */
static bool read_dated(const struct text t[4], struct fleet_stored *ret)
{
	return read_generation(t[0], &ret->generation) &&
	       read_number(t[1], 0, NUMBER_MAX, &ret->t0_us) &&
	       read_number(t[2], -NUMBER_MAX, NUMBER_MAX, &ret->left_us) &&
	       read_number(t[3], 1, NUMBER_MAX, &ret->issued_us);
}

/* Cuts off what is in front of the next blank. False: there is none. */
static bool cut(struct text *rest, struct text *ret)
{
	const char *blank = memchr(rest->bytes, ' ', rest->length);

	if (!blank)
		return false;
	*ret = (struct text){rest->bytes, (size_t)(blank - rest->bytes)};
	rest->length -= ret->length + 1;
	rest->bytes = blank + 1;
	return true;
}

/* ---- elements ---- */

/* The texts of an array that has just so many. A nil is read as an empty text, which no field may
 * be. */
static bool take_texts(const struct fleet_element *e, size_t count, struct text *ret)
{
	if (e->type != FLEET_ELEMENT_ARRAY || e->count != count)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct fleet_element *item = &e->items[i];

		if (item->type != FLEET_ELEMENT_TEXT && item->type != FLEET_ELEMENT_NIL)
			return false;
		ret[i] = item->type == FLEET_ELEMENT_TEXT ? (struct text){item->bytes, item->length}
							  : (struct text){"", 0};
	}
	return true;
}

/* "FENCE AT PROOF". */
static bool read_verdict(struct text t, struct fleet_verdict *ret)
{
	struct text fence, at;

	if (!cut(&t, &fence) || !cut(&t, &at) || !read_generation(fence, &ret->fence) ||
		!read_number(at, 0, NUMBER_MAX, &ret->at_us) || t.length != FLEET_PROOF_DIGITS)
		return false;
	for (size_t i = 0; i < t.length; i++)
		if (!memchr("0123456789abcdef", t.bytes[i], 16))
			return false;
	memcpy(ret->proof, t.bytes, t.length);
	ret->proof[t.length] = '\0';
	return true;
}

/* Six of them: generation, t0, left, issued, sealed, rejected. */
static bool read_stored(const struct text *t, struct fleet_stored *ret)
{
	ret->rejected = is_word(t[5], "1");
	return read_dated(t, ret) && read_sealed(t[4], ret) &&
	       (ret->rejected || t[5].length == 0 || is_word(t[5], "0"));
}

int fleet_reply_read(const struct fleet_element *fields, const struct fleet_element *time,
	struct fleet_answer *ret)
{
	struct fleet_answer a = {.word = FLEET_SAYS_RECORD};
	struct text field[7], clock[2];
	bool any = false;
	int64_t s, us;

	if (!take_texts(fields, 7, field) || !take_texts(time, 2, clock))
		return -EPROTO;
	if (!read_number(clock[0], 0, NUMBER_MAX / US_PER_S - 1, &s) ||
		!read_number(clock[1], 0, US_PER_S - 1, &us))
		return -EPROTO;
	a.stamp_us = s * US_PER_S + us;
	for (size_t i = 0; i < 7; i++)
		any |= field[i].length > 0;
	if (any && !read_stored(field, &a.record))
		return -EPROTO;
	if (field[6].length && !read_verdict(field[6], &a.verdict))
		return -EPROTO;
	*ret = a;
	return 0;
}

static bool read_newer(const struct text *t, struct fleet_answer *ret)
{
	return read_stored(t, &ret->record);
}

static bool read_cooldown(const struct text *t, struct fleet_answer *ret)
{
	return read_wait(t[0], &ret->wait);
}

static bool read_hold(const struct text *t, struct fleet_answer *ret)
{
	return read_wait(t[0], &ret->wait) && read_class(t[1], &ret->class) &&
	       read_id(t[2], ret->id.text) && read_whole(t[3], HOLD_MAX_MS, &ret->whole);
}

static bool read_held(const struct text *t, struct fleet_answer *ret)
{
	return read_wait(t[0], &ret->wait) && read_id(t[1], ret->host) &&
	       read_id(t[2], ret->id.text) && read_whole(t[3], LEASE_MAX_MS, &ret->whole);
}

static bool read_granted(const struct text *t, struct fleet_answer *ret)
{
	return read_generation(t[0], &ret->fence);
}

static bool read_accepted(const struct text *t, struct fleet_answer *ret)
{
	return read_verdict(t[0], &ret->verdict);
}

#define OF(operation) (1u << (operation))
#define PUTS (OF(FLEET_PUT) | OF(FLEET_STOP))

static const struct {
	const char *word;
	enum fleet_word says;
	unsigned operations; /* whose answer it can be */
	size_t more;         /* so many texts follow word and clock ... */
	bool (*read)(const struct text *more, struct fleet_answer *ret);
} words[] = {
	{"newer", FLEET_SAYS_NEWER, OF(FLEET_ACQUIRE) | PUTS, 6, read_newer},
	{"cooldown", FLEET_SAYS_COOLDOWN, OF(FLEET_ACQUIRE), 1, read_cooldown},
	{"hold", FLEET_SAYS_HOLD, OF(FLEET_ACQUIRE), 4, read_hold},
	{"held", FLEET_SAYS_HELD, OF(FLEET_ACQUIRE), 4, read_held},
	{"limit", FLEET_SAYS_LIMIT, OF(FLEET_ACQUIRE), 1, read_cooldown},
	{"granted", FLEET_SAYS_GRANTED, OF(FLEET_ACQUIRE) | OF(FLEET_STOP), 1, read_granted},
	{"kept", FLEET_SAYS_KEPT, OF(FLEET_RENEW), 0, NULL},
	{"late", FLEET_SAYS_LATE, OF(FLEET_RENEW) | OF(FLEET_FAIL) | OF(FLEET_ACCEPT), 0, NULL},
	{"put", FLEET_SAYS_PUT, PUTS | OF(FLEET_ACCEPT), 0, NULL},
	{"same", FLEET_SAYS_SAME, OF(FLEET_PUT), 0, NULL},
	{"dead", FLEET_SAYS_DEAD, OF(FLEET_PUT), 0, NULL},
	{"stale", FLEET_SAYS_STALE, OF(FLEET_PUT), 0, NULL},
	{"failed", FLEET_SAYS_FAILED, OF(FLEET_FAIL), 0, NULL},
	{"accepted", FLEET_SAYS_ACCEPTED, OF(FLEET_ACQUIRE), 1, read_accepted},
};

int fleet_reply_script(enum fleet_operation operation, const struct fleet_element *element,
	struct fleet_answer *ret)
{
	struct text t[FLEET_ELEMENTS_MAX];

	if (element->type != FLEET_ELEMENT_ARRAY || element->count < 2 ||
		element->count > FLEET_ELEMENTS_MAX || !take_texts(element, element->count, t))
		return -EPROTO;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		struct fleet_answer a = {.word = words[i].says};

		if (!is_word(t[0], words[i].word))
			continue;
		if (!(words[i].operations & OF(operation)) || element->count != 2 + words[i].more ||
			!read_number(t[1], 0, NUMBER_MAX, &a.stamp_us) ||
			(words[i].read && !words[i].read(t + 2, &a)))
			return -EPROTO;
		*ret = a;
		return 0;
	}
	return -EPROTO;
}

int fleet_reply_permit(const struct fleet_element *element, bool *ret_granted, uint32_t *ret_rank)
{
	struct text t[3];
	bool granted = take_texts(element, 3, t) && is_word(t[0], "permit");
	int64_t stamp, rank = 0;

	if (!granted && !(take_texts(element, 2, t) && is_word(t[0], "none")))
		return -EPROTO;
	if (!read_number(t[1], 0, NUMBER_MAX, &stamp) ||
		(granted && !read_number(t[2], 0, RANK_MAX, &rank)))
		return -EPROTO;
	*ret_granted = granted;
	*ret_rank = (uint32_t)rank;
	return 0;
}

/* ---- messages ---- */

int fleet_reply_message(const char *bytes, size_t length, struct fleet_message *ret)
{
	struct text rest = {bytes, length}, kind, field[4];
	struct fleet_message m = {.failure = false};

	if (!cut(&rest, &kind))
		return -EPROTO;
	if (is_word(kind, "F")) {
		m.failure = true;
		if (!cut(&rest, field) || !read_wait(field[0], &m.hold) ||
			m.hold.ns > HOLD_MAX_MS * NS_PER_MS || !read_class(rest, &m.class))
			return -EPROTO;
	} else {
		for (size_t i = 0; i < 4; i++)
			if (!cut(&rest, &field[i]))
				return -EPROTO;
		if (!is_word(kind, "T") || !read_dated(field, &m.record) ||
			!read_sealed(rest, &m.record))
			return -EPROTO;
	}
	*ret = m;
	return 0;
}
