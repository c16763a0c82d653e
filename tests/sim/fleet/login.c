#include "login.h"

#include <stdlib.h>

#define EPOCH_S INT64_C(1795693523)

void login_init(struct login *l, const struct sim *sim, struct duration life)
{
	*l = (struct login){.sim = sim, .life = life};
}

void login_fini(struct login *l)
{
	free(l->tokens);
}

bool login_over(const struct login *l, size_t token)
{
	return true_since(l->sim->now, l->tokens[token].issued_at).ns >= l->life.ns;
}

int64_t login_clock_ns(const struct login *l)
{
	return EPOCH_S * NS_PER_S + l->sim->now.ns;
}

size_t login_issue(struct login *l)
{
	size_t live = 0, oldest = l->count;

	if (l->count == l->room)
		l->tokens = sim_grow(l->tokens, &l->room, sizeof(*l->tokens));
	l->tokens[l->count++] = (struct login_token){.issued_at = l->sim->now};
	for (size_t i = l->count; i-- > 0 && !login_over(l, i);)
		if (!l->tokens[i].revoked) {
			live++;
			oldest = i;
		}
	if (live > l->live_most)
		l->live_most = live;
	if (live > LOGIN_LIVE_MAX)
		l->tokens[oldest].revoked = true;
	return l->count - 1;
}
