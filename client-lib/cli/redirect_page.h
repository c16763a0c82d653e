/* What the browser shows at the end. */
#ifndef GCTOKEN_CLI_REDIRECT_PAGE_H
#define GCTOKEN_CLI_REDIRECT_PAGE_H

#include <stddef.h>

enum redirect_page {
	PAGE_NOT_FOUND, /* to whatever is not the request that is waited for */
	PAGE_LOGGED_IN,
	PAGE_DENIED, /* the login server says: no */
	PAGE_FAILED,
};

#define REDIRECT_PAGE_SIZE 4096

/* A whole HTTP response, after which the connection is to be closed; its length. It contains
 * nothing that the browser sent. `profile` is a valid name. */
size_t redirect_page_write(enum redirect_page page, const char *profile, char *ret);

#endif
