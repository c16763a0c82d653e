/* What is said on the page socket: one line each way, see gctoken_page.h. */
#include "core/page_request.h"
#include "gctoken_page.h"
#include "page.h"
#include "state.h"

#include <event2/event.h>
#include <sys/socket.h>

_Static_assert(PAGE_REQUEST_MAX == GCTOKEN_PAGE_REQUEST_MAX, "both sides mean the same line");

/* Three digits and a newline. */
static void status_text(int status, char ret[GCTOKEN_PAGE_ANSWER_LENGTH])
{
	ret[0] = (char)('0' + status / 100);
	ret[1] = (char)('0' + status / 10 % 10);
	ret[2] = (char)('0' + status % 10);
	ret[3] = '\n';
}

void page_send_error(int fd, int status)
{
	char text[GCTOKEN_PAGE_ANSWER_LENGTH];

	status_text(status, text);
	send(fd, text, sizeof(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int hand_over(struct connection *c, const char *profile)
{
	struct front *f = c->front;
	const struct page *page;
	int status = 503;

	if (f->handler->page && !f->stopping)
		status = f->handler->page(f->context, c, profile, &page);
	if (status == 200 && page_send(page, event_get_fd(&c->event)) < 0)
		status = 503; /* descriptors ran out, or the client is gone */
	return status;
}

size_t connection_serve_page(
	struct connection *c, const char *bytes, size_t length, bool *ret_progress)
{
	char text[GCTOKEN_PAGE_ANSWER_LENGTH];
	struct page_request request;
	int status, r = page_request_read(bytes, length, &request);

	*ret_progress = false;
	c->partial = r == -EAGAIN;
	if (c->partial)
		return 0;
	*ret_progress = true;
	if (r < 0)
		status = 400;
	else if (request.version != GCTOKEN_PAGE_VERSION)
		status = 505;
	else
		status = hand_over(c, request.profile);
	if (status == 200) {
		c->attached = true;
		return length;
	}
	c->front->counters.bad_requests += status == 400;
	status_text(status, text);
	buffer_put(&c->front->answers, text, sizeof(text));
	c->closing = c->refused = true;
	return length;
}
