#include "waiter.h"

#include "broker.h"
#include "call.h"
#include "calls_login.h"
#include "calls_token.h"
#include "calls_view.h"
#include "endpoint.h"
#include "login_code.h"
#include "profile_type.h"
#include "revoke.h"
#include "rights.h"

#include "core/reply.h"
#include "core/token_ask.h"
#include "front/connection.h"
#include "host/clock.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

/* Answers in one loop pass. Thousands may wait for the same token; who asks for something else in
 * the meantime must not wait for all of them. */
#define ANSWERS_A_PASS 128

static void deadline_passed(int fd, short events, void *context)
{
	(void)fd;
	(void)events;
	waiter_make_ready(context);
}

static int arm_deadline(struct waiter *w, struct duration wait)
{
	/* rounded up: never awake before the deadline only to hold on for the rest */
	int64_t us = wait.ns > 0 ? (wait.ns + 999) / 1000 : 0;
	struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

	return evtimer_add(&w->deadline, &tv) ? -ENOMEM : 0;
}

int waiter_new(struct waiter **ret, struct profile *p, struct connection *c, enum waiter_kind kind,
	struct duration wait)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->broker = p->broker;
	w->profile = p;
	w->connection = c;
	w->kind = kind;
	evtimer_assign(&w->deadline, p->broker->base, deadline_passed, w);
	if (arm_deadline(w, wait)) {
		free(w);
		return -ENOMEM;
	}
	if (kind == WAITER_MEASURE) {
		w->endpoint = p->endpoint;
		TAILQ_INSERT_TAIL(&p->endpoint->measuring, w, link);
	} else {
		TAILQ_INSERT_TAIL(&p->waiting, w, link);
	}
	p->waiting_count++;
	p->broker->waiting_count++;
	connection_set_hold(c, w);
	*ret = w;
	return 0;
}

static void waiter_unlink(struct waiter *w)
{
	if (w->ready)
		TAILQ_REMOVE(&w->broker->ready, w, link);
	else if (w->kind == WAITER_MEASURE)
		TAILQ_REMOVE(&w->endpoint->measuring, w, link);
	else
		TAILQ_REMOVE(&w->profile->waiting, w, link);
}

void waiter_free(struct waiter *w)
{
	waiter_unlink(w);
	evtimer_del(&w->deadline);
	if (w->kind == WAITER_REVOKE || w->kind == WAITER_LOGOUT)
		revoke_forget_waiter(w->broker, w);
	if (w->login)
		login_forget_waiter(w);
	if (w->profile)
		w->profile->waiting_count--;
	w->broker->waiting_count--;
	connection_set_hold(w->connection, NULL);
	free(w);
}

static void pump_soon(struct broker *b)
{
	/* A timer of zero, not event_active: the next pass looks at the sockets first. But that
	 * takes memory, and nothing else would ever answer them. */
	static const struct timeval at_once;

	if (!TAILQ_EMPTY(&b->ready) && !evtimer_pending(&b->pump, NULL) &&
		evtimer_add(&b->pump, &at_once))
		event_active(&b->pump, EV_TIMEOUT, 0);
}

void waiter_make_ready(struct waiter *w)
{
	if (w->ready)
		return;
	waiter_unlink(w);
	w->ready = true;
	TAILQ_INSERT_TAIL(&w->broker->ready, w, link);
	pump_soon(w->broker);
}

void waiters_make_ready(struct profile *p)
{
	struct waiter *w, *next;

	for (w = TAILQ_FIRST(&p->waiting); w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (w->kind == WAITER_TOKEN)
			waiter_make_ready(w);
	}
}

/* Whoever asked by name asks the same of the profile that has the name now. A revocation was of the
 * old one's tokens, a login of the old one's client. */
static void follow_name(struct waiter *w, struct profile *successor)
{
	w->profile = w->kind == WAITER_TOKEN || w->kind == WAITER_MEASURE ? successor : NULL;
	if (!w->profile)
		return;
	w->profile->waiting_count++;
	w->ask.begun = false;
	w->ask.ticket = 0;
}

/* They wait in three places: with the profile, for a HEAD of any endpoint that it has had, and for
 * the pump. */
void waiters_lose_profile(struct profile *p, struct profile *successor)
{
	struct waiter *w, *next;
	struct endpoint *e;

	while ((w = TAILQ_FIRST(&p->waiting)) != NULL)
		waiter_make_ready(w);
	TAILQ_FOREACH(e, &p->broker->endpoints, link)
	for (w = TAILQ_FIRST(&e->measuring); w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (w->profile == p)
			waiter_make_ready(w);
	}
	TAILQ_FOREACH(w, &p->broker->ready, link)
	if (w->profile == p)
		follow_name(w, successor);
}

static void hold_on(struct waiter *w, const struct clock_reading *now)
{
	TAILQ_REMOVE(&w->broker->ready, w, link);
	w->ready = false;
	TAILQ_INSERT_TAIL(&w->profile->waiting, w, link);
	if (!evtimer_pending(&w->deadline, NULL))
		arm_deadline(w, boot_since(w->ask.deadline, now->boot));
}

static void answer_token(struct waiter *w, const struct clock_reading *now)
{
	struct connection *c = w->connection;
	struct profile *p = w->profile;
	struct token_outcome outcome;
	enum right right = w->ask.kind == ASK_REFRESH ? RIGHT_ADMIN : RIGHT_TOKEN;
	struct reply reply;
	int status;

	/* Judged when something is handed out: a reload may have changed the rules. */
	if (!rights_may(p->broker, c, right, p)) {
		rights_refused(p, c, right);
		waiter_free(w);
		connection_reply_begin(c, &reply);
		status = reply_error(&reply, 403, "access_denied",
			"the rules changed while the request waited", -1);
		connection_reply_end(c, status);
		return;
	}
	token_source_ask(&p->source, now, &w->ask, &outcome);
	if (token_source_needs_turn(&p->source))
		turn_soon(&p->broker->turn);
	if (outcome.kind == OUTCOME_HOLD) {
		hold_on(w, now);
		return;
	}
	connection_reply_begin(c, &reply);
	status = call_answer_outcome(p, &reply, &w->ask, &outcome);
	waiter_free(w);
	connection_reply_end(c, status);
}

static void answer(struct waiter *w, const struct clock_reading *now)
{
	struct connection *c = w->connection;
	struct reply reply;
	int status;

	if (w->profile && w->kind == WAITER_TOKEN) {
		answer_token(w, now);
		return;
	}
	connection_reply_begin(c, &reply);
	if (!w->profile)
		status = reply_error(&reply, 404, "unknown_profile",
			"a reload of the configuration took the profile away", -1);
	else if (w->kind == WAITER_LOGIN)
		status = login_answer(w, &reply);
	else if (w->kind == WAITER_LOGOUT)
		status = logout_answer(w, &reply);
	else if (w->kind == WAITER_REVOKE)
		status = revoke_answer(w, &reply);
	else
		status = call_answer_skew(w->profile, &reply);
	waiter_free(w);
	connection_reply_end(c, status);
}

void waiters_answer(int fd, short events, void *context)
{
	struct broker *b = context;
	struct clock_reading now;
	struct waiter *w;

	(void)fd;
	(void)events;
	clock_read(&now);
	for (int i = 0; i < ANSWERS_A_PASS && (w = TAILQ_FIRST(&b->ready)) != NULL; i++)
		answer(w, &now);
	pump_soon(b);
}
