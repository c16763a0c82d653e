#include "failure.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *behind(const char *text, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(text, prefix, length) == 0 ? text + length : text;
}

/* libcurl's and OpenSSL's words without their own names in front, and numbers behind. */
static const char *tls_reason(const struct failure_evidence *e, size_t *ret_length)
{
	const char *words = behind(e->words, "SSL certificate OpenSSL verify result: ");
	const char *reason;

	if (words != e->words) {
		*ret_length = strcspn(words, "(");
		while (*ret_length > 0 && words[*ret_length - 1] == ' ')
			--*ret_length;
		return words;
	}
	*ret_length = FAILURE_MAX;
	if (strstr(words, "SSL_ERROR_SYSCALL"))
		return "the server broke off the handshake";
	words = behind(words, "SSL certificate problem: ");
	words = behind(words, "SSL: ");
	words = behind(words, "OpenSSL SSL_connect: ");
	reason = strstr(words, "error:") ? strstr(words, "::") : NULL;
	if (reason)
		words = reason + 2;
	return *words ? words : curl_easy_strerror(e->code);
}

/* Whether a certificate is valid by now is for this machine's clock to say, and that may be wrong.
 */
static void put_tls(char ret[FAILURE_MAX], const struct failure_evidence *e)
{
	size_t length;
	const char *reason = tls_reason(e, &length);
	time_t wall = (time_t)(e->wall.ns / NS_PER_S);
	char now[32] = "";
	struct tm tm;

	if ((strstr(reason, "not yet valid") || strstr(reason, "has expired")) &&
		gmtime_r(&wall, &tm))
		strftime(now, sizeof(now), "%Y-%m-%d %H:%M UTC", &tm);
	snprintf(ret, FAILURE_MAX, "TLS%s: %.*s%s%s%s", e->proxy_verify ? " with the proxy" : "",
		(int)length, reason, *now ? " (this host's clock says " : "", now, *now ? ")" : "");
}

static void sanitise(char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
}

bool failure_is_silent_end(CURLcode code, const char *words)
{
	return code == CURLE_RECV_ERROR && strstr(words, "unexpected eof");
}

/* libcurl says that the connection broke, and from 8.20 on that it could not be made. */
static bool put_refusal_by_proxy(char ret[FAILURE_MAX], const struct failure_evidence *e)
{
	if (e->connect_status == 0 || e->connect_status == 200)
		return false;
	snprintf(ret, FAILURE_MAX, "the proxy answered HTTP %ld%s", e->connect_status,
		e->connect_status == 407 ? ": it wants another proxy_user or password" : "");
	return true;
}

void failure_of_curl(char ret[FAILURE_MAX], const struct failure_evidence *e)
{
	switch (e->code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		snprintf(ret, FAILURE_MAX, "could not resolve host %s", e->host);
		break;
	case CURLE_COULDNT_RESOLVE_PROXY:
		snprintf(ret, FAILURE_MAX, "could not resolve the proxy's host");
		break;
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT: /* likewise, of the latest address; ours ends it otherwise */
		if (!put_refusal_by_proxy(ret, e))
			snprintf(ret, FAILURE_MAX, "could not connect to %s: %s", e->host,
				e->os_error ? strerrordesc_np((int)e->os_error)
					    : "no address answered");
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
		put_tls(ret, e);
		break;
	case CURLE_SSL_CACERT_BADFILE:
		snprintf(ret, FAILURE_MAX,
			"TLS: the CA file cannot be read or holds no certificate");
		break;
	case CURLE_GOT_NOTHING:
		snprintf(ret, FAILURE_MAX, "%s closed the connection without a response", e->host);
		break;
	case CURLE_PARTIAL_FILE:
		snprintf(ret, FAILURE_MAX, "the response was cut short");
		break;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_ABORTED_BY_CALLBACK: /* a second POST was wanted, see fetch.c */
		if (put_refusal_by_proxy(ret, e))
			break;
		if (e->status && failure_is_silent_end(e->code, e->words))
			snprintf(ret, FAILURE_MAX, "the response was cut short");
		else
			snprintf(ret, FAILURE_MAX, "the connection to %s broke", e->host);
		break;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
		snprintf(ret, FAILURE_MAX, "%s did not answer in HTTP/1.1", e->host);
		break;
#if LIBCURL_VERSION_NUM >= 0x080600
	case CURLE_TOO_LARGE:
#endif
	case CURLE_OUT_OF_MEMORY: /* is also what a header line beyond libcurl's own limit gives */
		snprintf(ret, FAILURE_MAX,
			"out of memory, or a header line too long to be taken into it");
		break;
	default:
		snprintf(ret, FAILURE_MAX, "%s", curl_easy_strerror(e->code));
	}
	sanitise(ret);
}

void failure_of_deadline(char ret[FAILURE_MAX], struct duration timeout, enum failure_phase phase,
	const char *host, bool proxied)
{
	static const char *const phases[] = {
		[PHASE_RESOLVING] = "resolving",
		[PHASE_CONNECTING] = "connecting to",
		[PHASE_WAITING] = "waiting for",
		[PHASE_READING] = "reading the response of",
	};
	long long ms = (long long)(timeout.ns / NS_PER_MS);
	bool whole = ms % 1000 == 0;

	if (proxied && phase == PHASE_RESOLVING)
		host = "the proxy's host";
	snprintf(ret, FAILURE_MAX, "timed out after %lld %s, %s %s%s", whole ? ms / 1000 : ms,
		whole ? "s" : "ms", phases[phase], host,
		proxied && phase == PHASE_CONNECTING ? " by way of the proxy" : "");
	sanitise(ret);
}
