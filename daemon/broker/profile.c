#include "profile.h"

#include "broker.h"
#include "endpoint.h"
#include "fleet_member.h"
#include "login.h"
#include "login_code.h"
#include "oauth_client.h"
#include "pages.h"
#include "profile_log.h"
#include "profile_type.h"
#include "renewal.h"
#include "revoke.h"
#include "token_api.h"
#include "token_exchange.h"
#include "waiter.h"

#include "core/token_decide.h"
#include "core/token_fetch.h"
#include "core/token_fleet.h"
#include "core/token_login.h"
#include "core/token_past.h"
#include "core/token_sibling.h"
#include "host/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct token_source_settings source_settings_of(const struct profile_settings *s)
{
	return (struct token_source_settings){
		.policy = {.use_margin = s->use_margin,
			.refresh_margin_auto = s->refresh_margin.automatic,
			.refresh_margin = s->refresh_margin.duration},
		.prefetch = s->prefetch,
		.shared = s->fleet,
		.reject_cooldown = s->reject_cooldown,
		.verifiable = *s->api_url,
		.mint_limit = s->mint_limit,
	};
}

/* What may have been mended for this start is tried at once, but no crash loop does that more often
 * than so. */
#define ATTEMPTS_APART_S 2

/* Until when this run waits. */
static struct boot_time wait_of(const struct client_state *state)
{
	const struct source_failure *f = &state->failure;
	bool told = !f->any || f->class == RESPONSE_THROTTLED ||
		    (f->class == RESPONSE_UNAVAILABLE && f->status != 0);

	return told ? state->not_before
		    : boot_min(state->not_before, boot_add(f->at, duration_s(ATTEMPTS_APART_S)));
}

/* If an earlier run was told to wait, so is this one, unless that was about another credential, or
 * about a login that a person has replaced since: the login's own file says whether it was refused,
 * and is written first. */
static void restore(struct profile *p, const struct clock_reading *now)
{
	const struct client_state *state = &p->client->state;
	char tag[CREDENTIAL_TAG_LENGTH + 1];

	if (client_state_revoked(state, p->settings->name))
		token_source_restore_revoked(&p->source, now);
	if (state->not_before.ns == INT64_MIN || !boot_before(now->boot, wait_of(state)))
		return;
	client_state_tag(state->salt, p->credential.client_id, p->credential.client_secret, tag);
	if (strcmp(tag, state->tag))
		return;
	if (state->failure.any && state->failure.class == RESPONSE_LOGIN_REQUIRED &&
		login_state(p->client->login) == SOURCE_LOGIN_READY)
		return;
	token_source_restore(
		&p->source, wait_of(state), state->failure.any ? &state->failure : NULL);
	history_add(&p->history, now, EVENT_STARTED, 0,
		"an earlier run was told to wait another %lld s%s%s",
		(long long)duration_ceil_s(boot_since(wait_of(state), now->boot)),
		state->failure.any ? ": " : "", state->failure.words);
}

static void tell_others_of_the_client(const struct profile *p, const struct clock_reading *now)
{
	const struct broker *b = p->broker;

	for (size_t i = 0; i < b->profiles.count; i++) {
		struct profile *other = b->profiles.items[i];

		if (other != p && other->client == p->client &&
			!strcmp(other->credential.client_secret, p->credential.client_secret))
			token_source_sibling_fetched(&other->source, now, &p->source);
	}
}

/* May what was sent be outdated? Some servers say invalid_grant of a client, and where there was no
 * response the proxy may have refused. */
static bool secrets_doubtful(const struct token_exchange *x)
{
	const struct token_response *r = &x->response;

	if (r->status == 0)
		return x->profile->credential.proxy_password;
	return r->class == RESPONSE_CLIENT_REJECTED || !strcmp(r->error, "invalid_client") ||
	       (r->class == RESPONSE_LOGIN_REQUIRED && !x->client->login);
}

/* A token request ended. */
static enum fetched fetched(struct token_exchange *x)
{
	struct profile *p = x->profile;
	uint64_t generation = oauth_client_next_generation(p->client);
	struct clock_reading now;
	enum fetched ret;

	clock_read(&now);
	if (secrets_doubtful(x))
		renewal_read_secrets(p);
	if (p->fleet && fleet_member_outdone(p->fleet, &now))
		return FETCHED_SAME;
	ret = token_source_fetched(&p->source, &now, &x->http, &x->response,
		x->has_sample ? &x->sample : NULL, server_clock_spread(&p->endpoint->clock, &now),
		generation);
	if (ret == FETCHED_TOKEN)
		oauth_client_use_generation(p->client, generation);
	if (p->fleet)
		fleet_member_fetched(p->fleet, &now, ret, x);
	if (ret == FETCHED_UNWANTED && x->response.token.text)
		revoke_token(p, &x->response.token, NULL);
	if (p->source.last_failure.any)
		renewal_watch(p);
	oauth_client_save(p->client, p, NULL);
	tell_others_of_the_client(p, &now);
	return ret;
}

int profile_new(struct profile **ret, struct broker *b, const struct profile_settings *settings,
	struct credential *credential)
{
	struct token_source_settings source_settings = source_settings_of(settings);
	struct profile *p = calloc(1, sizeof(*p));
	struct clock_reading now;
	int r;

	if (!p)
		return -ENOMEM;
	p->broker = b;
	p->settings = settings;
	TAILQ_INIT(&p->asking);
	r = oauth_client_get(
		&p->client, b, settings->token_url, credential->client_id, settings->grant);
	if (!r)
		r = endpoint_get(&p->endpoint, b, settings);
	if (!r)
		r = token_exchange_new(&p->exchange, p, fetched);
	if (r) {
		free(p);
		return r;
	}
	p->credential = *credential;
	*credential = CREDENTIAL_NONE; /* taken */
	clock_read(&now);
	token_source_init(&p->source, &source_settings, &p->client->state.mint, &p->history,
		random_next(&b->random));
	server_clock_join(&p->endpoint->clock, &p->source);
	token_source_set_login(&p->source, login_state(p->client->login));
	restore(p, &now);
	*ret = p;
	return 0;
}

void profile_free(struct profile *p)
{
	fleet_member_leave(p);
	token_exchange_let_go(p->exchange);
	token_api_verify_cancel(p);
	pages_let_go(p);
	login_code_lose_profile(p);
	login_attempts_forget(&p->attempts);
	waiters_lose_profile(p, NULL);
	server_clock_leave(&p->source);
	token_reply_cache_fini(&p->reply_cache);
	token_source_fini(&p->source);
	credential_fini(&p->credential);
	free(p);
}

static bool text_changed(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) != 0 : a != b;
}

void profile_configure(struct profile *p, const struct profile_settings *settings,
	struct credential *credential, struct endpoint *endpoint)
{
	struct token_source_settings source_settings = source_settings_of(settings);
	bool credential_changed =
		strcmp(p->credential.client_secret, credential->client_secret) != 0;
	bool request_changed = text_changed(p->settings->scope, settings->scope) ||
			       text_changed(p->settings->extra_params, settings->extra_params);
	struct clock_reading now;

	pages_retire(p);
	if (request_changed || !settings->fleet)
		fleet_member_leave(p);
	/* a person who came back now would bring a code for another request */
	if (request_changed || text_changed(p->settings->redirect_uri, settings->redirect_uri) ||
		text_changed(p->settings->authorize_url, settings->authorize_url))
		login_attempts_forget(&p->attempts);
	server_clock_leave(&p->source);
	endpoint_left(p->endpoint);
	p->endpoint = endpoint;
	server_clock_join(&p->endpoint->clock, &p->source);
	p->settings = settings;
	token_reply_cache_drop(&p->reply_cache);
	credential_fini(&p->credential);
	p->credential = *credential;
	*credential = CREDENTIAL_NONE; /* taken */
	p->files_failed_with = 0;
	p->secrets_problem[0] = '\0';
	clock_read(&now);
	history_add(&p->history, &now, EVENT_RELOADED, 0, "configuration reloaded%s%s",
		credential_changed ? "; the client secret changed" : "",
		request_changed ? "; the token request changed" : "");
	token_source_configure(
		&p->source, &now, &source_settings, request_changed, credential_changed);
}

/* In a fleet the store is asked first, and another host may send the request. */
static void begin_fetch(struct profile *p, const struct clock_reading *now, bool joined,
	bool with_code, bool forced)
{
	static const struct token_refusal no_memory = {
		.class = RESPONSE_UNAVAILABLE, .words = "out of memory", .wait = {NS_PER_S}};

	if (!p->settings->fleet)
		token_exchange_begin(p->exchange, with_code);
	else if (joined)
		fleet_member_want(p->fleet, now, forced);
	else
		token_source_give_up(&p->source, now, &no_memory);
}

static void take_part(struct profile *p, const struct clock_reading *now, bool joined)
{
	if (!p->settings->fleet)
		return;
	if (!joined) {
		p->wake_at = boot_min(p->wake_at, boot_add(now->boot, duration_s(1)));
		return;
	}
	if (fleet_member_turn(p->fleet, now)) {
		token_source_posts(&p->source, now);
		token_exchange_begin(p->exchange, false);
	}
	p->wake_at = boot_min(p->wake_at, p->fleet->wake_at);
}

void profile_turn(struct profile *p, const struct clock_reading *now)
{
	bool forced = p->source.next.urgency == URGENCY_FORCED;
	bool joined = p->settings->fleet && fleet_member_join(p, now);
	struct token_source_decisions d;

	server_clock_decide(&p->endpoint->clock, &p->source, now, &d);
	p->wake_at = d.wake_at;
	/* lifted by a refresh or a login that has sent nothing yet, say */
	if (client_state_revoked(&p->client->state, p->settings->name) != p->source.revoked)
		oauth_client_save(p->client, p, NULL);
	p->broker->handover.due = true;
	if (d.changed)
		waiters_make_ready(&p->asking);
	pages_publish(p, now);
	if (d.give_up)
		token_exchange_give_up(p->exchange);
	if (d.fetch)
		begin_fetch(p, now, joined, d.code, forced);
	if (d.verify && !(p->fleet && fleet_member_check(p->fleet, now)))
		token_api_verify(p);
	take_part(p, now, joined);
	profile_log(p);
}
