#include "token_view.h"

#include "token_judge.h"
#include "token_source.h"

#include <string.h>

static enum source_state state_without_token(const struct token_source *s)
{
	if (s->login == SOURCE_LOGIN_NONE || s->login == SOURCE_LOGIN_REFUSED)
		return SOURCE_LOGIN_REQUIRED;
	if (!s->last_failure.any)
		return SOURCE_WAITING;
	switch (s->last_failure.class) {
	case RESPONSE_CLIENT_REJECTED:
		return SOURCE_CLIENT_REJECTED;
	case RESPONSE_LOGIN_REQUIRED:
		return SOURCE_LOGIN_REQUIRED;
	case RESPONSE_TOKEN:
	case RESPONSE_UNAVAILABLE:
	case RESPONSE_THROTTLED:
		break;
	}
	return SOURCE_UNAVAILABLE;
}

void token_source_view(
	const struct token_source *s, const struct clock_reading *now, struct source_view *ret)
{
	struct source_view v = {.slot = token_source_pick(s, now, 0)};
	const struct token_slot *last = token_source_last_resort(s, now);

	if (!v.slot && last && token_source_no_other(s)) {
		v.slot = last;
		v.state = SOURCE_STALE;
		v.expires_in = boot_since(token_source_over(s), now->boot);
		v.refresh_in = boot_since(s->refresh_at, now->boot);
	} else if (v.slot) {
		v.state = token_source_stale(s, now, v.slot) ? SOURCE_STALE : SOURCE_FRESH;
		v.expires_in = boot_since(lifetime_dead(&v.slot->life), now->boot);
		v.refresh_in = boot_since(s->refresh_at, now->boot);
	} else {
		v.state = s->revoked ? SOURCE_REVOKED : state_without_token(s);
	}
	if (v.slot == &s->previous && s->current.token.text) {
		const struct lifetime *life = &s->current.life;

		v.next_generation = s->current.generation;
		v.next_in = duration_max(DURATION_ZERO,
			boot_since(boot_max(life->valid, life->guard_until), now->boot));
	}
	v.next_attempt = token_source_chance(s, now->boot, token_source_fetch_at(s, now));
	*ret = v;
}

struct duration token_source_issued(const struct token_source *s)
{
	return s->current.token.text ? s->current.life.issued : DURATION_ZERO;
}

const char *source_state_name(enum source_state state)
{
	static const char *const names[] = {
		[SOURCE_FRESH] = "fresh",
		[SOURCE_STALE] = "stale",
		[SOURCE_WAITING] = "waiting",
		[SOURCE_UNAVAILABLE] = "unavailable",
		[SOURCE_CLIENT_REJECTED] = "client_rejected",
		[SOURCE_LOGIN_REQUIRED] = "login_required",
		[SOURCE_REVOKED] = "revoked",
	};

	return names[state];
}

uint64_t token_source_generation_of(const struct token_source *s, const char *fingerprint)
{
	if (s->current.token.text && !strcmp(s->current.token.fingerprint, fingerprint))
		return s->current.generation;
	if (s->previous.token.text && !strcmp(s->previous.token.fingerprint, fingerprint))
		return s->previous.generation;
	return 0;
}
