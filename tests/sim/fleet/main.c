/* The fleet in virtual time: worlds of trouble, what holds in each, and that it is noticed where a
 * rule of the core is left out. Prints TAP; with --long the worlds of docs/fleet.md. */
#include "world.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct world_settings worlds[] = {
	{.name = "quiet", .posts_percent = 170, .without_ppm = 200},
	{.name = "minter killed", .minter.killed = 40, .posts_percent = 300, .without_ppm = 400},
	{.name = "minter stopped", .minter.stopped = 100, .posts_percent = 420, .without_ppm = 300},
	{.name = "minter cut from the store",
		.minter.cut_from_store = 100,
		.posts_percent = 520,
		.without_ppm = 500},
	{.name = "minter cut from the login",
		.minter.cut_from_login = 60,
		.posts_percent = 200,
		.without_ppm = 30000},
	{.name = "login down",
		.trouble.login_down = 1,
		.posts_percent = 700,
		.without_ppm = 300000},
	{.name = "failover",
		.trouble.failover = 1,
		.store_loses = true,
		.posts_percent = 200,
		.without_ppm = 400},
	{.name = "failover to a clock behind",
		.trouble.failover_back = 1,
		.store_loses = true,
		.posts_percent = 200,
		.without_ppm = 400},
	{.name = "flush",
		.trouble.flush = 1,
		.store_loses = true,
		.posts_percent = 200,
		.without_ppm = 300},
	{.name = "store's clock stepped",
		.trouble.step = 1,
		.store_loses = true,
		.posts_percent = 250,
		.without_ppm = 500},
	{.name = "token revoked",
		.trouble.revoke = 1,
		.posts_percent = 450,
		.without_ppm = 500,
		.heads_at_once = 1},
	{.name = "false reports",
		.trouble.false_reports = 1,
		.posts_percent = 170,
		.without_ppm = 200,
		.heads_at_once = 1},
	{.name = "store away",
		.trouble.store_away = 1,
		.store_loses = true,
		.posts_percent = 250,
		.without_ppm = 8000},
	{.name = "a third of the hosts cut off",
		.trouble.part = 1,
		.store_loses = true,
		.posts_percent = 250,
		.without_ppm = 6000},
	{.name = "killed, and the clock set back",
		.minter = {.killed = 40, .set_back = 40},
		.store_loses = true,
		.posts_percent = 400,
		.without_ppm = 2000},
	/* each in the middle of its POST, so that no token comes: mint_limit is all that holds */
	{.name = "crash loop", .minter.killed = 100, .posts_percent = 1500, .without_ppm = 1000000},
	{.name = "few may mint",
		.minter = {10, 10, 10, 10, 10},
		.trouble = {1, 1, 1, 1, 1, 1, 1, 1, 1},
		.followers = true,
		.store_loses = true,
		.posts_percent = 500,
		.without_ppm = 60000},
	{.name = "all of it",
		.minter = {10, 10, 10, 10, 10},
		.trouble = {1, 1, 1, 1, 1, 1, 1, 1, 1},
		.store_loses = true,
		.posts_percent = 500,
		.without_ppm = 40000},
	{.name = "all of it, with Dates",
		.minter = {10, 10, 10, 10, 10},
		.trouble = {1, 1, 1, 1, 1, 1, 1, 1, 1},
		.dates = true,
		.store_loses = true,
		.posts_percent = 500,
		.without_ppm = 40000},
};
#define WORLDS (sizeof(worlds) / sizeof(*worlds))

/* What a rule that is left out shows in, and in which world. */
static const struct {
	enum mutant mutant;
	const char *name, *world;
	/* in tokens past their end, or in HEADs; else in POSTs or in looks without a token */
	bool past_end, heads;
} mutants[] = {
	{MUTANT_NO_AGE, "what is read is not aged", "login down", true, false},
	{MUTANT_NO_REDATE, "no re-dating", "failover to a clock behind", false, false},
	{MUTANT_NO_RESTORE, "no restoring", "flush", false, false},
	{MUTANT_NO_BREAK, "no breaking of leases", "killed, and the clock set back", false, false},
	{MUTANT_NO_CHECK_LEASE, "no lease for asking the API", "token revoked", false, true},
	{MUTANT_NO_VERDICT, "no believing of verdicts", "false reports", false, true},
};
#define MUTANTS (sizeof(mutants) / sizeof(*mutants))

static unsigned number, failed;
static uint64_t all_looks, all_past_end;

static void tap(bool good, const char *words)
{
	printf("%sok %u - %s\n", good ? "" : "not ", ++number, words);
	failed += !good;
	fflush(stdout);
}

static uint64_t share_ppm(uint64_t part, uint64_t whole)
{
	return whole ? part * 1000000 / whole : 0;
}

static uint64_t posts_percent(const struct world_run *run, const struct world_figures *f)
{
	return f->posts * 100 * (uint64_t)run->life_s / ((uint64_t)run->hours * 3600);
}

static void print_figures(const struct world_run *run, const struct world_figures *f)
{
	uint64_t posts = posts_percent(run, f);

	printf("#   %llu hosts, tokens of %lld s, %lld h: %llu POSTs (%llu.%02llu a life, most in "
	       "300 s %u), live %zu, without %llu of %llu (%llu ppm), refused %llu, past the end "
	       "%llu",
		(unsigned long long)run->hosts, (long long)run->life_s, (long long)run->hours,
		(unsigned long long)f->posts, (unsigned long long)posts / 100,
		(unsigned long long)posts % 100, f->posts_in_window, f->live_most,
		(unsigned long long)f->without, (unsigned long long)f->looks,
		(unsigned long long)share_ppm(f->without, f->looks), (unsigned long long)f->refused,
		(unsigned long long)f->past_end);
	if (f->past_end)
		printf(" (by up to %lld ms)", (long long)(f->past_end_most.ns / NS_PER_MS));
	printf("; HEADs %llu (most in 30 s %u), all reported %llu times",
		(unsigned long long)f->heads, f->heads_at_once, (unsigned long long)f->waves);
	printf("; restored %llu, superseded %llu, steps %llu, broken %llu, alone %llu, undated "
	       "%llu, held %llu\n",
		(unsigned long long)f->restored, (unsigned long long)f->superseded,
		(unsigned long long)f->steps, (unsigned long long)f->broken,
		(unsigned long long)f->alone, (unsigned long long)f->undated,
		(unsigned long long)f->held);
}

/* What does not hold, or NULL. */
static const char *judge(const struct world_run *run, const struct world_figures *f)
{
	const struct world_settings *s = run->settings;
	/* and one more, that was granted a moment before and took its time */
	unsigned most_in_window = (s->store_loses ? 4 * 15 : 15) + 1;

	if (f->past_end)
		return "a token was used past its end";
	if (!f->converged)
		return "the hosts do not agree in the end";
	if (f->posts_in_window > most_in_window)
		return "mint_limit does not hold";
	if (posts_percent(run, f) > s->posts_percent)
		return "too many POSTs";
	if (share_ppm(f->without, f->looks) > s->without_ppm)
		return "too often without a token";
	if (s->heads_at_once && f->heads_at_once > s->heads_at_once)
		return "too many HEADs about a token within a cool-down";
	return NULL;
}

static void run_world(const struct world_run *run)
{
	struct world_figures f;
	const char *problem;
	char words[160];

	world_run(run, &f);
	all_looks += f.looks;
	all_past_end += f.past_end;
	problem = judge(run, &f);
	snprintf(words, sizeof(words), "fleet: %s, seed %llu%s%s", run->settings->name,
		(unsigned long long)run->seed, problem ? ": " : "", problem ? problem : "");
	tap(!problem, words);
	print_figures(run, &f);
}

static const struct world_settings *find_world(const char *name)
{
	for (size_t i = 0; i < WORLDS; i++)
		if (!strcmp(worlds[i].name, name))
			return &worlds[i];
	abort();
}

/* With and without the rule, in the same world. */
static void run_mutant(size_t i, struct world_run run)
{
	struct world_figures with, without;
	bool caught;
	char words[160];

	run.settings = find_world(mutants[i].world);
	run.hosts = 50;
	run.hours = 24;
	run.mutant = MUTANT_NONE;
	world_run(&run, &with);
	run.mutant = mutants[i].mutant;
	world_run(&run, &without);
	if (mutants[i].past_end)
		caught = without.past_end > 0;
	else if (mutants[i].heads)
		caught = judge(&run, &without) != NULL;
	else
		caught = without.posts * 4 > with.posts * 5 ||
			 without.without > 2 * with.without + 10;
	snprintf(words, sizeof(words), "fleet: %s is noticed", mutants[i].name);
	tap(caught && !with.past_end, words);
	print_figures(&run, &with);
	print_figures(&run, &without);
}

static int usage(void)
{
	fprintf(stderr, "sim-fleet [--long] [--hosts N] [--life S] [--hours N] [--seed N] "
			"[WORLD]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {{"long", no_argument, NULL, 'l'},
		{"hosts", required_argument, NULL, 'n'}, {"life", required_argument, NULL, 'L'},
		{"hours", required_argument, NULL, 'h'}, {"seed", required_argument, NULL, 's'},
		{NULL, 0, NULL, 0}};
	static const int64_t lives_s[] = {300, 3600, 86400};
	struct world_run run = {.hosts = 20, .life_s = 300, .hours = 6, .seed = 1};
	const char *only = NULL;
	bool is_long = false;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		switch (option) {
		case 'l':
			is_long = true;
			break;
		case 'n':
			run.hosts = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'L':
			run.life_s = strtol(optarg, NULL, 10);
			break;
		case 'h':
			run.hours = strtol(optarg, NULL, 10);
			break;
		case 's':
			run.seed = strtoul(optarg, NULL, 10);
			break;
		default:
			return usage();
		}
	if (optind < argc)
		only = argv[optind];
	for (size_t i = 0; i < WORLDS; i++) {
		run.settings = &worlds[i];
		if (only && strcmp(only, worlds[i].name) != 0)
			continue;
		if (!is_long) {
			run_world(&run);
			continue;
		}
		for (size_t life = 0; life < 3; life++) {
			struct world_run one = run;

			one.hosts = 100;
			one.life_s = lives_s[life];
			one.hours = life == 2 ? 240 : 24;
			for (one.seed = run.seed; one.seed < run.seed + 3; one.seed++)
				run_world(&one);
		}
	}
	for (size_t i = 0; i < MUTANTS && !only; i++)
		run_mutant(i, run);
	printf("1..%u\n", number);
	printf("# %llu uses, %llu past the end of the token\n", (unsigned long long)all_looks,
		(unsigned long long)all_past_end);
	return failed > 0;
}
