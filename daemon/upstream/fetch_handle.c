/* The options here are the promises made about secrets: where they go, and where they do not. */
#include "fetch_handle.h"
#include "core/secret.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define AUTHORIZATION "Authorization: "
#define PROXY_AUTHORIZATION "Proxy-Authorization: Basic "
#define NET_MS 60000 /* how far below the deadline libcurl's own timeout hangs */

static int resolver_started(void *resolver, void *reserved, void *context)
{
	struct fetch *x = context;

	(void)resolver, (void)reserved;
	x->resolving = true;
	return x->given_up; /* 1 stops it */
}

static curl_socket_t socket_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct fetch *x = context;
	struct clock_reading now;
	int fd;

	(void)purpose;
	x->resolving = false;
	if (x->given_up)
		return CURL_SOCKET_BAD;
	x->clock_read(&now);
	if (address_tries_skip(&x->addresses, &address->addr, address->addrlen, now.boot))
		return CURL_SOCKET_BAD;
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd >= 0)
		address_tries_opened(&x->addresses, &address->addr, address->addrlen, fd);
	return fd;
}

/* Connected, TLS done, nothing sent. The time is read here and not taken from
 * CURLINFO_PRETRANSFER_TIME_T, which adds up over a connection that died and its successor. */
static int request_leaves(
	void *context, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	struct fetch *x = context;

	(void)remote_ip, (void)local_ip, (void)remote_port, (void)local_port;
	if (x->given_up || (x->left && x->method != FETCH_HEAD))
		return CURL_PREREQFUNC_ABORT;
	x->left = true;
	x->clock_read(&x->exchange.sent);
	return CURL_PREREQFUNC_OK;
}

static size_t header_line(char *line, size_t size, size_t length, void *context)
{
	struct fetch *x = context;
	bool final;

	(void)size; /* always 1 */
	if (x->given_up ||
		!http_response_header_line(&x->reply, &x->exchange, line, length, &final))
		return 0;
	if (final)
		x->clock_read(&x->exchange.received);
	return length;
}

static size_t body_bytes(char *bytes, size_t size, size_t length, void *context)
{
	struct fetch *x = context;
	bool taken;

	(void)size;
	taken = !x->given_up && http_response_body(&x->reply, bytes, length);
	/* They lie in a buffer that libcurl, from 8.7 on, keeps for all exchanges to come. */
	secret_wipe(bytes, length);
	return taken ? length : 0;
}

/* -EINVAL unless it is https, with a host, without user and password. */
static int url_read(const char *url, char **ret_host)
{
	static const CURLUPart unwanted[] = {CURLUPART_USER, CURLUPART_PASSWORD};
	CURLU *u = curl_url();
	char *part = NULL;
	int r = -EINVAL;

	if (!u)
		return -ENOMEM;
	switch (curl_url_set(u, CURLUPART_URL, url, 0)) {
	case CURLUE_OK:
		break;
	case CURLUE_OUT_OF_MEMORY:
		r = -ENOMEM;
		goto out;
	default:
		goto out;
	}
	if (curl_url_get(u, CURLUPART_SCHEME, &part, 0) != CURLUE_OK || strcmp(part, "https") != 0)
		goto out;
	for (size_t i = 0; i < sizeof(unwanted) / sizeof(*unwanted); i++) {
		curl_free(part);
		part = NULL;
		if (curl_url_get(u, unwanted[i], &part, 0) == CURLUE_OK)
			goto out;
	}
	if (curl_url_get(u, CURLUPART_HOST, &part, 0) != CURLUE_OK)
		goto out;
	*ret_host = strdup(part);
	r = *ret_host ? 0 : -ENOMEM;
out:
	curl_free(part);
	curl_url_cleanup(u);
	return r;
}

static void field_add(struct fetch *x, size_t *count, char *text)
{
	x->fields[*count] = (struct curl_slist){.data = text};
	if (*count > 0)
		x->fields[*count - 1].next = &x->fields[*count];
	++*count;
}

static bool is_socks(const char *proxy)
{
	return strncasecmp(proxy, "socks", strlen("socks")) == 0;
}

/* The field of the request to the proxy, in memory that is wiped like the server's; libcurl would
 * keep the password with each connection. NULL stays NULL without a user. */
static int proxy_authorization_make(struct fetch *x, const struct fetch_settings *s)
{
	size_t length, size;
	char *pair;

	if (!s->proxy || !s->proxy_user || !s->proxy_password || is_socks(s->proxy))
		return 0;
	length = strlen(s->proxy_user) + 1 + strlen(s->proxy_password);
	size = sizeof(PROXY_AUTHORIZATION) + 4 * ((length + 2) / 3);
	pair = secret_alloc(length + 1);
	x->proxy_authorization = secret_alloc(size);
	x->proxy_authorization_size = size;
	if (pair && x->proxy_authorization) {
		stpcpy(stpcpy(stpcpy(pair, s->proxy_user), ":"), s->proxy_password);
		EVP_EncodeBlock(
			(unsigned char *)stpcpy(x->proxy_authorization, PROXY_AUTHORIZATION),
			(const unsigned char *)pair, (int)length);
		x->proxy_field.data = x->proxy_authorization;
	}
	secret_free(pair, length + 1);
	return x->proxy_field.data ? 0 : -ENOMEM;
}

static int content_make(struct fetch *x, const struct fetch_request *q)
{
	/* As many as x->fields has room for. Without the second a server may use any coding it
	 * likes, and none is understood here. Expect would cost a round trip that some servers
	 * never answer. libcurl only reads these. */
	static char accept[] = "Accept: application/json",
		    no_coding[] = "Accept-Encoding: identity", no_expect[] = "Expect:";
	size_t count = 0;

	field_add(x, &count, accept);
	field_add(x, &count, no_coding);
	field_add(x, &count, no_expect);
	x->body_size = q->body_length + 1;
	x->body = secret_alloc(x->body_size);
	if (!x->body)
		return -ENOMEM;
	if (q->body_length)
		memcpy(x->body, q->body, q->body_length);
	x->body[q->body_length] = '\0';
	if (!q->authorization)
		return 0;
	x->authorization_size = strlen(AUTHORIZATION) + strlen(q->authorization) + 1;
	x->authorization = secret_alloc(x->authorization_size);
	if (!x->authorization)
		return -ENOMEM;
	stpcpy(stpcpy(x->authorization, AUTHORIZATION), q->authorization);
	field_add(x, &count, x->authorization);
	return 0;
}

#define SET(option, value) \
	do { \
		if (curl_easy_setopt(x->easy, option, value) != CURLE_OK) \
			return -ENOMEM; \
	} while (0)

static int callbacks_set(struct fetch *x)
{
	SET(CURLOPT_PRIVATE, x);
	SET(CURLOPT_ERRORBUFFER, x->curl_words);
	SET(CURLOPT_RESOLVER_START_FUNCTION, resolver_started);
	SET(CURLOPT_RESOLVER_START_DATA, x);
	SET(CURLOPT_OPENSOCKETFUNCTION, socket_open);
	SET(CURLOPT_OPENSOCKETDATA, x);
	SET(CURLOPT_PREREQFUNCTION, request_leaves);
	SET(CURLOPT_PREREQDATA, x);
	SET(CURLOPT_HEADERFUNCTION, header_line);
	SET(CURLOPT_HEADERDATA, x);
	SET(CURLOPT_WRITEFUNCTION, body_bytes);
	SET(CURLOPT_WRITEDATA, x);
	return 0;
}

/* A connection that is kept would keep the record in which a token came. libcurl 7.88 sees to that
 * by itself, 8.14 does not any more. */
static CURLcode tls_made(CURL *easy, void *tls, void *context)
{
	(void)easy, (void)context;
	SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
	return CURLE_OK;
}

static bool tls_is_openssl(void)
{
	const char *tls = curl_version_info(CURLVERSION_NOW)->ssl_version;

	return tls && strncmp(tls, "OpenSSL/", strlen("OpenSSL/")) == 0;
}

/* Secrets go to the configured origin, verified, and nowhere else. */
static int security_set(struct fetch *x, const struct fetch_request *q, long trusted_s)
{
	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	/* Empty strings keep libcurl from asking the environment. */
	SET(CURLOPT_PROXY, q->settings.proxy ? q->settings.proxy : "");
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_HTTPPROXYTUNNEL, 1L);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	if (tls_is_openssl())
		SET(CURLOPT_SSL_CTX_FUNCTION, tls_made);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
	/* The system's directory of certificates would be trusted besides a CA file, and where one
	 * is set nothing is cached. */
	SET(CURLOPT_CAPATH, NULL);
	if (q->settings.ca_file)
		SET(CURLOPT_CAINFO, q->settings.ca_file);
	SET(CURLOPT_PROXY_CAPATH, NULL);
	if (q->settings.proxy_ca_file)
		SET(CURLOPT_PROXY_CAINFO, q->settings.proxy_ca_file);
	if (x->proxy_field.data) {
		SET(CURLOPT_PROXYHEADER, &x->proxy_field);
	} else if (q->settings.proxy_user && q->settings.proxy_password) {
		SET(CURLOPT_PROXYUSERNAME, q->settings.proxy_user);
		SET(CURLOPT_PROXYPASSWORD, q->settings.proxy_password);
	}
	SET(CURLOPT_CA_CACHE_TIMEOUT, trusted_s);
	/* From 8.12 on all handles share resumable sessions, and one that is resumed is not
	 * verified: a server whose CA was taken away would go on being trusted. */
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
	/* Nor are connections used again that were made before. 0 would be no limit. */
	SET(CURLOPT_MAXLIFETIME_CONN, trusted_s);
	SET(CURLOPT_FRESH_CONNECT, x->method == FETCH_HEAD && !q->fresh && trusted_s > 0 ? 0L : 1L);
	return 0;
}

static int request_set(struct fetch *x, const struct fetch_request *q)
{
	int64_t net_ms = ns_add(q->settings.timeout.ns / NS_PER_MS, NET_MS);

	SET(CURLOPT_URL, q->url);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_TIMEOUT_MS, (long)(net_ms < INT32_MAX ? net_ms : INT32_MAX));
	SET(CURLOPT_USERAGENT, "gctokend");
	SET(CURLOPT_HTTPHEADER, x->fields);
	switch (x->method) {
	case FETCH_POST:
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_length);
		SET(CURLOPT_POSTFIELDS, x->body); /* libcurl does not copy it */
		break;
	case FETCH_HEAD:
		SET(CURLOPT_NOBODY, 1L);
		break;
	case FETCH_DELETE:
		SET(CURLOPT_CUSTOMREQUEST, "DELETE");
		break;
	}
	return 0;
}

#undef SET

int fetch_handle_make(struct fetch *x, const struct fetch_request *q, long trusted_s)
{
	int r = url_read(q->url, &x->host);

	if (r == 0)
		r = content_make(x, q);
	if (r == 0)
		r = proxy_authorization_make(x, &q->settings);
	if (r < 0)
		return r;
	x->easy = curl_easy_init();
	if (!x->easy)
		return -ENOMEM;
	r = callbacks_set(x);
	if (r == 0)
		r = security_set(x, q, trusted_s);
	return r < 0 ? r : request_set(x, q);
}

/* Both are kept where they are as long as the handle points to them. */
void fetch_secrets_wipe(struct fetch *x)
{
	secret_wipe(x->authorization, x->authorization_size);
	secret_wipe(x->proxy_authorization, x->proxy_authorization_size);
	secret_wipe(x->body, x->body_size);
}
