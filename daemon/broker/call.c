#include "call.h"

#include "broker.h"
#include "profile_set.h"
#include "rights.h"

#include "core/access.h"
#include "core/reply.h"
#include "front/connection_peer.h"

#include <stdio.h>
#include <string.h>

int call_refuse(const struct call *c, int status, const char *code, const char *words)
{
	return reply_error(c->reply, status, code, words, -1);
}

int call_out_of_memory(const struct call *c)
{
	return reply_error(c->reply, 503, "temporarily_unavailable", "out of memory", 1);
}

static const char *name_asked(const struct call *c)
{
	return c->api->profile_impossible ? "(not a profile's name)" : c->api->profile;
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

static int find_profile(struct call *c, enum right right)
{
	struct profile *p = NULL;

	if (c->api->profile_hash)
		p = profile_set_find_hashed(
			&c->broker->profiles, c->api->profile, c->api->profile_hash);
	else if (!c->api->profile_impossible)
		p = profile_set_find(&c->broker->profiles, c->api->profile);
	if (!p) {
		char words[160];

		if (!rights_may(c->broker, c->connection, RIGHT_ADMIN, NULL))
			return deny(c);
		snprintf(words, sizeof(words), "there is no profile \"%s\"", name_asked(c));
		return call_refuse(c, 404, "unknown_profile", words);
	}
	if (!rights_may(c->broker, c->connection, right, p)) {
		rights_refused(p, c->connection, right);
		return deny(c);
	}
	c->profile = p;
	return 0;
}

int call_admit(struct call *c, enum right right)
{
	int status = right == RIGHT_NONE ? 0 : find_profile(c, right);

	if (!status && c->api->problem[0])
		status = call_refuse(c, 400, "invalid_request", c->api->problem);
	return status;
}
