#include "reach_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const struct baseline_policy reach_policies[REACH_POLICIES] = {
	{.name = "10 s", .buffer = {10 * NS_PER_S}},
	{.name = "15 s", .buffer = {15 * NS_PER_S}},
	{.name = "10 s - skew", .buffer = {10 * NS_PER_S}, .skew = BASELINE_SKEW_TAKEN_OFF},
	{.name = "10 s + |skew|", .buffer = {10 * NS_PER_S}, .skew = BASELINE_SKEW_ADDED},
	{.name = "10 s, monotonic", .buffer = {10 * NS_PER_S}, .monotonic = true},
};

double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

void expect(struct reach *r, bool fine, const char *format, ...)
{
	va_list arguments;

	if (r->count == REACH_RESULTS_MAX)
		abort();
	va_start(arguments, format);
	vsnprintf(r->results[r->count].what, sizeof(r->results->what), format, arguments);
	va_end(arguments);
	r->results[r->count++].fine = fine;
	r->fine &= fine;
}

void expectations_print(struct reach *r)
{
	for (unsigned i = 0; i < r->count; i++)
		printf("%sok %u - %s\n", r->results[i].fine ? "" : "not ", ++r->cases,
			r->results[i].what);
	r->count = 0;
	fflush(stdout);
}

FILE *data_open(const struct reach *r, const char *name)
{
	char path[4096];
	FILE *file;

	if (!r->folder)
		return NULL;
	snprintf(path, sizeof(path), "%s/%s", r->folder, name);
	file = fopen(path, "we");
	if (!file) {
		fprintf(stderr, "sim: cannot write %s: %s\n", path, strerror(errno));
		exit(2);
	}
	return file;
}

void data_close(FILE *file)
{
	if (file && fclose(file)) {
		fprintf(stderr, "sim: cannot write the data: %s\n", strerror(errno));
		exit(2);
	}
}

bool run_ours(const struct scenario *s, uint64_t seed, struct sums *sums, struct tally *ret)
{
	bool fine;

	run_scenario(s, seed, false, ret);
	sums->calls += ret->calls;
	sums->used += ret->served;
	sums->refused += ret->refused_early + ret->refused_late + ret->refused_blind +
			 ret->refused_overtaken + ret->refused_cold;
	sums->waited += ret->waited;
	sums->posts += ret->post_count;
	fine = !ret->failure_count && !ret->errors;
	for (unsigned n = 0; n < ret->failure_count && n < TALLY_FAILURES_MAX; n++)
		printf("# %s, seed %llu: %s\n", s->name, (unsigned long long)seed,
			ret->failures[n]);
	return fine;
}

void run_theirs(const struct scenario *s, uint64_t seed, const struct baseline_policy *policy,
	struct sums *sums, struct baseline *ret)
{
	run_baseline(s, seed, policy, ret);
	sums->calls += ret->calls;
	sums->used += ret->used;
	sums->refused += ret->refused;
	sums->waited += ret->waited;
	sums->posts += ret->posts;
}

bool reach_run(uint64_t seed, const char *folder)
{
	struct reach r = {.seed = seed, .folder = folder, .fine = true};

	reach_offsets(&r);
	reach_looks(&r);
	reach_refused(&r);
	reach_simple(&r);
	reach_requests(&r);
	reach_steps(&r);
	reach_outages(&r);
	printf("1..%u\n", r.cases);
	return r.fine;
}
