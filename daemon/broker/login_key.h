/* The key that seals the files of logins. */
#ifndef GCTOKEND_BROKER_LOGIN_KEY_H
#define GCTOKEND_BROKER_LOGIN_KEY_H

#include <stdbool.h>
#include <stddef.h>

struct broker;
struct broker_settings;

/* Reads it into b->state_key, as the settings of a configuration that has logins say, unless it was
 * read before. The daemon's own is made if there was none in the directory when it was first looked
 * for. Blocks. 0, also if the daemon's own cannot be had: then logins are kept in memory
 * only. Negative errno with the problem if it is a configured one. */
int login_key_get(struct broker *b, const struct broker_settings *settings, char *problem,
	size_t problem_size);
/* Is there one by now? One that could not be had before is tried again, silently. May block. */
bool login_key_there(struct broker *b);
/* state_dir is another directory now: if that is where the key is, it is to be read, or made,
 * again. */
void login_key_lost(struct broker *b);
void login_key_forget(struct broker *b);

#endif
