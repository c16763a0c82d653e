#include "rights.h"

#include "broker.h"
#include "profile_log.h"
#include "profile_type.h"

#include "core/access.h"
#include "front/connection_peer.h"
#include "host/clock.h"

/* Finding out a unit means reading /proc, so it is done only for rules that name units. */
static const char *unit_for(const struct access_rules *rules, struct connection *c)
{
	return access_needs_unit(rules) ? connection_unit(c) : NULL;
}

static const struct peer *peer_for(const struct access_rules *rules, struct connection *c)
{
	return access_needs_groups(rules) ? connection_peer_in_groups(c) : connection_peer(c);
}

static bool granted(const struct broker *b, const struct access_rules *rules, struct connection *c)
{
	return access_granted(rules, peer_for(rules, c), unit_for(rules, c), b->uid);
}

bool rights_may(
	const struct broker *b, struct connection *c, enum right right, const struct profile *p)
{
	const struct access_rules *admins = &b->config->broker.admins;

	switch (right) {
	case RIGHT_NONE:
		return true;
	case RIGHT_TOKEN:
		return granted(b, &p->settings->allow, c);
	case RIGHT_SEE:
		return granted(b, &p->settings->allow, c) || granted(b, admins, c);
	case RIGHT_LOGIN:
		return granted(b, &p->settings->login, c) || granted(b, admins, c);
	case RIGHT_METRICS:
		return granted(b, &b->config->broker.metrics, c) || granted(b, admins, c);
	case RIGHT_ADMIN:
		break;
	}
	return granted(b, admins, c);
}

void rights_refused(struct profile *p, struct connection *c, enum right right)
{
	const struct access_rules *allow = &p->settings->allow;
	struct access_decision decision = {.rule = "not an admin"};
	struct clock_reading now;

	if (right == RIGHT_TOKEN || right == RIGHT_SEE)
		access_decide(
			allow, peer_for(allow, c), unit_for(allow, c), p->broker->uid, &decision);
	clock_read(&now);
	history_add_caused(&p->history, &now, EVENT_DENIED, connection_peer(c)->uid, 0,
		"denied: uid %ld, %s", (long)(int)connection_peer(c)->uid, decision.rule);
	profile_log(p);
	p->denied++;
}
