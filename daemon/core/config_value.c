#include "config_value.h"
#include "config_problems.h"
#include "config_url.h"
#include "config_words.h"
#include "regions.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

static const struct {
	const char *name;
	int level;
} levels[] = {
	{"err", LOG_ERR},
	{"warning", LOG_WARNING},
	{"notice", LOG_NOTICE},
	{"info", LOG_INFO},
	{"debug", LOG_DEBUG},
};

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

static const char *read_duration(
	const struct config_key *key, const char *text, struct duration *ret)
{
	int64_t number = 0, ns;
	const char *rest = text;
	enum digits digits = read_digits(text, &number, &rest);

	if (digits == DIGITS_NONE)
		return "is not a duration";
	if (*rest == '\0')
		return "has no unit";
	for (const struct duration_unit *unit = duration_units; unit->name; unit++) {
		if (strcmp(rest, unit->name) != 0)
			continue;
		if (digits == DIGITS_OVERFLOW || __builtin_mul_overflow(number, unit->ns, &ns) ||
			ns > key->max)
			return "is too long";
		if (ns < key->min)
			return "is too short";
		*ret = duration_ns(ns);
		return NULL;
	}
	return "is not a whole number with a unit";
}

static const char *read_count(const struct config_key *key, const char *text, uint32_t *ret)
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
	*ret = (uint32_t)number;
	return NULL;
}

static const char *read_mode(const char *text, mode_t *ret)
{
	size_t length = strlen(text);
	mode_t mode = 0;

	if (length < 3 || length > 4 || strspn(text, "01234567") != length ||
		(length == 4 && text[0] != '0'))
		return "is not an octal mode";
	for (; *text; text++)
		mode = mode * 8 + (mode_t)(*text - '0');
	if ((mode & 0600) != 0600)
		return "shuts the daemon's own user out";
	*ret = mode;
	return NULL;
}

static const char *read_log_level(const char *text, int *ret)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(text, levels[i].name) == 0) {
			*ret = levels[i].level;
			return NULL;
		}
	}
	return "is not a log level";
}

static const char *path_problem(const char *path, size_t max)
{
	if (path[0] != '/')
		return "is not an absolute path";
	if (strlen(path) > max)
		return "is too long";
	return NULL;
}

static const char *region_problem(const char *text)
{
	return region_find(text)
		       ? NULL
		       : "is not a region in the table; for another domain use environment";
}

static const char *environment_problem(const char *text)
{
	static const char *const hosts[] = {"login.", "api.", "apps."};

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		size_t length = strlen(hosts[i]);

		if (strncasecmp(text, hosts[i], length) == 0 && domain_valid(text + length))
			return "is a host; leave its first part out";
	}
	if (domain_valid(text))
		return NULL;
	return region_find(text) ? "is a region's name; use region for it" : "is not a domain";
}

static const char *grant_problem(const char *text, enum grant *ret)
{
	if (strcmp(text, "client_credentials") == 0) {
		*ret = GRANT_CLIENT_CREDENTIALS;
		return NULL;
	}
	if (strcmp(text, "authorization_code") == 0) {
		*ret = GRANT_AUTHORIZATION_CODE;
		return NULL;
	}
	return "is not a grant that is known";
}

static const char *client_id_problem(const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c < 0x21 || *c > 0x7e)
			return "holds a space or a byte that is not printable ASCII";
	}
	return strlen(text) > CONFIG_NAME_MAX ? "is too long" : NULL;
}

static const char *credential_problem(const char *text)
{
	size_t length = strlen(text);

	if (text[0] == '.' || length > CONFIG_NAME_MAX ||
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
			length)
		return "is not the name of a credential";
	return NULL;
}

static bool is_url(enum config_type type)
{
	return type == CONFIG_URL || type == CONFIG_BASE_URL || type == CONFIG_PROXY ||
	       type == CONFIG_REDIRECT_URI;
}

/* True where the value may be repeated in a message. */
static bool value_shown(enum config_type type)
{
	switch (type) {
	case CONFIG_PATH: /* people put the secret where its file's name belongs */
	case CONFIG_URL:  /* and passwords into these */
	case CONFIG_BASE_URL:
	case CONFIG_PROXY:
	case CONFIG_REDIRECT_URI:
	case CONFIG_PARAMETERS:
	case CONFIG_CLIENT_ID: /* people swap id and secret */
	case CONFIG_CREDENTIAL:
		return false;
	default:
		return true;
	}
}

static const char *value_read(
	const struct config_key *key, const char *text, struct config_value *value)
{
	switch (key->type) {
	case CONFIG_PATH:
		return path_problem(text, 4095);
	case CONFIG_SOCKET_PATH:
		if (text[strlen(text) - 1] == '/')
			return "ends in a slash";
		return path_problem(text, CONFIG_SOCKET_PATH_MAX);
	case CONFIG_MODE:
		return read_mode(text, &value->mode);
	case CONFIG_GROUP:
		return strpbrk(text, "*:/, \t") ? "is not the name of a group" : NULL;
	case CONFIG_USERS:
	case CONFIG_GROUPS:
	case CONFIG_UNITS:
		return list_problem(key->type, text);
	case CONFIG_COUNT:
		return read_count(key, text, &value->count);
	case CONFIG_DURATION_OR_AUTO:
		value->automatic = strcmp(text, "auto") == 0;
		return value->automatic ? NULL : read_duration(key, text, &value->duration);
	case CONFIG_DURATION:
		return read_duration(key, text, &value->duration);
	case CONFIG_YES_NO:
		value->flag = strcmp(text, "yes") == 0;
		return value->flag || strcmp(text, "no") == 0 ? NULL : "is neither yes nor no";
	case CONFIG_LOG_LEVEL:
		return read_log_level(text, &value->log_level);
	case CONFIG_GRANT:
		return grant_problem(text, &value->grant);
	case CONFIG_REGION:
		return region_problem(text);
	case CONFIG_ENVIRONMENT:
		return environment_problem(text);
	case CONFIG_URL:
		return url_problem(text, URL_HTTPS);
	case CONFIG_BASE_URL:
		return url_problem(text, URL_BASE);
	case CONFIG_PROXY:
		return url_problem(text, URL_PROXY);
	case CONFIG_REDIRECT_URI:
		return url_problem(text, URL_REDIRECT);
	case CONFIG_CLIENT_ID:
		return client_id_problem(text);
	case CONFIG_CREDENTIAL:
		return credential_problem(text);
	case CONFIG_SCOPE:
		return scope_problem(text);
	case CONFIG_PARAMETERS:
		return parameters_problem(text);
	}
	return "has no type";
}

bool config_value_read(const struct config_key *key, const char *text, struct config_value *ret,
	char *problem, size_t problem_size)
{
	struct config_value value = {0};
	const char *wrong = value_read(key, text, &value);
	char allowed[256], quoted[80] = "the value";

	if (!wrong) {
		*ret = value;
		return true;
	}
	config_key_allowed(key, allowed, sizeof(allowed));
	if (value_shown(key->type))
		config_quote(quoted, sizeof(quoted), text);
	snprintf(problem, problem_size, "%s%s %s; allowed: %s", quoted,
		is_url(key->type) ? " is refused:" : "", wrong, allowed);
	return false;
}
