#include "token_login.h"

#include "token_response.h"

#define LOGIN_END_AHEAD_S 3600

void token_source_set_login(struct token_source *s, enum source_login login)
{
	s->attention |= s->login != login;
	s->changed |= s->login != login;
	s->login = login;
}

void token_source_code_came(struct token_source *s, uid_t uid)
{
	s->code_uid = uid;
	s->next.code = s->attention = true;
}

bool token_source_code_gone(struct token_source *s)
{
	bool waited = s->next.code;

	s->next.code = false;
	return waited;
}

/* That a new login failed says nothing about the one before it, which stays. */
void token_source_code_failed(struct token_source *s, const struct clock_reading *now,
	const struct token_response *response)
{
	s->counters.fetches[response->class]++;
	history_add_caused(s->history, now, EVENT_LOGIN_FAILED, s->code_uid, s->current.generation,
		"the login could not be finished: %.160s (%s%sHTTP %ld)", response->words,
		response->error, response->error[0] ? ", " : "", response->status);
}

bool token_source_login_ends(
	const struct token_source *s, const struct clock_reading *now, struct duration *ret_in)
{
	bool ends = s->login == SOURCE_LOGIN_NONE || s->login == SOURCE_LOGIN_REFUSED;

	if (!ends || !s->current.token.text)
		return false;
	*ret_in = boot_since(lifetime_dead(&s->current.life), now->boot);
	return true;
}

/* A person has to log in again, and people are not always there: they are warned an hour ahead, or
 * a quarter of the login's life if that is less. */
struct boot_time token_source_tell_login_end(
	struct token_source *s, const struct clock_reading *now)
{
	struct duration left, ahead;

	if (s->login_end_told || !token_source_login_ends(s, now, &left))
		return BOOT_TIME_NEVER;
	ahead = duration_min(
		duration_s(LOGIN_END_AHEAD_S), duration_ns(s->current.life.issued.ns / 4));
	if (left.ns > ahead.ns)
		return boot_sub(lifetime_dead(&s->current.life), ahead);
	s->login_end_told = true;
	history_add(s->history, now, EVENT_LOGIN_ENDS, s->current.generation,
		"the login ends in %lld s and cannot be refreshed: somebody has to log in again",
		(long long)duration_floor_s(left));
	return BOOT_TIME_NEVER;
}
