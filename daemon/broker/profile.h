/* One profile: its token requests, and what becomes of them. */
#ifndef GCTOKEND_BROKER_PROFILE_H
#define GCTOKEND_BROKER_PROFILE_H

#include "core/exchange.h"
#include "core/token_fetch.h"

#include <stdbool.h>

struct broker;
struct credential;
struct endpoint;
struct fetch;
struct profile;
struct profile_settings;
struct skew_sample;
struct token_request;
struct token_response;

/* `credential` is taken over on success. 0 or negative errno. */
int profile_new(struct profile **ret, struct broker *b, const struct profile_settings *settings,
	struct credential *credential);
void profile_free(struct profile *p);
/* Another configuration for the same client. */
void profile_configure(struct profile *p, const struct profile_settings *settings,
	struct credential *credential, struct endpoint *endpoint);
/* Decides and carries out. */
void profile_turn(struct profile *p, const struct clock_reading *now);
/* Sends the token request that had to wait for room, if there is one. False: there still is none.
 */
bool profile_send_waiting(struct profile *p);
/* The write that the token request waited for has ended. */
void profile_state_written(struct profile *p);
/* A token request ended: `x` with what was read of it as `answer`, whose token is taken. `sample`
 * as server_clock_post_ended gave it, NULL if it gave none. */
enum fetched profile_fetched(struct profile *p, const struct exchange *x,
	struct token_response *answer, const struct skew_sample *sample);
/* Sends it to the profile's token endpoint; as fetch_start. */
int profile_post(struct profile *p, const struct token_request *sent,
	void (*done)(void *context, const struct exchange *x), void *context, struct fetch **ret);
/* A token request that could not even begin ends like one that got no answer. */
struct exchange profile_no_exchange(const char *why);

#endif
