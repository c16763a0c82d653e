/* URLs of the configuration, judged strictly: what libcurl might read in another way than a person
 * does is refused. */
#ifndef GCTOKEND_CORE_CONFIG_URL_H
#define GCTOKEND_CORE_CONFIG_URL_H

#include <stdbool.h>
#include <stddef.h>

/* NULL where it is good, else what is wrong: a sentence of constant text, since a URL may hold a
 * password. */
const char *url_problem(const char *url);          /* https, a query is allowed */
const char *base_url_problem(const char *url);     /* https, no query */
const char *proxy_problem(const char *url);        /* http, https, socks5, socks5h; with a port */
const char *redirect_uri_problem(const char *url); /* https, or http to this host (RFC 8252) */

/* Of its parts, likewise. A host: a name, an IPv4 address, or an IPv6 address in brackets. */
const char *url_host_problem(const char *host, size_t length);
const char *url_port_problem(const char *port, size_t length);
/* Is a good host this very one? By its text: a name is not looked up. */
bool url_host_is_loopback(const char *host, size_t length);

/* Scheme and host of a good URL into lower case, where it stands. */
void url_normalise(char *url);
/* How much of a good URL is its origin: "https://host:port". */
size_t url_origin_length(const char *url);
/* A DNS name of at least two labels. */
bool domain_valid(const char *domain);

#endif
