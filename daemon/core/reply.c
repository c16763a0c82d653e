#include "reply.h"

#include "secret.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char *reason_phrase(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 204:
		return "No Content";
	case 304:
		return "Not Modified";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 414:
		return "URI Too Long";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Internal Server Error";
	}
}

void reply_head(const struct reply *r, int status)
{
	struct buffer *out = r->out;

	buffer_put_text(out, "HTTP/1.1 ");
	buffer_put_unsigned(out, (uint64_t)status);
	buffer_put_char(out, ' ');
	buffer_put_text(out, reason_phrase(status));
	buffer_put_text(out, "\r\nCache-Control: no-store\r\n");
	if (!r->keep_alive) {
		buffer_put_text(out, "Connection: close\r\n");
	} else if (r->idle_s) {
		buffer_put_text(out, "Connection: keep-alive\r\nKeep-Alive: timeout=");
		buffer_put_unsigned(out, r->idle_s);
		buffer_put_text(out, "\r\n");
	}
}

/* The length is known only after the body, so its digits are written into a space left for them:
 * leading blanks are optional white space in a header field (RFC 9110 section 5.6.3). */
#define LENGTH_SPACE "         "

void reply_begin(struct reply *r, int status, const char *content_type, const char *more_fields)
{
	struct buffer *out = r->out;

	reply_head(r, status);
	buffer_put_text(out, more_fields);
	buffer_put_text(out, "Content-Type: ");
	buffer_put_text(out, content_type);
	buffer_put_text(out, "\r\nContent-Length:" LENGTH_SPACE);
	r->length_at = out->length;
	buffer_put_text(out, "\r\n\r\n");
	r->body_at = out->length;
}

void reply_end(struct reply *r)
{
	size_t length = r->out->length - r->body_at;
	char *digit;

	if (buffer_failed(r->out))
		return;
	assert(length < 100000000);
	digit = r->out->data + r->length_at;
	do {
		*--digit = (char)('0' + length % 10);
		length /= 10;
	} while (length);
}

void reply_not_modified(const struct reply *r)
{
	reply_head(r, 304);
	buffer_put_text(r->out, "\r\n");
}

static int error_with(struct reply *r, int status, const char *fields, const char *code,
	const char *words, int64_t retry_after_s)
{
	struct buffer *out = r->out;

	reply_begin(r, status, REPLY_JSON, fields);
	buffer_put_text(out, "{\"error\":");
	buffer_put_json(out, code);
	buffer_put_text(out, ",\"error_description\":");
	buffer_put_json(out, words);
	if (retry_after_s >= 0) {
		buffer_put_text(out, ",\"retry_after\":");
		buffer_put_signed(out, retry_after_s);
	}
	buffer_put_text(out, "}\n");
	reply_end(r);
	return status;
}

int reply_error(
	struct reply *r, int status, const char *code, const char *words, int64_t retry_after_s)
{
	char fields[64] = "";

	if (retry_after_s > REPLY_RETRY_AFTER_MOST_S)
		retry_after_s = REPLY_RETRY_AFTER_MOST_S;
	if (retry_after_s >= 0)
		snprintf(fields, sizeof(fields), "Retry-After: %lld\r\n", (long long)retry_after_s);
	return error_with(r, status, fields, code, words, retry_after_s);
}

int reply_wrong_method(struct reply *r, const char *allowed)
{
	char fields[64], words[64];

	snprintf(fields, sizeof(fields), "Allow: %s\r\n", allowed);
	snprintf(words, sizeof(words), "the methods of this route: %s", allowed);
	return error_with(r, 405, fields, "method_not_allowed", words, -1);
}

/* Without a Content-Length, as RFC 9110 section 8.6 has it for 204. */
int reply_options(const struct reply *r, const char *allowed)
{
	reply_head(r, 204);
	buffer_put_text(r->out, "Allow: ");
	buffer_put_text(r->out, allowed);
	buffer_put_text(r->out, "\r\n\r\n");
	return 204;
}

void reply_cut_body(struct buffer *out, size_t at)
{
	static const char end[] = "\r\n\r\n";
	const char *found;
	size_t keep;

	if (buffer_failed(out))
		return;
	found = memmem(out->data + at, out->length - at, end, sizeof(end) - 1);
	assert(found);
	keep = (size_t)(found - out->data) + sizeof(end) - 1;
	secret_wipe(out->data + keep, out->length - keep);
	out->length = keep;
}
