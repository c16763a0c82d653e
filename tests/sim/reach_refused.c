/* Tokens that the API refuses, in worlds where things happen. */
#include "reach_parts.h"

#define ROW_SEEDS 25
#define PROMISED_WAITS_PERCENT 0.01

struct row_sums {
	struct sums ours, theirs[REACH_POLICIES];
};

static struct scenario row_world(const struct reach_row *row, unsigned n)
{
	struct scenario s = row->scenario;

	s.name = row->name;
	s.machine.wall_ahead =
		duration_ms(-row->off_by_s * 1000 + 2000 * row->off_by_s * n / (ROW_SEEDS - 1));
	return s;
}

static void row_print(const struct reach_row *row, const struct row_sums *s, FILE *data)
{
	printf("# %-37s| %7.4f %7.4f %5llu", row->name, percent(s->ours.refused, s->ours.used),
		percent(s->ours.waited, s->ours.calls),
		(unsigned long long)(s->ours.posts / ROW_SEEDS));
	for (size_t p = 0; p < REACH_POLICIES; p++)
		printf(" | %7.4f %7.3f %5llu", percent(s->theirs[p].refused, s->theirs[p].used),
			percent(s->theirs[p].waited, s->theirs[p].calls),
			(unsigned long long)(s->theirs[p].posts / ROW_SEEDS));
	printf("\n");
	if (!data)
		return;
	fprintf(data, "\"%s\" %.6f", row->name, percent(s->ours.refused, s->ours.used));
	for (size_t p = 0; p < REACH_POLICIES; p++)
		fprintf(data, " %.6f", percent(s->theirs[p].refused, s->theirs[p].used));
	fprintf(data, "\n");
}

static void row_run(struct reach *r, const struct reach_row *row, FILE *data, struct row_sums *all)
{
	struct row_sums sums = {0};
	bool fine = true;

	for (unsigned n = 0; n < ROW_SEEDS; n++) {
		struct scenario s = row_world(row, n);
		struct baseline baseline;
		struct tally tally;

		fine &= run_ours(&s, r->seed + n, &sums.ours, &tally);
		tally_fini(&tally);
		for (size_t p = 0; p < REACH_POLICIES; p++)
			run_theirs(&s, r->seed + n, &reach_policies[p], &sums.theirs[p], &baseline);
	}
	row_print(row, &sums, data);
	all->ours.calls += sums.ours.calls;
	all->ours.waited += sums.ours.waited;
	all->theirs[0].calls += sums.theirs[0].calls;
	all->theirs[0].waited += sums.theirs[0].waited;
	/* what is not promised is measured all the same */
	if (row->promised)
		expect(r, fine && !sums.ours.refused, "%s: %llu of %llu tokens refused", row->name,
			(unsigned long long)sums.ours.refused, (unsigned long long)sums.ours.used);
}

void reach_refused(struct reach *r)
{
	FILE *data = data_open(r, "rejected.dat");
	struct row_sums all = {0};
	double waited;

	printf("#\n# Refused by the API, calls that wait, both in %%, and POSTs in each 12 h; %d "
	       "runs each\n# %-37s| %-21s",
		ROW_SEEDS, "", "gctokend");
	for (size_t p = 0; p < REACH_POLICIES; p++)
		printf(" | %-21s", reach_policies[p].name);
	printf("\n");
	for (size_t i = 0; i < reach_row_count; i++)
		row_run(r, &reach_rows[i], data, &all);
	data_close(data);
	waited = percent(all.ours.waited, all.ours.calls);
	expect(r, waited <= PROMISED_WAITS_PERCENT,
		"%.4f %% of all calls waited (baseline: %.3f %%), at most %.2f %%", waited,
		percent(all.theirs[0].waited, all.theirs[0].calls), PROMISED_WAITS_PERCENT);
	expectations_print(r);
}
