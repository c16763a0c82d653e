#include "server.h"

#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ID_LENGTH 16
#define SPIKE_ONE_IN 64 /* messages that take much longer than usual */

unsigned server_clocks(const struct server *s)
{
	return s->settings.clocks ? s->settings.clocks : 1;
}

void server_init(
	struct server *s, struct sim *sim, const struct server_settings *settings, uint64_t seed)
{
	*s = (struct server){.sim = sim, .settings = *settings, .random = {seed}};
	for (unsigned i = 0; i < server_clocks(s); i++) {
		s->clock_ns[i] = SIM_EPOCH_S * NS_PER_S + settings->ahead.ns +
				 (int64_t)i * settings->clocks_apart.ns +
				 random_duration(&s->random, duration_s(1)).ns;
		s->ppm[i] = machine_some_ppm(&s->random, settings->drift_ppm);
	}
	/* A cluster's clocks are exactly so far apart as was asked for. */
	for (unsigned i = 1; i < server_clocks(s); i++) {
		s->clock_ns[i] = s->clock_ns[0] + (int64_t)i * settings->clocks_apart.ns;
		s->ppm[i] = s->ppm[0];
	}
	s->clock_ns[server_clocks(s) - 1] += settings->last_ahead.ns;
	s->date_phase = random_duration(&s->random, duration_ns(NS_PER_S - 1));
}

void server_fini(struct server *s)
{
	free(s->tokens);
	*s = (struct server){0};
}

static int64_t clock_now(const struct server *s, unsigned clock)
{
	struct duration passed = duration_ns(s->sim->now.ns);

	return s->clock_ns[clock] + passed.ns + drift_of(passed, s->ppm[clock]).ns;
}

static unsigned some_clock(struct server *s)
{
	unsigned clocks = server_clocks(s);

	return clocks == 1 ? 0 : (unsigned)(random_next(&s->random) % clocks);
}

struct duration server_latency(struct server *s)
{
	struct duration d =
		duration_add(s->settings.latency, random_duration(&s->random, s->settings.jitter));

	if (random_next(&s->random) % SPIKE_ONE_IN == 0)
		d = duration_add(d, random_duration(&s->random, duration_ms(400)));
	return d;
}

struct duration server_thinks(struct server *s)
{
	return duration_add(s->settings.thinks,
		random_duration(&s->random, duration_ns(s->settings.thinks.ns / 4)));
}

bool server_listens(const struct server *s)
{
	return s->mood != SERVER_REFUSES;
}

static void date_write(int64_t s, char *ret, size_t size)
{
	time_t seconds = (time_t)s;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(ret, size, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

static void put_date(struct server *s, unsigned clock, struct server_response *a)
{
	int64_t now = clock_now(s, clock) + s->settings.date_ahead.ns;

	switch (s->settings.date) {
	case DATE_ABSENT:
		return;
	case DATE_CACHED:
		now -= (now - s->date_phase.ns) % NS_PER_S;
		break;
	case DATE_FROZEN:
		now = SIM_EPOCH_S * NS_PER_S;
		break;
	case DATE_LIVE:
		break;
	}
	date_write(now / NS_PER_S, a->date, sizeof(a->date));
}

static void base64url(const char *text, char *ret)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t length = strlen(text);

	for (size_t i = 0; i < length; i += 3) {
		uint32_t three = (uint32_t)(unsigned char)text[i] << 16;

		if (i + 1 < length)
			three |= (uint32_t)(unsigned char)text[i + 1] << 8;
		if (i + 2 < length)
			three |= (uint32_t)(unsigned char)text[i + 2];
		*ret++ = digits[three >> 18];
		*ret++ = digits[three >> 12 & 63];
		if (i + 1 < length)
			*ret++ = digits[three >> 6 & 63];
		if (i + 2 < length)
			*ret++ = digits[three & 63];
	}
	*ret = '\0';
}

/* Both kinds end with the id: for a JWT it stands for the signature. */
static void token_write(const struct server *s, uint64_t id, char *ret, size_t size)
{
	const struct server_token *t = &s->tokens[id];
	char payload[160], payload64[224], header64[64];

	if (!s->settings.jwt) {
		snprintf(ret, size, "sim-opaque-%016llx", (unsigned long long)id);
		return;
	}
	snprintf(payload, sizeof(payload), "{\"iat\":%lld,\"nbf\":%lld,\"exp\":%lld,\"jti\":%llu}",
		(long long)t->from_s, (long long)t->from_s, (long long)t->exp_s,
		(unsigned long long)id);
	base64url("{\"alg\":\"none\"}", header64);
	base64url(payload, payload64);
	snprintf(ret, size, "%s.%s.%016llx", header64, payload64, (unsigned long long)id);
}

uint64_t server_token_id(const char *text)
{
	return strtoull(text + strlen(text) - ID_LENGTH, NULL, 16);
}

static uint64_t token_make(struct server *s, int64_t now_s)
{
	if (s->count == s->room)
		s->tokens = sim_grow(s->tokens, &s->room, sizeof(*s->tokens));
	s->tokens[s->count] = (struct server_token){
		.exp_s = now_s + s->settings.lifetime_s,
		.from_s = s->settings.jwt ? now_s + s->settings.iat_ahead.ns / NS_PER_S : 0,
	};
	if (s->settings.live_max && s->count - s->oldest_live >= s->settings.live_max)
		s->tokens[s->oldest_live++].dead = true;
	return s->count++;
}

static bool too_many_requests(const struct server *s)
{
	unsigned limit = s->settings.requests_in_60_s;

	return limit && s->requests > limit &&
	       true_since(s->sim->now, s->recent[(s->requests - 1 - limit) % 64]).ns <
		       60 * NS_PER_S;
}

static void put_token(struct server *s, unsigned clock, struct server_response *a)
{
	int64_t now_s = (clock_now(s, clock) - s->settings.minted_before.ns) / NS_PER_S;
	int64_t left_s = s->settings.lifetime_s;
	char text[512];
	uint64_t id;

	if (s->settings.same_token_until_s && s->count && !s->tokens[s->count - 1].dead &&
		s->tokens[s->count - 1].exp_s - now_s > s->settings.same_token_until_s) {
		id = s->count - 1;
		left_s = s->tokens[id].exp_s - now_s;
	} else {
		id = token_make(s, now_s);
	}
	token_write(s, id, text, sizeof(text));
	a->status = 200;
	snprintf(a->body, sizeof(a->body),
		"{\"access_token\":\"%s\",\"token_type\":\"bearer\",\"expires_in\":%lld}", text,
		(long long)left_s);
}

static void put_error(struct server_response *a, long status, const char *error, const char *words)
{
	a->status = status;
	snprintf(a->body, sizeof(a->body),
		"{\"error\":\"%s\",\"description\":\"%s\",\"error_description\":\"%s\"}", error,
		words, words);
}

static struct duration busy_for(const struct server *s)
{
	return duration_sub(
		duration_s(s->settings.retry_after_s), true_since(s->sim->now, s->mood_since));
}

void server_respond_post(struct server *s, struct server_response *ret)
{
	unsigned clock = some_clock(s);
	struct server_response a = {0};

	s->recent[s->requests++ % 64] = s->sim->now;
	put_date(s, clock, &a);
	switch (s->mood) {
	case SERVER_BROKEN:
		a.status = 503;
		snprintf(a.body, sizeof(a.body), "<html>Service Unavailable</html>");
		break;
	case SERVER_THROTTLES:
		put_error(&a, 400, "invalid_request", "rate limit exceeded, try again");
		break;
	case SERVER_BUSY:
	case SERVER_BUSY_DATE:
		if (busy_for(s).ns <= 0) {
			put_token(s, clock, &a);
			break;
		}
		put_error(&a, 429, "too_many_requests", "slow down");
		/* rounded down, as servers do */
		if (s->mood == SERVER_BUSY)
			snprintf(a.retry_after, sizeof(a.retry_after), "%lld",
				(long long)duration_floor_s(busy_for(s)));
		else
			date_write((clock_now(s, clock) + busy_for(s).ns) / NS_PER_S, a.retry_after,
				sizeof(a.retry_after));
		break;
	case SERVER_DENIES:
		put_error(&a, 401, "invalid_client", "authentication failed");
		break;
	case SERVER_WELL:
	case SERVER_REFUSES:
	case SERVER_SILENT:
	case SERVER_SWALLOWS:
	case SERVER_HALF_SILENT:
		if (too_many_requests(s))
			put_error(&a, 400, "invalid_request", "rate limit exceeded, try again");
		else
			put_token(s, clock, &a);
		break;
	}
	*ret = a;
}

void server_respond_head(struct server *s, struct server_response *ret)
{
	struct server_response a = {.status = s->mood == SERVER_BROKEN ? 503 : 404};

	s->heads++;
	put_date(s, some_clock(s), &a);
	*ret = a;
}

void server_set_mood(struct server *s, enum server_mood mood)
{
	s->mood = mood;
	s->mood_since = s->sim->now;
}

void server_step(struct server *s, struct duration by)
{
	for (unsigned i = 0; i < server_clocks(s); i++)
		s->clock_ns[i] += by.ns;
}

void server_evict_all(struct server *s)
{
	while (s->oldest_live < s->count)
		s->tokens[s->oldest_live++].dead = true;
}

enum api_verdict server_api(struct server *s, uint64_t token_id)
{
	const struct server_token *t = &s->tokens[token_id];
	int64_t now = clock_now(s, some_clock(s));

	if (t->dead)
		return API_REVOKED;
	if (now >= t->exp_s * NS_PER_S)
		return API_EXPIRED;
	return now < t->from_s * NS_PER_S ? API_TOO_EARLY : API_TAKES;
}

struct duration server_token_left(const struct server *s, uint64_t token_id)
{
	const struct server_token *t = &s->tokens[token_id];
	int64_t left = INT64_MAX;

	for (unsigned i = 0; i < server_clocks(s); i++) {
		int64_t now = clock_now(s, i);
		int64_t here = now < t->from_s * NS_PER_S ? -1 : t->exp_s * NS_PER_S - now;

		left = here < left ? here : left;
	}
	return duration_ns(t->dead ? -1 : left);
}

struct duration server_theta(const struct server *s, unsigned clock, struct boot_time boot)
{
	return duration_ns(clock_now(s, clock) - boot.ns);
}
