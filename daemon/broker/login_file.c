#include "login_file.h"

#include "broker.h"
#include "login.h"
#include "login_key.h"
#include "login_waiters.h"
#include "oauth_client.h"
#include "profile_log.h"
#include "profile_type.h"

#include "core/client_state.h"
#include "core/login_record.h"
#include "core/secret.h"
#include "core/views.h"
#include "host/clock.h"
#include "host/log.h"
#include "host/state_file.h"
#include "host/state_key.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_S 5
#define MENDED_AGAIN_S 30
/* How much longer the next record may be. Not much: what the file that is replaced gives back has
 * to do for the one after it. */
#define ROOM_BEYOND 1024

/* In the history of the profile that uses the login, and thereby in the log; else in the log alone.
 */
__attribute__((format(printf, 3, 4))) static void tell(
	struct login *l, int priority, const char *format, ...)
{
	struct profile *p = profile_set_find_client(&l->client->broker->profiles, l->client);
	char words[HISTORY_WORDS];
	struct clock_reading now;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(words, sizeof(words), format, arguments);
	va_end(arguments);
	if (p) {
		clock_read(&now);
		history_add(&p->history, &now, EVENT_STATE_FILE, 0, "%s", words);
		profile_log(p);
	} else {
		log_line(priority, "%s", words);
	}
}

static void take_record(struct login *l, struct login_record *record)
{
	token_move(&l->refresh, &record->refresh_token);
	l->refused = record->refused;
	l->logged_in_s = record->logged_in_s;
	memcpy(l->user, record->profile, sizeof(l->user));
	login_record_fini(record);
}

/* SEALED_GOOD and *ret, or why not; `error` is of the reading. */
static enum sealed_verdict judge(const struct login *l, int error, const char *bytes, size_t length,
	struct login_record *ret)
{
	const unsigned char *key = l->client->broker->state_key;

	if (error == -ENOMEM)
		return SEALED_NO_MEMORY;
	if (error)
		return SEALED_DAMAGED;
	return key ? login_record_read(key, &l->file.binding, bytes, length, ret)
		   : SEALED_OTHER_KEY;
}

static void await_mending(struct login *l)
{
	const struct timeval again = {.tv_sec = MENDED_AGAIN_S};

	evtimer_add(&l->file.again, &again);
}

static void note_bad(struct login *l, int error, enum sealed_verdict verdict)
{
	l->file.keep_aside = true;
	snprintf(l->file.problem, sizeof(l->file.problem), "the login's file %s %s%s", l->file.name,
		error ? "cannot be read: " : "",
		error ? strerror(-error) : sealed_verdict_words(verdict));
	tell(l, LOG_ERR,
		"%s/%s %s%s: the login in it cannot be used. Repair it, or log in again: then it "
		"is "
		"kept as %s.damaged-TIME",
		l->client->broker->state_dir, l->file.name, error ? "cannot be read: " : "",
		error ? strerror(-error) : sealed_verdict_words(verdict), l->file.name);
	await_mending(l);
}

/* What an earlier run was writing when it ended. If it is complete it is newer than the file, whose
 * refresh token is void then. */
static bool take_unfinished(struct login *l)
{
	struct login_record record;
	size_t length;
	char *bytes;
	bool good;

	if (state_read_unfinished(l->client->broker->state_dir, l->file.name, &bytes, &length))
		return false;
	good = judge(l, 0, bytes, length, &record) == SEALED_GOOD;
	free(bytes);
	if (!good)
		return false;
	take_record(l, &record);
	log_line(LOG_NOTICE,
		"%s/%s: an earlier run ended while it was writing this file, but what it wrote is "
		"complete",
		l->client->broker->state_dir, l->file.name);
	/* Not written again: that would begin by removing the only copy. */
	if (state_finish(l->client->broker->state_dir, l->file.name))
		login_store(l);
	else
		l->file.stored = true;
	l->file.length = length;
	return true;
}

static void try_again(struct login *l)
{
	const struct timeval again = {.tv_sec = AGAIN_S};

	evtimer_add(&l->file.again, &again);
}

/* Whoever is told now has until the next refresh to make room. */
static void reserved(void *context, int error)
{
	struct login *l = context;
	bool told = l->file.no_room;

	l->file.no_room = error != 0;
	if (l->file.failing)
		return;
	if (error && !told)
		tell(l, LOG_ERR,
			"%s has no room for the next refresh token of %s: %s. Make room before the "
			"next refresh, or a restart after it would lose the login",
			l->client->broker->state_dir, l->file.name, strerror(-error));
	else if (!error && told)
		tell(l, LOG_NOTICE, "%s has room for the next refresh token of %s",
			l->client->broker->state_dir, l->file.name);
	l->file.problem[0] = '\0';
	if (!error)
		return;
	snprintf(l->file.problem, sizeof(l->file.problem),
		"there is no room for the next refresh token in %s: %s", l->file.name,
		strerror(-error));
	try_again(l);
}

static void reserve(struct login *l)
{
	int r = state_reserve(
		l->client->broker->writer, l->file.name, l->file.length + ROOM_BEYOND, reserved, l);

	if (r)
		reserved(l, r);
}

/* Whatever was wrong with the file, or with the key that opens it. */
static void look_again(struct login *l)
{
	if (!login_key_there(l->client->broker) || !login_begin_reading(l))
		await_mending(l);
}

static void again_due(int fd, short events, void *context)
{
	struct login *l = context;

	(void)fd;
	(void)events;
	if (l->file.failing)
		login_store(l);
	else if (l->refresh.text)
		reserve(l);
	else if (l->file.keep_aside)
		look_again(l);
}

int login_load(struct login *l)
{
	struct oauth_client *c = l->client;
	struct login_record record;
	enum sealed_verdict verdict;
	size_t length = 0;
	char *bytes = NULL;
	int r;

	evtimer_assign(&l->file.again, c->broker->base, again_due, l);
	client_state_name(c->token_url, c->client_id, grant_name(c->grant), l->file.name);
	memcpy(strrchr(l->file.name, '.'), ".login", sizeof(".login"));
	r = sealed_client_init(&l->file.binding, c->token_url, c->client_id, grant_name(c->grant));
	if (r)
		return r;
	if (take_unfinished(l)) {
		if (l->file.stored)
			reserve(l);
		return 0;
	}
	r = state_read(c->broker->state_dir, l->file.name, &bytes, &length);
	if (r == -ENOENT)
		return 0;
	verdict = judge(l, r, bytes, length, &record);
	free(bytes);
	if (verdict == SEALED_NO_MEMORY)
		return -ENOMEM;
	if (verdict == SEALED_GOOD) {
		take_record(l, &record);
		l->file.stored = true;
		l->file.length = length;
		reserve(l);
	} else {
		note_bad(l, r, verdict);
	}
	return 0;
}

void login_unload(struct login *l)
{
	if (event_initialized(&l->file.again))
		evtimer_del(&l->file.again);
}

static void tell_erasers(struct login *l, int error)
{
	struct waiter *w, *next;

	for (w = TAILQ_FIRST(&l->file.erasers); w; w = next) {
		struct login_eraser *e = (struct login_eraser *)w;

		next = TAILQ_NEXT(w, link);
		if (!e->erasing || e->erased_by > l->file.writes_ended)
			continue;
		e->erasing = false;
		e->error = error;
		waiter_done(w);
	}
}

static void write_failed(struct login *l, int error)
{
	bool told = l->file.failing;

	l->file.failing = true;
	snprintf(l->file.problem, sizeof(l->file.problem), "the login's file %s cannot be %s: %s",
		l->file.name, l->refresh.text ? "written" : "removed", strerror(-error));
	if (!told)
		tell(l, LOG_ERR,
			"%s/%s cannot be %s: %s. The login is kept in memory, but a restart now "
			"would %s; make room or repair the directory. It is tried again every %d s",
			l->client->broker->state_dir, l->file.name,
			l->refresh.text ? "written" : "removed", strerror(-error),
			l->refresh.text ? "lose it" : "bring the old one back", AGAIN_S);
	try_again(l);
}

static void written(void *context, int error)
{
	struct login *l = context;

	l->file.writes_ended++;
	if (!error && l->file.writes_ended <= l->file.writes_lost)
		error = -ESTALE;
	/* only the latest says what is on the disk now */
	if (l->file.writes_ended == l->file.writes_begun) {
		l->file.stored = !error;
		if (error)
			write_failed(l, error);
		else if (l->file.failing) {
			l->file.failing = false;
			tell(l, LOG_NOTICE, "%s/%s is written", l->client->broker->state_dir,
				l->file.name);
		}
	}
	if (!error) {
		l->file.keep_aside = false;
		l->file.problem[0] = '\0';
		if (l->refresh.text)
			reserve(l);
	}
	tell_erasers(l, error);
	l->file.written(l);
}

/* 0 or negative errno. */
static int begin_write(struct login *l, struct buffer *out)
{
	struct broker *b = l->client->broker;
	const struct profile *p = profile_set_find_client(&b->profiles, l->client);
	unsigned char nonce[SEALED_NONCE_LENGTH];
	char kept[sizeof(l->file.name) + 32] = "";
	struct login_record record = {
		.refresh_token = l->refresh, /* lent */
		.refused = l->refused,
		.logged_in_s = l->logged_in_s,
	};
	struct clock_reading now;
	int r;

	if (!login_key_there(b))
		return -ENOKEY;
	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		return -EIO;
	if (p)
		snprintf(l->user, sizeof(l->user), "%s", p->settings->name);
	memcpy(record.profile, l->user, sizeof(record.profile));
	r = login_record_write(&record, b->state_key, nonce, &l->file.binding, out);
	if (r)
		return r;
	l->file.length = out->length;
	clock_read(&now);
	if (l->file.keep_aside)
		snprintf(kept, sizeof(kept), "%s.damaged-%lld", l->file.name,
			(long long)now.wall.ns);
	return state_write_keeping(
		b->writer, l->file.name, kept, out->data, out->length, written, l);
}

uint64_t login_store(struct login *l)
{
	struct buffer bytes;
	int r;

	evtimer_del(&l->file.again);
	l->file.stored = false;
	buffer_init(&bytes, NULL, 0);
	r = l->refresh.text ? begin_write(l, &bytes)
			    : state_remove(l->client->broker->writer, l->file.name, written, l);
	buffer_fini(&bytes);
	if (!r)
		return ++l->file.writes_begun;
	write_failed(l, r);
	return 0;
}

void login_erase(struct login *l, struct login_eraser *e)
{
	e->erased_by = login_store(l);
	if (!e->erased_by) {
		e->error = -ENOMEM;
		return;
	}
	e->erasing = true;
	e->waiter.pending++;
	waiter_wait(&e->waiter, &l->file.erasers);
}

/* What could not be read is, unless a login has come, or the file is to go, meanwhile. */
static void take_mended(struct login *l, int error, const char *bytes, size_t length)
{
	struct login_record record;

	if (!l->file.keep_aside || l->refresh.text || l->file.failing ||
		l->file.writes_ended != l->file.writes_begun)
		return;
	if (error != -ENOENT && judge(l, error, bytes, length, &record) != SEALED_GOOD) {
		await_mending(l);
		return;
	}
	l->file.keep_aside = false;
	l->file.problem[0] = '\0';
	if (error)
		return;
	take_record(l, &record);
	l->file.stored = true;
	l->file.length = length;
	tell(l, LOG_NOTICE, "%s/%s can be read now: the login in it is used",
		l->client->broker->state_dir, l->file.name);
	reserve(l);
	l->file.mended(l);
}

static void was_read(void *context, int error, const char *bytes, size_t length)
{
	struct login_record record = LOGIN_RECORD_NONE;
	struct login *l = context;

	take_mended(l, error, bytes, length);
	/* A file that says refused as well, or cannot be read, is of no help. */
	if (judge(l, error, bytes, length, &record) == SEALED_GOOD && record.refused)
		login_record_fini(&record);
	l->file.reads_ended++;
	l->file.read(l, &record.refresh_token);
	login_record_fini(&record);
}

uint64_t login_begin_reading(struct login *l)
{
	if (state_read_later(l->client->broker->writer, l->file.name, was_read, l))
		return 0;
	return ++l->file.reads_begun;
}

/* If nobody is logged in, or the login cannot be refreshed, there is nothing to store: then the
 * file is as it should be once it is gone. */
static bool nothing_to_store(const struct login *l)
{
	return !l->refresh.text && l->file.writes_ended == l->file.writes_begun && !l->file.failing;
}

bool login_file_absent(const struct login *l)
{
	return nothing_to_store(l) && !l->file.keep_aside;
}

void login_view_fill(const struct login *l, struct profile_view *ret)
{
	if (!l)
		return;
	ret->has_login = true;
	ret->login = (struct login_view){
		.stored = l->file.stored || nothing_to_store(l),
		.problem = l->file.problem,
		.logged_in_s = l->logged_in_s,
	};
}
