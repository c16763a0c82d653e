#include "page_protocol.h"

#include "core/page_request.h"
#include "gctoken_page.h"
#include "page.h"
#include "toll.h"
#include "untaken.h"
#include <errno.h>
#include <sys/socket.h>

_Static_assert(PAGE_REQUEST_MAX == GCTOKEN_PAGE_REQUEST_MAX, "both sides mean the same line");

/* Three digits and a newline. */
static void status_text(int status, char ret[GCTOKEN_PAGE_REPLY_LENGTH])
{
	ret[0] = (char)('0' + status / 100);
	ret[1] = (char)('0' + status / 10 % 10);
	ret[2] = (char)('0' + status % 10);
	ret[3] = '\n';
}

static void refuse(
	int fd, const struct refusal *refusal, bool head, struct front_counters *counters)
{
	char text[GCTOKEN_PAGE_REPLY_LENGTH];

	(void)head, (void)counters; /* of HTTP requests */
	status_text(refusal->status, text);
	toll_send(fd, text, sizeof(text));
}

static int hand_over(const struct serving *s, const struct caller *caller, const char *profile)
{
	const struct page *page;
	int status = 503, r;

	if (s->handler->page && !s->stopping)
		status = s->handler->page(s->context, caller->connection, profile, &page);
	if (status != 200)
		return status;
	r = untaken_may_grow(caller->connection) ? page_send(page, caller->fd) : -EDQUOT;
	if (!r)
		return 200;
	if (r != -EPIPE && r != -ECONNRESET && r != -EBUSY && s->handler->page_not_sent)
		s->handler->page_not_sent(s->context, caller->connection, r);
	return 503;
}

static enum served serve(struct serving *s, struct caller *caller, const char *bytes, size_t length,
	size_t *ret_used)
{
	char text[GCTOKEN_PAGE_REPLY_LENGTH];
	struct page_request request;
	int status, r = page_request_read(bytes, length, &request);

	share_served(&s->sharing, caller->user, length);
	*ret_used = 0;
	if (r == -EAGAIN)
		return SERVED_PARTIAL;
	*ret_used = length;
	if (r < 0)
		status = 400;
	else if (request.version != GCTOKEN_PAGE_VERSION)
		status = 505;
	else
		status = hand_over(s, caller, request.profile);
	if (status == 200)
		return SERVED_ATTACHED;
	status_text(status, text);
	buffer_put(&s->replies.out, text, sizeof(text));
	return SERVED_REFUSED;
}

const struct protocol page_protocol = {.serve = serve, .refuse = refuse, .speaks_at_once = true};
