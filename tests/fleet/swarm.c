/* Many hosts of a fleet in one process, each with the shipped core and connections of its own to a
 * real store, and without the rest of a daemon. The login server is a timer.
 *
 * Usage: swarm HOSTS SOCKET LIFE_S POST_MS USER PREFIX; the password and the fleet's key (64 hex
 * digits) are read from stdin. It ends with SIGTERM, and says on stdout, times in seconds:
 *   post AT         a host asks the login server
 *   answered AT     it has a token
 *   put AT          ... and tells the store
 *   all AT MS       all hosts have the token of the latest PUT, so many ms after it was sent
 *   state AT UP HAVE LOOKS WITHOUT   each second: hosts that are connected, and that have a token
 *                   that lives; since the start how often a host looked (every 2 s), and found none
 */
#include "core/fleet.h"
#include "core/fleet_decide.h"
#include "core/fleet_key.h"
#include "core/fleet_record.h"
#include "core/random.h"
#include "core/retry.h"
#include "host/clock.h"
#include "store/store.h"

#include <event2/event.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_S 10
#define ALONE 3
#define PERMIT_S 900
#define COOLDOWN_S 60
#define LOOKS_EVERY_S 2
#define TAG "0123456789abcdef"

struct host {
	struct swarm *swarm;
	struct fleet fleet;
	struct store *store;
	struct store_token *at_store;
	struct event *turn, *post;
	struct boot_time due, retry_at, posted_at;
	struct token token;
	char name[FLEET_ID_MAX + 1];
};

struct swarm {
	struct event_base *base;
	struct host *hosts;
	unsigned count;
	struct duration life, post;
	struct fleet_subject subject;
	struct fleet_key key;
	struct random random;
	uint64_t put; /* the generation of the latest PUT */
	struct boot_time put_at;
	unsigned have_put; /* hosts that have it */
	unsigned long looks, without;
	unsigned seconds;
};

static void fail(const char *what)
{
	fprintf(stderr, "swarm: %s\n", what);
	exit(1);
}

static double seconds(struct boot_time at)
{
	return (double)at.ns / (double)NS_PER_S;
}

static void say(const char *what, struct boot_time at)
{
	printf("%s %.6f\n", what, seconds(at));
	fflush(stdout);
}

/* ---- what it has ---- */

static void has(struct host *h, struct boot_time now)
{
	struct swarm *s = h->swarm;

	if (h->fleet.current.generation != s->put)
		return;
	if (++s->have_put < s->count)
		return;
	printf("all %.6f %.1f\n", seconds(now), 1000 * (seconds(now) - seconds(s->put_at)));
	fflush(stdout);
}

static void take(struct host *h, struct token *token, struct boot_time now)
{
	const struct fleet_token *t = &h->fleet.current;
	int64_t early = t->issued.ns / 100 * 34;

	/* whoever fetched it asks for the next one before the others do */
	if (!t->own)
		early = t->issued.ns / 5 +
			random_duration(&h->swarm->random, duration_ns(t->issued.ns / 10)).ns;
	token_move(&h->token, token);
	h->due = boot_sub(t->end, duration_ns(early));
	has(h, now);
}

/* ---- what it does ---- */

static void put(struct host *h, const struct fleet_decision *d, struct boot_time now)
{
	struct fleet_record record = {
		.generation = d->generation,
		.issued = duration_ns(d->issued.ns / NS_PER_MS * NS_PER_MS),
		.token = h->token,
	};
	unsigned char nonce[GCM_NONCE_LENGTH];
	struct swarm *s = h->swarm;
	struct buffer sealed;

	buffer_init(&sealed, NULL, 0);
	if (RAND_bytes(nonce, sizeof(nonce)) != 1 ||
		fleet_record_seal(&record, &s->key, &s->subject, nonce, &sealed))
		fail("a record cannot be sealed");
	const struct store_put p = {
		.generation = d->generation,
		.stamp_us = d->stamp_us,
		.left_us = d->left_us,
		.issued = d->issued,
		.sealed = sealed.data,
		.sealed_length = sealed.length,
	};
	if (d->generation > s->put) {
		say("put", now);
		s->put = d->generation;
		s->put_at = now;
		s->have_put = 1;
	}
	if (store_put(h->at_store, &p))
		fleet_refused(&h->fleet, now);
	buffer_fini(&sealed);
}

static void operate(struct host *h, const struct fleet_decision *d, struct boot_time now)
{
	const struct store_acquire acquire = {
		.known = d->generation,
		.reject = d->reject,
		.floor = d->floor,
		.lease = d->lease,
		.mint_limit = 15,
		.mint_window = duration_s(MINT_WINDOW_S),
		.cooldown = duration_s(COOLDOWN_S),
		.tag = TAG,
		.break_lease = &d->break_lease,
		.break_hold = &d->break_hold,
	};
	int r = -1;

	switch (d->operation) {
	case FLEET_READ:
		r = store_read(h->at_store);
		break;
	case FLEET_ACQUIRE:
		r = store_acquire(h->at_store, &acquire);
		break;
	case FLEET_RENEW:
		r = store_renew(h->at_store, d->fence, d->lease);
		break;
	case FLEET_PUT:
		put(h, d, now);
		return;
	case FLEET_FAIL:
	case FLEET_STOP:
	case FLEET_ACCEPT:
		break; /* no request fails here, nobody reports a token, and there is no admin */
	}
	if (r)
		fleet_refused(&h->fleet, now);
}

static void begin_post(struct host *h, struct boot_time now)
{
	const struct timeval t = {.tv_sec = h->swarm->post.ns / NS_PER_S,
		.tv_usec = h->swarm->post.ns % NS_PER_S / 1000};

	say("post", now);
	h->posted_at = now;
	event_add(h->post, &t);
}

static void sleep_until(struct host *h, struct boot_time at, struct boot_time now)
{
	struct duration d = duration_max(boot_since(at, now), DURATION_ZERO);
	struct timeval t = {
		.tv_sec = d.ns / NS_PER_S, .tv_usec = (d.ns % NS_PER_S + 999) / 1000 % 1000000};

	if (d.ns > INT64_C(3600) * NS_PER_S)
		t.tv_sec = 3600;
	event_add(h->turn, &t);
}

static void turn(struct host *h)
{
	struct boot_time now = clock_boot_now();
	bool living = fleet_alive(&h->fleet, now);
	struct boot_time want_at = living ? boot_max(h->due, h->retry_at) : h->retry_at;
	struct fleet_decision d;

	if (h->fleet.wish == FLEET_WISH_NONE && !h->fleet.minting && !boot_before(now, want_at))
		fleet_want(&h->fleet, now, living ? FLEET_WISH_REFRESH : FLEET_WISH_TOKEN);
	for (;;) {
		fleet_decide(&h->fleet, now, &d);
		switch (d.todo) {
		case FLEET_TODO_NOTHING:
			if (h->fleet.wish == FLEET_WISH_NONE && !h->fleet.minting)
				d.wake_at = boot_min(d.wake_at, boot_max(want_at, now));
			sleep_until(h, d.wake_at, now);
			return;
		case FLEET_TODO_OPERATION:
			operate(h, &d, now);
			break;
		case FLEET_TODO_MINT:
			begin_post(h, now);
			break;
		case FLEET_TODO_GIVE_UP:
			h->retry_at = boot_add(now, duration_max(d.wait, duration_s(1)));
			want_at = boot_max(want_at, h->retry_at);
			break;
		case FLEET_TODO_CHECK:
		case FLEET_TODO_CHECKED:
			break; /* nobody reports a token */
		}
	}
}

static void on_turn(evutil_socket_t fd, short events, void *context)
{
	(void)fd, (void)events;
	turn(context);
}

static void on_post(evutil_socket_t fd, short events, void *context)
{
	struct host *h = context;
	struct duration life = h->swarm->life;
	struct boot_time now = clock_boot_now();
	struct token token;
	char text[64];

	(void)fd, (void)events;
	say("answered", now);
	snprintf(text, sizeof(text), "token-of-%s-%llu", h->name,
		(unsigned long long)h->fleet.fence);
	if (token_init(&token, text, strlen(text)))
		fail("no memory");
	if (fleet_minted(&h->fleet, now, boot_add(h->posted_at, duration_sub(life, duration_s(1))),
		    life))
		take(h, &token, now);
	token_fini(&token);
	turn(h);
}

/* ---- what the store says ---- */

static struct fleet_sight open_record(
	const struct host *h, const struct fleet_stored *r, struct fleet_record *ret)
{
	struct fleet_sight sight = {.seal = FLEET_SEAL_NONE, .ceiling = BOOT_TIME_NEVER};
	const struct swarm *s = h->swarm;

	*ret = FLEET_RECORD_NONE;
	if (!r->generation)
		return sight;
	if (fleet_record_open(&s->key, 1, &s->subject, r->generation, r->sealed, r->sealed_length,
		    ret) != SEALED_GOOD)
		fail("the store has a record that none of us wrote");
	sight.seal = FLEET_SEAL_GOOD;
	sight.issued = ret->issued;
	return sight;
}

static void on_up(void *context, struct boot_time at)
{
	struct host *h = context;

	fleet_up(&h->fleet, at);
	store_permit(h->at_store, ALONE, duration_s(PERMIT_S));
	turn(h);
}

static void on_down(void *context, bool was_up, const char *why)
{
	struct host *h = context;

	(void)was_up, (void)why;
	fleet_down(&h->fleet, clock_boot_now());
	turn(h);
}

static void on_anchored(void *context, struct boot_time sent)
{
	struct host *h = context;

	fleet_anchored(&h->fleet, sent);
}

static void on_ended(void *context, const struct store_result *result)
{
	struct host *h = context;
	struct fleet_record record;
	struct fleet_sight sight;

	if (!result->answer) {
		fprintf(stderr, "swarm: the store refused: %s\n", result->problem);
		fleet_refused(&h->fleet, result->received);
		turn(h);
		return;
	}
	sight = open_record(h, &result->answer->record, &record);
	if (fleet_answered(&h->fleet, result->received, result->answer, &sight) ==
		FLEET_TAKEN_TOKEN)
		take(h, &record.token, clock_boot_now());
	fleet_record_fini(&record);
	turn(h);
}

static void on_message(void *context, struct boot_time at, const struct fleet_message *message)
{
	struct host *h = context;
	struct fleet_record record;
	struct fleet_sight sight = open_record(h, &message->record, &record);

	if (fleet_pushed(&h->fleet, at, message, &sight) == FLEET_TAKEN_TOKEN)
		take(h, &record.token, clock_boot_now());
	fleet_record_fini(&record);
	turn(h);
}

static void on_permitted(void *context, bool granted, uint32_t rank)
{
	struct host *h = context;

	fleet_permitted(&h->fleet, granted ? rank : FLEET_NO_PERMIT);
}

static const struct store_hooks hooks = {.up = on_up,
	.down = on_down,
	.anchored = on_anchored,
	.ended = on_ended,
	.message = on_message,
	.permitted = on_permitted};

/* ---- all of them ---- */

static void on_second(evutil_socket_t fd, short events, void *context)
{
	struct boot_time now = clock_boot_now();
	struct swarm *s = context;
	unsigned up = 0, have = 0;
	bool look = s->seconds++ % LOOKS_EVERY_S == 0;

	(void)fd, (void)events;
	for (unsigned i = 0; i < s->count; i++) {
		bool living = fleet_alive(&s->hosts[i].fleet, now);

		up += s->hosts[i].fleet.up;
		have += living;
		s->looks += look;
		s->without += look && !living;
	}
	printf("state %.6f %u %u %lu %lu\n", seconds(now), up, have, s->looks, s->without);
	fflush(stdout);
}

static void on_term(evutil_socket_t fd, short events, void *context)
{
	struct swarm *s = context;

	(void)fd, (void)events;
	event_base_loopbreak(s->base);
}

static void host_init(struct host *h, struct swarm *s, struct store_settings *settings)
{
	const struct fleet_settings fleet = {.may_mint = true,
		.poll = {POLL_S * NS_PER_S},
		.use_margin = {NS_PER_S},
		.alone = ALONE};
	struct boot_time now = clock_boot_now();
	char why[256];

	h->swarm = s;
	snprintf(h->name, sizeof(h->name), "%016llx%016llx",
		(unsigned long long)random_next(&s->random),
		(unsigned long long)random_next(&s->random));
	settings->host = h->name;
	settings->seed = random_next(&s->random);
	fleet_init(&h->fleet, &fleet, random_next(&s->random), now);
	h->retry_at = now;
	h->turn = event_new(s->base, -1, 0, on_turn, h);
	h->post = event_new(s->base, -1, 0, on_post, h);
	if (!h->turn || !h->post)
		fail("no memory");
	if (store_new(&h->store, s->base, clock_read, settings, &hooks, h, why))
		fail(why);
	if (store_token_new(&h->at_store, h->store, &s->subject, 0, h))
		fail("no memory");
	turn(h);
}

static void read_line(char *line, int size)
{
	if (!fgets(line, size, stdin))
		fail("the password and the key belong on stdin");
	line[strcspn(line, "\n")] = '\0';
}

static void read_key(struct swarm *s)
{
	unsigned char key[FLEET_KEY_LENGTH];
	char digits[2 * FLEET_KEY_LENGTH + 2];

	read_line(digits, sizeof(digits));
	for (size_t i = 0; i < sizeof(key); i++) {
		const char pair[] = {digits[2 * i], digits[2 * i + 1], '\0'};

		key[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	if (fleet_subject_init(&s->subject, "https://login.invalid/oauth/token", "swarm",
		    "client_credentials", NULL, NULL) ||
		fleet_key_init(&s->key, key, &s->subject))
		fail("no memory");
}

int main(int argc, char **argv)
{
	static struct swarm s;
	const struct timeval second = {.tv_sec = 1};
	struct event *every, *term;
	char password[256];

	if (argc != 7)
		fail("HOSTS SOCKET LIFE_S POST_MS USER PREFIX");
	s.count = (unsigned)strtoul(argv[1], NULL, 10);
	s.life = duration_s(strtol(argv[3], NULL, 10));
	s.post = duration_ms(strtol(argv[4], NULL, 10));
	s.base = event_base_new();
	s.hosts = calloc(s.count, sizeof(*s.hosts));
	if (!s.base || !s.hosts || RAND_bytes((unsigned char *)&s.random, sizeof(s.random)) != 1)
		fail("no memory, or no random numbers");
	read_line(password, sizeof(password));
	read_key(&s);
	struct store_settings settings = {.path = argv[2],
		.user = argv[5],
		.password = password,
		.prefix = argv[6],
		.timeout = duration_s(2)};
	signal(SIGPIPE, SIG_IGN);
	every = event_new(s.base, -1, EV_PERSIST, on_second, &s);
	term = evsignal_new(s.base, SIGTERM, on_term, &s);
	if (!every || !term || event_add(every, &second) || event_add(term, NULL))
		fail("no memory");
	for (unsigned i = 0; i < s.count; i++)
		host_init(&s.hosts[i], &s, &settings);
	event_base_dispatch(s.base);
	for (unsigned i = 0; i < s.count; i++) {
		struct host *h = &s.hosts[i];

		store_token_free(h->at_store);
		store_free(h->store);
		event_free(h->turn);
		event_free(h->post);
		token_fini(&h->token);
	}
	event_free(every);
	event_free(term);
	event_base_free(s.base);
	free(s.hosts);
	return 0;
}
