/* The login servers and APIs of the profiles: their names, whether TLS reaches and trusts them, and
 * how far their clocks are from this machine's. One HEAD for each way in which a profile's requests
 * get there, one after another, without any credentials but those for the proxy. */
#include "core/text.h"
#include "daemon_call.h"
#include "doctor_peer.h"
#include "output.h"
#include "token_json.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>

#define TIMEOUT_DEFAULT_MS 10000L

static void look_at_kernel_clock(struct doctor *d)
{
	struct timex t = {.modes = 0};

	if (adjtimex(&t) == -1 || t.status & STA_UNSYNC)
		doctor_say(d, "Clock", FOUND_UNKNOWN, "timedatectl shows whether something does",
			"the kernel knows of nothing that keeps this machine's clock right");
	else
		doctor_say(d, "Clock", FOUND_OK, NULL, "is kept right by NTP or its like");
}

struct peers {
	struct doctor_peer *list;
	size_t count, capacity;
};

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_path(const struct doctor_path *a, const struct doctor_path *b)
{
	return same_text(a->ca_file, b->ca_file) && same_text(a->proxy, b->proxy) &&
	       same_text(a->proxy_user, b->proxy_user) &&
	       same_text(a->proxy_password_file, b->proxy_password_file) &&
	       same_text(a->proxy_ca_file, b->proxy_ca_file);
}

static void add_peer(struct peers *all, const char *url, const struct doctor_path *path)
{
	struct doctor_peer p;
	size_t i;

	if (!*url || !doctor_peer_init(&p, url, path))
		return;
	for (i = 0; i < all->count; i++) {
		if (strcmp(all->list[i].origin, p.origin))
			continue;
		if (same_path(&all->list[i].path, path))
			return;
		all->list[i].among_others = p.among_others = true;
	}
	if (all->count == all->capacity) {
		size_t capacity = all->capacity ? all->capacity * 2 : 8;
		struct doctor_peer *list = realloc(all->list, capacity * sizeof(*list));

		if (!list)
			return;
		all->list = list;
		all->capacity = capacity;
	}
	all->list[all->count++] = p;
}

/* Without the configuration: the API's address comes with the token, if this user may have it. */
static bool ask_for_api(const struct doctor *d, struct token_parts *ret)
{
	const struct daemon_request request = {
		.method = "GET",
		.path = "/v1/token",
		.of_profile = true,
		.wait_s = 0,
		.timeout_s = 2,
		.repeatable = true,
	};
	struct daemon_reply reply = DAEMON_REPLY_NONE;
	bool good = false;

	if (profile_name_valid(d->s->profile) && !daemon_ask(d->s, &request, &reply))
		good = reply.status == 200 && token_json_read(reply.body, reply.length, ret);
	daemon_reply_fini(&reply);
	explicit_bzero(ret->token, sizeof(ret->token));
	return good && *ret->api_url;
}

static const char *or_none(const char *text)
{
	return *text ? text : NULL;
}

static void collect(struct doctor *d, struct peers *all, struct token_parts *token)
{
	const struct doctor_path unknown = {
		.ca_file = d->ca_file, .timeout_ms = TIMEOUT_DEFAULT_MS};
	size_t i;

	for (i = 0; i < d->plan.count; i++) {
		const struct doctor_profile *p = &d->plan.profiles[i];
		const struct doctor_path path = {
			.profile = p->name,
			.ca_file = or_none(p->ca_file),
			.proxy = or_none(p->proxy),
			.proxy_user = or_none(p->proxy_user),
			.proxy_password_file = or_none(p->proxy_password_file),
			.proxy_ca_file = or_none(p->proxy_ca_file),
			.timeout_ms = p->fetch_timeout_ms > 0 ? (long)p->fetch_timeout_ms
							      : TIMEOUT_DEFAULT_MS,
		};

		if (d->s->profile_named && strcmp(d->s->profile, p->name))
			continue;
		add_peer(all, p->token_url, &path);
		add_peer(all, p->api_url, &path);
	}
	if (d->plan.count)
		return;
	doctor_say(d, "DNS", FOUND_UNKNOWN, NULL,
		"the configuration names the login server, but could not be read");
	if (ask_for_api(d, token))
		add_peer(all, token->api_url, &unknown);
}

void doctor_look_at_network(struct doctor *d)
{
	struct peers all = {.list = NULL};
	struct token_parts token = {.token = ""};
	size_t i;

	if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
		complain("libcurl cannot be set up");
		return;
	}
	collect(d, &all, &token);
	for (i = 0; i < all.count; i++)
		doctor_peer_look_up(d, &all.list[i]);
	for (i = 0; i < all.count; i++)
		doctor_peer_reach(d, &all.list[i]);
	for (i = 0; i < all.count; i++)
		doctor_peer_compare_clocks(d, &all.list[i]);
	look_at_kernel_clock(d);
	free(all.list);
	curl_global_cleanup();
}
