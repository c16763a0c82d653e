/* The shared pages: what callers read without asking. Made when the first one asks for it, kept in
 * step with the token source, and retired when the rules change: a descriptor that was handed over
 * cannot be taken back. The service manager keeps them over a restart of ours, so that readers need
 * not notice it. */
#ifndef GCTOKEND_BROKER_PAGES_H
#define GCTOKEND_BROKER_PAGES_H

#include "core/token_page.h"
#include "front/page.h"

#include <stdbool.h>
#include <stdint.h>

struct access_rules;
struct broker;
struct clock_reading;
struct profile;

/* The page of one profile. All zero is none. */
struct profile_page {
	struct page *shared;              /* NULL: nobody has asked for one */
	uint64_t rules[PAGE_RULES_WORDS]; /* digest of those it was made under */
	bool is_current;                  /* it says the following */
	uint64_t generation;
	struct source_page content;
	bool failing;
	uint64_t given, retired;
};

/* Makes it where there is none, and counts that it is handed over. 0 or negative errno. */
int pages_get(struct profile *p, const struct page **ret);
/* What a plain ask gets may be another now: readers see it from here on. */
void pages_publish(struct profile *p, const struct clock_reading *now);
/* Retires it unless it was made under the same rules. */
void pages_check_rules(struct profile *p, const struct access_rules *rules);
/* The profile goes away, or we stop and the next run goes on with the page. */
void pages_let_go(struct profile *p);
/* Those that an earlier run left with the service manager. */
void pages_adopt(struct broker *b);

#endif
