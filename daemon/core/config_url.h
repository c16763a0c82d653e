/* URLs of the configuration, judged strictly: what libcurl might read in another way than a person
 * does is refused. */
#ifndef GCTOKEND_CORE_CONFIG_URL_H
#define GCTOKEND_CORE_CONFIG_URL_H

#include <stdbool.h>
#include <stddef.h>

enum url_kind {
	URL_HTTPS,    /* https, a query is allowed */
	URL_BASE,     /* https, no query */
	URL_PROXY,    /* http, https, socks5, socks5h; a port is required; nothing behind it */
	URL_REDIRECT, /* https, or http to this very host (RFC 8252 section 7.3) */
};

/* NULL where it is good, else what is wrong: a phrase of constant text, since a URL may hold a
 * password. */
const char *url_problem(const char *url, enum url_kind kind);
/* Scheme and host of a good URL into lower case, where it stands. */
void url_normalise(char *url);
/* How much of a good URL is its origin: "https://host:port". */
size_t url_origin_length(const char *url);
/* A DNS name of at least two labels. */
bool domain_valid(const char *domain);

#endif
