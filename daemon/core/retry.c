#include "retry.h"

struct duration retry_delay(unsigned failures, struct random *random)
{
	int64_t most = failures > 6 ? 60 : INT64_C(1) << (failures ? failures - 1 : 0);

	most *= NS_PER_S;
	return duration_add(duration_ns(most / 2), random_duration(random, duration_ns(most / 2)));
}

struct duration retry_obey(struct duration retry_after)
{
	return duration_min(duration_add(duration_max(retry_after, DURATION_ZERO), duration_s(1)),
		duration_s(RETRY_AFTER_CAP_S));
}

void mint_window_add(struct mint_window *w, struct boot_time now)
{
	if (w->count == MINT_LIMIT_MAX) {
		w->first = (w->first + 1) % MINT_LIMIT_MAX;
		w->count--;
	}
	w->at[(w->first + w->count++) % MINT_LIMIT_MAX] = now;
}

struct boot_time mint_window_at(const struct mint_window *w, unsigned i)
{
	return w->at[(w->first + w->count - 1 - i) % MINT_LIMIT_MAX];
}

struct boot_time mint_window_next(const struct mint_window *w, unsigned limit, struct boot_time now)
{
	/* The limit-th latest POST must have left the window. */
	if (!limit || w->count < limit)
		return now;
	return boot_max(now, boot_add(mint_window_at(w, limit - 1), duration_s(MINT_WINDOW_S)));
}
