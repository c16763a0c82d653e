#include "oauth_client.h"

#include "broker.h"
#include "fleet_member.h"
#include "login.h"
#include "login_file.h"
#include "profile_type.h"

#include "core/buffer.h"
#include "core/text.h"
#include "core/token_past.h"
#include "host/clock.h"
#include "host/log.h"
#include "host/state_file.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define WRITE_AGAIN_S 10

static int make_salt(char ret_salt[CREDENTIAL_TAG_LENGTH + 1])
{
	unsigned char random[CREDENTIAL_TAG_LENGTH / 2];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return -EIO;
	hex_write(random, sizeof(random), ret_salt);
	return 0;
}

/* Generations taken from the time of day count this much each. A start may use up a whole block of
 * them: in units this small no loop of starts gets ahead of the time. */
#define GENERATION_FROM_TIME_NS 10000

static void take_generations(void *context, const char *name)
{
	struct client_state state;
	struct broker *b = context;
	const char *suffix = strrchr(name, '.');
	size_t length;
	char *text;

	if (!suffix || strcmp(suffix, ".state") != 0 ||
		state_read(b->state_dir, name, &text, &length))
		return;
	if (!client_state_read(text, length, b->clock_id, &state)) {
		if (state.generation_reserved > b->generation_floor)
			b->generation_floor = state.generation_reserved;
		client_state_fini(&state);
	}
	free(text);
}

void oauth_clients_read_generations(struct broker *b)
{
	int r = state_each(b->state_dir, take_generations, b);

	if (r)
		log_line(LOG_WARNING,
			"%s cannot be listed: %s. Generations of clients that are no "
			"longer configured may be used again",
			b->state_dir, strerror(-r));
}

/* One count for all clients: a profile may be given another client, and then a rejection of the old
 * one's token must not hit the new one's, and whoever waits for another generation must not miss
 * it.
 */
static uint64_t generations_used(const struct broker *b)
{
	uint64_t used = b->generation_floor;
	const struct oauth_client *c;

	TAILQ_FOREACH(c, &b->oauth_clients, link)
	if (c->state.generation_used > used)
		used = c->state.generation_used;
	return used;
}

/* What an earlier run left. If the file cannot be read, no generation that was used already may
 * come back. So the count goes on from the time of day: that is more than all the tokens a client
 * was ever given, and if the file is damaged a second time, more than what was used since the
 * first. */
static void read_state(struct oauth_client *c)
{
	const char *directory = c->broker->state_dir;
	struct clock_reading now;
	size_t length;
	char *text;
	int r;

	r = state_read(directory, c->file, &text, &length);
	if (r == -ENOENT)
		return;
	if (!r) {
		r = client_state_read(text, length, c->broker->clock_id, &c->state);
		free(text);
	}
	clock_read(&now);
	if (!r) {
		client_state_drop_future(&c->state, now.boot);
		/* the rest of the block may have been used */
		c->state.generation_used = c->state.generation_reserved;
		return;
	}
	c->state.generation_used =
		(uint64_t)(now.wall.ns > 0 ? now.wall.ns / GENERATION_FROM_TIME_NS : 0);
	c->state.generation_reserved = c->state.generation_used;
	log_line(LOG_ERR,
		"%s/%s: %s; the limit on token requests starts afresh and generations go on from "
		"%llu. A profile that was revoked is not any more: revoke it again",
		directory, c->file, r == -EINVAL ? "damaged" : strerror(-r),
		(unsigned long long)c->state.generation_used);
}

void state_wait_cancel(struct state_wait *w)
{
	if (w->client)
		TAILQ_REMOVE(&w->client->waits, w, link);
	w->client = NULL;
}

/* What is revoked would else be written with the next token request, and there is none. */
static void try_again(struct oauth_client *c)
{
	const struct timeval again = {.tv_sec = WRITE_AGAIN_S};

	evtimer_add(&c->write_again, &again);
}

static void written(void *context, int error)
{
	struct oauth_client *c = context;
	const char *directory = c->broker->state_dir;
	struct state_wait *w;

	c->writes_ended++;
	if (error && !c->write_failing)
		log_line(LOG_ERR,
			"%s/%s cannot be written: %s. Tokens are still fetched and served, but a "
			"restart now would forget how many were fetched, and a stop what was "
			"revoked; make room or repair the directory. It is tried again every %d s",
			directory, c->file, strerror(-error), WRITE_AGAIN_S);
	else if (!error && c->write_failing)
		log_line(LOG_NOTICE, "%s/%s can be written again", directory, c->file);
	c->write_failing = error != 0;
	if (error)
		try_again(c);
	while ((w = TAILQ_FIRST(&c->waits)) != NULL && w->number <= c->writes_ended) {
		state_wait_cancel(w);
		w->ended(w->context);
	}
}

/* 0 or negative errno. */
static int begin_write(struct oauth_client *c)
{
	struct buffer text;
	int r;

	buffer_init(&text, NULL, 0);
	client_state_write(&c->state, c->broker->clock_id, &text);
	r = buffer_failed(&text)
		    ? -ENOMEM
		    : state_write(c->broker->writer, c->file, text.data, text.length, written, c);
	buffer_fini(&text);
	if (r)
		try_again(c);
	else
		c->writes_begun++;
	return r;
}

static void write_again(int fd, short events, void *context)
{
	(void)fd;
	(void)events;
	begin_write(context);
}

void oauth_clients_write_last(struct broker *b)
{
	struct oauth_client *c;

	TAILQ_FOREACH(c, &b->oauth_clients, link)
	if (evtimer_pending(&c->write_again, NULL))
		begin_write(c);
}

void oauth_clients_write_all(struct broker *b)
{
	struct oauth_client *c;

	TAILQ_FOREACH(c, &b->oauth_clients, link)
	{
		begin_write(c);
		if (c->login)
			login_lost(c->login);
	}
}

int oauth_client_get(struct oauth_client **ret, struct broker *b, const char *token_url,
	const char *client_id, enum grant grant)
{
	struct oauth_client *c;
	int r = -ENOMEM;

	TAILQ_FOREACH(c, &b->oauth_clients, link)
	if (c->grant == grant && !strcmp(c->token_url, token_url) &&
		!strcmp(c->client_id, client_id)) {
		*ret = c;
		return 0;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->broker = b;
	c->grant = grant;
	TAILQ_INIT(&c->waits);
	evtimer_assign(&c->write_again, b->base, write_again, c);
	c->token_url = strdup(token_url);
	c->client_id = strdup(client_id);
	if (!c->token_url || !c->client_id)
		goto fail;
	c->state.not_before.ns = INT64_MIN;
	client_state_name(token_url, client_id, grant_name(grant), c->file);
	read_state(c);
	if (!c->state.salt[0] || c->state.salt[0] == '-') {
		r = make_salt(c->state.salt);
		if (r)
			goto fail;
	}
	if (grant == GRANT_AUTHORIZATION_CODE) {
		r = login_new(&c->login, c);
		if (r)
			goto fail;
	}
	TAILQ_INSERT_TAIL(&b->oauth_clients, c, link);
	*ret = c;
	return 0;
fail:
	client_state_fini(&c->state);
	free(c->token_url);
	free(c->client_id);
	free(c);
	return r;
}

void oauth_client_free(struct oauth_client *c)
{
	TAILQ_REMOVE(&c->broker->oauth_clients, c, link);
	evtimer_del(&c->write_again);
	login_free(c->login);
	client_state_fini(&c->state);
	free(c->token_url);
	free(c->client_id);
	free(c);
}

uint64_t oauth_client_next_generation(const struct oauth_client *c)
{
	return generations_used(c->broker) + 1;
}

void oauth_client_use_generation(struct oauth_client *c, uint64_t generation)
{
	c->state.generation_used = generation;
}

void oauth_client_have_generation(struct oauth_client *c, uint64_t generation)
{
	struct client_state *s = &c->state;

	/* Beyond what is reserved only if the state file is lost; it is reserved again before the
	 * next token is asked for. */
	if (s->generation_used < generation)
		s->generation_used = generation;
	if (s->generation_reserved < generation)
		s->generation_reserved = generation;
}

int oauth_client_save(struct oauth_client *c, const struct profile *p, struct state_wait *w)
{
	struct client_state *s = &c->state;
	int r;

	r = client_state_set_revoked(s, p->settings->name, p->source.revoked);
	if (r)
		return r;
	s->generation_used = generations_used(c->broker);
	/* Half a block ahead, so that a disk that is full for a while stops nobody. */
	if (s->generation_reserved < s->generation_used + GENERATION_BLOCK / 2)
		s->generation_reserved = s->generation_used + GENERATION_BLOCK;
	token_source_save(&p->source, &s->not_before, &s->failure);
	if (p->fleet) {
		uint64_t lowest = fleet_lowest(&p->fleet->fleet);

		s->fleet_lowest = s->fleet && s->fleet_lowest > lowest ? s->fleet_lowest : lowest;
		s->fleet_rank = p->fleet->fleet.rank;
		s->fleet = true;
	}
	client_state_tag(s->salt, p->credential.client_id, p->credential.client_secret, s->tag);
	r = begin_write(c);
	if (r)
		return r;
	if (w) {
		w->client = c;
		w->number = c->writes_begun;
		TAILQ_INSERT_TAIL(&c->waits, w, link);
	}
	return 0;
}
