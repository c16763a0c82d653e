#include "token_api.h"

#include "broker.h"
#include "profile_type.h"

#include "core/buffer.h"
#include "core/token_reject.h"
#include "host/clock.h"

#include <errno.h>

int token_api_ask(struct profile *p, enum fetch_method method, const struct token *token,
	fetch_done *done, void *context, struct fetch **ret)
{
	struct fetch_request request = {.method = method, .settings = profile_fetch_settings(p)};
	struct buffer url, authorization;
	int error = -ENOMEM;

	if (!*p->settings->api_url)
		return -EDESTADDRREQ;
	buffer_init(&url, NULL, 0);
	buffer_init(&authorization, NULL, 0);
	buffer_put_text(&url, p->settings->api_url);
	buffer_put(&url, "/api/v2/tokens/me", sizeof("/api/v2/tokens/me"));
	buffer_put_text(&authorization, "Bearer ");
	buffer_put(&authorization, token->text, token->length + 1);
	if (!buffer_failed(&url) && !buffer_failed(&authorization)) {
		request.url = url.data;
		request.authorization = authorization.data;
		error = fetch_start(p->broker->fetcher, &request, done, context, ret);
	}
	buffer_fini(&url);
	buffer_fini(&authorization);
	return error;
}

static void verified(void *context, const struct exchange *x)
{
	enum verdict verdict = VERDICT_NONE;
	struct profile *p = context;
	struct clock_reading now;

	p->verification = NULL;
	if (x->status / 100 == 2)
		verdict = VERDICT_ACCEPTED;
	else if (x->status == 401)
		verdict = VERDICT_REFUSED;
	clock_read(&now);
	token_source_verified(&p->source, &now, p->verifies_generation, verdict);
	turn_now(&p->broker->turn);
}

void token_api_verify(struct profile *p)
{
	const struct token_slot *slot = token_source_to_verify(&p->source);
	struct clock_reading now;

	token_api_verify_cancel(p);
	p->verifies_generation = slot->generation;
	if (!token_api_ask(p, FETCH_HEAD, &slot->token, verified, p, &p->verification))
		return;
	p->verification = NULL;
	clock_read(&now);
	token_source_verified(&p->source, &now, p->verifies_generation, VERDICT_NONE);
}

void token_api_verify_cancel(struct profile *p)
{
	if (p->verification)
		fetch_cancel(p->verification);
	p->verification = NULL;
}
