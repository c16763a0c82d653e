/* The page socket's one request. */
#ifndef GCTOKEND_BROKER_CALLS_PAGE_H
#define GCTOKEND_BROKER_CALLS_PAGE_H

struct connection;
struct page;

/* For the front's handler: see there. */
int calls_page_asked(
	void *broker, struct connection *c, const char *profile, const struct page **ret_page);

#endif
