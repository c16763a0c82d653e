#include "doctor_peer.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_S 10
#define CLOCK_GOOD_S 5
#define CERTIFICATE_SHORT_S (7 * 86400)

bool doctor_peer_init(
	struct doctor_peer *ret, const char *url, const char *ca_file, const char *proxy)
{
	CURLU *u;
	char *host = NULL, *port = NULL;
	bool good;

	*ret = (struct doctor_peer){
		.ca_file = ca_file, .proxy = proxy, .date = -1, .certificate_end = -1};
	u = curl_url();
	good = u && !curl_url_set(u, CURLUPART_URL, url, 0) &&
	       !curl_url_get(u, CURLUPART_HOST, &host, 0) &&
	       !curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) &&
	       strlen(host) < sizeof(ret->host) && strlen(port) < sizeof(ret->port);

	if (good) {
		strcpy(ret->host, host);
		strcpy(ret->port, port);
		snprintf(ret->origin, sizeof(ret->origin), "https://%s:%s/", host, port);
	}
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return good;
}

void doctor_peer_look_up(struct doctor *d, struct doctor_peer *p)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	char name[256], list[256] = "", address[INET6_ADDRSTRLEN];
	struct addrinfo *found = NULL, *a;
	size_t n = strlen(p->host), count = 0, used = 0;
	int error;

	if (p->proxy) { /* its job */
		p->known = true;
		return;
	}
	if (p->host[0] == '[') /* an IPv6 address in a URL */
		snprintf(name, sizeof(name), "%.*s", (int)n - 2, p->host + 1);
	else
		snprintf(name, sizeof(name), "%s", p->host);
	error = getaddrinfo(name, p->port, &hints, &found);
	if (error) {
		doctor_say(d, "DNS", FOUND_PROBLEM,
			error == EAI_AGAIN || error == EAI_FAIL
				? "Does this machine reach its name server? (/etc/resolv.conf, "
				  "resolvectl status)"
				: "Is region, environment, token_url or api_url right? Can this "
				  "machine's name server resolve names on the internet?",
			"%s: %s", name,
			error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
		return;
	}
	for (a = found; a; a = a->ai_next, count++) {
		const void *bytes =
			a->ai_family == AF_INET6
				? (const void *)&(
					  (const struct sockaddr_in6 *)(const void *)a->ai_addr)
					  ->sin6_addr
				: (const void *)&(
					  (const struct sockaddr_in *)(const void *)a->ai_addr)
					  ->sin_addr;

		if (inet_ntop(a->ai_family, bytes, address, sizeof(address)) &&
			used + strlen(address) + 3 < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
				used ? ", " : "", address);
	}
	freeaddrinfo(found);
	doctor_say(d, "DNS", FOUND_OK, NULL, "%s is %s", name, list);
	p->known = true;
}

static const char *advice_for(CURLcode result)
{
	switch (result) {
	case CURLE_PEER_FAILED_VERIFICATION:
		return "Is there a proxy or gateway with its own certificate in between? Then put "
		       "its CA into the profile's ca_file. If not: apt install ca-certificates, "
		       "and check this machine's clock";
	case CURLE_SSL_CACERT_BADFILE:
		return "ca_file of the profile, or the system's certificates, cannot be read: is "
		       "ca-certificates installed?";
	case CURLE_COULDNT_RESOLVE_PROXY:
		return "The profile's proxy names an unknown host";
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
		return "Does a firewall let this machine connect to that port? If a proxy is "
		       "needed, set it in the profile (the daemon takes none from the environment)";
	default:
		return "Something in between may be cutting the connection: a firewall or a proxy";
	}
}

static double wall_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static time_t certificate_end(CURL *curl)
{
	struct curl_certinfo *info = NULL;
	struct curl_slist *line;

	if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &info) || !info || info->num_of_certs < 1)
		return -1;
	for (line = info->certinfo[0]; line; line = line->next)
		if (!strncmp(line->data, "Expire date:", 12))
			return curl_getdate(line->data + 12, NULL);
	return -1;
}

static CURLcode exchange(struct doctor_peer *p, char *error)
{
	CURL *curl = curl_easy_init();
	struct curl_header *h;
	CURLcode result;

	if (!curl)
		return CURLE_OUT_OF_MEMORY;
	curl_easy_setopt(curl, CURLOPT_URL, p->origin);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "gctoken-doctor/" GCTOKEN_VERSION);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 2L * CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	/* As the daemon does it: from the profile, never from the environment. */
	curl_easy_setopt(curl, CURLOPT_PROXY, p->proxy ? p->proxy : "");
	if (p->ca_file) {
		curl_easy_setopt(curl, CURLOPT_CAINFO, p->ca_file);
		curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	}
	result = curl_easy_perform(curl);
	if (result == CURLE_OK) {
		double total = 0, first = 0;

		curl_easy_getinfo(curl, CURLINFO_TOTAL_TIME, &total);
		curl_easy_getinfo(curl, CURLINFO_PRETRANSFER_TIME, &first);
		p->after = wall_seconds();
		p->before = p->after - (total - first);
		p->date = curl_easy_header(curl, "Date", 0, CURLH_HEADER, -1, &h)
				  ? -1
				  : curl_getdate(h->value, NULL);
		p->certificate_end = certificate_end(curl);
	}
	curl_easy_cleanup(curl);
	return result;
}

/* The Date is cut to seconds, so the truth lies in an interval; only what that does not explain is
 * reported. */
void doctor_peer_compare_clocks(struct doctor *d, const struct doctor_peer *p)
{
	double ahead, low = p->before - ((double)p->date + 1), high = p->after - (double)p->date;
	char text[DURATION_TEXT_SIZE];

	if (!p->reached)
		return;
	if (p->date == -1) {
		doctor_say(d, "Clock", FOUND_UNKNOWN, NULL, "%s sends no Date", p->host);
		return;
	}
	ahead = low > 0 ? low : high < 0 ? high : 0;
	offset_text(ahead < 0 ? -ahead : ahead, text);
	if (ahead < -CLOCK_GOOD_S || ahead > CLOCK_GOOD_S)
		doctor_say(d, "Clock", FOUND_PROBLEM,
			"Set it, and let NTP keep it: timedatectl set-ntp true. (Tokens are handed "
			"out and renewed in time regardless.)",
			"this machine's is %s by %s, compared with %s",
			ahead > 0 ? "ahead" : "behind", text + 1, p->host);
	else if (ahead < 0 || ahead > 0)
		doctor_say(
			d, "Clock", FOUND_OK, NULL, "within %s of that of %s", text + 1, p->host);
	else
		doctor_say(d, "Clock", FOUND_OK, NULL,
			"agrees with that of %s as far as one response shows", p->host);
}

void doctor_peer_reach(struct doctor *d, struct doctor_peer *p)
{
	char error[CURL_ERROR_SIZE] = "", days[64] = "";
	CURLcode result;

	if (!p->known)
		return;
	if (p->ca_file && access(p->ca_file, R_OK)) {
		doctor_say(d, "TLS", errno == EACCES ? FOUND_UNKNOWN : FOUND_PROBLEM,
			errno == EACCES ? "Run it as root to check that: sudo gctoken doctor"
					: "ca_file names a file that is not there",
			"%s: %s: %s", p->host, p->ca_file, strerror(errno));
		return;
	}
	result = exchange(p, error);
	if (result != CURLE_OK) {
		doctor_say(d, "TLS", FOUND_PROBLEM, advice_for(result), "%s:%s: %s", p->host,
			p->port, *error ? error : curl_easy_strerror(result));
		return;
	}
	if (p->certificate_end != -1)
		snprintf(days, sizeof(days), ", certificate good for %.0f days",
			(double)(p->certificate_end - time(NULL)) / 86400);
	doctor_say(d, "TLS",
		p->certificate_end != -1 && p->certificate_end - time(NULL) < CERTIFICATE_SHORT_S
			? FOUND_PROBLEM
			: FOUND_OK,
		p->certificate_end != -1 && p->certificate_end - time(NULL) < CERTIFICATE_SHORT_S
			? "The operator of that server has to replace it"
			: NULL,
		"%s:%s answers and is trusted%s%s%s", p->host, p->port, days,
		p->proxy ? ", by way of " : "", p->proxy ? p->proxy : "");
	p->reached = true;
}
