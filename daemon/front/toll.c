/* A counter of the processor costs a few instructions, but it also counts while another thread
 * runs. The clock of our own thread costs a system call: it is asked once a millisecond, and while
 * careful for each call. */
#include "toll.h"

#include "core/times.h"
#include "counter_rate.h"
#include "reaper.h"
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* A call that takes longer is looked at. */
#define LOOK_US 100
#define LOOK_CAREFUL_US 20
/* How old may be what was last known of the thread's time, at the beginning of a call. */
#define KNOWN_US 1000
/* For how long to be careful: where somebody was held off; and where something was slow, which once
 * may be the fault of a virtual machine that stood still, so many times as long as that took. */
#define WAS_NS (3600 * NS_PER_S)
#define SEEMED_TIMES 100
#define SEEMED_LEAST_NS (10 * NS_PER_S)
/* Bytes at once while careful: if they seem to have come in as many; and of who has taken time of
 * late, or was held off. */
#define PIECE_CAREFUL 4
#define PIECE_PAYING 1
#define PAYING_NS NS_PER_MS
/* To look at bytes without taking them walks past nobody, and takes 0.15 us for each piece that
 * they were sent in. */
#define LOOK_AT_FEW_US 2
/* What to send them costs. */
#define BYTES_SENT_PER_US 256
/* Who has taken time of late. More share the last place. */
#define USERS 256

struct payer {
	uid_t uid;
	bool held_off;
	bool known; /* was held off of late */
	int64_t level_ns;
};

static struct {
	struct reaper *reaper;
	void (*held_off)(void *context, uid_t uid);
	void *context;

	struct counter_rate rate; /* known a moment after the start */
	int64_t known_ns;         /* the thread's time, of toll_limits.known */

	bool careful;
	int64_t until_ns; /* is careful */
	int64_t level_ns; /* what was slow of late */
	int64_t drained_ns;
	unsigned count, held_off_count;
	struct payer payers[USERS];
} toll;

struct toll_limits toll_limits;

static int64_t read_ns(clockid_t clock)
{
	struct timespec now = {0};

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void know(void)
{
	toll.known_ns = read_ns(CLOCK_THREAD_CPUTIME_ID);
	toll_limits.known = toll_counter();
}

static uid_t user_at(int fd)
{
	struct ucred credentials = {.uid = (uid_t)-1};
	socklen_t length = sizeof(credentials);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length);
	return credentials.uid;
}

static void set_threshold(void)
{
	toll_limits.threshold = toll.rate.per_us * (toll.careful ? LOOK_CAREFUL_US : LOOK_US);
	toll_limits.known_for = toll.careful ? 0 : toll.rate.per_us * KNOWN_US;
}

/* ---- who pays ---- */

static struct payer *payer_find(uid_t uid)
{
	for (unsigned i = 0; i < toll.count; i++)
		if (toll.payers[i].uid == uid)
			return &toll.payers[i];
	return NULL;
}

static struct payer *payer_enter(uid_t uid)
{
	struct payer *p = payer_find(uid);

	if (p)
		return p;
	if (toll.count < USERS) {
		p = &toll.payers[toll.count++];
	} else {
		p = &toll.payers[0];
		for (unsigned i = 1; i < USERS; i++)
			if (toll.payers[i].level_ns < p->level_ns)
				p = &toll.payers[i];
		toll.held_off_count -= p->held_off;
	}
	*p = (struct payer){.uid = uid};
	return p;
}

/* However many there are, they pay back one part of the time together. */
static void drain(int64_t now)
{
	int64_t paid = (now - toll.drained_ns) / TOLL_PART;
	int64_t each = paid / (toll.held_off_count ? toll.held_off_count : 1);

	toll.drained_ns = now;
	toll.level_ns = toll.level_ns > paid ? toll.level_ns - paid : 0;
	for (unsigned i = toll.count; i--;) {
		struct payer *p = &toll.payers[i];

		p->level_ns -= each;
		if (p->level_ns > 0)
			continue;
		p->level_ns = 0;
		toll.held_off_count -= p->held_off;
		p->held_off = false;
		if (!p->known)
			*p = toll.payers[--toll.count];
	}
}

static void be_careful_for(int64_t now, int64_t ns)
{
	if (toll.until_ns < now + ns)
		toll.until_ns = now + ns;
	toll.careful = true;
	set_threshold();
}

/* Is it still? */
static bool careful(void)
{
	int64_t now;

	if (!toll.careful)
		return false;
	now = read_ns(CLOCK_MONOTONIC);
	/* Each draining rounds down. */
	if (now - toll.drained_ns >= 1000000)
		drain(now);
	if (now < toll.until_ns || toll.held_off_count)
		return true;
	toll.careful = false;
	toll.count = 0;
	set_threshold();
	return false;
}

/* True: is held off now. */
static bool charge(uid_t uid, int64_t ns, int64_t now)
{
	const int64_t most = (int64_t)TOLL_MOST_US * 1000;
	struct payer *p = payer_enter(uid);

	p->level_ns = p->level_ns + ns < most ? p->level_ns + ns : most;
	if (!p->held_off && p->level_ns > (int64_t)TOLL_FREE_US * 1000) {
		p->held_off = p->known = true;
		toll.held_off_count++;
		be_careful_for(now, WAS_NS);
		if (toll.held_off)
			toll.held_off(toll.context, uid);
	}
	return p->held_off;
}

static void suspect(int64_t ns, int64_t now)
{
	int64_t seemed;

	drain(now);
	toll.level_ns += ns;
	if (toll.level_ns <= (int64_t)TOLL_FREE_US * 1000)
		return;
	seemed = toll.level_ns * SEEMED_TIMES;
	toll.level_ns = 0;
	be_careful_for(now, seemed > SEEMED_LEAST_NS ? seemed : SEEMED_LEAST_NS);
}

/* ---- calls ---- */

void toll_init(struct reaper *reaper, void (*held_off)(void *context, uid_t uid), void *context)
{
	toll.reaper = reaper;
	toll.held_off = held_off;
	toll.context = context;
	toll_limits.threshold = toll_limits.known_for = 0;
	toll.careful = false;
	toll.level_ns = toll.until_ns = 0;
	toll.count = toll.held_off_count = 0;
	toll.drained_ns = read_ns(CLOCK_MONOTONIC);
	counter_rate_init(&toll.rate, toll_counter(), toll.drained_ns);
}

void toll_fini(void)
{
	toll.reaper = NULL;
	toll.held_off = NULL;
}

bool toll_holds_off(uid_t uid)
{
	const struct payer *p = careful() && toll.count ? payer_find(uid) : NULL;

	return p && p->held_off;
}

bool toll_begin_known(struct toll_call *c, int fd)
{
	if (careful()) {
		c->uid = user_at(fd);
		if (toll_holds_off(c->uid))
			return false;
		c->cpu_ns = read_ns(CLOCK_THREAD_CPUTIME_ID);
	} else {
		know();
	}
	c->counter = toll_counter();
	return true;
}

/* What the thread has used in a call that began at `counter`, or a little less. */
static int64_t used_since(uint64_t begun)
{
	int64_t before = (int64_t)((begun - toll_limits.known) / toll.rate.per_us) * 1000;
	int64_t used = read_ns(CLOCK_THREAD_CPUTIME_ID) - toll.known_ns - before;

	know();
	return used;
}

bool toll_look(struct toll_call *c, unsigned allowed_us)
{
	uint64_t ticks = toll_counter() - c->counter;
	int64_t now, cpu, spent;

	now = read_ns(CLOCK_MONOTONIC);
	if (counter_rate_learn(&toll.rate, toll_counter(), now))
		set_threshold();
	if (ticks <= toll_limits.threshold || !toll.rate.per_us)
		return true;
	if (c->cpu_ns < 0) {
		spent = used_since(c->counter);
		c->counter = toll_limits.known;
		if (spent > (int64_t)LOOK_US * 1000)
			suspect(spent, now);
		return !toll.careful;
	}
	cpu = read_ns(CLOCK_THREAD_CPUTIME_ID);
	spent = cpu - c->cpu_ns - (int64_t)(allowed_us + LOOK_CAREFUL_US) * 1000;
	if (spent <= 0)
		return true;
	/* what was allowed so far is in it */
	c->cpu_ns += spent;
	c->counter = toll_counter();
	return !charge(c->uid, spent, now);
}

size_t toll_careful_piece(const struct toll_call *c, int fd, char *bytes, size_t room)
{
	size_t most = room < TOLL_PIECE ? room : TOLL_PIECE;
	const struct payer *payer;
	uint64_t begun;
	ssize_t n;

	payer = payer_find(c->uid);
	if (payer && (payer->known || payer->level_ns > PAYING_NS))
		return PIECE_PAYING;
	begun = toll_counter();
	n = recv(fd, bytes, most, MSG_DONTWAIT | MSG_PEEK);
	if (n <= PIECE_CAREFUL || toll_counter() - begun > toll.rate.per_us * LOOK_AT_FEW_US)
		return room < PIECE_CAREFUL ? room : PIECE_CAREFUL;
	return (size_t)n;
}

ssize_t toll_send(int fd, const char *bytes, size_t length)
{
	struct toll_call c;
	ssize_t n;

	if (!toll_begin(&c, fd))
		return -EBUSY;
	do
		n = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		n = errno == EAGAIN ? 0 : -errno;
	toll_end(&c, (unsigned)(length / BYTES_SENT_PER_US));
	return n;
}

ssize_t toll_send_message(int fd, const struct msghdr *message)
{
	struct toll_call c;
	ssize_t n;

	if (!toll_begin(&c, fd))
		return -EBUSY;
	do
		n = sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		n = -errno;
	toll_end(&c, 0);
	return n;
}

int toll_shutdown(int fd, int how)
{
	struct toll_call c;
	int r;

	if (!toll_begin(&c, fd))
		return -EBUSY;
	r = shutdown(fd, how) < 0 ? -errno : 0;
	toll_end(&c, 0);
	return r;
}

/* What nobody has read is freed, as many walks as there are bytes. */
static bool much_unread(int fd)
{
	int unread;

	return ioctl(fd, SIOCINQ, &unread) == 0 && unread > PIECE_CAREFUL;
}

void toll_close(int fd)
{
	struct toll_call c;
	bool held_off = !toll_begin(&c, fd);

	if (toll.reaper && reaper_works(toll.reaper) &&
		(held_off || (toll.careful && much_unread(fd)))) {
		reaper_close(toll.reaper, fd);
		return;
	}
	close(fd);
	if (!held_off)
		toll_end(&c, 0);
}

bool toll_close_here(int fd)
{
	struct toll_call c = {.counter = toll_counter()};

	if (much_unread(fd))
		return false;
	c.uid = user_at(fd);
	c.cpu_ns = toll.careful ? read_ns(CLOCK_THREAD_CPUTIME_ID) : -1;
	close(fd);
	if (c.cpu_ns >= 0)
		toll_end(&c, 0);
	return true;
}
