/* Users and groups by name, as the system's name service knows them. It may take seconds (LDAP
 * whose server is gone), or fail for a while: name_table.h is for those who must not wait. */
#ifndef GCTOKEND_HOST_NAME_LOOKUP_H
#define GCTOKEND_HOST_NAME_LOOKUP_H

#include <stdint.h>

enum name_kind {
	NAME_USER,
	NAME_GROUP,
};

/* Asks now, and blocks. 0 and the uid or gid; -ENOENT: there is none of that name; other negative
 * errno: it could not be found out. In whichever thread. */
int name_look_up(enum name_kind kind, const char *name, uint32_t *ret);

#endif
