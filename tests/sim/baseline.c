#include "baseline.h"

#include "core/http_date.h"

#include <stdlib.h>
#include <string.h>

#define API_WAY_MS 10
#define API_WAY_JITTER_MS 90
#define ROUND_TRIPS_TO_CONNECT 2 /* TCP and TLS 1.3 */
#define CALLS_IN_AN_HOUR 3600
#define TIMEOUT_S 10
#define WAIT_S 5
#define RETRY_S 5
#define STEP_MIN_NS (NS_PER_S / 2)

static int64_t policy_clock(const struct baseline *b, const struct clock_reading *r)
{
	if (b->policy.careful) {
		struct duration step = duration_sub(clock_wall_offset(r), b->wall_ref);

		return r->boot.ns + (b->policy.wall_steps && step.ns > STEP_MIN_NS ? step.ns : 0);
	}
	return b->policy.monotonic ? r->boot.ns - r->suspended.ns : r->wall.ns;
}

static void token_used(void *context, uint64_t token_id)
{
	struct baseline *b = context;
	bool refused = server_api(b->server, token_id) != API_TAKES;

	b->used++;
	b->refused += refused;
	if (refused && b->reports && token_id == b->token_id)
		b->has_token = false;
}

static void token_sent_to_api(struct baseline *b)
{
	sim_after(b->sim,
		duration_add(duration_ms(API_WAY_MS),
			random_duration(&b->random, duration_ms(API_WAY_JITTER_MS))),
		SIM_WORLD, token_used, b, b->token_id);
}

/* Our wall clock less the server's by one exchange. False: it tells neither iat nor Date. */
static bool skew_measure(
	const struct baseline *b, const struct clock_reading *now, struct duration *ret)
{
	int64_t server_s = b->server->tokens[b->token_id].from_s;

	if (!b->server->settings.jwt &&
		http_date_parse(b->response.date, strlen(b->response.date), &server_s))
		return false;
	*ret = duration_ns(
		b->began.wall.ns + (now->wall.ns - b->began.wall.ns) / 2 - server_s * NS_PER_S);
	return true;
}

static void error_note(
	struct baseline *b, const struct clock_reading *now, struct duration measured)
{
	struct duration half = duration_ns(boot_since(now->boot, b->began.boot).ns / 2);
	struct duration truth =
		duration_sub(clock_wall_offset(now), server_theta(b->server, 0, now->boot));
	struct duration error = duration_sub(truth, measured);

	if (b->exchanges == BASELINE_EXCHANGES)
		return;
	b->error_sum_ns += error.ns;
	b->errors[b->exchanges] = (struct baseline_error){
		.latest = error,
		.mean = duration_ns(b->error_sum_ns / (b->exchanges + 1)),
		.covered = llabs(error.ns) <= half.ns,
	};
	b->exchanges++;
}

static struct duration buffer_with(const struct baseline *b, struct duration skew)
{
	switch (b->policy.skew) {
	case BASELINE_SKEW_TAKEN_OFF:
		return duration_sub(b->policy.buffer, skew);
	case BASELINE_SKEW_ADDED:
		return duration_add(b->policy.buffer, duration_ns(llabs(skew.ns)));
	case BASELINE_SKEW_UNUSED:
		break;
	}
	return b->policy.buffer;
}

static void held_are_served(struct baseline *b)
{
	for (; b->held; b->held--)
		token_sent_to_api(b);
	b->held_first = b->held_next;
}

static void fetch_begin(struct baseline *b);

static bool usable(const struct baseline *b, const struct clock_reading *now)
{
	return b->has_token && policy_clock(b, now) < b->good_until_ns;
}

/* Refreshes ahead, and tries again after a failure. */
static void look_ahead(void *context, uint64_t fetch)
{
	struct baseline *b = context;
	struct boot_time at = boot_max(b->refresh_at, boot_add(b->failed_at, duration_s(RETRY_S)));

	if (fetch != b->fetch || b->fetching)
		return;
	if (boot_before(machine_read(b->machine).boot, at))
		sim_at(b->sim, machine_when(b->machine, at), SIM_LOCAL, look_ahead, b, fetch);
	else
		fetch_begin(b);
}

static void careful_token(struct baseline *b, const struct clock_reading *now)
{
	const struct baseline_policy *p = &b->policy;
	const char *life = strstr(b->response.body, "\"expires_in\":");
	int64_t life_ns = life ? strtoll(life + 13, NULL, 10) * NS_PER_S : 0;
	int64_t margin = life_ns / 10 < 5 * NS_PER_S ? life_ns / 10 : 5 * NS_PER_S;
	int64_t from = life_ns / 100 * (int64_t)p->refresh_from;
	int64_t till = life_ns / 100 * (int64_t)p->refresh_till;

	b->wall_ref = clock_wall_offset(&b->began);
	b->good_until_ns =
		b->began.boot.ns +
		(p->serve_percent ? life_ns / 100 * (int64_t)p->serve_percent : life_ns - margin);
	b->refresh_at = boot_add(
		b->began.boot, duration_add(duration_ns(from),
				       random_duration(&b->random, duration_ns(till - from))));
	(void)now;
	sim_after(b->sim, DURATION_ZERO, SIM_LOCAL, look_ahead, b, b->fetch);
}

static void fetch_failed(struct baseline *b)
{
	b->fetching = false;
	b->failed_at = machine_read(b->machine).boot;
	sim_after(b->sim, DURATION_ZERO, SIM_LOCAL, look_ahead, b, b->fetch);
}

static void response_arrives(void *context, uint64_t fetch)
{
	struct baseline *b = context;
	struct clock_reading now = machine_read(b->machine);
	struct duration skew = DURATION_ZERO;

	if (fetch != b->fetch || !b->fetching)
		return;
	if (b->policy.careful && b->response.status != 200) {
		fetch_failed(b);
		return;
	}
	b->fetching = false;
	b->has_token = true;
	b->token_id = b->server->count - 1;
	if (b->policy.careful) {
		careful_token(b, &now);
	} else {
		if (skew_measure(b, &now, &skew))
			error_note(b, &now, skew);
		b->good_until_ns = policy_clock(b, &now) +
				   b->server->settings.lifetime_s * NS_PER_S -
				   buffer_with(b, skew).ns;
	}
	held_are_served(b);
}

static void times_out(void *context, uint64_t fetch)
{
	struct baseline *b = context;

	if (fetch == b->fetch && b->fetching)
		fetch_failed(b);
}

static void response_leaves(void *context, uint64_t fetch)
{
	struct baseline *b = context;

	server_respond_post(b->server, &b->response);
	sim_after(b->sim, duration_add(server_latency(b->server), b->server->settings.slower_back),
		SIM_LOCAL, response_arrives, b, fetch);
}

static void request_arrives(void *context, uint64_t fetch)
{
	struct baseline *b = context;

	if (b->policy.careful && b->server->mood == SERVER_SILENT)
		return;
	if (b->policy.careful && !server_listens(b->server)) {
		b->response.status = 0;
		sim_after(b->sim, server_latency(b->server), SIM_LOCAL, response_arrives, b, fetch);
		return;
	}
	sim_after(b->sim, server_thinks(b->server), SIM_WORLD, response_leaves, b, fetch);
}

static void request_leaves(void *context, uint64_t fetch)
{
	struct baseline *b = context;

	sim_after(b->sim, server_latency(b->server), SIM_WORLD, request_arrives, b, fetch);
}

static void fetch_begin(struct baseline *b)
{
	struct duration connecting = DURATION_ZERO;

	b->fetching = true;
	b->posts++;
	b->began = machine_read(b->machine);
	for (unsigned i = 0; i < 2 * ROUND_TRIPS_TO_CONNECT; i++)
		connecting = duration_add(connecting, server_latency(b->server));
	sim_after(b->sim, connecting, SIM_LOCAL, request_leaves, b, ++b->fetch);
	if (b->policy.careful)
		sim_after(b->sim, duration_s(TIMEOUT_S), SIM_LOCAL, times_out, b, b->fetch);
}

static void wait_ends(void *context, uint64_t serial)
{
	struct baseline *b = context;

	if (serial < b->held_first)
		return;
	b->held_first = serial + 1;
	b->held--;
	b->denied++;
}

static void call(struct baseline *b)
{
	struct clock_reading now = machine_read(b->machine);

	b->calls++;
	if ((!b->fetching || b->policy.careful) && usable(b, &now)) {
		token_sent_to_api(b);
		return;
	}
	b->waited++;
	b->held++;
	b->held_next++;
	if (b->policy.careful)
		sim_after(b->sim, duration_s(WAIT_S), SIM_LOCAL, wait_ends, b, b->held_next - 1);
	if (!b->fetching && boot_since(now.boot, b->failed_at).ns >= RETRY_S * NS_PER_S)
		fetch_begin(b);
}

static void somebody_asks(void *context, uint64_t value)
{
	struct baseline *b = context;

	(void)value;
	if (!b->resting)
		call(b);
	sim_after(b->sim,
		random_duration(&b->random, duration_ns(2 * 3600 * NS_PER_S / b->in_an_hour)),
		SIM_LOCAL, somebody_asks, b, 0);
}

void baseline_restart(struct baseline *b)
{
	b->has_token = b->fetching = false;
	b->fetch++;
	b->denied += b->policy.careful ? b->held : 0;
	b->held = 0;
	b->held_first = b->held_next;
}

void baseline_init(struct baseline *b, struct sim *sim, struct machine *machine,
	struct server *server, const struct baseline_policy *policy, unsigned in_an_hour,
	bool reports, uint64_t seed)
{
	*b = (struct baseline){
		.sim = sim,
		.machine = machine,
		.server = server,
		.policy = *policy,
		.in_an_hour = in_an_hour ? in_an_hour : CALLS_IN_AN_HOUR,
		.reports = reports,
		.failed_at = {INT64_MIN},
		.random = {seed},
	};
	somebody_asks(b, 0);
}
