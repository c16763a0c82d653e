/* The queue is an array with a place for every descriptor this process may have, so that it is
 * never full; memory is used as far as it ever was filled. Time is counted in ticks, and it only
 * ticks while there is something to do: what is stuck costs nothing. */
#include "reaper.h"

#include "closer.h"
#include "core/times.h"
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 10
#define STUCK_TICKS 100
#define STOP_TICKS 100
/* Before one is asked for again, when one could not be started. */
#define FAILED_TICKS 100
/* Kept for users who have none and get none of their own. */
#define SHARED_CLOSERS 16
#define BIN_MOST 16384
#define BIN_FIRST 16
#define SPARE_FDS 16
/* So many at most are with closers that have not taken them yet: the kernel counts each against us
 * (untaken.c). */
#define IN_FLIGHT_MOST 256
#define GIVEN_SIZE 768 /* about, of a message as the kernel counts it */
/* In one pass. A single one may take as long as the kernel likes: where it took more than that,
 * none is given for so many times as long. */
#define GIVING_MS 20
#define REST_TIMES 20
#define ROOM_LEAST 1024
#define ROOM_MOST (1 << 20)
#define OWNER_BUCKETS 256

struct bin;

/* Whose descriptors they are. */
struct owner {
	struct owner *next;
	uid_t uid;
	unsigned pending, stuck;
	struct bin *filling;
	unsigned closing; /* bins */
};

enum bin_state {
	BIN_NONE,
	BIN_ASKED,
	BIN_FILLING,
	BIN_CLOSING,
	BIN_STUCK,
};

/* A closer and what was given to it. */
struct bin {
	enum bin_state state;
	int channel;
	bool deaf;            /* takes no more in this pass */
	unsigned ticks;       /* in BIN_CLOSING */
	struct owner *of;     /* or reaper.shared */
	struct owner **given; /* whose, one for each descriptor */
	unsigned count, room;
};

struct waiting {
	int fd;
	struct owner *owner;
};

struct reaper {
	int closer_fd;
	struct reaper_hooks hooks;
	struct event report, tick;
	bool lost;
	unsigned failed_ticks, rest_ticks;
	struct waiting *waiting;
	unsigned count, room;
	unsigned bin_most;
	struct owner *owners[OWNER_BUCKETS];
	unsigned owner_count;
	struct owner shared;  /* nobody's: of bins that several users share */
	struct owner unknown; /* of what there was no memory to note the owner of */
	struct bin bins[CLOSERS_MOST];
};

/* ---- owners ---- */

static unsigned bucket_of(uid_t uid)
{
	return (uid ^ uid >> 16) % OWNER_BUCKETS;
}

static struct owner *owner_find(const struct reaper *r, uid_t uid)
{
	struct owner *o = r->owners[bucket_of(uid)];

	while (o && o->uid != uid)
		o = o->next;
	return o;
}

static struct owner *owner_enter(struct reaper *r, uid_t uid)
{
	struct owner **bucket = &r->owners[bucket_of(uid)], *o = owner_find(r, uid);

	if (!o) {
		o = calloc(1, sizeof(*o));
		if (!o)
			return &r->unknown;
		*o = (struct owner){.next = *bucket, .uid = uid};
		*bucket = o;
		r->owner_count++;
	}
	return o;
}

static void owner_trim(struct reaper *r, struct owner *o)
{
	struct owner **at = &r->owners[bucket_of(o->uid)];

	if (o == &r->shared || o == &r->unknown || o->pending || o->filling || o->closing)
		return;
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	r->owner_count--;
	free(o);
}

/* ---- bins ---- */

static uint32_t bin_id(const struct reaper *r, const struct bin *b)
{
	return (uint32_t)(b - r->bins);
}

/* NULL: none can be had now. */
static struct bin *bin_ask_for(struct reaper *r, struct owner *of)
{
	unsigned first = of == &r->shared ? 0 : SHARED_CLOSERS;
	int error;

	if (r->lost || r->failed_ticks)
		return NULL;
	for (unsigned i = CLOSERS_MOST; i-- > first;) {
		struct bin *b = &r->bins[i];

		if (b->state != BIN_NONE)
			continue;
		error = closer_fork(r->closer_fd, bin_id(r, b), &b->channel);
		if (error) {
			/* not tried again for each of what may be thousands that wait */
			r->failed_ticks = error == -EAGAIN ? 1 : FAILED_TICKS;
			return NULL;
		}
		b->state = BIN_ASKED;
		b->of = of;
		of->filling = b;
		return b;
	}
	return NULL;
}

/* The closer gets no more, and closes what it has. Our end stays, to tell what it has not taken. */
static void bin_close(struct bin *b)
{
	shutdown(b->channel, SHUT_WR);
	b->state = BIN_CLOSING;
	b->ticks = 0;
	b->of->filling = NULL;
	b->of->closing++;
}

static void bin_is_stuck(struct reaper *r, struct bin *b)
{
	b->state = BIN_STUCK;
	for (unsigned i = 0; i < b->count; i++)
		b->given[i]->stuck++;
	if (r->hooks.stuck)
		r->hooks.stuck(r->hooks.context, b->given[0]->uid);
}

static void bin_ended(struct reaper *r, struct bin *b)
{
	struct owner *of = b->of;

	if (b->state == BIN_ASKED)
		r->failed_ticks = FAILED_TICKS;
	if (of->filling == b)
		of->filling = NULL;
	else
		of->closing--;
	if (b->channel >= 0)
		close(b->channel);
	for (unsigned i = 0; i < b->count; i++) {
		struct owner *o = b->given[i];

		o->pending--;
		o->stuck -= b->state == BIN_STUCK;
		if (o != of)
			owner_trim(r, o);
	}
	owner_trim(r, of);
	free(b->given);
	*b = (struct bin){.channel = -1};
}

static bool bin_make_room(struct bin *b)
{
	unsigned room = b->room ? b->room * 2 : BIN_FIRST;
	struct owner **given;

	if (b->count < b->room)
		return true;
	given = realloc(b->given, room * sizeof(struct owner *));
	if (!given)
		return false;
	b->given = given;
	b->room = room;
	return true;
}

/* False: it has to wait. */
static bool give(const struct reaper *r, struct bin *b, const struct waiting *w)
{
	if (b->state != BIN_FILLING || b->deaf || b->count >= r->bin_most || !bin_make_room(b))
		return false;
	b->deaf = closer_give(b->channel, w->fd) < 0;
	if (!b->deaf)
		b->given[b->count++] = w->owner;
	return !b->deaf;
}

static struct bin *bin_for(struct reaper *r, struct owner *o)
{
	struct bin *b = o->filling ? o->filling : bin_ask_for(r, o);

	if (b)
		return b;
	return r->shared.filling ? r->shared.filling : bin_ask_for(r, &r->shared);
}

/* ---- what there is to do ---- */

static unsigned in_flight(const struct reaper *r)
{
	unsigned size = 0;
	int left;

	for (unsigned i = 0; i < CLOSERS_MOST; i++)
		if (r->bins[i].channel >= 0 && !ioctl(r->bins[i].channel, SIOCOUTQ, &left))
			size += (unsigned)left;
	return size / GIVEN_SIZE;
}

static int64_t now_ms(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

static void give_all(struct reaper *r)
{
	unsigned kept = 0, gone = in_flight(r);
	int64_t begun = now_ms(), before, now = begun, longest = 0;

	for (unsigned i = 0; i < CLOSERS_MOST; i++)
		r->bins[i].deaf = false;
	for (unsigned i = 0; i < r->count; i++) {
		bool more = now - begun < GIVING_MS && gone < IN_FLIGHT_MOST;
		struct bin *b = more ? bin_for(r, r->waiting[i].owner) : NULL;

		if (!b || !give(r, b, &r->waiting[i])) {
			r->waiting[kept++] = r->waiting[i];
			continue;
		}
		gone++;
		before = now;
		now = now_ms();
		if (now - before > longest)
			longest = now - before;
	}
	r->count = kept;
	if (longest >= GIVING_MS)
		r->rest_ticks = (unsigned)(longest * REST_TIMES / TICK_MS);
}

/* True: it has to be looked at again. */
static bool bin_tick(struct reaper *r, struct bin *b)
{
	switch (b->state) {
	case BIN_ASKED:
		return true;
	case BIN_FILLING:
		if (b->count && (!b->of->closing || b->count >= r->bin_most))
			bin_close(b);
		return b->state == BIN_CLOSING;
	case BIN_CLOSING:
		if (++b->ticks >= STUCK_TICKS)
			bin_is_stuck(r, b);
		return b->state == BIN_CLOSING;
	default:
		return false;
	}
}

/* True: there is more to do. */
static bool work(struct reaper *r)
{
	bool more;

	r->failed_ticks -= r->failed_ticks > 0;
	if (r->rest_ticks)
		r->rest_ticks--;
	else
		give_all(r);
	more = r->count > 0;
	for (unsigned i = 0; i < CLOSERS_MOST; i++)
		if (bin_tick(r, &r->bins[i]))
			more = true;
	return more && !r->lost;
}

static void tick_later(struct reaper *r)
{
	static const struct timeval tick = {.tv_usec = TICK_MS * 1000};

	if (!r->lost && !evtimer_pending(&r->tick, NULL))
		event_add(&r->tick, &tick);
}

static void tick_event(evutil_socket_t fd, short what, void *context)
{
	struct reaper *r = context;

	(void)fd;
	(void)what;
	if (work(r))
		tick_later(r);
}

static void take_reports(struct reaper *r)
{
	struct closer_report report;
	int n;

	while ((n = closer_report(r->closer_fd, &report)) > 0) {
		struct bin *b = &r->bins[report.id % CLOSERS_MOST];

		if (b->state == BIN_NONE)
			continue;
		if (report.event == CLOSER_STARTED)
			b->state = BIN_FILLING;
		else
			bin_ended(r, b);
		tick_later(r);
	}
	if (n < 0 && !r->lost) {
		r->lost = true;
		event_del(&r->report);
		event_del(&r->tick);
		if (r->hooks.lost)
			r->hooks.lost(r->hooks.context);
	}
}

static void report_event(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	take_reports(context);
}

/* ---- from outside ---- */

static unsigned descriptors_possible(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_max > ROOM_MOST)
		return ROOM_MOST;
	return limit.rlim_max < ROOM_LEAST ? ROOM_LEAST : (unsigned)limit.rlim_max;
}

/* A closer has the limit that this process had when it was started. */
static unsigned bin_most(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= BIN_MOST + SPARE_FDS)
		return BIN_MOST;
	return limit.rlim_cur > 2 * SPARE_FDS ? (unsigned)limit.rlim_cur - SPARE_FDS : SPARE_FDS;
}

int reaper_new(struct reaper **ret, struct event_base *base, int closer_fd,
	const struct reaper_hooks *hooks)
{
	struct reaper *r = calloc(1, sizeof(*r));

	if (!r)
		goto no_memory;
	r->closer_fd = closer_fd;
	r->hooks = *hooks;
	r->bin_most = bin_most();
	r->shared.uid = r->unknown.uid = (uid_t)-1;
	for (unsigned i = 0; i < CLOSERS_MOST; i++)
		r->bins[i].channel = -1;
	r->room = descriptors_possible();
	r->waiting = calloc(r->room, sizeof(*r->waiting));
	event_assign(&r->report, base, closer_fd, EV_READ | EV_PERSIST, report_event, r);
	evtimer_assign(&r->tick, base, tick_event, r);
	r->lost = closer_fd < 0;
	if (!r->waiting || (!r->lost && event_add(&r->report, NULL) < 0))
		goto no_memory;
	*ret = r;
	return 0;

no_memory:
	if (r)
		free(r->waiting);
	free(r);
	closer_stop(closer_fd);
	return -ENOMEM;
}

void reaper_free(struct reaper *r)
{
	struct pollfd reports;

	if (!r)
		return;
	r->hooks = (struct reaper_hooks){0};
	reports = (struct pollfd){.fd = r->closer_fd, .events = POLLIN};
	for (unsigned i = 0; i < STOP_TICKS && r->count && !r->lost; i++) {
		r->rest_ticks = 0;
		work(r);
		if (r->count && poll(&reports, 1, TICK_MS) > 0)
			take_reports(r);
	}
	for (unsigned i = 0; i < CLOSERS_MOST; i++) {
		struct bin *b = &r->bins[i];

		if (b->state != BIN_NONE)
			bin_ended(r, b);
	}
	for (unsigned i = 0; i < OWNER_BUCKETS; i++) {
		while (r->owners[i]) {
			struct owner *o = r->owners[i];

			r->owners[i] = o->next;
			free(o);
		}
	}
	event_del(&r->report);
	event_del(&r->tick);
	closer_stop(r->closer_fd);
	free(r->waiting);
	free(r);
}

static uid_t user_at(int fd)
{
	struct ucred credentials = {.uid = (uid_t)-1};
	socklen_t length = sizeof(credentials);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length);
	return credentials.uid;
}

void reaper_close(struct reaper *r, int fd)
{
	struct owner *o;

	/* More than there may be: the limit was raised from outside. Left open, then. */
	if (r->count >= r->room)
		return;
	o = owner_enter(r, user_at(fd));
	o->pending++;
	r->waiting[r->count++] = (struct waiting){.fd = fd, .owner = o};
	tick_later(r);
}

bool reaper_works(const struct reaper *r)
{
	return !r->lost;
}

unsigned reaper_pending(const struct reaper *r)
{
	return r->count;
}

struct reaper_user reaper_user(const struct reaper *r, uid_t uid)
{
	const struct owner *o = r->owner_count ? owner_find(r, uid) : NULL;

	return o ? (struct reaper_user){.pending = o->pending, .stuck = o->stuck > 0}
		 : (struct reaper_user){0};
}
