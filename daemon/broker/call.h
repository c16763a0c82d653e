/* One request being answered: what the files of calls share. */
#ifndef GCTOKEND_BROKER_CALL_H
#define GCTOKEND_BROKER_CALL_H

#include "broker.h"

#include "core/buffer.h"
#include "front/api.h"

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
/* The same for what is to be done with `p`; a refusal is counted and remembered. */
bool call_admin_granted(struct profile *p, struct connection *c);
/* Its status, clock and metrics: who may have the token, and admins. */
bool call_may_see(struct profile *p, struct connection *c);

/* ---- calls_token.c ---- each answers, or holds the connection: the HTTP status or FRONT_HELD */
int call_token(struct call *c);
int call_reject(struct call *c);
int call_refresh(struct call *c);
int call_revoke(struct call *c);

/* ---- calls_login.c ---- likewise */
int call_login(struct call *c);
int call_login_finish(struct call *c);
int call_logout(struct call *c);

/* ---- calls_view.c ---- likewise */
int call_skew(struct call *c);
int call_probe(struct call *c);
int call_status_or_metrics(struct call *c);
int call_history(struct call *c);
int call_healthz(struct call *c);
int call_readyz(struct call *c);

#endif
