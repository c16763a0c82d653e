#include "retry.h"

#include <limits.h>
#include <stdbool.h>

struct duration retry_delay(unsigned failures, int64_t most_s, struct random *random)
{
	int64_t s = failures > 6 ? RETRY_MOST_S : INT64_C(1) << (failures ? failures - 1 : 0);
	struct duration half = duration_ns((s < most_s ? s : most_s) * NS_PER_S / 2);

	return duration_add(half, random_duration(random, half));
}

struct duration retry_refused(unsigned refusals, struct duration left)
{
	struct duration pause = duration_s(RETRY_REFUSED_S), half = duration_ns(left.ns / 2);
	bool often = half.ns < RETRY_REFUSED_FIRST_S * NS_PER_S;

	if (left.ns <= 0 || (refusals > 2 && often))
		return pause;
	if (refusals <= 1)
		pause = duration_s(RETRY_REFUSED_FIRST_S);
	return duration_max(duration_min(pause, half), duration_s(1));
}

struct duration retry_in_life(struct duration pause, struct duration left)
{
	if (left.ns <= 0)
		return pause;
	return duration_min(
		pause, duration_max(duration_ns(left.ns / 2), duration_s(RETRY_MOST_WAITED_S)));
}

struct duration retry_vain(unsigned vain)
{
	int64_t s = vain > 3 ? RETRY_MOST_S : (int64_t)RETRY_VAIN_S << (vain ? vain - 1 : 0);

	return duration_s(s < RETRY_MOST_S ? s : RETRY_MOST_S);
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

void mint_window_take_back(struct mint_window *w, struct boot_time at)
{
	unsigned i = w->count;

	while (i && w->at[(w->first + i - 1) % MINT_LIMIT_MAX].ns != at.ns)
		i--;
	if (!i)
		return;
	for (; i < w->count; i++)
		w->at[(w->first + i - 1) % MINT_LIMIT_MAX] = w->at[(w->first + i) % MINT_LIMIT_MAX];
	w->count--;
}

struct boot_time mint_window_at(const struct mint_window *w, unsigned i)
{
	return w->at[(w->first + w->count - 1 - i) % MINT_LIMIT_MAX];
}

unsigned mint_window_limit(const struct mint_window *w, unsigned limit)
{
	int64_t twice;

	if (limit != MINT_LIMIT_AUTO)
		return limit;
	if (w->pace.ns <= 0)
		return MINT_LIMIT_AUTO_LEAST;
	twice = (2 * MINT_WINDOW_S * NS_PER_S - 1) / w->pace.ns + 1;
	if (twice < MINT_LIMIT_AUTO_LEAST)
		return MINT_LIMIT_AUTO_LEAST;
	return twice > MINT_LIMIT_AUTO_MOST ? MINT_LIMIT_AUTO_MOST : (unsigned)twice;
}

unsigned mint_window_needs(const struct mint_window *w)
{
	int64_t needed;

	if (w->pace.ns <= 0)
		return 0;
	needed = (MINT_WINDOW_S * NS_PER_S - 1) / w->pace.ns + 1;
	return needed > UINT_MAX ? UINT_MAX : (unsigned)needed;
}

struct boot_time mint_window_next(const struct mint_window *w, unsigned limit, struct boot_time now)
{
	unsigned most = mint_window_limit(w, limit);

	/* The POST that is so many back must have left the window. */
	if (w->count < most)
		return now;
	return boot_max(now, boot_add(mint_window_at(w, most - 1), duration_s(MINT_WINDOW_S)));
}

struct boot_time mint_window_spread(
	const struct mint_window *w, unsigned limit, struct boot_time sent)
{
	unsigned most = mint_window_limit(w, limit), used = 0;
	struct duration until_room;

	while (used < w->count &&
		boot_since(sent, mint_window_at(w, used)).ns < MINT_WINDOW_S * NS_PER_S)
		used++;
	if (2 * used < most || used >= most)
		return sent;
	until_room =
		boot_since(boot_add(mint_window_at(w, used - 1), duration_s(MINT_WINDOW_S)), sent);
	return boot_add(sent, duration_ns(until_room.ns / (most - used + 1)));
}
