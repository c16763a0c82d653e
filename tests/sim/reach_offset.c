/* The estimate's error against the number of exchanges. */
#include "reach_parts.h"

#include <math.h>
#include <stdlib.h>

#define NETWORK_SEEDS 400
/* A slow response wastes a probe, so the worst run has no bound. */
#define PROMISED_NEAR_PERCENT 99

struct errors {
	double sum, squares, worst;
	unsigned count, covered;
};

/* After 1, 2 ... exchanges; theirs by iat, by Date, and by the mean of all iat so far. */
struct network_errors {
	unsigned near; /* runs that were as near as promised after 8 */
	struct errors ours[TALLY_EXCHANGES], iat[TALLY_EXCHANGES], date[TALLY_EXCHANGES],
		mean[TALLY_EXCHANGES];
};

static void errors_add(struct errors *e, struct duration error, bool covered)
{
	double s = (double)error.ns / 1e9;

	e->sum += s;
	e->squares += s * s;
	e->worst = fmax(e->worst, fabs(s));
	e->covered += covered;
	e->count++;
}

static double errors_rms(const struct errors *e)
{
	return e->count ? sqrt(e->squares / e->count) : 0;
}

static double errors_bias(const struct errors *e)
{
	return e->count ? e->sum / e->count : 0;
}

static void network_print(const struct network_errors *e, FILE *data)
{
	printf("#  n |  gctokend: bias     rms   worst  held |  midpoint - iat: bias    rms  worst"
	       "  held |  - Date: bias    rms  worst |  mean of n, - iat: rms\n");
	for (unsigned n = 0; n < TALLY_EXCHANGES; n++) {
		const struct errors *ours = &e->ours[n], *iat = &e->iat[n], *date = &e->date[n];

		printf("# %2u | %14.4f %7.4f %7.4f %4.0f%% | %20.3f %6.3f %6.3f %4.0f%% | %13.3f "
		       "%6.3f %6.3f | %12.3f\n",
			n + 1, errors_bias(ours), errors_rms(ours), ours->worst,
			percent(ours->covered, ours->count), errors_bias(iat), errors_rms(iat),
			iat->worst, percent(iat->covered, iat->count), errors_bias(date),
			errors_rms(date), date->worst, errors_rms(&e->mean[n]));
		if (data)
			fprintf(data, "%u %.6f %.6f %.6f %.6f %.6f\n", n + 1, errors_rms(ours),
				ours->worst, errors_rms(iat), iat->worst, errors_rms(&e->mean[n]));
	}
}

/* True: our interval held the truth whenever anybody looked. */
static bool network_once(
	const struct reach_network *network, uint64_t seed, struct network_errors *e)
{
	struct scenario jwt = network->scenario, opaque;
	struct baseline with_iat, with_date;
	struct sums unused = {0};
	struct tally tally;
	bool fine;

	jwt.name = network->name;
	opaque = jwt;
	opaque.server.jwt = false;
	fine = run_ours(&jwt, seed, &unused, &tally);
	run_theirs(&jwt, seed, &reach_policies[0], &unused, &with_iat);
	run_theirs(&opaque, seed, &reach_policies[0], &unused, &with_date);
	for (unsigned n = 0; n < TALLY_EXCHANGES; n++) {
		errors_add(&e->iat[n], with_iat.errors[n].latest, with_iat.errors[n].covered);
		errors_add(&e->date[n], with_date.errors[n].latest, with_date.errors[n].covered);
		errors_add(&e->mean[n], with_iat.errors[n].mean, false);
		errors_add(&e->ours[n], tally.early[n].error, tally.early[n].covered);
		fine &= tally.early[n].taken && tally.early[n].covered;
	}
	e->near += llabs(tally.early[TALLY_POINT_AT - 1].error.ns) <=
		   network->near_ms_at_8 * NS_PER_MS;
	fine &= tally.covered == tally.estimates;
	tally_fini(&tally);
	return fine;
}

static void network_run(struct reach *r, const struct reach_network *network)
{
	struct network_errors e = {0};
	double worst_ms;
	bool fine = true;
	char name[64];
	FILE *data;

	for (uint64_t seed = r->seed; seed < r->seed + NETWORK_SEEDS; seed++)
		fine &= network_once(network, seed, &e);
	printf("#\n# Estimated offset less the true one, s; round trip %s; %d runs\n",
		network->name, NETWORK_SEEDS);
	snprintf(name, sizeof(name), "offset-%s.dat", network->key);
	data = data_open(r, name);
	network_print(&e, data);
	data_close(data);
	worst_ms = e.ours[TALLY_POINT_AT - 1].worst * 1e3;
	expect(r, fine, "round trip %s: the interval holds the truth every time", network->name);
	if (network->near_ms_at_8)
		expect(r, percent(e.near, NETWORK_SEEDS) >= PROMISED_NEAR_PERCENT,
			"round trip %s: after %d exchanges %.2f %% of runs are within %lld ms "
			"(all: "
			"%.1f ms), at least %d %%",
			network->name, TALLY_POINT_AT, percent(e.near, NETWORK_SEEDS),
			(long long)network->near_ms_at_8, worst_ms, PROMISED_NEAR_PERCENT);
}

void reach_offsets(struct reach *r)
{
	for (size_t i = 0; i < reach_network_count; i++) {
		network_run(r, &reach_networks[i]);
		expectations_print(r);
	}
}
