#include "http_protocol.h"

#include "core/reply.h"
#include "toll.h"
#include <errno.h>
#include <sys/socket.h>

static void count(struct front_counters *counters, int status)
{
	if (status > 0 && (size_t)status < sizeof(counters->requests) / sizeof(*counters->requests))
		counters->requests[status]++;
}

bool http_reply_done(struct front_counters *counters, const struct reply *r, size_t at, int status)
{
	struct buffer *out = r->out;
	bool keep_alive = r->keep_alive;

	if (buffer_failed(out)) {
		struct reply instead = {.out = out};

		out->failed = false;
		out->length = at;
		keep_alive = false;
		status = reply_error(&instead, 503, "temporarily_unavailable", "out of memory", 1);
	}
	if (r->head)
		reply_cut_body(out, at);
	count(counters, status);
	return keep_alive;
}

static enum served handle(
	struct serving *s, struct caller *caller, const struct http_request *request)
{
	struct reply reply = {
		.out = &s->replies.out,
		.text = request->wants_text,
		.head = request->method == HTTP_HEAD,
		.idle_s = s->idle_s,
	};
	size_t at = reply.out->length;
	int status;

	reply.keep_alive = request->keep_alive && !s->stopping && request->method != HTTP_OTHER;
	status = s->handler->request(s->context, caller->connection, request, &reply);
	if (status == FRONT_HELD) {
		caller->keep_alive = reply.keep_alive;
		caller->text = reply.text;
		caller->head = reply.head;
		return SERVED_HELD;
	}
	/* written all the same for a HEAD */
	share_replied(&s->sharing, caller->user, reply.out->length - at);
	return http_reply_done(&s->counters, &reply, at, status) ? SERVED_REPLIED : SERVED_LAST;
}

static enum served refuse_request(struct serving *s, bool head, int status, const char *reason)
{
	struct reply reply = {.out = &s->replies.out, .head = head};
	size_t at = reply.out->length;
	const char *code = "invalid_request";

	if (status == 414)
		code = "uri_too_long";
	else if (status == 431)
		code = "header_too_large";
	else if (status == 505)
		code = "version_not_supported";
	reply_error(&reply, status, code, reason, -1);
	http_reply_done(&s->counters, &reply, at, status);
	return SERVED_REFUSED;
}

/* Handled, and remembered for the next time if it comes again and again. */
static enum served handle_new(struct serving *s, struct caller *caller, const char *bytes,
	const struct http_request *request)
{
	struct request_memory *known =
		request_memo_add(&s->memo, caller->user->uid, bytes, request);
	enum served served = handle(s, caller, known ? &known->request : request);

	if (known && !known->note.made)
		request_memo_drop(&s->memo, known);
	return served;
}

static enum served parse(struct serving *s, struct caller *caller, const char *bytes, size_t length,
	size_t *ret_used)
{
	struct http_request request;
	const char *reason;
	int r = http_parser_run(caller->parser, bytes, length, &request, &reason);

	if (r == -EAGAIN) {
		/* Whoever sends it in so many parts takes as many turns of ours. */
		share_served(&s->sharing, caller->user, 0);
		return SERVED_PARTIAL;
	}
	if (r) {
		share_served(&s->sharing, caller->user, length);
		return refuse_request(s, caller->parser->method == HTTP_HEAD, r, reason);
	}
	*ret_used = request.length;
	share_served(&s->sharing, caller->user, request.length);
	return handle_new(s, caller, bytes, &request);
}

static enum served serve(struct serving *s, struct caller *caller, const char *bytes, size_t length,
	size_t *ret_used)
{
	const struct http_request *request = NULL;

	*ret_used = 0;
	/* not in the middle of one */
	if (!caller->parser->at)
		request = request_memo_find(&s->memo, caller->user->uid, bytes, length);
	if (!request)
		return parse(s, caller, bytes, length, ret_used);
	*ret_used = request->length;
	share_served(&s->sharing, caller->user, request->length);
	return handle(s, caller, request);
}

static void refuse(
	int fd, const struct refusal *refusal, bool head, struct front_counters *counters)
{
	char bytes[512];
	struct buffer b;
	struct reply reply = {.out = &b, .head = head};

	if (counters)
		count(counters, refusal->status);
	buffer_init(&b, bytes, sizeof(bytes));
	reply_error(&reply, refusal->status, refusal->code, refusal->words, refusal->retry_after_s);
	if (head)
		reply_cut_body(&b, 0);
	/* All or nothing is not promised: it is closed in any case. */
	if (!buffer_failed(&b))
		toll_send(fd, b.data, b.length);
	buffer_fini(&b);
}

const struct protocol http_protocol = {.serve = serve, .refuse = refuse};
