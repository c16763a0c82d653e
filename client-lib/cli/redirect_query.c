#include "redirect_query.h"

#include "core/text.h"

#include <string.h>

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}

/* The same time for any two texts of one length: a state is guessed whole or not at all. */
static bool same_secret(const char *a, const char *b)
{
	size_t length = strlen(a), i;
	unsigned char differ = 0;

	if (strlen(b) != length)
		return false;
	for (i = 0; i < length; i++)
		differ |= (unsigned char)(a[i] ^ b[i]);
	return !differ;
}

struct parameter {
	const char *name;
	char *value;
	size_t size;
	bool needed; /* one that is not right spoils the whole */
	bool seen;
};

/* Those that are not in the table are for somebody else. */
static bool take_parameters(struct redirect_span query, struct parameter *parameters, size_t count)
{
	while (query.length) {
		const char *ampersand = memchr(query.at, '&', query.length);
		size_t pair = ampersand ? (size_t)(ampersand - query.at) : query.length;
		const char *equals = memchr(query.at, '=', pair);
		size_t name = equals ? (size_t)(equals - query.at) : pair, i;

		for (i = 0; i < count; i++) {
			struct parameter *p = &parameters[i];

			if (!equals || name != strlen(p->name) ||
				memcmp(query.at, p->name, name) != 0)
				continue;
			if (p->seen ||
				!percent_read(equals + 1, pair - name - 1, p->value, p->size)) {
				if (p->needed)
					return false;
				*p->value = '\0';
			}
			p->seen = true;
		}
		if (ampersand)
			pair++;
		query.at += pair;
		query.length -= pair;
	}
	return true;
}

int redirect_query_read(
	struct redirect_span query, const char *state, struct redirect_response *ret)
{
	struct redirect_response r = {.code = ""};
	char its_state[257] = "";
	struct parameter parameters[] = {
		{"code", r.code, sizeof(r.code), true, false},
		{"state", its_state, sizeof(its_state), true, false},
		{"iss", r.iss, sizeof(r.iss), true, false},
		{"error", r.error, sizeof(r.error), true, false},
		{"error_description", r.description, sizeof(r.description), false, false},
	};
	int verdict = 0;

	if (!take_parameters(query, parameters, sizeof(parameters) / sizeof(parameters[0])) ||
		!*r.code == !*r.error || !is_printable(r.code) || !is_printable(r.iss) ||
		!is_printable(r.error))
		verdict = REDIRECT_OTHER;
	else if (!same_secret(its_state, state))
		verdict = REDIRECT_WRONG_STATE;
	else
		*ret = r;
	redirect_response_wipe(&r);
	return verdict;
}

void redirect_response_wipe(struct redirect_response *r)
{
	explicit_bzero(r, sizeof(*r));
}
