#include "core/reply.h"
#include "state.h"

#include <errno.h>

void connection_answered(struct connection *c, struct buffer *out, size_t at, int status)
{
	if (buffer_failed(out)) {
		out->failed = false;
		out->length = at;
		c->keep_alive = false;
		status =
			reply_error(out, 503, false, "temporarily_unavailable", "out of memory", 1);
	}
	front_count(c->front, status);
	if (!c->keep_alive)
		c->closing = true;
}

static void request_serve(struct connection *c, struct http_request *request)
{
	struct front *f = c->front;
	size_t at = f->answers.length;
	int status;

	/* How long the answer to an unknown method is only that method tells: to HEAD it would end
	 * with its header, and the body be taken for the next answer. */
	if (f->stopping || request->method == HTTP_OTHER)
		request->keep_alive = false;
	c->keep_alive = request->keep_alive;
	status = f->handler->request(f->context, c, request, &f->answers);
	if (status != FRONT_HELD) {
		connection_answered(c, &f->answers, at, status);
		return;
	}
	c->held = true;
	f->counters.held++;
}

static void request_refuse(struct connection *c, int status, const char *reason)
{
	struct front *f = c->front;
	size_t at = f->answers.length;
	const char *code = "invalid_request";

	if (status == 414)
		code = "uri_too_long";
	else if (status == 431)
		code = "header_too_large";
	else if (status == 505)
		code = "version_not_supported";
	f->counters.bad_requests++;
	c->keep_alive = false;
	c->refused = true;
	reply_error(&f->answers, status, false, code, reason, -1);
	connection_answered(c, &f->answers, at, status);
}

size_t connection_serve(struct connection *c, const char *bytes, size_t length,
	struct http_parser *parser, bool *ret_progress)
{
	struct http_request request;
	const char *reason;
	size_t used = 0;
	unsigned served = 0, most = share_requests(c->front, c->user);

	if (c->pages) {
		share_served(c->front, c->user);
		return connection_serve_page(c, bytes, length, ret_progress);
	}
	c->partial = false;
	while (used < length && !c->held && !c->closing && served < most &&
		c->front->answers.length < ANSWERS_FULL) {
		int r = http_parser_run(parser, bytes + used, length - used, &request, &reason);

		if (r == -EAGAIN) {
			c->partial = true;
			break;
		}
		if (r) {
			request_refuse(c, r, reason);
			break;
		}
		used += request.length;
		served++;
		share_served(c->front, c->user);
		request_serve(c, &request);
	}
	*ret_progress = served > 0;
	return used;
}
