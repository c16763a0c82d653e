/* The only request there is on the page socket. */
#ifndef GCTOKEND_BROKER_CALLS_PAGE_H
#define GCTOKEND_BROKER_CALLS_PAGE_H

struct connection;
struct page;

/* As front_handler.page. */
int calls_page_asked(
	void *broker, struct connection *c, const char *profile, const struct page **ret_page);

#endif
