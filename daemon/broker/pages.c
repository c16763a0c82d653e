/* The shared pages: made when the first client asks for one, kept in step with the token source,
 * and retired when the rules change: a descriptor that was handed over cannot be taken back. The
 * service manager keeps them over a restart of ours, so that readers need not notice it. */
#include "pages.h"

#include "broker.h"
#include "call.h"
#include "oauth_client.h"
#include "profile_set.h"
#include "profile_type.h"

#include "core/text.h"
#include "core/token_page.h"
#include "front/front.h"
#include "front/page.h"
#include "host/clock.h"
#include "host/log.h"
#include "host/systemd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STORE_PREFIX "page-"
#define PAGE_STORE_NAME_SIZE (sizeof(STORE_PREFIX) + PROFILE_NAME_MAX)

static void store_name(const char *profile, char ret[PAGE_STORE_NAME_SIZE])
{
	snprintf(ret, PAGE_STORE_NAME_SIZE, STORE_PREFIX "%s", profile);
}

/* Salted with what only we know: who may have the page is not for its readers to find out. */
static int digest_rules(
	const struct profile *p, const struct access_rules *rules, uint64_t ret[PAGE_RULES_WORDS])
{
	return access_rules_digest(rules, p->client->state.salt, ret);
}

void profile_publish(struct profile *p, const struct clock_reading *now)
{
	struct source_page page;

	if (!p->page)
		return;
	token_source_page(&p->source, now, &page);
	if (p->page_is_current && p->page_generation == (page.slot ? page.slot->generation : 0) &&
		(!page.slot || (p->page_content.until.ns == page.until.ns &&
				       p->page_content.dead.ns == page.dead.ns &&
				       p->page_content.stale_from.ns == page.stale_from.ns &&
				       p->page_content.min_ttl_limit_s == page.min_ttl_limit_s)))
		return;
	page_publish(p->page, &page);
	p->page_is_current = true;
	p->page_generation = page.slot ? page.slot->generation : 0;
	p->page_content = page;
	p->page_content.slot = NULL; /* not ours to keep */
}

static void profile_page_retire(struct profile *p)
{
	char name[PAGE_STORE_NAME_SIZE];

	if (!p->page)
		return;
	page_retire(p->page);
	p->pages_retired++;
	page_free(p->page);
	p->page = NULL;
	store_name(p->settings->name, name);
	systemd_forget_fd(name);
}

void profile_page_free(struct profile *p)
{
	/* At a restart by a manager that keeps it the page goes on; else nobody will write it
	 * again. */
	if (!p->broker->stopping || !systemd_is_there())
		profile_page_retire(p);
	page_free(p->page);
	p->page = NULL;
}

void profile_page_check_rules(struct profile *p, const struct access_rules *rules)
{
	uint64_t digest[PAGE_RULES_WORDS];

	if (p->page && (digest_rules(p, rules, digest) ||
			       memcmp(digest, p->page_rules, sizeof(digest)) != 0))
		profile_page_retire(p);
}

static int page_make(struct profile *p)
{
	char name[PAGE_STORE_NAME_SIZE];
	struct clock_reading now;
	int r;

	clock_read(&now);
	r = digest_rules(p, &p->settings->allow, p->page_rules);
	if (!r)
		r = page_new(&p->page, now.boot, p->page_rules);
	if (r)
		return r;
	p->page_is_current = false;
	profile_publish(p, &now);
	store_name(p->settings->name, name);
	systemd_store_fd(name, page_fd(p->page));
	return 0;
}

int broker_page_asked(
	void *context, struct connection *c, const char *profile, const struct page **ret_page)
{
	struct broker *b = context;
	struct profile *p = broker_find_profile(b, profile);
	int r = 0;

	if (!p)
		return call_is_admin(b, c) ? 404 : 403;
	if (!call_granted(p, c))
		return 403;
	if (!p->page)
		r = page_make(p);
	if (r && !p->page_failing)
		log_line(LOG_WARNING,
			"profile %s: no page can be made for its clients: %s. They use the socket",
			p->settings->name, strerror(-r));
	p->page_failing = r != 0;
	if (r)
		return 503;
	p->pages_given++;
	*ret_page = p->page;
	return 200;
}

/* A page that nobody will write any more; whatever it is, `fd` is closed. */
static void retire_stored(int fd)
{
	static const uint64_t nobody[PAGE_RULES_WORDS] = {0};
	struct page *page;

	/* under rules that are none it is not adopted but wiped */
	if (page_adopt(&page, fd, nobody)) {
		close(fd);
		return;
	}
	page_retire(page);
	page_free(page);
}

static void adopt(struct profile *p)
{
	char name[PAGE_STORE_NAME_SIZE];
	bool others = false;
	int fd;

	store_name(p->settings->name, name);
	while ((fd = systemd_take_fd(name)) >= 0) {
		if (!p->page && !digest_rules(p, &p->settings->allow, p->page_rules) &&
			!page_adopt(&p->page, fd, p->page_rules))
			continue;
		others = true;
		retire_stored(fd);
	}
	if (!others)
		return;
	/* The store forgets by name, all of it. */
	systemd_forget_fd(name);
	if (p->page)
		systemd_store_fd(name, page_fd(p->page));
}

void broker_adopt_pages(struct broker *b)
{
	const char *name;
	int fd;

	for (size_t i = 0; i < b->profile_count; i++)
		adopt(b->profiles[i]);
	/* Of profiles that are gone. */
	while ((fd = systemd_take_fd_of(STORE_PREFIX, &name)) >= 0) {
		retire_stored(fd);
		systemd_forget_fd(name);
	}
}
