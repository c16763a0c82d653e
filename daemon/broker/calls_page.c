#include "calls_page.h"

#include "broker.h"
#include "pages.h"
#include "profile_set.h"
#include "rights.h"

#include <stddef.h>

int calls_page_asked(
	void *context, struct connection *c, const char *name, const struct page **ret_page)
{
	struct broker *b = context;
	struct profile *p = profile_set_find(&b->profiles, name);

	if (!p) /* whether there is one of that name only admins may find out */
		return rights_may(b, c, RIGHT_ADMIN, NULL) ? 404 : 403;
	if (!rights_may(b, c, RIGHT_TOKEN, p)) {
		rights_refused(p, c, RIGHT_TOKEN);
		return 403;
	}
	return pages_get(p, ret_page) ? 503 : 200;
}
