#include "config_value.h"
#include "config.h"
#include "config_keys.h"
#include "config_problems.h"
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int64_t ns;
} duration_units[] = {
	/* From the largest down. */
	{"d", INT64_C(86400) * NS_PER_S},
	{"h", INT64_C(3600) * NS_PER_S},
	{"min", INT64_C(60) * NS_PER_S},
	{"s", NS_PER_S},
	{"ms", NS_PER_MS},
};

#define UNIT_COUNT (sizeof(duration_units) / sizeof(duration_units[0]))

enum digits {
	DIGITS_READ,
	DIGITS_NONE,
	DIGITS_OVERFLOW,
};

/* Not strtoll, which takes signs and white space. *ret_rest: what follows the digits. */
static enum digits read_digits(const char *text, int64_t *ret, const char **ret_rest)
{
	int64_t value = 0;
	bool overflow = false;
	const char *at = text;

	for (; *at >= '0' && *at <= '9'; at++) {
		overflow = overflow || __builtin_mul_overflow(value, 10, &value) ||
			   __builtin_add_overflow(value, *at - '0', &value);
	}
	if (at == text)
		return DIGITS_NONE;
	*ret = value;
	*ret_rest = at;
	return overflow ? DIGITS_OVERFLOW : DIGITS_READ;
}

const char *count_read(const struct config_key *key, const char *text, void *ret)
{
	int64_t number = 0;
	const char *rest = text;
	enum digits digits = read_digits(text, &number, &rest);

	if (digits == DIGITS_NONE || *rest)
		return "is not a whole number";
	if (digits == DIGITS_OVERFLOW || number > key->max)
		return "is too large";
	if (number < key->min)
		return "is too small";
	*(uint32_t *)ret = (uint32_t)number;
	return NULL;
}

const char *duration_read(const struct config_key *key, const char *text, void *ret)
{
	int64_t number = 0, ns;
	const char *rest = text;
	enum digits digits = read_digits(text, &number, &rest);

	if (digits == DIGITS_NONE)
		return "is not a duration";
	if (*rest == '\0')
		return "has no unit";
	for (size_t i = 0; i < UNIT_COUNT; i++) {
		if (strcmp(rest, duration_units[i].name) != 0)
			continue;
		if (digits == DIGITS_OVERFLOW ||
			__builtin_mul_overflow(number, duration_units[i].ns, &ns) || ns > key->max)
			return "is too long";
		if (ns < key->min)
			return "is too short";
		*(struct duration *)ret = duration_ns(ns);
		return NULL;
	}
	return "is not a whole number with a unit";
}

const char *duration_or_auto_read(const struct config_key *key, const char *text, void *ret)
{
	struct duration_or_auto *value = ret;

	value->automatic = strcmp(text, "auto") == 0;
	return value->automatic ? NULL : duration_read(key, text, &value->duration);
}

const char *count_or_auto_read(const struct config_key *key, const char *text, void *ret)
{
	if (strcmp(text, "auto") != 0)
		return count_read(key, text, ret);
	*(uint32_t *)ret = 0;
	return NULL;
}

const char *count_or_all_read(const struct config_key *key, const char *text, void *ret)
{
	if (strcmp(text, "all") != 0)
		return count_read(key, text, ret);
	*(uint32_t *)ret = COUNT_ALL;
	return NULL;
}

const char *word_read(const struct config_key *key, const char *text, void *ret)
{
	for (const struct config_word *w = key->type->words; w->word; w++) {
		if (strcmp(text, w->word) == 0) {
			*(int *)ret = w->value;
			return NULL;
		}
	}
	return key->type->not_a_word;
}

void count_show(int64_t count, char *text, size_t size)
{
	snprintf(text, size, "%lld", (long long)count);
}

void duration_show(int64_t ns, char *text, size_t size)
{
	for (size_t i = 0; i < UNIT_COUNT; i++) {
		if (ns >= duration_units[i].ns && ns % duration_units[i].ns == 0) {
			snprintf(text, size, "%lld%s", (long long)(ns / duration_units[i].ns),
				duration_units[i].name);
			return;
		}
	}
	snprintf(text, size, ns == 0 ? "0s" : "%lldns", (long long)ns);
}

static void show_words(const struct config_word *words, char *text, size_t size)
{
	size_t length = 0;

	for (const struct config_word *w = words; w->word && length < size; w++)
		length += (size_t)snprintf(text + length, size - length, "%s%s",
			w == words  ? ""
			: w[1].word ? ", "
				    : " or ",
			w->word);
}

void config_value_allowed(const struct config_key *key, char *text, size_t size)
{
	const struct config_type *type = key->type;
	char min[32], max[32];

	if (!type->allowed) {
		show_words(type->words, text, size);
	} else if (!type->show_limit) {
		snprintf(text, size, "%s", type->allowed);
	} else {
		type->show_limit(key->min, min, sizeof(min));
		type->show_limit(key->max, max, sizeof(max));
		snprintf(text, size, "%s from %s to %s", type->allowed, min, max);
	}
}

bool config_value_read(const struct config_key *key, const char *text, union config_value *ret,
	char *problem, size_t problem_size)
{
	const struct config_type *type = key->type;
	const char *wrong = type->check ? type->check(text) : type->read(key, text, ret);
	char allowed[256], quoted[80] = "the value";

	if (!wrong)
		return true;
	config_value_allowed(key, allowed, sizeof(allowed));
	if (!type->hidden)
		config_quote(quoted, sizeof(quoted), text);
	snprintf(problem, problem_size, "%s%s %s; allowed: %s", quoted,
		type->sentence ? " is refused:" : "", wrong, allowed);
	return false;
}
