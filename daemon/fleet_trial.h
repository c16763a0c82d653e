/* Asks a store one thing after the other and waits for each answer, for a program that does nothing
 * else meanwhile: gctokend --check-fleet. It is reached just as by store.h, by the same files. */
#ifndef GCTOKEND_FLEET_TRIAL_H
#define GCTOKEND_FLEET_TRIAL_H

#include "store/redis_link.h"
#include "store/redis_sentinel.h"
#include "store/store.h"

#include <stdint.h>

#define FLEET_TRIAL_CONNECT_S 5
/* After a failure: words for an operator, without a byte that the server chose. */
#define FLEET_TRIAL_WHY_MAX REDIS_WHY_MAX

struct buffer;
struct fleet_element;
struct fleet_trial;

/* The settings are lent as long as it lives; files are read now. 0; -ENOMEM; -EINVAL: a file cannot
 * be used, and ret_why says which and why. */
int fleet_trial_new(struct fleet_trial **ret, const struct store_settings *settings,
	char ret_why[FLEET_TRIAL_WHY_MAX]);
/* NULL is fine. */
void fleet_trial_free(struct fleet_trial *t);

struct fleet_trial_primary {
	char name[REDIS_NAME_MAX + 1];
	uint16_t port;
};

/* Which server Sentinel number `i` of the settings takes for the primary. 0; -EIO, and why. */
int fleet_trial_sentinel(struct fleet_trial *t, size_t i, struct fleet_trial_primary *ret,
	char ret_why[FLEET_TRIAL_WHY_MAX]);
/* To the server that the settings name, or to that `primary`, once: it is authenticated and has
 * said that it is one. 0; -EIO, and why. */
int fleet_trial_connect(struct fleet_trial *t, const struct fleet_trial_primary *primary,
	char ret_why[FLEET_TRIAL_WHY_MAX]);
/* When its certificate ends, in s since 1970; 0: it is spoken to without. */
int64_t fleet_trial_certificate_end(const struct fleet_trial *t);

/* Called with each answer in its turn, from 0; `answer` is lent, and may be an error. */
typedef void fleet_trial_seen(void *context, size_t number, const struct fleet_element *answer);

/* Sends the commands and waits for so many answers, each within the settings' timeout. Takes
 * `commands` over in any case. 0; -EIO: the connection is gone, and why. */
int fleet_trial_ask(struct fleet_trial *t, struct buffer *commands, size_t answers,
	fleet_trial_seen *seen, void *context, char ret_why[FLEET_TRIAL_WHY_MAX]);

#endif
