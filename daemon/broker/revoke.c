#include "revoke.h"

#include "broker.h"
#include "profile_type.h"
#include "token_api.h"
#include "waiter.h"

#include "core/exchange.h"
#include "core/text.h"
#include "host/log.h"
#include "upstream/fetch.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct revocation {
	TAILQ_ENTRY(revocation) link;
	struct broker *broker;
	struct waiter *waiter; /* NULL: nobody waits for this one */
	struct fetch *fetch;
	bool ended;
	char profile[PROFILE_NAME_MAX + 1];
	char fingerprint[FINGERPRINT_LENGTH + 1];
	char problem[256]; /* "": there was none */
};

static void revocation_free(struct revocation *r)
{
	TAILQ_REMOVE(&r->broker->revocations, r, link);
	if (r->fetch)
		fetch_cancel(r->fetch);
	free(r);
}

static void revocation_ended(void *context, const struct exchange *x)
{
	struct revocation *r = context;
	struct waiter *w = r->waiter;

	r->fetch = NULL;
	r->ended = true;
	/* 401 and 404: the token was dead already, which is all that was wanted */
	if (x->failure)
		snprintf(r->problem, sizeof(r->problem), "%s", x->failure);
	else if (x->status / 100 != 2 && x->status != 401 && x->status != 404)
		snprintf(r->problem, sizeof(r->problem), "HTTP %ld", x->status);
	if (r->problem[0])
		log_line(LOG_WARNING, "profile %s: token %s could not be revoked at Genesys: %s",
			r->profile, r->fingerprint, r->problem);
	else
		log_line(LOG_NOTICE, "profile %s: token %s is revoked", r->profile, r->fingerprint);
	if (w)
		waiter_done(w);
	else
		revocation_free(r);
}

int revoke_token(struct profile *p, struct token *token, struct waiter *w)
{
	struct revocation *r = calloc(1, sizeof(*r));
	int error = -ENOMEM;

	if (r)
		error = token_api_ask(p, FETCH_DELETE, token, revocation_ended, r, &r->fetch);
	if (error == -EDESTADDRREQ)
		log_line(LOG_WARNING,
			"profile %s: token %s cannot be revoked at Genesys: api_url is not known",
			p->settings->name, token->fingerprint);
	if (error) {
		free(r);
	} else {
		r->broker = p->broker;
		r->waiter = w;
		if (w)
			w->pending++;
		snprintf(r->profile, sizeof(r->profile), "%s", p->settings->name);
		memcpy(r->fingerprint, token->fingerprint, sizeof(r->fingerprint));
		TAILQ_INSERT_TAIL(&p->broker->revocations, r, link);
	}
	token_fini(token);
	return error;
}

void revoke_forget_waiter(const struct waiter *w)
{
	struct revocation *r, *next;

	for (r = TAILQ_FIRST(&w->broker->revocations); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (r->waiter != w)
			continue;
		r->waiter = NULL;
		if (r->ended)
			revocation_free(r);
	}
}

const char *revoke_problem(const struct waiter *w)
{
	const char *problem = NULL;
	const struct revocation *r;

	TAILQ_FOREACH(r, &w->broker->revocations, link)
	{
		if (r->waiter != w)
			continue;
		if (!r->ended)
			problem = "no response in time";
		else if (r->problem[0])
			problem = r->problem;
	}
	return problem;
}

void revoke_free_all(struct broker *b)
{
	struct revocation *r;

	while ((r = TAILQ_FIRST(&b->revocations)) != NULL) {
		if (!r->ended)
			log_line(LOG_WARNING,
				"profile %s: stopping before Genesys confirmed that token %s is "
				"revoked; it may be valid there until it expires",
				r->profile, r->fingerprint);
		revocation_free(r);
	}
}
