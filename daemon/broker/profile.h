/* One profile: its token requests, and what becomes of them. */
#ifndef GCTOKEND_BROKER_PROFILE_H
#define GCTOKEND_BROKER_PROFILE_H

struct broker;
struct clock_reading;
struct credential;
struct endpoint;
struct profile;
struct profile_settings;

/* `credential` is taken over on success. 0 or negative errno. */
int profile_new(struct profile **ret, struct broker *b, const struct profile_settings *settings,
	struct credential *credential);
void profile_free(struct profile *p);
/* Another configuration for the same client. */
void profile_configure(struct profile *p, const struct profile_settings *settings,
	struct credential *credential, struct endpoint *endpoint);
/* Decides and carries out. */
void profile_turn(struct profile *p, const struct clock_reading *now);

#endif
