#include "user_names.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static bool is_plain(const char *name)
{
	size_t n = strlen(name);

	return n && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789._-$@\\") == n;
}

/* NULL: there is none. */
static const char *name_of(unsigned long uid)
{
	/* cppcheck-suppress getpwuidCalled ; this program has one thread */
	const struct passwd *p = uid < (uid_t)-1 ? getpwuid((uid_t)uid) : NULL;

	return p && is_plain(p->pw_name) ? p->pw_name : NULL;
}

void user_names_put(const char *text, char *ret, size_t size)
{
	size_t used = 0;
	const char *at, *name;
	char *end;

	*ret = '\0';
	while ((at = strstr(text, "uid ")) && used < size) {
		bool bracketed = at > text && at[-1] == '(';
		bool begins_word = at == text || at[-1] == ' ' || bracketed;
		unsigned long uid;

		errno = 0;
		uid = strtoul(at + 4, &end, 10);
		name = end > at + 4 && !errno && begins_word ? name_of(uid) : NULL;
		used += (size_t)snprintf(ret + used, size - used, "%.*s", (int)(end - text), text);
		if (name && used < size)
			used += (size_t)snprintf(
				ret + used, size - used, bracketed ? ", %s" : " (%s)", name);
		text = end;
	}
	if (used < size)
		snprintf(ret + used, size - used, "%s", text);
}
