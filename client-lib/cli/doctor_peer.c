#include "doctor_peer.h"
#include "version.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PASSWORD_MAX 4096
#define CLOCK_GOOD_S 5
#define CERTIFICATE_SHORT_S (7 * 86400)

bool doctor_peer_init(struct doctor_peer *ret, const char *url, const struct doctor_path *path)
{
	CURLU *u;
	char *host = NULL, *port = NULL;
	bool good;

	*ret = (struct doctor_peer){.path = *path, .date = -1, .certificate_end = -1};
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
	size_t n = strlen(p->host), used = 0;
	int error;

	if (p->path.proxy) { /* its job */
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
	for (a = found; a; a = a->ai_next) {
		const void *bytes =
			a->ai_family == AF_INET6
				? (const void *)&(
					  (const struct sockaddr_in6 *)(const void *)a->ai_addr)
					  ->sin6_addr
				: (const void *)&(
					  (const struct sockaddr_in *)(const void *)a->ai_addr)
					  ->sin_addr;

		if (!inet_ntop(a->ai_family, bytes, address, sizeof(address)))
			continue;
		if (p->address_count < DOCTOR_ADDRESSES_MAX)
			strcpy(p->addresses[p->address_count++], address);
		if (used + strlen(address) + 3 < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
				used ? ", " : "", address);
	}
	freeaddrinfo(found);
	doctor_say(d, "DNS", FOUND_OK, NULL, "%s is %s", name, list);
	p->known = true;
}

/* Of one attempt. */
struct reach {
	CURLcode result;
	char words[CURL_ERROR_SIZE];
	long connect_status; /* the proxy's response to CONNECT; 0: none */
	bool proxy_untrusted;
};

static const char *advice_for(const struct reach *r)
{
	if (r->connect_status == 407)
		return "The proxy wants another proxy_user, or another password in "
		       "proxy_password_file (root can see whether it can be read)";
	if (r->proxy_untrusted)
		return "Put the CA of the proxy into the profile's proxy_ca_file; ca_file is for "
		       "what is behind it";
	switch (r->result) {
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

/* Into `ret`, as the daemon reads it. 0 or negative errno. */
static int read_password(const char *path, char ret[PASSWORD_MAX + 3])
{
	FILE *file = fopen(path, "re");
	size_t n;

	*ret = '\0';
	if (!file)
		return -errno;
	setvbuf(file, NULL, _IONBF, 0); /* no copy of it elsewhere */
	n = fread(ret, 1, PASSWORD_MAX + 2, file);
	fclose(file);
	ret[n] = '\0';
	ret[strcspn(ret, "\r\n")] = '\0';
	return 0;
}

static int set_proxy(CURL *curl, const struct doctor_path *path)
{
	char password[PASSWORD_MAX + 3];
	int error = 0;

	/* As the daemon does it: from the profile, never from the environment. */
	curl_easy_setopt(curl, CURLOPT_PROXY, path->proxy ? path->proxy : "");
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROXY_CAPATH, NULL);
	if (path->proxy_ca_file)
		curl_easy_setopt(curl, CURLOPT_PROXY_CAINFO, path->proxy_ca_file);
	if (!path->proxy_user || !path->proxy_password_file)
		return 0;
	error = read_password(path->proxy_password_file, password);
	curl_easy_setopt(curl, CURLOPT_PROXYUSERNAME, path->proxy_user);
	curl_easy_setopt(curl, CURLOPT_PROXYPASSWORD, password);
	explicit_bzero(password, sizeof(password));
	return error;
}

/* `address`: which one; NULL: whichever answers. */
static void exchange(struct doctor_peer *p, const char *address, struct reach *ret)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *at = NULL;
	struct curl_header *h;
	char entry[400];
	long verified = 0;
	CURLcode result;

	*ret = (struct reach){.result = CURLE_OUT_OF_MEMORY};
	if (!curl)
		return;
	if (address) {
		snprintf(entry, sizeof(entry), strchr(address, ':') ? "%s:%s:[%s]" : "%s:%s:%s",
			p->host, p->port, address);
		at = curl_slist_append(NULL, entry);
		curl_easy_setopt(curl, CURLOPT_RESOLVE, at);
	}
	curl_easy_setopt(curl, CURLOPT_URL, p->origin);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "gctoken-doctor/" GCTOKEN_VERSION);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, p->path.timeout_ms);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, ret->words);
	if (set_proxy(curl, &p->path) < 0)
		snprintf(ret->words, sizeof(ret->words), "%s cannot be read",
			p->path.proxy_password_file);
	if (p->path.ca_file) {
		curl_easy_setopt(curl, CURLOPT_CAINFO, p->path.ca_file);
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
	ret->result = result;
	curl_easy_getinfo(curl, CURLINFO_HTTP_CONNECTCODE, &ret->connect_status);
	curl_easy_getinfo(curl, CURLINFO_PROXY_SSL_VERIFYRESULT, &verified);
	ret->proxy_untrusted = verified != 0;
	curl_easy_cleanup(curl);
	curl_slist_free_all(at);
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

/* "HOST:PORT", and where there are several ways, whose this one is. */
static void way_text(const struct doctor_peer *p, char *ret, size_t size)
{
	bool whose = p->among_others && p->path.profile;

	snprintf(ret, size, "%s:%s%s%s%s", p->host, p->port, whose ? " (as profile " : "",
		whose ? p->path.profile : "", whose ? " goes)" : "");
}

static void tell_failure(
	struct doctor *d, const char *way, const char *address, const struct reach *r)
{
	doctor_say(d, "TLS", FOUND_PROBLEM, advice_for(r), "%s%s%s: %s", way,
		address ? ", address " : "", address ? address : "",
		*r->words ? r->words : curl_easy_strerror(r->result));
}

/* Each address by itself: the daemon goes on to the next one where one does not answer, and nobody
 * would know of it. One that cannot be connected to costs no time, though: it may be of a kind that
 * this machine has no network for. */
static void try_addresses(struct doctor *d, struct doctor_peer *p, const char *way)
{
	size_t i, count = p->address_count > 1 ? p->address_count : 1;
	struct reach all[DOCTOR_ADDRESSES_MAX];

	for (i = 0; i < count; i++) {
		exchange(p, count > 1 ? p->addresses[i] : NULL, &all[i]);
		p->reached |= all[i].result == CURLE_OK;
	}
	for (i = 0; i < count; i++)
		if (all[i].result != CURLE_OK &&
			!(p->reached && all[i].result == CURLE_COULDNT_CONNECT))
			tell_failure(d, way, count > 1 ? p->addresses[i] : NULL, &all[i]);
}

void doctor_peer_reach(struct doctor *d, struct doctor_peer *p)
{
	char way[400], days[64] = "";
	bool ends_soon;

	if (!p->known)
		return;
	way_text(p, way, sizeof(way));
	if (p->path.ca_file && access(p->path.ca_file, R_OK)) {
		doctor_say(d, "TLS", errno == EACCES ? FOUND_UNKNOWN : FOUND_PROBLEM,
			errno == EACCES ? "Run it as root to check that: sudo gctoken doctor"
					: "ca_file names a file that is not there",
			"%s: %s: %s", way, p->path.ca_file, strerror(errno));
		return;
	}
	try_addresses(d, p, way);
	if (!p->reached)
		return;
	if (p->certificate_end != -1)
		snprintf(days, sizeof(days), ", certificate good for %.0f days",
			(double)(p->certificate_end - time(NULL)) / 86400);
	ends_soon =
		p->certificate_end != -1 && p->certificate_end - time(NULL) < CERTIFICATE_SHORT_S;
	doctor_say(d, "TLS", ends_soon ? FOUND_PROBLEM : FOUND_OK,
		ends_soon ? "The operator of that server has to replace it" : NULL,
		"%s answers and is trusted%s%s%s", way, days, p->path.proxy ? ", by way of " : "",
		p->path.proxy ? p->path.proxy : "");
}
