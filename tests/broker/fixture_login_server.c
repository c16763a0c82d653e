#include "fixture_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fetcher {
	char unused;
};

static struct fetcher the_fetcher;

int fetcher_new(
	struct fetcher **ret, struct event_base *base, void (*clock)(struct clock_reading *ret))
{
	(void)base;
	(void)clock;
	*ret = &the_fetcher;
	return 0;
}

static void release(struct fetch *f)
{
	TAILQ_REMOVE(&the_rig->fetches, f, link);
	free(f->url);
	free(f->authorization);
	free(f->body);
	free(f->ca_file);
	free(f);
}

void fetcher_free(struct fetcher *fetcher)
{
	(void)fetcher;
	/* whoever began one has ended it: what it would be told of is gone by now */
	assert_true(TAILQ_EMPTY(&the_rig->fetches));
}

void fetcher_forget_ca(struct fetcher *fetcher)
{
	(void)fetcher;
	the_rig->ca_forgotten++;
}

int fetch_start(struct fetcher *fetcher, const struct fetch_request *q, fetch_done *done,
	void *context, struct fetch **ret)
{
	struct fetch *f;

	(void)fetcher;
	if (the_rig->fetch_error)
		return the_rig->fetch_error;
	f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->method = q->method;
	f->fresh = q->fresh;
	f->timeout = q->settings.timeout;
	f->url = fixture_copy_text(q->url);
	f->authorization = fixture_copy_text(q->authorization);
	f->body = fixture_copy(q->body, q->body_length);
	f->ca_file = fixture_copy_text(q->settings.ca_file);
	f->done = done;
	f->context = context;
	f->sent = the_rig->now;
	TAILQ_INSERT_TAIL(&the_rig->fetches, f, link);
	the_rig->fetches_begun++;
	if (ret)
		*ret = f;
	return 0;
}

void fetch_cancel(struct fetch *f)
{
	if (f)
		release(f);
}

void fetch_end(struct fetch *f, const char *failure)
{
	struct exchange x = {.failure = failure, .silence = true, .sent = f->sent};
	fetch_done *done = f->done;
	void *context = f->context;

	x.received = f->sent;
	release(f);
	done(context, &x);
}

static struct fetch *find(struct rig *r, enum fetch_method method, const char *in_body)
{
	struct fetch *f, *found = NULL;

	rig_run(r);
	TAILQ_FOREACH(f, &r->fetches, link)
	if (f->method == method && (!in_body || strstr(f->body, in_body))) {
		if (found)
			fail_msg("more than one such request is under way");
		found = f;
	}
	return found;
}

struct fetch *rig_post(struct rig *r)
{
	return find(r, FETCH_POST, NULL);
}

struct fetch *rig_post_with(struct rig *r, const char *in_body)
{
	return find(r, FETCH_POST, in_body);
}

struct fetch *rig_delete(struct rig *r)
{
	return find(r, FETCH_DELETE, NULL);
}

static unsigned count(struct rig *r, enum fetch_method method)
{
	const struct fetch *f;
	unsigned n = 0;

	rig_run(r);
	TAILQ_FOREACH(f, &r->fetches, link)
	n += f->method == method;
	return n;
}

unsigned rig_posts(struct rig *r)
{
	return count(r, FETCH_POST);
}

unsigned rig_heads(struct rig *r)
{
	return count(r, FETCH_HEAD);
}

static void finish(struct rig *r, struct fetch *f, struct exchange *x)
{
	fetch_done *done = f->done;
	void *context = f->context;

	x->sent = f->sent;
	x->received = x->status ? r->now : f->sent;
	release(f);
	done(context, x);
	rig_run(r);
}

void rig_answer(struct rig *r, struct fetch *f, long status, const char *body)
{
	struct exchange x = {.status = status, .body = body, .body_length = strlen(body)};
	time_t wall = (time_t)(r->now.wall.ns / NS_PER_S + r->server_ahead_s);
	struct tm tm;

	assert_non_null(f);
	gmtime_r(&wall, &tm);
	strftime(x.date, sizeof(x.date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	snprintf(x.retry_after, sizeof(x.retry_after), "%s", r->retry_after ? r->retry_after : "");
	finish(r, f, &x);
}

void rig_answer_token(struct rig *r, struct fetch *f, const char *token, const char *refresh_token)
{
	char body[1024], refresh[512] = "";

	if (refresh_token)
		snprintf(refresh, sizeof(refresh), ",\"refresh_token\":\"%s\"", refresh_token);
	snprintf(body, sizeof(body),
		"{\"access_token\":\"%s\",\"token_type\":\"bearer\",\"expires_in\":3600%s}", token,
		refresh);
	rig_answer(r, f, 200, body);
}

void rig_answer_failure(struct rig *r, struct fetch *f, const char *failure)
{
	struct exchange x = {.failure = failure};

	assert_non_null(f);
	finish(r, f, &x);
}

void rig_answer_unsent(struct rig *r, struct fetch *f, const char *failure)
{
	struct exchange x = {.failure = failure, .unsent = true};

	assert_non_null(f);
	finish(r, f, &x);
}
