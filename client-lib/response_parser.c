#include "response_parser.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

struct cursor {
	const char *at;
	const char *end;
};

struct line {
	const char *at;
	size_t length;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 9110 section 5.6.2. */
static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* 0 and a line without its CRLF; -EAGAIN; -EBADMSG: a control character, or CR and LF apart. */
static int take_line(struct cursor *c, struct line *ret)
{
	const char *p;

	for (p = c->at; p < c->end; p++) {
		if (*p == '\r') {
			if (p + 1 == c->end)
				return -EAGAIN;
			if (p[1] != '\n')
				return -EBADMSG;
			*ret = (struct line){c->at, (size_t)(p - c->at)};
			c->at = p + 2;
			return 0;
		}
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return -EBADMSG;
	}
	return -EAGAIN;
}

/* HTTP-version SP 3DIGIT SP [reason]. A 1xx never comes from the broker, and a reply that announces
 * another one is not whole: refused with the rest. */
static int parse_status_line(const struct line *l, struct response *r)
{
	const char *p = l->at;

	if (l->length < 13 || memcmp(p, "HTTP/1.", 7) || (p[7] != '0' && p[7] != '1') ||
		p[8] != ' ' || !is_digit(p[9]) || !is_digit(p[10]) || !is_digit(p[11]) ||
		p[12] != ' ')
		return -EBADMSG;
	r->status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
	if (r->status < 200 || r->status > 599)
		return -EBADMSG;
	r->keep_alive = p[7] == '1';
	return 0;
}

static bool name_is(const struct line *name, const char *wanted)
{
	return name->length == strlen(wanted) && !strncasecmp(name->at, wanted, name->length);
}

/* Connection is a list; of its members only close and keep-alive mean something to us, and close
 * wins. */
static void apply_connection(const struct response_span *value, bool *close_seen)
{
	const char *p = value->at, *end = value->at + value->length;

	while (p < end) {
		const char *start;
		struct line member;

		while (p < end && (*p == ',' || *p == ' ' || *p == '\t'))
			p++;
		start = p;
		while (p < end && is_token_char(*p))
			p++;
		member = (struct line){start, (size_t)(p - start)};
		if (!member.length) {
			if (p < end)
				*close_seen = true; /* nonsense: do not trust the connection */
			return;
		}
		if (name_is(&member, "close"))
			*close_seen = true;
	}
}

static int set_once(struct response_span *field, const struct response_span *value)
{
	if (field->at)
		return -EBADMSG;
	*field = *value;
	return 0;
}

struct framing {
	struct response_span content_length;
	bool close_seen;
};

/* field-name ":" OWS field-value OWS; folding starts with a blank, which is no name. */
static int parse_field(const struct line *l, struct response *r, struct framing *f)
{
	const char *colon = memchr(l->at, ':', l->length);
	struct response_span value;
	struct line name;
	size_t i;

	if (!colon || colon == l->at)
		return -EBADMSG;
	name = (struct line){l->at, (size_t)(colon - l->at)};
	for (i = 0; i < name.length; i++)
		if (!is_token_char(name.at[i]))
			return -EBADMSG;
	value = (struct response_span){colon + 1, l->length - name.length - 1};
	while (value.length && (*value.at == ' ' || *value.at == '\t')) {
		value.at++;
		value.length--;
	}
	while (value.length &&
		(value.at[value.length - 1] == ' ' || value.at[value.length - 1] == '\t'))
		value.length--;

	if (name_is(&name, "Transfer-Encoding"))
		return -EBADMSG;
	if (name_is(&name, "Connection")) {
		apply_connection(&value, &f->close_seen);
		return 0;
	}
	if (name_is(&name, "Content-Length"))
		return set_once(&f->content_length, &value);
	if (name_is(&name, "Gctoken-Generation"))
		return set_once(&r->generation, &value);
	if (name_is(&name, "Gctoken-Expires-In-Ms"))
		return set_once(&r->expires_in_ms, &value);
	if (name_is(&name, "Gctoken-Fingerprint"))
		return set_once(&r->fingerprint, &value);
	if (name_is(&name, "Gctoken-State"))
		return set_once(&r->state, &value);
	if (name_is(&name, "Retry-After"))
		return set_once(&r->retry_after, &value);
	return 0;
}

static int parse_head(struct cursor *c, struct response *r, struct framing *f)
{
	struct line line;
	int error;

	error = take_line(c, &line);
	if (error)
		return error;
	error = parse_status_line(&line, r);
	while (!error) {
		error = take_line(c, &line);
		if (error || !line.length)
			break;
		error = parse_field(&line, r, f);
	}
	return error;
}

int gctoken_response_parse(const char *bytes, size_t length, struct response *ret)
{
	static const char start[] = "HTTP/1.";
	size_t head_max = length < RESPONSE_HEAD_MAX ? length : RESPONSE_HEAD_MAX;
	struct cursor c = {bytes, bytes + head_max};
	struct framing f = {0};
	struct response r = {0};
	uint64_t body_length = 0;
	int error;

	if (!length)
		return -EAGAIN;
	/* Refused at the first byte rather than waited for: what is not HTTP may never send CRLF.
	 */
	if (memcmp(bytes, start, length < sizeof(start) - 1 ? length : sizeof(start) - 1))
		return -EBADMSG;
	error = parse_head(&c, &r, &f);
	if (error == -EAGAIN && length >= RESPONSE_HEAD_MAX)
		return -EBADMSG;
	if (error)
		return error;
	if (f.content_length.at && (!gctoken_response_number(&f.content_length, &body_length) ||
					   body_length > RESPONSE_BODY_MAX))
		return -EBADMSG;
	if (r.status == 204 || r.status == 304)
		body_length = 0; /* the length then tells of a body that is not sent */
	else if (!f.content_length.at)
		return -EBADMSG;
	if (f.close_seen)
		r.keep_alive = false;
	r.body = (struct response_span){c.at, (size_t)body_length};
	r.length = (size_t)(c.at - bytes) + (size_t)body_length;
	if (r.length > length)
		return -EAGAIN;
	*ret = r;
	return 0;
}

bool gctoken_response_number(const struct response_span *span, uint64_t *ret)
{
	uint64_t n = 0;
	size_t i;

	if (!span->at || !span->length || span->length > 19)
		return false;
	for (i = 0; i < span->length; i++) {
		if (!is_digit(span->at[i]))
			return false;
		n = n * 10 + (uint64_t)(span->at[i] - '0');
	}
	if (n > INT64_MAX)
		return false;
	*ret = n;
	return true;
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	return p;
}

static const char *skip_literal(const char *p, const char *end, const char *literal)
{
	size_t n = strlen(literal);

	p = skip_blanks(p, end);
	if ((size_t)(end - p) < n || memcmp(p, literal, n))
		return NULL;
	return p + n;
}

bool gctoken_response_error(const struct response *r, char *ret)
{
	const char *p = r->body.at, *end, *code;
	size_t n;

	if (!p)
		return false;
	end = p + r->body.length;
	if (!(p = skip_literal(p, end, "{")) || !(p = skip_literal(p, end, "\"error\"")) ||
		!(p = skip_literal(p, end, ":")) || !(p = skip_literal(p, end, "\"")))
		return false;
	code = p;
	while (p < end && ((*p >= 'a' && *p <= 'z') || *p == '_'))
		p++;
	n = (size_t)(p - code);
	if (!n || n > 63 || p == end || *p != '"')
		return false;
	memcpy(ret, code, n);
	ret[n] = '\0';
	return true;
}
