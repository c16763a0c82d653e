/* What is said on the page socket: one line each way, see gctoken_page.h. */
#include "core/config.h"
#include "gctoken_page.h"
#include "page.h"
#include "state.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>

#define NAME_MAX_SIZE (PROFILE_NAME_MAX + 1)

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

/* "page VERSION PROFILE": one blank each, a version without leading zeros. 0 and the name, or the
 * status of an error. */
static int read_line(const char *line, size_t length, char ret_profile[NAME_MAX_SIZE])
{
	static const char word[] = "page ";
	const char *blank, *end = line + length;
	unsigned version = 0;

	if (length < sizeof(word) || memcmp(line, word, sizeof(word) - 1) != 0)
		return 400;
	line += sizeof(word) - 1;
	blank = memchr(line, ' ', (size_t)(end - line));
	if (!blank || blank == line || blank - line > 3 || *line == '0')
		return 400;
	for (; line < blank; line++) {
		if (*line < '0' || *line > '9')
			return 400;
		version = version * 10 + (unsigned)(*line - '0');
	}
	line = blank + 1;
	length = (size_t)(end - line);
	if (!length || length >= NAME_MAX_SIZE)
		return 400;
	for (size_t i = 0; i < length; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", line[i]) || !line[i])
			return 400;
	if (version != GCTOKEN_PAGE_VERSION)
		return 505;
	memcpy(ret_profile, line, length);
	ret_profile[length] = '\0';
	return 0;
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
	const char *end = memchr(
		bytes, '\n', length < GCTOKEN_PAGE_REQUEST_MAX ? length : GCTOKEN_PAGE_REQUEST_MAX);
	char profile[NAME_MAX_SIZE], text[GCTOKEN_PAGE_ANSWER_LENGTH];
	int status;

	*ret_progress = false;
	c->partial = !end && length < GCTOKEN_PAGE_REQUEST_MAX;
	if (c->partial)
		return 0;
	status = end ? read_line(bytes, (size_t)(end - bytes), profile) : 400;
	if (!status && end + 1 != bytes + length)
		status = 400; /* nothing is to follow */
	if (status == 400)
		c->front->counters.bad_requests++;
	if (!status)
		status = hand_over(c, profile);
	*ret_progress = true;
	if (status == 200) {
		c->attached = true;
		return length;
	}
	status_text(status, text);
	buffer_put(&c->front->answers, text, sizeof(text));
	c->closing = c->refused = true;
	return length;
}
