/* Requests of clients: who may what, and which file answers. */
#include "call.h"

#include "broker.h"
#include "profile_log.h"
#include "profile_set.h"
#include "profile_type.h"

#include "core/access.h"
#include "core/reply.h"
#include "front/front.h"
#include "host/clock.h"

#include <stdio.h>
#include <string.h>

int call_refuse(const struct call *c, int status, const char *code, const char *words)
{
	return reply_error(c->out, status, c->keep_alive, code, words, -1);
}

bool call_rules_grant(
	const struct broker *b, const struct access_rules *rules, struct connection *c)
{
	const struct peer *peer = connection_peer(c);
	const char *unit = access_needs_unit(rules) ? connection_unit(c) : NULL;

	return access_granted(rules, peer, unit, b->uid);
}

bool call_is_admin(const struct broker *b, struct connection *c)
{
	return call_rules_grant(b, &b->config->broker.admins, c);
}

static void note_denial(struct profile *p, struct connection *c, const char *reason)
{
	struct clock_reading now;
	char words[HISTORY_WORDS];

	clock_read(&now);
	snprintf(words, sizeof(words), "denied: uid %ld, %s", (long)(int)connection_peer(c)->uid,
		reason);
	history_add_folded(&p->history, &now, EVENT_DENIED, words);
	profile_log(p);
	p->denied++;
}

bool call_granted(struct profile *p, struct connection *c)
{
	const struct access_rules *rules = &p->settings->allow;
	struct access_decision decision;

	if (call_rules_grant(p->broker, rules, c))
		return true;
	access_decide(rules, connection_peer(c),
		access_needs_unit(rules) ? connection_unit(c) : NULL, p->broker->uid, &decision);
	note_denial(p, c, decision.rule);
	return false;
}

bool call_admin_granted(struct profile *p, struct connection *c)
{
	if (call_is_admin(p->broker, c))
		return true;
	note_denial(p, c, "not an admin");
	return false;
}

bool call_may_see(struct profile *p, struct connection *c)
{
	return call_rules_grant(p->broker, &p->settings->allow, c) || call_is_admin(p->broker, c);
}

static const char *name_asked(const struct call *c)
{
	return c->api.profile_impossible ? "(not a profile's name)" : c->api.profile;
}

/* The same words whether the profile is there or not: only admins may find that out. */
static int deny(const struct call *c)
{
	const struct peer *peer = connection_peer(c->connection);
	char words[200];

	snprintf(words, sizeof(words),
		"uid %ld may not do this with profile \"%s\"; an admin finds the reason in the "
		"profile's history",
		(long)(int)peer->uid, name_asked(c));
	return call_refuse(c, 403, "access_denied", words);
}

/* 0, or the status already answered. */
int call_find_profile(struct call *c, enum right right)
{
	struct profile *p = NULL;
	bool granted = false;

	if (!c->api.profile_impossible)
		p = broker_find_profile(c->broker, c->api.profile);
	if (!p) {
		char words[160];

		if (!call_is_admin(c->broker, c->connection))
			return deny(c);
		snprintf(words, sizeof(words), "there is no profile \"%s\"", name_asked(c));
		return call_refuse(c, 404, "unknown_profile", words);
	}
	switch (right) {
	case RIGHT_TOKEN:
		granted = call_granted(p, c->connection);
		break;
	case RIGHT_SEE:
		granted = call_is_admin(c->broker, c->connection) || call_granted(p, c->connection);
		break;
	case RIGHT_ADMIN:
		granted = call_admin_granted(p, c->connection);
		break;
	case RIGHT_LOGIN:
		granted = call_rules_grant(c->broker, &p->settings->login, c->connection) ||
			  call_admin_granted(p, c->connection);
		break;
	}
	if (!granted)
		return deny(c);
	c->profile = p;
	if (c->api.problem[0])
		return call_refuse(c, 400, "invalid_request", c->api.problem);
	return 0;
}
