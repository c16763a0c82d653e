#include "renewal.h"

#include "broker.h"
#include "profile_log.h"
#include "profile_type.h"

#include "core/token_judge.h"
#include "host/clock.h"
#include "host/log.h"
#include "upstream/fetch.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOOK_AGAIN_S 5

/* Any change of what the paths lead to makes another number, one of owner or mode, too. */
static void mark(uint64_t *sum, const char *path)
{
	struct stat st = {.st_size = -1};
	int64_t parts[4];

	if (!path)
		return;
	if (stat(path, &st))
		st = (struct stat){.st_size = -1};
	parts[0] = (int64_t)st.st_ino;
	parts[1] = (int64_t)st.st_size;
	parts[2] = (int64_t)st.st_ctim.tv_sec;
	parts[3] = (int64_t)st.st_ctim.tv_nsec;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		*sum = (*sum ^ (uint64_t)parts[i]) * UINT64_C(0x100000001b3);
}

static uint64_t files_now(const struct profile_settings *s)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	mark(&sum, s->client_secret_file);
	mark(&sum, s->proxy_password_file);
	mark(&sum, s->fetch.ca_file);
	mark(&sum, s->fetch.proxy_ca_file);
	return sum;
}

static bool same_secrets(const struct credential *a, const struct credential *b)
{
	const char *one = a->proxy_password, *other = b->proxy_password;

	return !strcmp(a->client_secret, b->client_secret) &&
	       (one && other ? !strcmp(one, other) : one == other);
}

/* They are read again and again while requests fail: it is told when that ends in another way.
 * `problem` "": they are of use. `changed`: and not those from before. */
static void tell_secrets(struct profile *p, const char *problem, bool changed)
{
	struct clock_reading now;
	bool same = !strncmp(p->secrets_problem, problem, sizeof(p->secrets_problem) - 1);

	clock_read(&now);
	if (changed)
		history_add(&p->history, &now, EVENT_RELOADED, 0,
			"the secrets on disk have changed and are used from here on");
	else if (same)
		return;
	else if (!*problem)
		history_add(&p->history, &now, EVENT_RELOADED, 0,
			"the secrets on disk can be read again, and are those that are in use");
	else
		history_add(&p->history, &now, EVENT_SECRETS, 0,
			"%.220s; those that were read before stay in use", problem);
	snprintf(p->secrets_problem, sizeof(p->secrets_problem), "%s", problem);
	profile_log(p);
}

void renewal_read_secrets(struct profile *p)
{
	struct credential credential = CREDENTIAL_NONE;
	char problem[512];
	bool changed;

	if (credential_load(p->settings, &credential, problem, sizeof(problem))) {
		tell_secrets(p, problem, false);
		return;
	}
	/* it would have another state */
	if (strcmp(credential.client_id, p->credential.client_id) != 0) {
		snprintf(problem, sizeof(problem), "%s: names another client, which takes a reload",
			p->settings->client_id_file);
		tell_secrets(p, problem, false);
		credential_fini(&credential);
		return;
	}
	changed = !same_secrets(&credential, &p->credential);
	if (changed) {
		credential_fini(&p->credential);
		p->credential = credential;
		credential = CREDENTIAL_NONE; /* taken */
	}
	tell_secrets(p, "", changed);
	if (changed)
		token_source_credential_changed(&p->source);
	credential_fini(&credential);
}

static void arm(struct broker *b)
{
	const struct timeval tv = {.tv_sec = LOOK_AGAIN_S};

	if (!evtimer_pending(&b->renewal, NULL) && evtimer_add(&b->renewal, &tv))
		log_line(LOG_ERR, "the timer for looking at files again cannot be armed");
}

static bool has_files_of_connections(const struct profile_settings *s)
{
	return s->proxy_password_file || s->fetch.ca_file || s->fetch.proxy_ca_file;
}

/* Not a login that has ended, nor a server in trouble. Where there was no response, or only the
 * proxy's, it may be the proxy's password or the authorities. */
static bool files_may_help(const struct profile *p)
{
	const struct source_failure *f = &p->source.last_failure;
	struct clock_reading now;

	clock_read(&now);
	if (!f->any ||
		token_source_gate(&p->source, now.boot, URGENCY_WANTED).ns == BOOT_TIME_NEVER.ns)
		return false;
	if (f->status == 0 || f->status == 407)
		return has_files_of_connections(p->settings);
	return f->class == RESPONSE_CLIENT_REJECTED || !strcmp(f->error, "invalid_client");
}

/* True: it is to be looked at again. */
static bool look(struct profile *p)
{
	uint64_t files;
	bool changed;

	if (!files_may_help(p))
		return false;
	files = files_now(p->settings);
	changed = p->files_failed_with && p->files_failed_with != files;
	p->files_failed_with = files;
	if (changed)
		fetcher_forget_ca(p->broker->fetcher);
	/* What keeps one from being read may be a folder above it, and be mended there. */
	if (changed || p->secrets_problem[0])
		renewal_read_secrets(p);
	if (changed)
		token_source_mended(&p->source);
	if (token_source_needs_turn(&p->source))
		turn_soon(&p->broker->turn);
	return true;
}

static void look_again(int fd, short events, void *context)
{
	struct broker *b = context;
	bool again = false;

	(void)fd;
	(void)events;
	for (size_t i = 0; i < b->profiles.count; i++)
		again |= look(b->profiles.items[i]);
	if (again)
		arm(b);
}

void renewal_init(struct broker *b)
{
	evtimer_assign(&b->renewal, b->base, look_again, b);
}

void renewal_fini(struct broker *b)
{
	if (event_initialized(&b->renewal))
		event_del(&b->renewal);
}

void renewal_watch(struct profile *p)
{
	if (!files_may_help(p))
		return;
	p->files_failed_with = files_now(p->settings);
	arm(p->broker);
}
