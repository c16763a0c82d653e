#include "redis_requests.h"

#include "redis_codec.h"
#include "redis_commands.h"
#include "redis_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHY_MAX 256

struct redis_request {
	struct redis_request *next;
	void *who;   /* NULL: it was disowned */
	bool permit; /* or else `operation` */
	enum fleet_operation operation;
	const struct redis_script *script; /* NULL: READ */
	struct buffer command;
	unsigned answers; /* that came */
	bool loading;     /* its script was unknown: SCRIPT LOAD, and then the same again */
	bool has_answer;
	struct boot_time due, sent, received;
	struct fleet_element *fields; /* READ: what HMGET answered */
	struct fleet_answer answer;   /* READ */
	char problem[WHY_MAX];        /* "": none */
};

static struct boot_time now(const struct redis_requests *q)
{
	struct clock_reading r;

	q->clock_read(&r);
	return r.boot;
}

/* ---- the queue ---- */

static void request_free(struct redis_request *r)
{
	buffer_fini(&r->command);
	free(r->fields);
	free(r);
}

static void append(struct redis_requests *q, struct redis_request *r)
{
	r->next = NULL;
	*q->end = r;
	q->end = &r->next;
}

static void take_first(struct redis_requests *q)
{
	q->first = q->first->next;
	if (!q->first)
		q->end = &q->first;
}

void redis_requests_init(struct redis_requests *q)
{
	q->first = NULL;
	q->end = &q->first;
}

void redis_requests_fini(struct redis_requests *q)
{
	struct redis_request *r;

	while ((r = q->first)) {
		take_first(q);
		request_free(r);
	}
}

/* The one that is due first has the connection's deadline; one whose script had to be loaded may
 * stand behind others that are due later. */
static void expect_first(const struct redis_requests *q, struct redis_link *link)
{
	struct boot_time due = BOOT_TIME_NEVER;
	struct duration left;

	if (!q->first) {
		redis_link_expect(link, DURATION_ZERO);
		return;
	}
	for (const struct redis_request *r = q->first; r; r = r->next)
		due = boot_min(due, r->due);
	left = duration_max(boot_since(due, now(q)), duration_ms(1));
	redis_link_expect(link, duration_min(left, q->timeout));
}

int redis_requests_start(struct redis_requests *q, struct redis_link *link, void *who, bool permit,
	enum fleet_operation operation, const struct redis_script *script, struct buffer *command)
{
	struct redis_request *r = buffer_failed(command) ? NULL : calloc(1, sizeof(*r));

	/* Before it is sent: whatever holds it up makes an answer seem older, not younger. */
	if (r)
		r->sent = now(q);
	if (!r || redis_link_send(link, command->data, command->length)) {
		buffer_fini(command);
		free(r);
		return -ENOMEM;
	}
	r->who = who;
	r->permit = permit;
	r->operation = operation;
	r->script = script;
	r->command = *command;
	r->due = boot_add(r->sent, q->timeout);
	append(q, r);
	expect_first(q, link);
	return 0;
}

void redis_requests_disown(struct redis_requests *q, const void *who)
{
	for (struct redis_request *r = q->first; r; r = r->next)
		if (r->who == who)
			r->who = NULL;
}

/* ---- answers ---- */

static const char *name_of(const struct redis_request *r)
{
	static const char *const names[] = {
		[FLEET_READ] = "READ",
		[FLEET_ACQUIRE] = "ACQUIRE",
		[FLEET_RENEW] = "RENEW",
		[FLEET_PUT] = "PUT",
		[FLEET_FAIL] = "FAIL",
		[FLEET_STOP] = "STOP",
		[FLEET_ACCEPT] = "ACCEPT",
	};

	return r->permit ? "PERMIT" : names[r->operation];
}

static bool refuse(char why[WHY_MAX], const char *what, const char *words)
{
	snprintf(why, WHY_MAX, "%s: %s", what, words);
	return false;
}

static bool nonsense(char why[WHY_MAX], const char *what)
{
	return refuse(why, what, "what it answers is no answer to that");
}

static void note_problem(struct redis_request *r, enum redis_error kind)
{
	if (!*r->problem)
		snprintf(r->problem, sizeof(r->problem), "%s: %s", name_of(r),
			redis_error_words(kind));
}

static void end_request(struct redis_requests *q, struct redis_link *link, struct redis_request *r,
	const struct fleet_answer *answer, bool granted, uint32_t rank)
{
	const struct store_result result = {.operation = r->operation,
		.sent = r->sent,
		.received = r->received,
		.answer = answer,
		.problem = answer ? NULL : r->problem};

	take_first(q);
	expect_first(q, link);
	if (r->who && r->permit)
		q->hooks.permitted(r->who, *r->problem ? r->problem : NULL, granted, rank);
	else if (r->who)
		q->hooks.ended(r->who, &result);
	request_free(r);
}

static bool take_hosts(struct redis_requests *q, const struct fleet_element *e)
{
	if (e->type == FLEET_ELEMENT_ERROR)
		return true; /* the right to ask is no must */
	if (e->type != FLEET_ELEMENT_ARRAY || e->count != 2 ||
		e->items[1].type != FLEET_ELEMENT_INTEGER || e->items[1].integer < 0)
		return false;
	q->hooks.counted(q->context, e->items[1].integer);
	return true;
}

static bool take_read(struct redis_requests *q, struct redis_link *link, struct redis_request *r,
	const struct fleet_element *e, char why[WHY_MAX])
{
	if (++r->answers == REDIS_READ_ANSWERS) {
		if (!take_hosts(q, e))
			return nonsense(why, "PUBSUB");
		end_request(q, link, r, r->has_answer ? &r->answer : NULL, false, 0);
		return true;
	}
	if (e->type == FLEET_ELEMENT_ERROR) {
		note_problem(r, redis_error_kind(e));
	} else if (r->answers == 1) {
		r->fields = redis_element_copy(e);
		if (!r->fields)
			return nonsense(why, name_of(r));
	} else if (r->fields) {
		r->received = now(q);
		if (fleet_reply_read(r->fields, e, &r->answer))
			return nonsense(why, name_of(r));
		r->has_answer = true;
	}
	return true;
}

/* The server lost the script, or never had it: 10,000 hosts that connect do not all send it. */
static bool load_script(struct redis_requests *q, struct redis_link *link, struct redis_request *r,
	char why[WHY_MAX])
{
	struct buffer load;
	int error;

	take_first(q);
	append(q, r);
	r->loading = true;
	r->answers = 0;
	r->sent = now(q);
	buffer_init(&load, NULL, 0);
	redis_write_load(&load, r->script);
	error = buffer_failed(&load) ? -ENOMEM : redis_link_send(link, load.data, load.length);
	buffer_fini(&load);
	if (error || redis_link_send(link, r->command.data, r->command.length))
		return refuse(why, name_of(r), "out of memory");
	expect_first(q, link);
	return true;
}

static bool take_script(struct redis_requests *q, struct redis_link *link, struct redis_request *r,
	const struct fleet_element *e, char why[WHY_MAX])
{
	bool is_error = e->type == FLEET_ELEMENT_ERROR, granted = false;
	enum redis_error kind = is_error ? redis_error_kind(e) : REDIS_ERROR_OTHER;
	struct fleet_answer answer;
	uint32_t rank = 0;
	int error = 0;

	r->answers++;
	if (r->loading && r->answers == 1) {
		if (is_error)
			note_problem(r, kind);
		else if (!redis_element_is(e, r->script->sha1))
			return nonsense(why, "SCRIPT LOAD");
		return true;
	}
	r->received = now(q);
	if (is_error) {
		if (kind == REDIS_ERROR_NOSCRIPT && !r->loading)
			return load_script(q, link, r, why);
		note_problem(r, kind);
	} else if (r->permit) {
		error = fleet_reply_permit(e, &granted, &rank);
	} else {
		error = fleet_reply_script(r->operation, e, &answer);
	}
	if (error)
		return nonsense(why, name_of(r));
	end_request(q, link, r, is_error || r->permit ? NULL : &answer, granted, rank);
	return true;
}

bool redis_requests_answered(struct redis_requests *q, struct redis_link *link,
	const struct fleet_element *e, char ret_why[WHY_MAX])
{
	struct redis_request *r = q->first;

	if (!r) {
		snprintf(ret_why, WHY_MAX, "it answered what was not asked");
		return false;
	}
	if (e->type == FLEET_ELEMENT_ERROR && redis_error_leaves(redis_error_kind(e)))
		return refuse(ret_why, name_of(r), redis_error_words(redis_error_kind(e)));
	return r->script ? take_script(q, link, r, e, ret_why) : take_read(q, link, r, e, ret_why);
}
