/* What the measurements have in common. */
#ifndef GCTOKEND_TESTS_SIM_REACH_PARTS_H
#define GCTOKEND_TESTS_SIM_REACH_PARTS_H

#include "reach.h"
#include "run.h"

#include <stdio.h>

#define REACH_RESULTS_MAX 32

struct reach {
	uint64_t seed;
	const char *folder;
	/* Results not printed yet, so that they do not interrupt a table. */
	struct {
		bool fine;
		char what[200];
	} results[REACH_RESULTS_MAX];
	unsigned count, cases;
	bool fine;
};

/* What came out of one world, all seeds together. */
struct sums {
	uint64_t calls, used, refused, waited, posts;
};

#define REACH_POLICIES 5
extern const struct baseline_policy reach_policies[REACH_POLICIES];

double percent(uint64_t part, uint64_t whole);
void expect(struct reach *r, bool fine, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void expectations_print(struct reach *r);
/* For the plots; NULL if no folder was given. data_close takes NULL. */
FILE *data_open(const struct reach *r, const char *name);
void data_close(FILE *file);

/* One run of ours; end *ret with tally_fini. True: whatever is promised of every run held, and
 * every call got a token. */
bool run_ours(const struct scenario *s, uint64_t seed, struct sums *sums, struct tally *ret);
void run_theirs(const struct scenario *s, uint64_t seed, const struct baseline_policy *policy,
	struct sums *sums, struct baseline *ret);

void reach_offsets(struct reach *r);
void reach_refused(struct reach *r);
void reach_simple(struct reach *r);
void reach_requests(struct reach *r);
void reach_looks(struct reach *r);
void reach_steps(struct reach *r);
void reach_outages(struct reach *r);

#endif
