/* Time here is the loop's own, read once per pass: nothing else reads a clock. It is a wall
 * clock's, which may be set at any moment; only differences of less than some seconds count. */
#include "share.h"

#include <event2/event.h>

/* A user who was served less than so long ago is one whom others' requests may keep waiting. A
 * longer time would only cost throughput: a loop that looks more often for others. */
#define RIVAL_REQUESTS_MS 10000
/* Much shorter, because this one turns away connections that could as well be served. */
#define RIVAL_CONNECTS_MS 1000

/* In requests. A tenth of what one processor can do, and as many at once as nobody notices. */
#define SHARE_PER_SECOND 8000
/* Alone, in one pass: a twentieth of a second. */
#define SHARE_OF_PASS 16384
#define SHARE_AT_ONCE 128
#define CONNECTION_COST 4
/* A lower limit of connections at a time is none of new ones. */
#define CONNECTS_PER_SECOND_LEAST 1000

#define REQUESTS_PER_TURN 16
#define REQUESTS_PER_TURN_BEHIND 4
/* All that are behind, in one pass of the loop, unless they are alone. */
#define REQUESTS_BEHIND 32
#define TURNS_BEHIND 32
/* A user's connections, however many there are, share about this in one pass. */
#define REQUESTS_PER_PASS 1024

/* Not inline: whoever mostly does without a clock needs no frame for one. */
static __attribute__((noinline)) int64_t now_ms(const struct sharing *s)
{
	struct timeval now = {0};

	event_base_gettimeofday_cached(s->base, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

/* One that holds no more than a second's worth is empty after a second, however full it was. So it
 * is where the clock was set back, which could otherwise last for hours; by less it may only seem
 * to have been. */
static int64_t level_at(const struct share *s, uint32_t per_second, int64_t now)
{
	int64_t passed = now - s->at_ms, left;

	if (passed < -1000 || passed > 1000)
		return 0;
	if (passed <= 0)
		return s->level;
	left = s->level - passed * per_second;
	return left > 0 ? left : 0;
}

static inline void fill(struct share *s, uint32_t amount, uint32_t per_second, int64_t now)
{
	int64_t level = level_at(s, per_second, now) + (int64_t)amount * 1000;
	int64_t most = (int64_t)per_second * 1000;

	s->level = level < most ? level : most;
	s->at_ms = now;
}

void share_fill(struct share *s, uint32_t amount, uint32_t per_second, int64_t now)
{
	fill(s, amount, per_second, now);
}

/* When somebody else was served last; 0: never. */
static int64_t rival_ms(const struct sharing *s, const struct share_user *user)
{
	return s->latest[s->latest[0].uid == user->uid].at_ms;
}

/* Somebody else was served within the time given. */
static bool has_rival(
	const struct sharing *s, const struct share_user *user, int64_t within, int64_t now)
{
	int64_t passed = now - rival_ms(s, user);

	return rival_ms(s, user) && passed >= 0 && passed <= within;
}

/* The time is a coarse one, in which there may be several short passes: taken for one. */
static uint32_t in_pass(const struct sharing *s, int64_t now)
{
	return s->pass_ms == now ? s->in_pass : 0;
}

static void count(struct sharing *s, struct share_user *user, uint32_t cost, int64_t now)
{
	s->requests += cost;
	s->in_pass = in_pass(s, now) + cost;
	s->pass_ms = now;
	fill(&user->served, cost, SHARE_PER_SECOND, now);
}

static void note_served(struct sharing *s, const struct share_user *user, int64_t now)
{
	if (s->latest[0].uid != user->uid) {
		s->latest[1] = s->latest[0];
		s->latest[0].uid = user->uid;
	}
	s->latest[0].at_ms = now;
}

void share_connected(struct sharing *s, struct share_user *user)
{
	int64_t now = now_ms(s);

	share_fill(&user->connected, 1, s->connects_per_second, now);
	share_fill(&user->served, CONNECTION_COST, SHARE_PER_SECOND, now);
}

void share_served(struct sharing *s, struct share_user *user, size_t bytes)
{
	uint32_t cost = 1 + (uint32_t)(bytes / SHARE_BYTES_PER_REQUEST);
	int64_t now = now_ms(s);

	count(s, user, cost, now);
	note_served(s, user, now);
}

void share_replied_much(struct sharing *s, struct share_user *user, size_t bytes)
{
	count(s, user, (uint32_t)(bytes / SHARE_BYTES_PER_REQUEST), now_ms(s));
}

/* As many at once as are allowed a second. */
bool share_may_connect(const struct sharing *s, const struct share_user *user)
{
	uint32_t most = s->connects_per_second;
	int64_t now;

	if (!user)
		return true;
	now = now_ms(s);
	return level_at(&user->connected, most, now) < (int64_t)most * 1000 ||
	       !has_rival(s, user, RIVAL_CONNECTS_MS, now);
}

/* Not inline: mostly it is known without a clock. */
static __attribute__((noinline)) bool had_its_share_now(
	const struct sharing *s, const struct share_user *user)
{
	int64_t now = now_ms(s);

	if (level_at(&user->served, SHARE_PER_SECOND, now) <= SHARE_AT_ONCE * 1000)
		return false;
	/* Nor does it pass those of its own that wait, be it alone: they would starve. */
	return !link_alone(&user->behind) || has_rival(s, user, RIVAL_REQUESTS_MS, now) ||
	       in_pass(s, now) >= SHARE_OF_PASS;
}

static inline bool had_its_share(const struct sharing *s, const struct share_user *user)
{
	/* It has not asked for much, or it is alone. */
	if (user->served.level <= SHARE_AT_ONCE * 1000 ||
		(!rival_ms(s, user) && s->in_pass < SHARE_OF_PASS && link_alone(&user->behind)))
		return false;
	return had_its_share_now(s, user);
}

unsigned share_requests(
	const struct sharing *s, const struct share_user *user, uint32_t connections)
{
	unsigned each = REQUESTS_PER_PASS / connections;

	if (each > REQUESTS_PER_TURN)
		each = REQUESTS_PER_TURN;
	if (each > REQUESTS_PER_TURN_BEHIND && had_its_share(s, user))
		each = REQUESTS_PER_TURN_BEHIND;
	return each ? each : 1;
}

bool share_defer(struct sharing *s, struct share_user *user, struct link *link)
{
	static const struct timeval at_once = {0};

	if (!link_alone(link))
		return true;
	if (!had_its_share(s, user))
		return false;
	/* A timer and not event_active(): that would run before the loop looks at other sockets. */
	if (link_alone(&s->behind) && event_add(&s->turn, &at_once) < 0)
		return false;
	if (link_alone(&user->behind))
		link_append(&s->behind, &user->in_behind);
	link_append(&user->behind, link);
	return true;
}

void share_forget(struct share_user *user, struct link *link)
{
	link_remove(link);
	if (link_alone(&user->behind))
		link_remove(&user->in_behind);
}

/* Those behind have had enough of this pass: who has nobody to wait for it gets a whole one. */
static bool is_over(
	const struct sharing *s, const struct share_user *next, unsigned turns, uint64_t requests)
{
	if (has_rival(s, next, RIVAL_REQUESTS_MS, now_ms(s)))
		return turns >= TURNS_BEHIND || requests >= REQUESTS_BEHIND;
	return turns >= SHARE_OF_PASS || requests >= SHARE_OF_PASS;
}

static void turn_of_those_behind(evutil_socket_t fd, short what, void *context)
{
	static const struct timeval at_once = {0};
	struct sharing *s = context;
	uint64_t before = s->requests;

	(void)fd;
	(void)what;
	for (unsigned turns = 0; !link_alone(&s->behind); turns++) {
		struct share_user *user =
			LINK_ELEMENT(s->behind.next, struct share_user, in_behind);
		struct link *first = user->behind.next;

		/* Should there be no next turn, then all of it in this one. */
		if (is_over(s, user, turns, s->requests - before) &&
			event_add(&s->turn, &at_once) == 0)
			return;
		share_forget(user, first);
		if (!link_alone(&user->behind)) {
			link_remove(&user->in_behind);
			link_append(&s->behind, &user->in_behind);
		}
		s->ready(first);
	}
}

void share_set_limit(struct sharing *s, uint32_t connections_per_user)
{
	s->connects_per_second = connections_per_user > CONNECTS_PER_SECOND_LEAST
					 ? connections_per_user
					 : CONNECTS_PER_SECOND_LEAST;
}

void share_init(struct sharing *s, struct event_base *base, uint32_t connections_per_user,
	void (*ready)(struct link *connection))
{
	*s = (struct sharing){.base = base, .ready = ready};
	share_set_limit(s, connections_per_user);
	link_init(&s->behind);
	evtimer_assign(&s->turn, base, turn_of_those_behind, s);
}

void share_fini(struct sharing *s)
{
	event_del(&s->turn);
}

void share_user_init(struct share_user *user, uid_t uid)
{
	*user = (struct share_user){.uid = uid};
	link_init(&user->behind);
	link_init(&user->in_behind);
}
