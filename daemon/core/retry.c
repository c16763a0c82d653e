#include "retry.h"

#include <limits.h>

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

unsigned mint_window_join(struct mint_window *w)
{
	w->sources++;
	return ++w->joined;
}

void mint_window_leave(struct mint_window *w)
{
	w->sources--;
}

void mint_window_add(struct mint_window *w, struct boot_time now)
{
	if (w->count == MINT_LIMIT_MAX) {
		w->first = (w->first + 1) % MINT_LIMIT_MAX;
		w->count--;
	}
	w->rejection[(w->first + w->count) % MINT_LIMIT_MAX] = 0;
	w->at[(w->first + w->count++) % MINT_LIMIT_MAX] = now;
}

/* Of those added at `at` one that is not known to have minted; 0: none, else one more than how many
 * are older. */
static unsigned find_pending(const struct mint_window *w, struct boot_time at)
{
	unsigned i = w->count;

	for (; i; i--) {
		unsigned n = (w->first + i - 1) % MINT_LIMIT_MAX;

		if (w->at[n].ns == at.ns && !w->rejection[n])
			break;
	}
	return i;
}

void mint_window_take_back(struct mint_window *w, struct boot_time at)
{
	unsigned i = find_pending(w, at);

	if (!i)
		return;
	for (; i < w->count; i++) {
		unsigned to = (w->first + i - 1) % MINT_LIMIT_MAX;
		unsigned from = (w->first + i) % MINT_LIMIT_MAX;

		w->at[to] = w->at[from];
		w->rejection[to] = w->rejection[from];
	}
	w->count--;
}

void mint_window_mark_rejection(struct mint_window *w, struct boot_time at, unsigned source)
{
	unsigned i = find_pending(w, at);

	if (i)
		w->rejection[(w->first + i - 1) % MINT_LIMIT_MAX] = source;
}

struct boot_time mint_window_at(const struct mint_window *w, unsigned i)
{
	return w->at[(w->first + w->count - 1 - i) % MINT_LIMIT_MAX];
}

/* How many sources have to be provided for. */
static int64_t sources_of(const struct mint_window *w)
{
	return w->sources ? w->sources : 1;
}

unsigned mint_window_limit(const struct mint_window *w, unsigned limit)
{
	int64_t twice = 2; /* what one source needs: a token, at least */

	if (limit != MINT_LIMIT_AUTO)
		return limit;
	if (w->pace.ns > 0 && w->pace.ns < MINT_WINDOW_S * NS_PER_S)
		twice = (2 * MINT_WINDOW_S * NS_PER_S - 1) / w->pace.ns + 1;
	twice *= sources_of(w);
	if (twice < MINT_LIMIT_AUTO_LEAST)
		return MINT_LIMIT_AUTO_LEAST;
	return twice > MINT_LIMIT_AUTO_MOST ? MINT_LIMIT_AUTO_MOST : (unsigned)twice;
}

unsigned mint_window_needs(const struct mint_window *w)
{
	int64_t needed;

	if (w->pace.ns <= 0)
		return 0;
	needed = (sources_of(w) * MINT_WINDOW_S * NS_PER_S - 1) / w->pace.ns + 1;
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

unsigned mint_window_rejections(
	const struct mint_window *w, unsigned limit, struct duration cooldown)
{
	unsigned most = mint_window_limit(w, limit), share = (most + 1) / 2;
	int64_t passed = cooldown.ns > 0 ? MINT_WINDOW_S * NS_PER_S / cooldown.ns : most;

	if (most < 2)
		return most;
	if (passed >= most)
		return most - 1;
	return passed > share ? (unsigned)passed : share;
}

struct boot_time mint_window_next_rejection(const struct mint_window *w, unsigned limit,
	struct duration cooldown, unsigned source, struct boot_time now)
{
	unsigned most = mint_window_limit(w, limit), share, all = 0, own = 0;

	share = mint_window_rejections(w, limit, cooldown);
	for (unsigned i = 0; i < w->count; i++) {
		unsigned n = (w->first + w->count - 1 - i) % MINT_LIMIT_MAX;
		struct boot_time leaves = boot_add(w->at[n], duration_s(MINT_WINDOW_S));

		if (!boot_before(now, leaves))
			break;
		if (!w->rejection[n])
			continue;
		/* from the latest back: there is room once this one has left, or never was in the
		 * way */
		all++;
		own += w->rejection[n] == source;
		if (all >= share && (own || all + 1 >= most))
			return leaves;
	}
	return now;
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
