/* The login's file. */
#ifndef GCTOKEND_BROKER_LOGIN_FILE_H
#define GCTOKEND_BROKER_LOGIN_FILE_H

#include <stddef.h>
#include <stdint.h>

struct broker;
struct broker_settings;
struct login;
struct login_eraser;
struct profile_view;

/* The key for the files, by the settings of a configuration that has logins, unless it was read
 * before. Blocks. 0, also if the daemon's own cannot be had: then logins are kept in memory only;
 * negative errno and the problem where it is the configured one. */
int login_get_key(struct broker *b, const struct broker_settings *settings, char *problem,
	size_t problem_size);
void login_forget_key(struct broker *b);
/* What an earlier run left. 0; -ENOMEM. */
int login_load(struct login *l);
void login_unload(struct login *l);
/* Begins to store what there is: the refresh token, or that there is none; l->written follows.
 * Returns the number of the write, 0 if it could not be begun. */
uint64_t login_store(struct login *l);
/* Begins to remove it; until that has ended it is one thing more that is pending for `e`. */
void login_erase(struct login *l, struct login_eraser *e);
/* Begins to read the file anew; l->read follows. 0 or negative errno. */
int login_begin_reading(struct login *l);

/* What is told of it besides the token. NULL is a client that nobody logs in to. */
void login_report(const struct login *l, struct profile_view *ret);

#endif
