#include "config_url.h"
#include "text.h"
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define URL_MAX 2000
#define DOMAIN_MAX 253

enum url_kind {
	URL_HTTPS,    /* https, a query is allowed */
	URL_BASE,     /* https, no query */
	URL_PROXY,    /* http, https, socks5, socks5h; a port is required; nothing behind it */
	URL_REDIRECT, /* https, or http to this very host (RFC 8252 section 7.3) */
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Labels of letters, digits and inner hyphens. */
static bool host_name_valid(const char *host, size_t length, unsigned labels_min)
{
	unsigned labels = 1;
	size_t label = 0;

	if (length == 0 || length > DOMAIN_MAX)
		return false;
	for (size_t i = 0; i <= length; i++) {
		if (i == length || host[i] == '.') {
			if (label == 0 || label > 63 || host[i - 1] == '-')
				return false;
			if (i < length)
				labels++;
			label = 0;
		} else if (is_letter(host[i]) || is_digit(host[i]) ||
			   (host[i] == '-' && label > 0)) {
			label++;
		} else {
			return false;
		}
	}
	return labels >= labels_min;
}

bool domain_valid(const char *domain)
{
	size_t length = strnlen(domain, DOMAIN_MAX + 1);

	/* Room for "login." in front; an address is no domain. */
	if (length > DOMAIN_MAX - 6 || !host_name_valid(domain, length, 2))
		return false;
	return !is_digit(domain[length - 1]);
}

static bool ipv4_valid(const char *host, size_t length)
{
	char text[16];
	struct in_addr address;

	if (length >= sizeof(text))
		return false;
	memcpy(text, host, length);
	text[length] = '\0';
	return inet_pton(AF_INET, text, &address) == 1;
}

static bool ipv6_valid(const char *host, size_t length)
{
	char text[46];
	struct in6_addr address;

	if (length >= sizeof(text))
		return false;
	memcpy(text, host, length);
	text[length] = '\0';
	return inet_pton(AF_INET6, text, &address) == 1;
}

static bool last_label_is_number(const char *host, size_t length)
{
	const char *dot = memrchr(host, '.', length);

	return is_digit(dot ? dot[1] : host[0]);
}

const char *url_host_problem(const char *host, size_t length)
{
	if (length == 0)
		return "it has no host";
	if (host[0] == '[') {
		if (host[length - 1] != ']' || !ipv6_valid(host + 1, length - 2))
			return "what is in brackets is not an IPv6 address";
		return NULL;
	}
	/* What ends in a number (1.2.3, 10.0x7f) would be read as an address, and not by everybody
	 * as the same. */
	if (last_label_is_number(host, length) && !ipv4_valid(host, length))
		return "its host is neither a name nor an address";
	if (!host_name_valid(host, length, 1))
		return "its host is neither a name nor an address";
	return NULL;
}

const char *url_port_problem(const char *port, size_t length)
{
	unsigned value = 0;

	if (length == 0 || length > 5)
		return "its port is not a number from 1 to 65535";
	for (size_t i = 0; i < length; i++) {
		if (!is_digit(port[i]))
			return "its port is not a number from 1 to 65535";
		value = value * 10 + (unsigned)(port[i] - '0');
	}
	if (value < 1 || value > 65535 || port[0] == '0')
		return "its port is not a number from 1 to 65535";
	return NULL;
}

bool url_host_is_loopback(const char *host, size_t length)
{
	return (length == 9 && strncasecmp(host, "localhost", 9) == 0) ||
	       (length == 5 && memcmp(host, "[::1]", 5) == 0) ||
	       (length > 4 && memcmp(host, "127.", 4) == 0 && ipv4_valid(host, length));
}

/* Length of the scheme with its "://", 0 if the kind does not allow it. */
static size_t scheme_length(const char *url, enum url_kind kind)
{
	static const char *const proxy_schemes[] = {
		"http://", "https://", "socks5://", "socks5h://"};

	if (kind == URL_PROXY) {
		for (size_t i = 0; i < sizeof(proxy_schemes) / sizeof(proxy_schemes[0]); i++) {
			if (strncasecmp(url, proxy_schemes[i], strlen(proxy_schemes[i])) == 0)
				return strlen(proxy_schemes[i]);
		}
		return 0;
	}
	if (strncasecmp(url, "https://", 8) == 0)
		return 8;
	if (kind == URL_REDIRECT && strncasecmp(url, "http://", 7) == 0)
		return 7;
	return 0;
}

static const char *scheme_problem(enum url_kind kind)
{
	switch (kind) {
	case URL_PROXY:
		return "its scheme is none of http://, https://, socks5://, socks5h://";
	case URL_REDIRECT:
		return "its scheme is neither https:// nor http://";
	case URL_HTTPS:
	case URL_BASE:
		break;
	}
	return "it does not start with https://";
}

static const char *path_problem(const char *path, enum url_kind kind)
{
	bool query = false;
	unsigned char byte;

	if (kind == URL_PROXY)
		return *path == '\0' || strcmp(path, "/") == 0 ? NULL
							       : "something follows its port";
	if (*path == '?')
		return "its query comes before any path";
	for (; *path; path++) {
		if (*path == '#')
			return "it has a fragment (#)";
		if (*path == '%' && !hex_read(path + 1, 1, &byte))
			return "it has a % without two hex digits";
		if (*path == '?')
			query = true;
	}
	return query && kind == URL_BASE ? "it has a query (?)" : NULL;
}

static const char *problem_of(const char *url, enum url_kind kind)
{
	size_t scheme = scheme_length(url, kind);
	const char *authority = url + scheme;
	size_t length, host_length;
	const char *port, *problem;

	if (strnlen(url, URL_MAX + 1) > URL_MAX)
		return "it is longer than 2000 bytes";
	for (const char *c = url; *c; c++) {
		/* Backslash: some parsers take it for a slash. The others are not in RFC 3986. */
		if (*c <= 0x20 || *c >= 0x7f || strchr("\\\"<>^`{|}", *c))
			return "it has a character that does not belong in a URL";
	}
	if (scheme == 0)
		return scheme_problem(kind);

	length = strcspn(authority, "/?#");
	if (memchr(authority, '@', length))
		return "it has a user or password (@) in it";
	/* The colons inside of brackets are the address's. */
	host_length = length;
	if (authority[0] == '[') {
		const char *close = memchr(authority, ']', length);

		if (close)
			host_length = (size_t)(close - authority) + 1;
	} else {
		const char *colon = memchr(authority, ':', length);

		if (colon)
			host_length = (size_t)(colon - authority);
	}
	problem = url_host_problem(authority, host_length);
	if (problem)
		return problem;
	port = authority + host_length;
	if (host_length < length) {
		problem = *port == ':' ? url_port_problem(port + 1, length - host_length - 1)
				       : "there is something between its host and its path";
		if (problem)
			return problem;
	} else if (kind == URL_PROXY) {
		return "it has no port"; /* libcurl would take 1080 */
	}
	if (kind == URL_REDIRECT && scheme == 7 && !url_host_is_loopback(authority, host_length))
		return "it is http:// to another host than 127.0.0.1, [::1] or localhost";
	return path_problem(authority + length, kind);
}

const char *url_problem(const char *url)
{
	return problem_of(url, URL_HTTPS);
}

const char *base_url_problem(const char *url)
{
	return problem_of(url, URL_BASE);
}

const char *proxy_problem(const char *url)
{
	return problem_of(url, URL_PROXY);
}

const char *redirect_uri_problem(const char *url)
{
	return problem_of(url, URL_REDIRECT);
}

size_t url_origin_length(const char *url)
{
	const char *authority = strstr(url, "://");

	if (!authority)
		return 0;
	authority += 3;
	return (size_t)(authority - url) + strcspn(authority, "/?#");
}

void url_normalise(char *url)
{
	size_t length = url_origin_length(url);

	for (size_t i = 0; i < length; i++) {
		if (url[i] >= 'A' && url[i] <= 'Z')
			url[i] = (char)(url[i] - 'A' + 'a');
	}
}
