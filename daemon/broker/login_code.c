#include "login_code.h"

#include "login.h"
#include "login_waiters.h"
#include "oauth_client.h"
#include "profile_type.h"
#include "token_exchange.h"

#include "core/secret.h"
#include "core/token_login.h"
#include "host/clock.h"

#include <stdio.h>
#include <string.h>

void login_code_drop(struct login_code *code)
{
	secret_text_free(code->text);
	secret_text_free(code->redirect_uri);
	code->text = code->redirect_uri = NULL;
	secret_wipe(code->verifier, sizeof(code->verifier));
}

bool login_finishing(const struct login *l)
{
	/* Its text may be gone: a person who logs out drops it while it is on its way. */
	return l->code_for || l->finisher || (l->exchange && l->exchange->with_code);
}

void login_finish(struct profile *p, struct login_code *code, struct login_finisher *f)
{
	struct login *l = p->client->login;

	l->code = *code;
	*code = (struct login_code){0}; /* taken */
	l->code_for = p;
	l->finisher = f;
	f->login = l;
	token_source_code_came(&p->source, l->code.uid);
}

void login_code_ended(struct login *l, const struct token_response *response, bool stopped)
{
	bool refused = response->class == RESPONSE_LOGIN_REQUIRED ||
		       response->class == RESPONSE_CLIENT_REJECTED;
	struct login_result *r;
	struct clock_reading now;

	if (l->code_for && refused && !stopped) {
		clock_read(&now);
		login_code_refused(&l->code_for->attempts, now.boot, l->code.uid);
	}
	login_code_drop(&l->code);
	l->code_for = NULL;
	if (!l->finisher)
		return;
	r = &l->finisher->result;
	*r = (struct login_result){
		.ended = true,
		.stopped = stopped,
		.class = response->class,
		.expires_in_s = response->expires_in.ns / NS_PER_S,
		.refreshes = l->refresh.text != NULL,
	};
	snprintf(r->words, sizeof(r->words), "%s%s%.240s", response->error,
		*response->error ? ": " : "", response->words);
	waiter_make_ready(&l->finisher->waiter);
}

void login_code_note(
	const struct login *l, struct profile *p, const struct token_response *response)
{
	struct clock_reading now;

	clock_read(&now);
	if (l->refresh.text)
		history_add(&p->history, &now, EVENT_LOGGED_IN, 0,
			"uid %ld logged in; the login is refreshed from here on",
			(long)(int)l->code.uid);
	else
		history_add(&p->history, &now, EVENT_LOGGED_IN, 0,
			"uid %ld logged in; the login server gave no refresh token, so this login "
			"lasts %lld s and then somebody has to log in again%s",
			(long)(int)l->code.uid, (long long)(response->expires_in.ns / NS_PER_S),
			response->bad_refresh_token ? " (it gave one that cannot be used)" : "");
}

void login_stop_code(struct login *l)
{
	const struct token_response none = TOKEN_RESPONSE_NONE;

	if (!l || !l->code_for || !token_source_code_gone(&l->code_for->source))
		return;
	login_code_ended(l, &none, true);
}

void login_code_lose_profile(const struct profile *p)
{
	struct login *l = p->client->login;

	if (!l || l->code_for != p)
		return;
	l->code_for = NULL;
	/* one that was sent is exchanged to the end, as a refresh token is */
	if (!l->exchange || !l->exchange->with_code)
		login_code_drop(&l->code);
}

void login_forget_finisher(struct login_finisher *f)
{
	f->login->finisher = NULL;
	/* the person who logged in has left */
	login_stop_code(f->login);
}
