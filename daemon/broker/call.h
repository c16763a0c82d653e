/* One request being answered: what the files of calls share. */
#ifndef GCTOKEND_BROKER_CALL_H
#define GCTOKEND_BROKER_CALL_H

#include "core/times.h"
#include "front/api.h"

#include <stdbool.h>

struct access_rules;
struct broker;
struct buffer;
struct connection;
struct profile;

struct call {
	struct broker *broker;
	struct connection *connection;
	struct buffer *out;
	bool keep_alive;
	bool text;
	struct api_call api;
	struct clock_reading now;
	struct profile *profile;
};

enum right {
	RIGHT_TOKEN, /* the profile's rules */
	RIGHT_SEE,   /* those, or an admin */
	RIGHT_ADMIN,
	RIGHT_LOGIN, /* an admin, or who may log the profile in */
};

/* The profile named, if the caller has the right; then its parameters are judged too. 0, or the
 * status already answered. */
int call_find_profile(struct call *c, enum right right);
/* Answers an error and returns its status. */
int call_refuse(const struct call *c, int status, const char *code, const char *words);
bool call_rules_grant(
	const struct broker *b, const struct access_rules *rules, struct connection *c);
bool call_is_admin(const struct broker *b, struct connection *c);
/* May the caller at `c` have the profile's token? A refusal is counted and remembered. */
bool call_granted(struct profile *p, struct connection *c);
/* The same for what an admin may do with `p`. */
bool call_admin_granted(struct profile *p, struct connection *c);
/* Its status, clock and metrics: who may have the token, and admins. */
bool call_may_see(struct profile *p, struct connection *c);

#endif
