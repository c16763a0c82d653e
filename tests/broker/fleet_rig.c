#include "fleet_rig.h"

#include "broker/fleet_link.h"
#include "broker/fleet_member.h"
#include "broker/profile_type.h"
#include "core/buffer.h"
#include "core/token.h"
#include "host/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS 3
/* The store's clock is not this host's. */
#define STORE_AHEAD_US INT64_C(1400000000000000)

unsigned stores_opened;
int store_error;
const char *store_problem;
static unsigned stores;

/* ---- what store/store.h declares ---- */

/* Kept for the store, and what it has in place of it. */
static const char *copy(struct store *s, const char *text)
{
	char *ret = text ? strdup(text) : NULL;

	assert_true(ret || !text);
	assert_true(s->text_count < sizeof(s->texts) / sizeof(*s->texts));
	s->texts[s->text_count++] = ret;
	return ret;
}

int store_new(struct store **ret, struct event_base *base, void (*clock)(struct clock_reading *ret),
	const struct store_settings *settings, const struct store_hooks *hooks, void *context,
	char ret_why[256])
{
	struct store *s;

	(void)base;
	(void)clock;
	if (store_problem) {
		snprintf(ret_why, 256, "%s", store_problem);
		return -EINVAL;
	}
	s = calloc(1, sizeof(*s));
	assert_non_null(s);
	s->settings = *settings;
	s->settings.path = copy(s, settings->path);
	s->settings.user = copy(s, settings->user);
	s->settings.password = copy(s, settings->password);
	s->settings.prefix = copy(s, settings->prefix);
	s->settings.host = copy(s, settings->host);
	s->hooks = hooks;
	s->context = context;
	stores++;
	stores_opened++;
	*ret = s;
	return 0;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	assert_int_equal(s->tokens, 0);
	for (size_t i = 0; i < s->text_count; i++)
		free(s->texts[i]);
	free(s);
	stores--;
}

int64_t store_hosts(const struct store *s)
{
	return s->hosts;
}

int store_token_new(struct store_token **ret, struct store *s, const struct fleet_subject *subject,
	unsigned slot, void *context)
{
	struct store_token *t;

	assert_int_equal(slot, 0);
	if (store_error)
		return store_error;
	t = calloc(1, sizeof(*t));
	assert_non_null(t);
	*t = (struct store_token){.store = s, .context = context, .subject = *subject};
	s->tokens++;
	*ret = t;
	return 0;
}

void store_token_free(struct store_token *t)
{
	if (!t)
		return;
	t->store->tokens--;
	free(t);
}

static int begin(struct store_token *t, enum fleet_operation operation)
{
	struct clock_reading now;

	if (store_error)
		return store_error;
	/* the core asks for one thing at a time */
	assert_false(t->busy);
	clock_read(&now);
	t->busy = true;
	t->operation = operation;
	t->sent = now.boot;
	return 0;
}

static void keep_tag(struct store_token *t, const char *tag)
{
	snprintf(t->tag, sizeof(t->tag), "%s", tag);
}

static void keep_sealed(struct store_token *t, const char *sealed, size_t length)
{
	assert_true(length <= sizeof(t->sealed));
	memcpy(t->sealed, sealed, length);
}

int store_read(struct store_token *t)
{
	return begin(t, FLEET_READ);
}

int store_acquire(struct store_token *t, const struct store_acquire *a)
{
	t->acquire = *a;
	t->break_lease = *a->break_lease;
	t->break_hold = *a->break_hold;
	keep_tag(t, a->tag);
	return begin(t, FLEET_ACQUIRE);
}

int store_renew(struct store_token *t, uint64_t fence, struct duration lease)
{
	t->fence = fence;
	t->lease = lease;
	return begin(t, FLEET_RENEW);
}

int store_put(struct store_token *t, const struct store_put *p)
{
	t->put = *p;
	keep_sealed(t, p->sealed, p->sealed_length);
	return begin(t, FLEET_PUT);
}

int store_fail(struct store_token *t, const struct store_fail *f)
{
	t->fail = *f;
	keep_tag(t, f->tag);
	return begin(t, FLEET_FAIL);
}

int store_stop(struct store_token *t, const struct store_stop *o)
{
	t->stop = *o;
	keep_sealed(t, o->sealed, o->sealed_length);
	return begin(t, FLEET_STOP);
}

int store_accept(struct store_token *t, const struct store_accept *a)
{
	t->accept = *a;
	snprintf(t->proof, sizeof(t->proof), "%s", a->proof);
	return begin(t, FLEET_ACCEPT);
}

int store_permit(struct store_token *t, uint32_t most, struct duration keep)
{
	t->permits++;
	t->permit_most = most;
	t->permit_keep = keep;
	return 0;
}

/* ---- the rig ---- */

static char keys_directory[32];

static void remove_keys(void)
{
	for (unsigned i = 0; i < KEYS; i++)
		unlink(fleet_key_path(i));
	rmdir(keys_directory);
}

const unsigned char *fleet_key_bytes(unsigned number)
{
	static unsigned char bytes[FLEET_KEY_LENGTH];

	memset(bytes, (int)(0x11 * (number + 1)), sizeof(bytes));
	return bytes;
}

const char *fleet_key_path(unsigned number)
{
	static char paths[KEYS][64];

	assert_true(number < KEYS);
	snprintf(paths[number], sizeof(paths[number]), "%s/%u.key", keys_directory, number);
	return paths[number];
}

static void make_keys(void)
{
	if (*keys_directory)
		return;
	snprintf(keys_directory, sizeof(keys_directory), "/tmp/gct-fleet-XXXXXX");
	assert_non_null(mkdtemp(keys_directory));
	atexit(remove_keys);
	for (unsigned i = 0; i < KEYS; i++) {
		mode_t before = umask(0077);
		FILE *to = fopen(fleet_key_path(i), "we");

		umask(before);
		assert_non_null(to);
		for (unsigned n = 0; n < FLEET_KEY_LENGTH; n++)
			fprintf(to, "%02x", fleet_key_bytes(i)[n]);
		assert_int_equal(fclose(to), 0);
	}
}

static char *sections_of(const char *broker, const char *profiles)
{
	const char *store =
		strstr(broker, "fleet_store =") ? "" : "fleet_store = unix:/nowhere/redis.sock\n";
	char key[96] = "", *ret = NULL;

	make_keys();
	if (!strstr(broker, "fleet_key_file ="))
		snprintf(key, sizeof(key), "fleet_key_file = %s\n", fleet_key_path(0));
	assert_true(asprintf(&ret, "%s%s%s\n%s", store, key, broker, profiles) > 0);
	return ret;
}

struct rig *fleet_rig_new(const char *broker, const char *profiles)
{
	char *sections = sections_of(broker, profiles);
	struct rig *r;

	stores = 0; /* a test that failed leaves one behind */
	store_error = 0;
	store_problem = NULL;
	r = rig_new(sections);
	free(sections);
	return r;
}

void fleet_rig_configure(struct rig *r, const char *broker, const char *profiles)
{
	char *sections = sections_of(broker, profiles);

	rig_configure(r, sections);
	free(sections);
}

void fleet_rig_free(struct rig *r)
{
	rig_free(r);
	assert_int_equal(stores, 0);
}

/* ---- the connection ---- */

static struct store *store_of(const struct rig *r)
{
	assert_non_null(r->broker->fleet);
	return r->broker->fleet->store;
}

void store_connects(struct rig *r)
{
	store_of(r)->hooks->up(store_of(r)->context, r->now.boot);
	rig_run(r);
}

void store_goes(struct rig *r, bool was_up, const char *why)
{
	for (size_t i = 0; i < r->broker->profiles.count; i++)
		if (r->broker->profiles.items[i]->fleet)
			r->broker->profiles.items[i]->fleet->token->busy = false;
	store_of(r)->hooks->down(store_of(r)->context, was_up, why);
	rig_run(r);
}

void store_pings(struct rig *r)
{
	store_of(r)->hooks->anchored(store_of(r)->context, r->now.boot);
	rig_run(r);
}

/* ---- its operations ---- */

struct store_token *shared(struct rig *r, const char *profile)
{
	struct profile *p = rig_profile(r, profile);

	assert_non_null(p);
	assert_non_null(p->fleet);
	assert_non_null(p->fleet->token);
	return p->fleet->token;
}

bool is_asked(struct rig *r, enum fleet_operation operation)
{
	const struct store_token *t;

	rig_run(r);
	t = shared(r, "a");
	return t->busy && t->operation == operation;
}

struct store_token *asked(struct rig *r, enum fleet_operation operation)
{
	struct store_token *t;

	rig_run(r);
	t = shared(r, "a");
	assert_true(t->busy);
	assert_int_equal(t->operation, operation);
	return t;
}

int64_t store_now_us(const struct rig *r)
{
	return STORE_AHEAD_US + r->now.boot.ns / 1000;
}

struct fleet_answer says(const struct rig *r, enum fleet_word word)
{
	return (struct fleet_answer){.word = word, .stamp_us = store_now_us(r)};
}

static void end(
	struct rig *r, const char *profile, const struct fleet_answer *a, const char *problem)
{
	struct store_token *t = shared(r, profile);
	const struct store_result result = {
		.operation = t->operation,
		.sent = t->sent,
		.received = r->now.boot,
		.answer = a,
		.problem = problem,
	};

	assert_true(t->busy);
	t->busy = false;
	t->store->hooks->ended(t->context, &result);
	rig_run(r);
}

void answers(struct rig *r, const struct fleet_answer *a)
{
	end(r, "a", a, NULL);
}

void refuses(struct rig *r, const char *problem)
{
	end(r, "a", NULL, problem);
}

void found_by(struct rig *r, const char *profile, const struct sealed *s)
{
	struct fleet_answer a = says(r, FLEET_SAYS_RECORD);

	assert_int_equal(shared(r, profile)->operation, FLEET_READ);
	if (s)
		a.record = s->stored;
	end(r, profile, &a, NULL);
}

void found(struct rig *r, const struct sealed *s)
{
	asked(r, FLEET_READ);
	found_by(r, "a", s);
}

void answer_reads(struct rig *r, const struct sealed *s)
{
	while (is_asked(r, FLEET_READ))
		found(r, s);
}

void grants(struct rig *r, uint64_t fence)
{
	struct fleet_answer a = says(r, FLEET_SAYS_GRANTED);

	asked(r, FLEET_ACQUIRE);
	a.fence = fence;
	answers(r, &a);
}

void pass_reading(struct rig *r, int64_t seconds, const struct sealed *s)
{
	for (int64_t i = 0; i < seconds; i++) {
		rig_pass(r, 1);
		answer_reads(r, s);
	}
}

/* ---- what others put there ---- */

static void seal_record(
	struct rig *r, struct sealed *ret, const struct fleet_record *record, unsigned key)
{
	unsigned char nonce[GCM_NONCE_LENGTH] = {1};
	struct fleet_subject subject;
	struct fleet_key sealing;
	struct buffer out;

	assert_int_equal(fleet_subject_init(&subject, "https://login.test/oauth/token", "client",
				 "client_credentials", NULL, NULL),
		0);
	assert_int_equal(fleet_key_init(&sealing, fleet_key_bytes(key), &subject), 0);
	buffer_init(&out, NULL, 0);
	assert_int_equal(fleet_record_seal(record, &sealing, &subject, nonce, &out), 0);
	memcpy(ret->bytes, out.data, out.length);
	ret->stored = (struct fleet_stored){
		.generation = record->generation,
		.t0_us = store_now_us(r),
		.left_us = record->issued.ns / 1000,
		.issued_us = record->issued.ns / 1000,
		.sealed = ret->bytes,
		.sealed_length = out.length,
	};
	buffer_fini(&out);
}

void seal_later(struct rig *r, struct sealed *ret, uint64_t generation, const char *text,
	unsigned key, struct duration not_before)
{
	struct fleet_record record = {
		.generation = generation,
		.stopped = !text,
		.issued = duration_s(text ? LIFE_S : 86400),
		.end = {r->now.wall.ns + LIFE_S * NS_PER_S},
		.not_before = not_before,
		.host = "another host 16",
	};

	if (text)
		assert_int_equal(token_init(&record.token, text, strlen(text)), 0);
	seal_record(r, ret, &record, key);
	token_fini(&record.token);
}

void seal(struct rig *r, struct sealed *ret, uint64_t generation, const char *text, unsigned key)
{
	seal_later(r, ret, generation, text, key, DURATION_ZERO);
}

static void tell(struct rig *r, const struct fleet_message *m)
{
	const struct store_token *t = shared(r, "a");

	t->store->hooks->message(t->context, r->now.boot, m);
	rig_run(r);
}

void message(struct rig *r, const struct sealed *s)
{
	tell(r, &(struct fleet_message){.record = s->stored});
}

void message_failure(struct rig *r, enum response_class class, struct duration hold)
{
	tell(r, &(struct fleet_message){.failure = true, .hold = hold, .class = class});
}

/* ---- both ---- */

struct rig *fleet_rig_connected(const char *broker, const char *profiles)
{
	struct rig *r = fleet_rig_new(broker, profiles);

	store_connects(r);
	found(r, NULL);
	return r;
}

struct rig *fleet_rig_with(struct sealed *ret, const char *broker, const char *profiles)
{
	struct rig *r = fleet_rig_new(broker, profiles);

	seal(r, ret, 7, "token-7", 0);
	store_connects(r);
	found(r, ret);
	return r;
}

/* ---- stories ---- */

unsigned told(struct rig *r, const char *profile, const char *words)
{
	const struct history_event *all[HISTORY_ALL];
	size_t count = history_all(&rig_profile(r, profile)->history, all);
	unsigned n = 0;

	for (size_t i = 0; i < count; i++)
		n += strstr(all[i]->words, words) ? all[i]->times : 0;
	return n;
}
