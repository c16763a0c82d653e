#include "name_lookup.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>

#define BUFFER_MAX (1024 * 1024)

/* 0 without an entry is how the *_r functions say that there is none of that name; some errors mean
 * it as well. */
static int lookup_error(int error, bool found)
{
	if (error == 0 && found)
		return 0;
	if (error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM)
		return -ENOENT;
	return -error;
}

static int look_up(enum name_kind kind, const char *name, char *buffer, size_t size, uint32_t *ret)
{
	struct passwd user, *found_user = NULL;
	struct group group, *found_group = NULL;
	int error;

	if (kind == NAME_USER) {
		error = getpwnam_r(name, &user, buffer, size, &found_user);
		if (!error && found_user)
			*ret = user.pw_uid;
	} else {
		error = getgrnam_r(name, &group, buffer, size, &found_group);
		if (!error && found_group)
			*ret = group.gr_gid;
	}
	return error == ERANGE ? -ERANGE : lookup_error(error, found_user || found_group);
}

int name_look_up(enum name_kind kind, const char *name, uint32_t *ret)
{
	char *buffer = NULL;
	int error = -ERANGE;

	/* They say ERANGE until the buffer is large enough: a group may have many members. */
	for (size_t size = 1024; error == -ERANGE && size <= BUFFER_MAX; size *= 2) {
		free(buffer);
		buffer = malloc(size);
		error = buffer ? look_up(kind, name, buffer, size, ret) : -ENOMEM;
	}
	free(buffer);
	return error;
}
