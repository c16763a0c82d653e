#include "profile.h"

#include "broker.h"
#include "endpoint.h"
#include "login.h"
#include "oauth_client.h"
#include "pages.h"
#include "profile_log.h"
#include "profile_type.h"
#include "revoke.h"
#include "waiter.h"

#include "core/token_decide.h"
#include "core/token_fetch.h"
#include "core/token_login.h"
#include "core/token_past.h"
#include "core/token_request.h"
#include "core/token_response.h"
#include "core/token_sibling.h"
#include "host/clock.h"
#include "host/log.h"
#include "upstream/fetch.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

/* A disk may hang; the token must come all the same. */
#define STATE_WRITE_PATIENCE_S 2

static void send_after_write(struct profile *p);

static void write_patience_ended(int fd, short events, void *context)
{
	struct profile *p = context;

	(void)fd;
	(void)events;
	log_line(LOG_WARNING,
		"profile %s: writing %s/%s takes longer than %d s; the token request goes out "
		"before",
		p->settings->name, p->broker->state_dir, p->client->file, STATE_WRITE_PATIENCE_S);
	send_after_write(p);
}

static struct token_source_settings source_settings_of(const struct profile_settings *s)
{
	return (struct token_source_settings){
		.policy = {.use_margin = s->use_margin,
			.refresh_margin_auto = s->refresh_margin.automatic,
			.refresh_margin = s->refresh_margin.duration},
		.prefetch = s->prefetch,
		.reject_cooldown = s->reject_cooldown,
		.mint_limit = s->mint_limit,
	};
}

/* What an earlier run was told to wait for holds for this one too, unless it was about another
 * credential, or about a login that a person has replaced: whether one was refused stands in its
 * own file, which is written first. */
static void restore(struct profile *p, const struct clock_reading *now)
{
	const struct client_state *state = &p->client->state;
	char tag[CREDENTIAL_TAG_LENGTH + 1];

	if (state->not_before.ns == INT64_MIN || !boot_before(now->boot, state->not_before))
		return;
	client_state_tag(state->salt, p->credential.client_id, p->credential.client_secret, tag);
	if (strcmp(tag, state->tag))
		return;
	if (state->failure.any && state->failure.class == RESPONSE_LOGIN_REQUIRED &&
		p->client->login && login_state(p->client->login) == SOURCE_LOGIN_READY)
		return;
	token_source_restore(
		&p->source, state->not_before, state->failure.any ? &state->failure : NULL);
	history_add(&p->history, now, EVENT_STARTED, 0,
		"an earlier run was told to wait another %lld s%s%s",
		(long long)duration_ceil_s(boot_since(state->not_before, now->boot)),
		state->failure.any ? ": " : "", state->failure.words);
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
	if (r) {
		free(p);
		return r;
	}
	p->credential = *credential;
	*credential = CREDENTIAL_NONE; /* taken */
	evtimer_assign(&p->write_deadline, b->base, write_patience_ended, p);
	clock_read(&now);
	token_source_init(&p->source, &source_settings, &p->client->state.mint, &p->history,
		random_next(&b->random));
	server_clock_join(&p->endpoint->clock, &p->source);
	if (p->client->login)
		token_source_set_login(&p->source, login_state(p->client->login));
	restore(p, &now);
	*ret = p;
	return 0;
}

void profile_free(struct profile *p)
{
	if (p->fetch)
		fetch_cancel(p->fetch);
	pages_let_go(p);
	if (p->client->login)
		login_lose_profile(p);
	login_attempts_forget(&p->attempts);
	evtimer_del(&p->write_deadline);
	waiters_lose_profile(p, NULL);
	token_request_fini(&p->sent);
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

	pages_check_rules(p, &settings->allow);
	/* who comes back would bring a code for another request */
	if (request_changed || text_changed(p->settings->redirect_uri, settings->redirect_uri) ||
		text_changed(p->settings->authorize_url, settings->authorize_url))
		login_attempts_forget(&p->attempts);
	server_clock_leave(&p->source);
	p->endpoint = endpoint;
	server_clock_join(&p->endpoint->clock, &p->source);
	p->settings = settings;
	token_reply_cache_drop(&p->reply_cache);
	credential_fini(&p->credential);
	p->credential = *credential;
	*credential = CREDENTIAL_NONE; /* taken */
	clock_read(&now);
	history_add(&p->history, &now, EVENT_RELOADED, 0, "configuration reloaded%s%s",
		credential_changed ? "; the client secret changed" : "",
		request_changed ? "; the token request changed" : "");
	token_source_configure(
		&p->source, &now, &source_settings, request_changed, credential_changed);
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

enum fetched profile_fetched(struct profile *p, const struct exchange *x,
	struct token_response *answer, const struct skew_sample *sample)
{
	uint64_t generation = oauth_client_next_generation(p->client);
	struct clock_reading now;
	enum fetched fetched;

	clock_read(&now);
	fetched = token_source_fetched(&p->source, &now, x, answer, sample,
		server_clock_spread(&p->endpoint->clock, &now), generation);
	if (fetched == FETCHED_TOKEN)
		oauth_client_use_generation(p->client, generation);
	else if (fetched == FETCHED_UNWANTED && answer->token.text)
		revoke_token(p, &answer->token, NULL);
	oauth_client_save(p->client, p);
	tell_others_of_the_client(p, &now);
	return fetched;
}

static void fetch_ended(void *context, const struct exchange *x)
{
	const char *secrets[TOKEN_REQUEST_SECRETS];
	struct exchange judged = *x;
	struct profile *p = context;
	struct skew_sample sample;
	struct token_response answer;
	struct clock_reading now;
	bool usable;

	clock_read(&now);
	p->fetch = NULL;
	/* By what was sent: a reload may have brought another secret meanwhile. */
	token_request_secrets(&p->sent, secrets);
	judged.secrets = secrets;
	token_response_read(&judged, &answer);
	token_request_fini(&p->sent);
	usable = server_clock_post_ended(&p->endpoint->clock, &now, x, &sample);
	profile_fetched(p, x, &answer, usable ? &sample : NULL);
	token_response_fini(&answer);
	turn_now(&p->broker->turn);
}

struct exchange profile_no_exchange(const char *why)
{
	struct exchange x = {.failure = why};

	clock_read(&x.sent);
	x.received = x.sent;
	return x;
}

/* Of a request made of the profile's own credentials. 0, or what fetch_start says. */
static int send_for_client(struct profile *p)
{
	const struct profile_settings *s = p->settings;
	const struct token_request_client client = {
		.id = p->credential.client_id,
		.secret = p->credential.client_secret,
		.extra_params = s->extra_params,
	};
	int r = token_request_client_credentials(&p->sent, &client, s->scope);

	if (r)
		return r;
	r = profile_post(p, &p->sent, fetch_ended, p, &p->fetch);
	if (r)
		token_request_fini(&p->sent);
	return r;
}

int profile_post(struct profile *p, const struct token_request *sent, fetch_done *done,
	void *context, struct fetch **ret)
{
	const struct profile_settings *s = p->settings;
	const struct fetch_request request = {
		.method = FETCH_POST,
		.url = s->token_url,
		.settings = s->fetch,
		.authorization = sent->authorization,
		.body = sent->body,
		.body_length = sent->body_length,
	};

	return fetch_start(p->broker->fetcher, &request, done, context, ret);
}

static void send_token_request(struct profile *p)
{
	int r;

	evtimer_del(&p->write_deadline);
	p->after_write = 0;
	r = p->client->login ? login_send(p) : send_for_client(p);
	if (r == -EAGAIN) {
		p->waits_for_room = true;
	} else if (r) {
		struct exchange x =
			profile_no_exchange(r == -EINVAL   ? "the token URL cannot be used"
					    : r == -ENOENT ? "the login was ended meanwhile"
							   : "out of memory");

		if (p->client->login)
			login_not_sent(p, &x);
		else
			fetch_ended(p, &x);
	}
}

bool profile_send_waiting(struct profile *p)
{
	if (!p->waits_for_room)
		return true;
	p->waits_for_room = false;
	send_token_request(p);
	return !p->waits_for_room;
}

/* Outside of a turn, which would see to it that who has no room is sent later. */
static void send_after_write(struct profile *p)
{
	send_token_request(p);
	if (p->waits_for_room)
		turn_soon(&p->broker->turn);
}

void profile_state_written(struct profile *p)
{
	if (p->after_write && p->client->writes_ended >= p->after_write)
		send_after_write(p);
}

static void begin_fetch(struct profile *p)
{
	struct timeval patience = {.tv_sec = STATE_WRITE_PATIENCE_S};

	/* That this request was made is durable before it is made: a crash loop counts them all. */
	p->after_write = oauth_client_save(p->client, p);
	if (!p->after_write || evtimer_add(&p->write_deadline, &patience))
		send_token_request(p);
}

void profile_turn(struct profile *p, const struct clock_reading *now)
{
	struct token_source_decisions d;

	server_clock_decide(&p->endpoint->clock, &p->source, now, &d);
	p->wake_at = d.wake_at;
	p->broker->handover.due = true;
	if (d.changed)
		waiters_make_ready(&p->asking);
	pages_publish(p, now);
	if (d.fetch) {
		p->with_code = d.code;
		begin_fetch(p);
	}
	profile_log(p);
}
