/* The line by which a caller asks for a profile's page: "page VERSION PROFILE" and a newline. */
#ifndef GCTOKEND_CORE_PAGE_REQUEST_H
#define GCTOKEND_CORE_PAGE_REQUEST_H

#include "text.h"
#include <stddef.h>

#define PAGE_REQUEST_MAX 80 /* bytes, with the newline */

struct page_request {
	unsigned version;                   /* 1 to 999 */
	char profile[PROFILE_NAME_MAX + 1]; /* of the letters that names have */
};

/* `bytes` is all that has come. 0: the line and nothing more; -EAGAIN: so far so good, more is
 * needed; -EBADMSG: no such line, whatever follows. *ret is untouched unless 0. */
int page_request_read(const char *bytes, size_t length, struct page_request *ret);

#endif
