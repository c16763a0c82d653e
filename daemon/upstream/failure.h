/* Why an exchange failed, in words for people. Only what is known to be harmless goes into them:
 * host names, the TLS library's reasons, times. Never a URL, a header field or a body. */
#ifndef GCTOKEND_UPSTREAM_FAILURE_H
#define GCTOKEND_UPSTREAM_FAILURE_H

#include "core/times.h"
#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#define FAILURE_MAX 256

/* What libcurl said about an exchange that did not end well. */
struct failure_evidence {
	CURLcode code;
	const char *host;      /* of the URL */
	const char *words;     /* CURLOPT_ERRORBUFFER */
	struct wall_time wall; /* what a certificate's time was compared with */
	long os_error;         /* CURLINFO_OS_ERRNO */
	long connect_status;   /* the proxy's response to CONNECT, 0 if there was none */
	long proxy_verify;     /* CURLINFO_PROXY_SSL_VERIFYRESULT, 0: fine */
	long status;           /* of the final response, 0 if it did not begin */
};

enum failure_phase {
	PHASE_RESOLVING,
	PHASE_CONNECTING, /* TLS included */
	PHASE_WAITING,
	PHASE_READING,
};

/* TLS ended without close_notify: as the libcurl of Debian 12 has it an end like any other, to
 * later ones an error. `words`: CURLOPT_ERRORBUFFER. */
bool failure_is_silent_end(CURLcode code, const char *words);
void failure_of_curl(char ret[FAILURE_MAX], const struct failure_evidence *e);
/* `proxied`: it is the proxy's name that is resolved, and through it that the host is reached. */
void failure_of_deadline(char ret[FAILURE_MAX], struct duration timeout, enum failure_phase phase,
	const char *host, bool proxied);

#endif
