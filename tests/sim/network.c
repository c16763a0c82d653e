#include "network.h"

#define ROUND_TRIPS_TO_CONNECT 2 /* TCP and TLS 1.3 */
#define TIMEOUT_USUAL_S 10

static struct letter *letter_new(struct driver *d, bool head)
{
	for (size_t i = 0; i < sizeof(d->letters) / sizeof(*d->letters); i++) {
		struct letter *l = &d->letters[i];

		if (!l->used) {
			*l = (struct letter){.used = true, .head = head, .serial = ++d->serial};
			return l;
		}
	}
	/* A letter stays until its answer came or can no longer come; there are never so many. */
	tally_fail(d->tally, "more requests on their way than the daemon would ever send");
	return NULL;
}

/* It arrived, or never will; a daemon that was restarted or gave up does not care. */
static void letter_ended(void *context, uint64_t index)
{
	struct driver *d = context;
	struct letter *l = &d->letters[index];
	struct letter arrived = *l;

	l->used = false;
	if (arrived.serial == (arrived.head ? d->head : d->post))
		driver_ended(d, &arrived);
}

static void letter_timed_out(void *context, uint64_t serial)
{
	struct driver *d = context;

	for (size_t i = 0; i < sizeof(d->letters) / sizeof(*d->letters); i++) {
		struct letter *l = &d->letters[i];
		struct letter gone = *l;

		if (!l->used || l->serial != serial)
			continue;
		if (l->lost)
			l->used = false;
		if (serial != (gone.head ? d->head : d->post))
			return;
		gone.answer = (struct server_answer){0};
		driver_ended(d, &gone);
		return;
	}
}

static void answer_leaves(void *context, uint64_t index)
{
	struct driver *d = context;
	struct letter *l = &d->letters[index];

	if (l->head)
		server_answer_head(d->server, &l->answer);
	else
		server_answer_post(d->server, &l->answer);
	sim_after(d->sim,
		duration_add(server_latency(d->server), d->server->settings.answers_slower),
		SIM_LOCAL, letter_ended, d, index);
}

static void request_arrives(void *context, uint64_t index)
{
	struct driver *d = context;
	struct letter *l = &d->letters[index];

	if (d->server->mood == SERVER_SILENT) {
		/* its place is free when the daemon has stopped waiting */
		l->lost = l->serial == (l->head ? d->head : d->post);
		l->used = l->lost;
		return;
	}
	if (!server_listens(d->server)) {
		sim_after(d->sim, server_latency(d->server), SIM_LOCAL, letter_ended, d, index);
		return;
	}
	sim_after(d->sim, l->head ? duration_ms(1) : server_thinks(d->server), SIM_WORLD,
		answer_leaves, d, index);
}

static void request_leaves(void *context, uint64_t index)
{
	struct driver *d = context;
	struct letter *l = &d->letters[index];

	l->sent = machine_read(d->machine);
	l->left_at = d->sim->now;
	sim_after(d->sim, server_latency(d->server), SIM_WORLD, request_arrives, d, index);
}

void network_send(struct driver *d, bool head)
{
	struct clock_reading now = machine_read(d->machine);
	struct letter *l = letter_new(d, head);
	struct duration timeout = d->settings.fetch_timeout, connecting = DURATION_ZERO;
	uint64_t index;

	if (!l)
		return;
	index = (uint64_t)(l - d->letters);
	l->sent = now;
	l->left_at = d->sim->now;
	if (head) {
		d->head = l->serial;
		d->tally->heads++;
	} else {
		if (d->post)
			tally_fail(d->tally, "a second token request while one is under way");
		d->post = l->serial;
		tally_posted(d->tally, now.boot);
		/* a new connection each time; HEADs reuse it */
		for (unsigned i = 0; i < 2 * ROUND_TRIPS_TO_CONNECT; i++)
			connecting = duration_add(connecting, server_latency(d->server));
	}
	if (!timeout.ns)
		timeout = duration_s(TIMEOUT_USUAL_S);
	sim_after(d->sim, connecting, SIM_LOCAL, request_leaves, d, index);
	sim_at(d->sim, machine_when(d->machine, boot_add(now.boot, timeout)), SIM_LOCAL,
		letter_timed_out, d, l->serial);
}
