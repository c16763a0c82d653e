#include "network.h"

#define ROUND_TRIPS_TO_CONNECT 2 /* TCP and TLS 1.3 */
#define TIMEOUT_USUAL_S 10

static struct message *message_new(struct driver *d, enum message_kind kind)
{
	for (size_t i = 0; i < sizeof(d->messages) / sizeof(*d->messages); i++) {
		struct message *m = &d->messages[i];

		if (!m->used) {
			*m = (struct message){.used = true, .kind = kind, .serial = ++d->serial};
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
	if (arrived.serial == d->under_way[arrived.kind])
		driver_arrived(d, &arrived);
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
		if (serial != d->under_way[gone.kind])
			return;
		gone.response = (struct server_response){0};
		gone.late = true;
		driver_arrived(d, &gone);
		return;
	}
}

static void response_leaves(void *context, uint64_t index)
{
	struct driver *d = context;
	struct message *m = &d->messages[index];

	if (m->kind != MESSAGE_POST) {
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

	if (d->server->mood == SERVER_SILENT ||
		(d->server->mood == SERVER_HALF_SILENT && m->kind == MESSAGE_POST)) {
		/* its slot is freed when the daemon stops waiting */
		m->lost = m->serial == d->under_way[m->kind];
		m->used = m->lost;
		return;
	}
	if (!server_listens(d->server)) {
		m->unsent = true;
		if (m->kind == MESSAGE_POST)
			d->tally->posts[m->post].barren = true;
		sim_after(d->sim, server_latency(d->server), SIM_LOCAL, message_ended, d, index);
		return;
	}
	sim_after(d->sim, m->kind != MESSAGE_POST ? duration_ms(1) : server_thinks(d->server),
		SIM_WORLD, response_leaves, d, index);
}

static void request_leaves(void *context, uint64_t index)
{
	struct driver *d = context;
	struct message *m = &d->messages[index];

	m->sent = machine_read(d->machine);
	m->left_at = d->sim->now;
	m->unsent = false;
	sim_after(d->sim, server_latency(d->server), SIM_WORLD, request_arrives, d, index);
}

static struct message *message_find(struct driver *d, uint64_t serial)
{
	for (size_t i = 0; i < sizeof(d->messages) / sizeof(*d->messages); i++)
		if (d->messages[i].used && d->messages[i].serial == serial)
			return &d->messages[i];
	return NULL;
}

/* The first segment of a connection arrives, or is swallowed and sent again after 1, 2, 4 ... s. */
static void connection_arrives(void *context, uint64_t serial)
{
	struct driver *d = context;
	struct message *m = message_find(d, serial);
	struct duration connecting = DURATION_ZERO;

	if (!m)
		return;
	m->lost = m->unsent = d->server->mood == SERVER_SWALLOWS;
	if (m->kind == MESSAGE_POST)
		d->tally->posts[m->post].barren = m->unsent;
	if (m->unsent) {
		sim_after(d->sim, duration_s(INT64_C(1) << m->resent++), SIM_LOCAL,
			connection_arrives, d, serial);
		return;
	}
	for (unsigned i = 0; i < 2 * ROUND_TRIPS_TO_CONNECT; i++)
		connecting = duration_add(connecting, server_latency(d->server));
	sim_after(d->sim, connecting, SIM_LOCAL, request_leaves, d, (uint64_t)(m - d->messages));
}

void network_send(struct driver *d, enum message_kind kind)
{
	struct clock_reading now = machine_read(d->machine);
	struct message *m = message_new(d, kind);
	struct duration timeout = d->settings.fetch_timeout;

	if (!m)
		return;
	m->sent = now;
	m->left_at = d->sim->now;
	if (kind == MESSAGE_POST && d->under_way[kind])
		tally_fail(d->tally, "a second token request while one is under way");
	d->under_way[kind] = m->serial;
	if (!timeout.ns)
		timeout = duration_s(TIMEOUT_USUAL_S);
	switch (kind) {
	case MESSAGE_POST:
		m->post = tally_posted(d->tally, now.boot);
		connection_arrives(d, m->serial);
		break;
	case MESSAGE_HEAD:
		d->tally->heads++;
		sim_after(d->sim, DURATION_ZERO, SIM_LOCAL, request_leaves, d,
			(uint64_t)(m - d->messages));
		break;
	case MESSAGE_KNOCK:
		d->tally->knocks++;
		timeout = duration_min(timeout, duration_ms(KNOCK_TIMEOUT_MS));
		connection_arrives(d, m->serial);
		break;
	}
	sim_at(d->sim, machine_when(d->machine, boot_add(now.boot, timeout)), SIM_LOCAL,
		message_timed_out, d, m->serial);
}

struct message network_give_up(struct driver *d)
{
	struct message *m = message_find(d, d->under_way[MESSAGE_POST]);
	struct message ret = {.kind = MESSAGE_POST, .late = true};

	if (!m) {
		tally_fail(d->tally, "a request is given up that is not under way");
		return ret;
	}
	ret = *m;
	ret.response = (struct server_response){0};
	ret.late = true;
	m->used = !m->lost;
	return ret;
}
