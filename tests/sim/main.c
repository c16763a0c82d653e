/* Runs the scenarios, each with several seeds, and prints one TAP line for each; or measures how
 * far it reaches. */
#include "reach.h"
#include "run.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_USUAL 3

struct options {
	const char *scenario; /* NULL: all */
	uint64_t seed;
	unsigned seeds; /* 0: as the scenario has it */
	bool trace;
	bool reach;
	const char *data; /* folder for the data of the plots */
};

/* The sums over the seeds of a scenario, and the worst of what cannot be added up. */
struct figures {
	uint64_t served, stale, kept, refused, blind, overtaken, cold, revoked, waited,
		longest_wait_ms;
	uint64_t errors, posts, least, heads, estimates, covered;
	int64_t point_error_ns;
};

static uint64_t least_posts(const struct scenario *s)
{
	int64_t life_s = s->server.lifetime_s, run_s = s->hours * 3600;

	return (uint64_t)(run_s / life_s + (run_s % life_s != 0));
}

static void figures_add(struct figures *f, const struct scenario *scenario, const struct tally *t)
{
	f->served += t->served;
	f->stale += t->stale;
	f->kept += t->kept;
	f->refused += t->refused_early + t->refused_late;
	f->blind += t->refused_blind;
	f->overtaken += t->refused_overtaken;
	f->cold += t->refused_cold;
	f->revoked += t->refused_revoked;
	f->waited += t->waited;
	if (t->longest_wait_ms > f->longest_wait_ms)
		f->longest_wait_ms = t->longest_wait_ms;
	f->errors += t->errors;
	f->posts += t->post_count;
	f->least += least_posts(scenario);
	f->heads += t->heads;
	f->estimates += t->estimates;
	f->covered += t->covered;
	if (t->point_error.ns > f->point_error_ns)
		f->point_error_ns = t->point_error.ns;
}

static void count_print(const char *what, uint64_t count)
{
	if (count)
		printf(", %s %llu", what, (unsigned long long)count);
}

static void figures_print(const struct figures *f)
{
	printf("served %llu, refused %llu", (unsigned long long)f->served,
		(unsigned long long)f->refused);
	count_print("refused blind", f->blind);
	count_print("refused overtaken", f->overtaken);
	count_print("refused cold", f->cold);
	count_print("refused evicted", f->revoked);
	count_print("stale", f->stale);
	printf(", waited %llu", (unsigned long long)f->waited);
	if (f->waited)
		printf(" (up to %llu ms)", (unsigned long long)f->longest_wait_ms);
	printf(", failed %llu, POST %llu of least %llu, HEAD %llu", (unsigned long long)f->errors,
		(unsigned long long)f->posts, (unsigned long long)f->least,
		(unsigned long long)f->heads);
	if (f->estimates)
		printf(", covered %.2f %%", 100.0 * (double)f->covered / (double)f->estimates);
	if (f->point_error_ns >= 0)
		printf(", point off %.1f ms", (double)f->point_error_ns / 1e6);
}

/* True: all seeds hold. */
static bool scenario_run(const struct scenario *scenario, size_t number, const struct options *o)
{
	unsigned seeds = o->seeds ? o->seeds : scenario->seeds ? scenario->seeds : SEEDS_USUAL;
	struct figures figures = {.point_error_ns = -1};
	unsigned failed = 0;

	for (unsigned i = 0; i < seeds; i++) {
		struct tally tally;

		run_scenario(scenario, o->seed + i, o->trace, &tally);
		figures_add(&figures, scenario, &tally);
		if (tally.failure_count) {
			failed++;
			printf("# sim --seed %llu --seeds 1 --scenario %s\n",
				(unsigned long long)(o->seed + i), scenario->name);
		}
		for (unsigned n = 0; n < tally.failure_count && n < TALLY_FAILURES_MAX; n++)
			printf("#   %s\n", tally.failures[n]);
		if (tally.failure_count > TALLY_FAILURES_MAX)
			printf("#   and %u more\n", tally.failure_count - TALLY_FAILURES_MAX);
		tally_fini(&tally);
	}
	printf("%sok %zu - %s: ", failed ? "not " : "", number, scenario->name);
	figures_print(&figures);
	printf("\n");
	fflush(stdout);
	return !failed;
}

static bool is_wanted(const struct scenario *scenario, const struct options *o)
{
	return !o->scenario || !strcmp(o->scenario, scenario->name);
}

static int usage(FILE *to)
{
	fprintf(to,
		"usage: sim [--seed N] [--seeds COUNT] [--scenario NAME] [--trace] [--list]\n"
		"       sim --reach [--seed N] [--data FOLDER]\n"
		"Runs the scenarios in virtual time; prints TAP. --trace shows what happened.\n"
		"--reach prints the figures of docs/time.md beside those of the usual method.\n");
	return to == stdout ? 0 : 2;
}

static bool number_read(const char *text, uint64_t *ret)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || end == text || *text == '-')
		return false;
	*ret = n;
	return true;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"seed", required_argument, NULL, 's'},
		{"seeds", required_argument, NULL, 'n'},
		{"scenario", required_argument, NULL, 'o'},
		{"trace", no_argument, NULL, 't'},
		{"reach", no_argument, NULL, 'r'},
		{"data", required_argument, NULL, 'd'},
		{"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct options o = {.seed = 1};
	const struct scenario *scenario;
	size_t number = 0, total = 0;
	uint64_t seeds = 0;
	bool fine = true;
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 's':
			if (!number_read(optarg, &o.seed))
				return usage(stderr);
			break;
		case 'n':
			if (!number_read(optarg, &seeds) || !seeds || seeds > 1000000)
				return usage(stderr);
			o.seeds = (unsigned)seeds;
			break;
		case 'o':
			o.scenario = optarg;
			break;
		case 't':
			o.trace = true;
			break;
		case 'r':
			o.reach = true;
			break;
		case 'd':
			o.data = optarg;
			break;
		case 'l':
			for (size_t i = 0; (scenario = scenario_get(i)); i++)
				printf("%-20s %s\n", scenario->name, scenario->what);
			return 0;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	if (optind != argc || (o.data && !o.reach))
		return usage(stderr);
	if (o.reach)
		return reach_run(o.seed, o.data) ? 0 : 1;
	for (size_t i = 0; (scenario = scenario_get(i)); i++)
		total += is_wanted(scenario, &o);
	if (!total) {
		fprintf(stderr, "sim: no scenario %s; --list names them\n", o.scenario);
		return 2;
	}
	printf("1..%zu\n", total);
	for (size_t i = 0; (scenario = scenario_get(i)); i++)
		if (is_wanted(scenario, &o))
			fine &= scenario_run(scenario, ++number, &o);
	return fine ? 0 : 1;
}
