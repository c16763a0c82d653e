#include "network.h"

#define ROUND_TRIPS_TO_CONNECT 2 /* TCP and TLS 1.3 */
#define TIMEOUT_USUAL_S 10

static struct message *message_new(struct driver *d, bool head)
{
	for (size_t i = 0; i < sizeof(d->messages) / sizeof(*d->messages); i++) {
		struct message *m = &d->messages[i];

		if (!m->used) {
			*m = (struct message){.used = true, .head = head, .serial = ++d->serial};
			return m;
		}
	}
	/* A message stays until its response has come or cannot come any more. */
	tally_fail(d->tally, "more requests on their way than the daemon would ever send");
	return NULL;
}

/* It arrived, or never will. A daemon that restarted or gave up ignores it. */
static void message_ended(void *context, uint64_t index)
{
	struct driver *d = context;
	struct message *m = &d->messages[index];
	struct message arrived = *m;

	m->used = false;
	if (arrived.serial == (arrived.head ? d->head : d->post))
		driver_ended(d, &arrived);
}

static void message_timed_out(void *context, uint64_t serial)
{
	struct driver *d = context;

	for (size_t i = 0; i < sizeof(d->messages) / sizeof(*d->messages); i++) {
		struct message *m = &d->messages[i];
		struct message gone = *m;

		if (!m->used || m->serial != serial)
			continue;
		if (m->lost)
			m->used = false;
		if (serial != (gone.head ? d->head : d->post))
			return;
		gone.response = (struct server_response){0};
		driver_ended(d, &gone);
		return;
	}
}

static void response_leaves(void *context, uint64_t index)
{
	struct driver *d = context;
	struct message *m = &d->messages[index];

	if (m->head) {
		server_respond_head(d->server, &m->response);
	} else {
		size_t tokens = d->server->count;

		server_respond_post(d->server, &m->response);
		d->tally->posts[m->post].barren = d->server->count == tokens;
	}
	sim_after(d->sim, duration_add(server_latency(d->server), d->server->settings.slower_back),
		SIM_LOCAL, message_ended, d, index);
}

static void request_arrives(void *context, uint64_t index)
{
	struct driver *d = context;
	struct message *m = &d->messages[index];

	if (d->server->mood == SERVER_SILENT) {
		/* its slot is freed when the daemon stops waiting */
		m->lost = m->serial == (m->head ? d->head : d->post);
		m->used = m->lost;
		return;
	}
	if (!server_listens(d->server)) {
		m->refused = true;
		if (!m->head)
			d->tally->posts[m->post].barren = true;
		sim_after(d->sim, server_latency(d->server), SIM_LOCAL, message_ended, d, index);
		return;
	}
	sim_after(d->sim, m->head ? duration_ms(1) : server_thinks(d->server), SIM_WORLD,
		response_leaves, d, index);
}

static void request_leaves(void *context, uint64_t index)
{
	struct driver *d = context;
	struct message *m = &d->messages[index];

	m->sent = machine_read(d->machine);
	m->left_at = d->sim->now;
	sim_after(d->sim, server_latency(d->server), SIM_WORLD, request_arrives, d, index);
}

void network_send(struct driver *d, bool head)
{
	struct clock_reading now = machine_read(d->machine);
	struct message *m = message_new(d, head);
	struct duration timeout = d->settings.fetch_timeout, connecting = DURATION_ZERO;
	uint64_t index;

	if (!m)
		return;
	index = (uint64_t)(m - d->messages);
	m->sent = now;
	m->left_at = d->sim->now;
	if (head) {
		d->head = m->serial;
		d->tally->heads++;
	} else {
		if (d->post)
			tally_fail(d->tally, "a second token request while one is under way");
		d->post = m->serial;
		m->post = tally_posted(d->tally, now.boot);
		/* a new connection each time; HEADs reuse it */
		for (unsigned i = 0; i < 2 * ROUND_TRIPS_TO_CONNECT; i++)
			connecting = duration_add(connecting, server_latency(d->server));
	}
	if (!timeout.ns)
		timeout = duration_s(TIMEOUT_USUAL_S);
	sim_after(d->sim, connecting, SIM_LOCAL, request_leaves, d, index);
	sim_at(d->sim, machine_when(d->machine, boot_add(now.boot, timeout)), SIM_LOCAL,
		message_timed_out, d, m->serial);
}
