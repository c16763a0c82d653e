#include "world.h"

#include <stdlib.h>

#define RESTART_S 7200
#define QUIET_S 300

unsigned world_note(struct world *w, struct world_times *times, struct duration within)
{
	const size_t places = sizeof(times->at) / sizeof(*times->at);
	unsigned count = 0;

	times->at[times->count++ % places] = w->sim.now;
	for (size_t i = times->count; i-- > 0 && times->count - i <= places; count++)
		if (w->sim.now.ns - times->at[i % places].ns >= within.ns)
			break;
	return count;
}

/* ---- trouble ---- */

static void login_up(void *context, uint64_t value)
{
	struct world *w = context;

	(void)value;
	w->login.down = false;
}

static void store_back(void *context, uint64_t value)
{
	struct world *w = context;

	(void)value;
	w->store.up = true;
}

static void store_goes(struct world *w, struct duration d)
{
	w->store.up = false;
	for (unsigned i = 0; i < w->run->hosts; i++)
		if (w->hosts[i].connected)
			host_lose_link(&w->hosts[i]);
	sim_after(&w->sim, d, SIM_WORLD, store_back, w, 0);
}

/* Another server, which missed the last writes and has a clock of its own. */
static void fails_over(void *context, uint64_t back_s)
{
	struct world *w = context;
	struct store *s = &w->store;

	if (!s->up)
		return;
	s->data = w->replica;
	s->ppm = (int64_t)(random_next(&w->random) % 101) - 50;
	if (world_dates(w))
		s->offset_us += back_s ? -world_upto(w, (int64_t)back_s * 1000000)
				       : world_upto(w, 4000000) - 2000000;
	store_goes(w, duration_s(2 + world_upto(w, 8)));
}

static void fail_over(struct world *w, uint64_t back_s)
{
	w->replica = w->store.data;
	sim_after(&w->sim, duration_ns(world_upto(w, 20 * NS_PER_S)), SIM_WORLD, fails_over, w,
		back_s);
}

static void revoke(struct world *w)
{
	for (size_t i = w->login.count; i-- > 0 && !login_over(&w->login, i);)
		w->login.tokens[i].revoked = true;
}

static void reports(void *context, uint64_t value)
{
	(void)value;
	host_report(context);
}

static void report_falsely(struct world *w)
{
	w->figures.waves++;
	for (unsigned i = 0; i < w->run->hosts; i++)
		sim_after(&w->sim, duration_ns(world_upto(w, 2 * NS_PER_S)), SIM_WORLD, reports,
			&w->hosts[i], 0);
}

static void part(struct world *w)
{
	for (unsigned i = 0; i < w->run->hosts; i++)
		if (world_chance(w, 30))
			host_cut(&w->hosts[i], duration_s(5 + world_upto(w, 115)));
}

/* One of them, as often as each is to come. */
static void happen(struct world *w)
{
	const struct trouble *t = &w->run->settings->trouble;
	const unsigned shares[] = {t->login_down, t->failover, t->failover_back, t->flush, t->step,
		t->revoke, t->store_away, t->part, t->false_reports};
	const size_t kinds = sizeof(shares) / sizeof(*shares);
	unsigned all = 0, drawn;
	size_t kind = 0;

	for (size_t i = 0; i < kinds; i++)
		all += shares[i];
	if (!all)
		return;
	drawn = (unsigned)(random_next(&w->random) % all);
	while (drawn >= shares[kind])
		drawn -= shares[kind++];
	/* What the store loses while no host is connected, nobody can tell, nor which clock it has
	 * then; docs/fleet.md says so. */
	if (!w->store.up)
		return;
	switch (kind) {
	case 0:
		w->login.down = true;
		sim_after(&w->sim, duration_s(10 + world_upto(w, 190)), SIM_WORLD, login_up, w, 0);
		break;
	case 1:
	case 2:
		fail_over(w, kind == 2 ? 3600 : 0);
		break;
	case 3:
		w->store.data = (struct store_data){.lease.host = -1};
		break;
	case 4:
		if (!world_dates(w))
			break;
		w->store.offset_us +=
			world_upto(w, INT64_C(7200) * 1000000) - INT64_C(3600) * 1000000;
		break;
	case 5:
		revoke(w);
		break;
	case 6:
		store_goes(w, duration_s(5 + world_upto(w, 115)));
		break;
	case 7:
		part(w);
		break;
	default:
		report_falsely(w);
		break;
	}
}

static void trouble_comes(void *context, uint64_t value)
{
	struct world *w = context;
	int64_t third = w->login.life.ns / 3;

	(void)value;
	if (w->sim.now.ns >= w->trouble_until.ns)
		return;
	happen(w);
	sim_after(&w->sim, duration_ns(third / 2 + world_upto(w, third)), SIM_WORLD, trouble_comes,
		w, 0);
}

/* ---- hosts ---- */

static void look(void *context, uint64_t value)
{
	struct host *h = context;
	struct world *w = h->world;
	int64_t every = w->login.life.ns / 150;

	(void)value;
	host_look(h);
	sim_after(&w->sim, duration_ns(every / 2 + world_upto(w, every)), SIM_WORLD, look, h, 0);
}

static void restart(void *context, uint64_t value)
{
	struct host *h = context;
	struct world *w = h->world;

	(void)value;
	if (w->sim.now.ns >= w->trouble_until.ns)
		return;
	if (h->source.mint)
		host_kill(h);
	sim_after(&w->sim, duration_s(RESTART_S / 2 + world_upto(w, RESTART_S)), SIM_WORLD, restart,
		h, 0);
}

static void begin(void *context, uint64_t value)
{
	(void)value;
	host_start(context);
}

static void hosts_begin(struct world *w)
{
	for (unsigned i = 0; i < w->run->hosts; i++) {
		struct host *h = &w->hosts[i];

		*h = (struct host){.world = w, .index = (int)i};
		h->boot_ns = world_upto(w, INT64_C(1000000) * NS_PER_S) + NS_PER_S;
		h->ppm = (int64_t)(random_next(&w->random) % 101) - 50;
		sim_after(&w->sim, duration_ns(world_upto(w, NS_PER_S)), SIM_WORLD, begin, h, 0);
		sim_after(&w->sim, duration_s(2 + world_upto(w, 10)), SIM_WORLD, look, h, 0);
		sim_after(&w->sim, duration_s(1 + world_upto(w, RESTART_S)), SIM_WORLD, restart, h,
			0);
	}
}

/* ---- the run ---- */

static bool is_one(const struct world *w)
{
	uint64_t generation = w->store.data.record.generation;

	for (unsigned i = 0; i < w->run->hosts; i++)
		if (w->hosts[i].fleet.current.generation != generation)
			return false;
	return generation > 0;
}

static void end(struct world *w)
{
	struct true_time at = w->trouble_until;

	for (int i = 0; i < 4 && !w->figures.converged; i++) {
		at.ns += QUIET_S * NS_PER_S + (i * 7 + 1) * NS_PER_S;
		sim_run(&w->sim, at);
		w->figures.converged = is_one(w);
	}
	for (unsigned i = 0; i < w->run->hosts; i++)
		host_kill(&w->hosts[i]); /* for its counters */
	w->figures.live_most = w->login.live_most;
	w->figures.operations = w->store.operations;
}

void world_run(const struct world_run *run, struct world_figures *ret)
{
	struct world *w = calloc(1, sizeof(*w));

	if (w)
		w->hosts = calloc(run->hosts, sizeof(*w->hosts));
	if (!w || !w->hosts)
		abort();
	w->run = run;
	w->random.state = run->seed;
	sim_init(&w->sim);
	store_init(&w->store, &w->sim, random_next(&w->random));
	login_init(&w->login, &w->sim, duration_s(run->life_s));
	w->trouble_until.ns = run->hours * 3600 * NS_PER_S;
	hosts_begin(w);
	sim_after(&w->sim, duration_s(run->life_s / 10), SIM_WORLD, trouble_comes, w, 0);
	sim_run(&w->sim, w->trouble_until);
	end(w);
	*ret = w->figures;
	sim_fini(&w->sim);
	login_fini(&w->login);
	free(w->hosts);
	free(w);
}
