/* What a store answers. The first byte says to which operation ('m' is a message on the channel),
 * the rest is RESP as the store sends it; for 'r' two answers in a row. What cannot be parsed is
 * cut off where it breaks: the reader has to refuse what it left. */
#include "core/fleet_reply.h"

#include "core/fleet_record.h"
#include "fuzz.h"

#define DEPTH_MAX 3
#define ITEMS_MAX 16
#define POOL 256

static struct fleet_element pool[POOL];
static size_t used;

static bool line(const char **at, const char *end, const char **ret, size_t *ret_length)
{
	const char *stop = memchr(*at, '\n', (size_t)(end - *at));

	if (!stop || stop == *at)
		return false;
	*ret = *at;
	*ret_length = (size_t)(stop - *at) - (stop[-1] == '\r');
	*at = stop + 1;
	return true;
}

static int64_t number(const char *text, size_t length)
{
	char digits[24] = "";

	memcpy(digits, text, length < sizeof(digits) ? length : sizeof(digits) - 1);
	return strtoll(digits, NULL, 10);
}

static struct fleet_element parse(const char **at, const char *end, int depth)
{
	struct fleet_element e = {.type = FLEET_ELEMENT_NIL};
	const char *text;
	size_t length;
	int64_t n;

	if (!line(at, end, &text, &length) || !length)
		return e;
	n = number(text + 1, length - 1);
	e.bytes = text + 1;
	e.length = length - 1;
	switch (text[0]) {
	case '+':
		e.type = FLEET_ELEMENT_TEXT;
		break;
	case '-':
		e.type = FLEET_ELEMENT_ERROR;
		break;
	case ':':
		e.type = FLEET_ELEMENT_INTEGER;
		e.integer = n;
		break;
	case '$':
		if (n < 0 || n > end - *at)
			break;
		e.type = FLEET_ELEMENT_TEXT;
		e.bytes = *at;
		e.length = (size_t)n;
		*at += n;
		while (*at < end && (**at == '\r' || **at == '\n'))
			++*at;
		break;
	case '*':
		if (n < 0 || n > ITEMS_MAX || depth == DEPTH_MAX || used + (size_t)n > POOL)
			break;
		e = (struct fleet_element){
			.type = FLEET_ELEMENT_ARRAY, .items = &pool[used], .count = (size_t)n};
		used += (size_t)n;
		for (int64_t i = 0; i < n; i++)
			pool[(size_t)(e.items - pool) + (size_t)i] = parse(at, end, depth + 1);
		break;
	}
	return e;
}

static void check_stored(const struct fleet_stored *s, const char *data, size_t size)
{
	CHECK(s->generation > 0 && s->generation <= FLEET_GENERATION_MAX);
	CHECK(s->t0_us >= 0 && s->issued_us > 0);
	CHECK(s->sealed_length > 0 && s->sealed_length <= FLEET_SEALED_MAX);
	CHECK(s->sealed >= data && s->sealed + s->sealed_length <= data + size);
}

static void check_verdict(const struct fleet_verdict *v)
{
	CHECK(v->fence > 0 && v->fence <= FLEET_GENERATION_MAX && v->at_us >= 0);
	CHECK(strspn(v->proof, "0123456789abcdef") == FLEET_PROOF_DIGITS);
	CHECK(strlen(v->proof) == FLEET_PROOF_DIGITS);
}

static void check_answer(const struct fleet_answer *a, const char *data, size_t size)
{
	CHECK(a->stamp_us >= 0);
	CHECK(a->wait.ns >= 0);
	switch (a->word) {
	case FLEET_SAYS_RECORD:
		if (a->record.generation)
			check_stored(&a->record, data, size);
		if (a->verdict.fence)
			check_verdict(&a->verdict);
		CHECK(a->record.generation || !a->verdict.fence);
		break;
	case FLEET_SAYS_NEWER:
		check_stored(&a->record, data, size);
		break;
	case FLEET_SAYS_HOLD:
		CHECK(fleet_class_word(a->class));
		CHECK(a->whole.ns > 0 && *a->id.text && fuzz_printable(a->id.text));
		break;
	case FLEET_SAYS_HELD:
		CHECK(a->whole.ns > 0 && *a->id.text && fuzz_printable(a->id.text));
		CHECK(*a->host && fuzz_printable(a->host));
		break;
	case FLEET_SAYS_GRANTED:
		CHECK(a->fence > 0 && a->fence <= FLEET_GENERATION_MAX);
		break;
	case FLEET_SAYS_ACCEPTED:
		check_verdict(&a->verdict);
		break;
	case FLEET_SAYS_COOLDOWN:
	case FLEET_SAYS_LIMIT:
	case FLEET_SAYS_KEPT:
	case FLEET_SAYS_LATE:
	case FLEET_SAYS_PUT:
	case FLEET_SAYS_SAME:
	case FLEET_SAYS_DEAD:
	case FLEET_SAYS_STALE:
	case FLEET_SAYS_FAILED:
		break;
	}
}

static void check_message(const char *data, size_t size)
{
	struct fleet_message m;

	if (fleet_reply_message(data, size, &m) != 0)
		return;
	if (m.failure)
		CHECK(m.hold.ns >= 0 && fleet_class_word(m.class));
	else
		check_stored(&m.record, data, size);
}

static void check_script(char kind, const char *data, size_t size)
{
	static const char kinds[] = "rakpfsc"; /* in the order of enum fleet_operation */
	const char *at = data, *which = strchr(kinds, kind);
	struct fleet_element first, second;
	struct fleet_answer a, untouched;
	int r;

	if (!which || !kind)
		return;
	used = 0;
	memset(&a, 0xa5, sizeof(a));
	memset(&untouched, 0xa5, sizeof(untouched));
	first = parse(&at, data + size, 0);
	if (kind == 'r') {
		second = parse(&at, data + size, 0);
		r = fleet_reply_read(&first, &second, &a);
	} else {
		r = fleet_reply_script((enum fleet_operation)(which - kinds), &first, &a);
	}
	CHECK(r == 0 || !memcmp(&a, &untouched, sizeof(a)));
	if (r == 0)
		check_answer(&a, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;

	if (!size)
		return 0;
	copy = fuzz_copy(data + 1, size - 1);
	if (data[0] == 'm')
		check_message(copy, size - 1);
	else
		check_script((char)data[0], copy, size - 1);
	free(copy);
	return 0;
}
