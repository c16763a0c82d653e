#include "config_words.h"
#include "access.h"
#include <string.h>

bool config_list_next(const char **list, char *name, size_t size)
{
	const char *from = *list + strspn(*list, ", \t");
	size_t length = strcspn(from, ", \t");

	if (length == 0 || length >= size)
		return false;
	memcpy(name, from, length);
	name[length] = '\0';
	*list = from + length;
	return true;
}

bool id_is_number(const char *name, uint32_t *ret)
{
	uint64_t number = 0;

	if (!*name || name[strspn(name, "0123456789")])
		return false;
	for (; *name && number < ID_NOBODY; name++)
		number = number * 10 + (uint64_t)(*name - '0');
	*ret = number < ID_NOBODY ? (uint32_t)number : ID_NOBODY;
	return true;
}

static const char *name_problem(const char *name)
{
	uint32_t id;

	if (id_is_number(name, &id) && id == ID_NOBODY)
		return "has a number that is too large for a user or group";
	return strpbrk(name, "*:/;\"'") ? "is not a list of names" : NULL;
}

static const char *unit_problem(const char *unit)
{
	static const char *const suffixes[] = {
		".service", ".scope"}; /* processes run in no other */
	size_t length = strlen(unit);

	if (strspn(unit, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.\\@-") !=
		length)
		return "is not a list of unit names";
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		size_t suffix = strlen(suffixes[i]);

		if (length > suffix && strcmp(unit + length - suffix, suffixes[i]) == 0)
			return NULL;
	}
	return "names a unit that is neither a .service nor a .scope";
}

/* `one_problem`: what is wrong with one of its names. */
static const char *list_problem(
	const char *list, bool star_allowed, const char *(*one_problem)(const char *name))
{
	char name[CONFIG_NAME_MAX + 1];
	const char *at = list;
	size_t names = 0;
	bool star = false;

	while (config_list_next(&at, name, sizeof(name))) {
		const char *problem = NULL;

		names++;
		if (strcmp(name, "*") != 0)
			problem = one_problem(name);
		else if (star_allowed)
			star = true;
		else
			problem = "cannot be *; for everybody write allow_users = *";
		if (problem)
			return problem; /* cppcheck-suppress returnDanglingLifetime ; a literal */
	}
	if (at[strspn(at, ", \t")])
		return "has a name that is too long";
	if (names == 0)
		return "is not a list of names";
	if (star && names > 1)
		return "has names besides the *";
	return NULL;
}

const char *users_problem(const char *list)
{
	return list_problem(list, true, name_problem);
}

const char *groups_problem(const char *list)
{
	return list_problem(list, false, name_problem);
}

const char *units_problem(const char *list)
{
	return list_problem(list, false, unit_problem);
}

const char *scope_problem(const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c == ' ' ? c[1] == ' ' : (*c < 0x21 || *c > 0x7e || *c == '"' || *c == '\\'))
			return "is not a list of scopes";
	}
	return NULL;
}

/* What the daemon writes itself, and what is a secret. RFC 6749 section 3.2: no parameter twice. */
static bool parameter_reserved(const char *name, size_t length)
{
	static const char *const reserved[] = {"grant_type", "client_id", "client_secret", "scope",
		"code", "code_verifier", "redirect_uri", "refresh_token", "username", "password",
		"assertion", "client_assertion"};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		if (strlen(reserved[i]) == length && memcmp(name, reserved[i], length) == 0)
			return true;
	}
	return false;
}

static bool parameter_seen(const char *from, const char *to, size_t length)
{
	for (const char *at = from; at < to; at = strchr(at, '&') + 1) {
		if (strncmp(at, to, length) == 0 && at[length] == '=')
			return true;
	}
	return false;
}

static bool form_encoded(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || strchr("*-._+~", c);

		if (c == '%' && length - i > 2 &&
			strspn(text + i + 1, "0123456789abcdefABCDEF") >= 2)
			i += 2;
		else if (!plain)
			return false;
	}
	return true;
}

const char *parameters_problem(const char *text)
{
	const char *at = text;

	for (;;) {
		size_t pair = strcspn(at, "&");
		size_t name = strcspn(at, "=&");

		if (name == 0 || name >= pair)
			return "has a part that is not NAME=VALUE";
		if (!form_encoded(at, name) || !form_encoded(at + name + 1, pair - name - 1))
			return "is not form-encoded (%XX for special characters)";
		/* An escape could spell a reserved name in another way. */
		if (memchr(at, '%', name))
			return "has a name with %XX in it";
		if (parameter_reserved(at, name))
			return "sets a parameter that has a key of its own or is a secret";
		if (parameter_seen(text, at, name))
			return "sets a parameter twice";
		if (!at[pair])
			return NULL;
		at += pair + 1;
	}
}
