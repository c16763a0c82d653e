/* What callers read without asking. */
#ifndef GCTOKEND_BROKER_PAGES_H
#define GCTOKEND_BROKER_PAGES_H

struct access_rules;
struct broker;
struct clock_reading;
struct connection;
struct page;
struct profile;

/* For the front's handler. */
int broker_page_asked(
	void *broker, struct connection *c, const char *profile, const struct page **ret_page);
/* Those that an earlier run left with the service manager. */
void broker_adopt_pages(struct broker *b);
/* What a plain ask gets may be another now: readers see it from here on. */
void profile_publish(struct profile *p, const struct clock_reading *now);
/* Retires the page unless it was made under the same rules. */
void profile_page_check_rules(struct profile *p, const struct access_rules *rules);
void profile_page_free(struct profile *p);

#endif
