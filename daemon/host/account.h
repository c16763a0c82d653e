/* The account that the daemon runs under, for root who checks its configuration by hand. */
#ifndef GCTOKEND_HOST_ACCOUNT_H
#define GCTOKEND_HOST_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>

/* The process goes on as the daemon's account, with its groups and no way back: the owner of
 * `state_dir` if that exists, else, where it is the default place, the user gctokend if there is
 * one. Only of root, and only of a program that does nothing else. 0, and `text` says whose eyes it
 * is ("user gctokend (uid 998)"), "" where it goes on as it was; negative errno. */
int account_become(const char *state_dir, char *text, size_t size);

#endif
