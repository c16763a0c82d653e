/* The shared pages: what callers read without asking. A page is made when the first caller asks for
 * it and kept in step with the token source. A descriptor that was handed over cannot be taken
 * back, so a page is worth one token: it is retired when the next one comes, when the rules may
 * have changed, and at a revocation; whoever still has the right asks for the next page. The
 * service manager keeps pages across a restart, so that readers do not notice it. */
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
	struct page *shared;              /* NULL: nobody has asked for one since the last ended */
	uint64_t rules[PAGE_RULES_WORDS]; /* digest of those it was made under */
	bool is_current;                  /* it says what follows */
	uint64_t generation;
	struct source_page content;
	bool stored; /* with the service manager, as far as that can be told */
	bool failing;
	uint64_t given, retired;
};

/* The page to hand over; makes it if there is none yet. 0 or negative errno. */
int pages_get(struct profile *p, const struct page **ret);
/* Readers see from here on what a plain request for a token would get; where that is another token
 * than the page's own, they see that they need another page. */
void pages_publish(struct profile *p, const struct clock_reading *now);
/* Whoever has the page reads no more there. */
void pages_retire(struct profile *p);
/* Retires the page unless it was made under the same rules. */
void pages_check_rules(struct profile *p, const struct access_rules *rules);
/* The profile goes away: nobody will write its page any more, unless the service manager has it and
 * the next run takes it over. */
void pages_let_go(struct profile *p);
/* Takes over the pages that the previous run left with the service manager. */
void pages_adopt(struct broker *b);

#endif
