#include "redirect.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static bool span_is(const struct redirect_span *s, const char *text)
{
	return s->length == strlen(text) && !strncasecmp(s->at, text, s->length);
}

static bool is_printable(const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	return true;
}

/* "host", "host:port", "[::1]", "[::1]:port". 0 for no number from 1 to 65535. */
static unsigned authority_port(const char *at, size_t length, unsigned standard, size_t *ret_host)
{
	const char *close = *at == '[' ? memchr(at, ']', length) : at;
	const char *colon;
	unsigned port = 0;
	size_t i;

	if (!close)
		return 0;
	colon = memchr(close, ':', length - (size_t)(close - at));
	*ret_host = colon ? (size_t)(colon - at) : length;
	if (!colon)
		return standard;
	for (i = *ret_host + 1; i < length; i++) {
		if (at[i] < '0' || at[i] > '9')
			return 0;
		port = port * 10 + (unsigned)(at[i] - '0');
		if (port > 65535)
			return 0;
	}
	return port;
}

static bool host_is_local(const char *host)
{
	return !strcasecmp(host, "localhost") || !strcmp(host, "::1") || !strncmp(host, "127.", 4);
}

int redirect_target_read(const char *uri, struct redirect_target *ret)
{
	struct redirect_target t = {.local = false};
	bool plain = !strncasecmp(uri, "http://", 7);
	size_t scheme = plain ? 7 : 8, host_length = 0, length;
	unsigned port;

	if (!plain && strncasecmp(uri, "https://", 8) != 0)
		return -EINVAL;
	if (!is_printable(uri, strlen(uri)) || strpbrk(uri, " #@"))
		return -EINVAL;
	t.authority = (struct redirect_span){uri + scheme, strcspn(uri + scheme, "/?")};
	if (!t.authority.length)
		return -EINVAL;
	port = authority_port(t.authority.at, t.authority.length, plain ? 80 : 443, &host_length);
	if (!port)
		return -EINVAL;
	t.port = (uint16_t)port;
	t.path.at = t.authority.at + t.authority.length;
	t.path.length = strcspn(t.path.at, "?");
	t.base = (struct redirect_span){uri, (size_t)(t.path.at - uri) + t.path.length};
	if (!t.path.length)
		t.path = (struct redirect_span){"/", 1};
	/* A browser leaves the standard port out. */
	if (port == (plain ? 80 : 443))
		t.authority.length = host_length;
	length = host_length;
	if (*t.authority.at == '[') {
		if (length < 3 || t.authority.at[length - 1] != ']')
			return -EINVAL;
		length -= 2;
	}
	if (!length || length >= sizeof(t.host))
		return -EINVAL;
	memcpy(t.host, t.authority.at + (host_length > length), length);
	t.host[length] = '\0';
	t.local = plain && host_is_local(t.host);
	*ret = t;
	return 0;
}

/* Where the empty line that ends a head begins, NULL while there is none. */
static const char *find_head_end(const char *bytes, size_t length)
{
	return memmem(bytes, length, "\r\n\r\n", 4);
}

/* A line up to its CRLF; `*at` moves behind it. False if it has what no line may have. */
static bool next_line(const char **at, const char *end, struct redirect_span *ret)
{
	const char *cr = memchr(*at, '\r', (size_t)(end - *at));
	size_t i;

	if (!cr || cr + 1 == end || cr[1] != '\n')
		return false;
	*ret = (struct redirect_span){*at, (size_t)(cr - *at)};
	*at = cr + 2;
	for (i = 0; i < ret->length; i++) {
		unsigned char c = (unsigned char)ret->at[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* "GET /path?query HTTP/1.1". */
static bool split_request_line(
	struct redirect_span line, struct redirect_span *ret_path, struct redirect_span *ret_query)
{
	const char *question;

	if (line.length < 4 + 1 + 9 || memcmp(line.at, "GET /", 5) != 0)
		return false;
	line.at += 4;
	line.length -= 4;
	if (memcmp(line.at + line.length - 9, " HTTP/1.1", 9) != 0 &&
		memcmp(line.at + line.length - 9, " HTTP/1.0", 9) != 0)
		return false;
	line.length -= 9;
	if (memchr(line.at, ' ', line.length) || memchr(line.at, '#', line.length))
		return false;
	question = memchr(line.at, '?', line.length);
	*ret_path = line;
	*ret_query = (struct redirect_span){NULL, 0};
	if (question) {
		ret_path->length = (size_t)(question - line.at);
		*ret_query =
			(struct redirect_span){question + 1, line.length - ret_path->length - 1};
	}
	return true;
}

/* One Host, the target's: a page that made its own name point to this machine has another. And no
 * body, which a GET of a browser never has. */
static bool fields_are_good(const char *at, const char *end, const struct redirect_target *target)
{
	struct redirect_span line;
	bool host_seen = false;

	while (at < end) {
		const char *colon;
		struct redirect_span name, value;

		if (!next_line(&at, end, &line))
			return false;
		colon = memchr(line.at, ':', line.length);
		if (!colon || colon == line.at)
			return false;
		name = (struct redirect_span){line.at, (size_t)(colon - line.at)};
		value = (struct redirect_span){colon + 1, line.length - name.length - 1};
		while (value.length && (*value.at == ' ' || *value.at == '\t')) {
			value.at++;
			value.length--;
		}
		while (value.length &&
			(value.at[value.length - 1] == ' ' || value.at[value.length - 1] == '\t'))
			value.length--;
		if (span_is(&name, "Content-Length") || span_is(&name, "Transfer-Encoding"))
			return false;
		if (!span_is(&name, "Host"))
			continue;
		if (host_seen || value.length != target->authority.length ||
			strncasecmp(value.at, target->authority.at, value.length) != 0)
			return false;
		host_seen = true;
	}
	return host_seen;
}

int redirect_request_read(const char *bytes, size_t length, const struct redirect_target *target,
	const char *state, struct redirect_response *ret)
{
	const char *end = find_head_end(bytes, length), *at = bytes;
	struct redirect_span line, path, query;

	if (!end)
		return length < REDIRECT_HEAD_MAX ? REDIRECT_MORE : REDIRECT_OTHER;
	end += 2; /* the last line's own */
	if (!next_line(&at, end, &line) || !split_request_line(line, &path, &query) ||
		!fields_are_good(at, end, target) || path.length != target->path.length ||
		memcmp(path.at, target->path.at, path.length) != 0)
		return REDIRECT_OTHER;
	return redirect_query_read(query, state, ret);
}

int redirect_pasted_read(const char *text, size_t length, const struct redirect_target *target,
	const char *state, struct redirect_response *ret)
{
	size_t authority = target->authority.length;
	size_t scheme = (size_t)(target->authority.at - target->base.at);
	const char *end, *question;
	struct redirect_span path;

	while (length && (unsigned char)*text <= ' ') {
		text++;
		length--;
	}
	while (length && (unsigned char)text[length - 1] <= ' ')
		length--;
	end = memchr(text, '#', length);
	if (end)
		length = (size_t)(end - text);
	if (length >= scheme && !strncasecmp(text, target->base.at, scheme)) {
		text += scheme;
		length -= scheme;
	}
	question = memchr(text, '?', length);
	if (!question || length < authority ||
		strncasecmp(text, target->authority.at, authority) != 0 ||
		question < text + authority)
		return REDIRECT_OTHER;
	path = (struct redirect_span){text + authority, (size_t)(question - text) - authority};
	if (!path.length)
		path = (struct redirect_span){"/", 1};
	if (path.length != target->path.length ||
		memcmp(path.at, target->path.at, path.length) != 0)
		return REDIRECT_OTHER;
	length -= (size_t)(question + 1 - text);
	return redirect_query_read((struct redirect_span){question + 1, length}, state, ret);
}
