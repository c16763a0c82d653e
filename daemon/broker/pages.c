#include "pages.h"

#include "broker.h"
#include "call.h"
#include "oauth_client.h"
#include "profile_type.h"

#include "core/text.h"
#include "front/page.h"
#include "host/clock.h"
#include "host/log.h"
#include "host/memfd.h"
#include "host/systemd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE_PREFIX "page-"
#define PAGE_STORE_NAME_SIZE (sizeof(STORE_PREFIX) + PROFILE_NAME_MAX)

static void store_name(const char *profile, char ret[PAGE_STORE_NAME_SIZE])
{
	snprintf(ret, PAGE_STORE_NAME_SIZE, STORE_PREFIX "%s", profile);
}

/* Salted with what only we know: readers are not to find out who else may have the page. */
static int digest_rules(
	const struct profile *p, const struct access_rules *rules, uint64_t ret[PAGE_RULES_WORDS])
{
	return access_rules_digest(rules, p->client->state.salt, ret);
}

static void keep(struct profile *p)
{
	char name[PAGE_STORE_NAME_SIZE];

	store_name(p->settings->name, name);
	p->page.stored = !systemd_store_fd(name, page_fd(p->page.shared));
}

void pages_retire(struct profile *p)
{
	char name[PAGE_STORE_NAME_SIZE];

	if (!p->page.shared)
		return;
	page_retire(p->page.shared);
	p->page.retired++;
	page_free(p->page.shared);
	p->page.shared = NULL;
	store_name(p->settings->name, name);
	systemd_forget_fd(name);
}

void pages_publish(struct profile *p, const struct clock_reading *now)
{
	struct source_page page;
	uint64_t generation, own;

	if (!p->page.shared)
		return;
	token_source_page(&p->source, now, &page);
	generation = page.slot ? page.slot->generation : 0;
	own = page_generation(p->page.shared);
	/* An earlier run's page may show what was revoked as it ended. */
	if (own && (p->source.revoked || (generation && generation != own))) {
		pages_retire(p);
		return;
	}
	if (p->page.is_current && p->page.generation == generation &&
		(!page.slot || (p->page.content.until.ns == page.until.ns &&
				       p->page.content.dead.ns == page.dead.ns &&
				       p->page.content.stale_from.ns == page.stale_from.ns &&
				       p->page.content.min_ttl_limit_s == page.min_ttl_limit_s)))
		return;
	page_publish(p->page.shared, &page);
	p->page.is_current = true;
	p->page.generation = generation;
	p->page.content = page;
	p->page.content.slot = NULL; /* not ours to keep */
}

void pages_let_go(struct profile *p)
{
	/* Across a restart under a manager that keeps it the page lives on; else nobody will write
	 * it again. */
	if (!p->broker->stopping || !p->page.stored)
		pages_retire(p);
	page_free(p->page.shared);
	p->page.shared = NULL;
}

void pages_check_rules(struct profile *p, const struct access_rules *rules)
{
	uint64_t digest[PAGE_RULES_WORDS];

	if (p->page.shared && (digest_rules(p, rules, digest) ||
				      memcmp(digest, p->page.rules, sizeof(digest)) != 0))
		pages_retire(p);
}

static int make(struct profile *p)
{
	struct clock_reading now;
	uint64_t time_namespace;
	int fd, r;

	clock_read(&now);
	r = digest_rules(p, &p->settings->allow, p->page.rules);
	if (!r)
		r = clock_time_namespace(&time_namespace);
	if (r)
		return r;
	fd = memfd_new("gctoken-page", PAGE_MEMORY_SIZE, PAGE_MEMORY_MODE);
	if (fd < 0)
		return fd;
	r = page_new(&p->page.shared, fd, time_namespace, now.boot, p->page.rules);
	if (r) {
		close(fd);
		return r;
	}
	p->page.is_current = false;
	pages_publish(p, &now);
	keep(p);
	return 0;
}

int pages_get(struct profile *p, const struct page **ret)
{
	struct profile_page *own = &p->page;
	int r = own->shared ? 0 : make(p);

	if (r && !own->failing)
		log_line(LOG_WARNING,
			"profile %s: no page can be made for its callers: %s. They will use the "
			"socket",
			p->settings->name, strerror(-r));
	own->failing = r != 0;
	if (r)
		return r;
	own->given++;
	*ret = own->shared;
	return 0;
}

/* As page_adopt, of any descriptor. */
static int adopt_memory(struct page **ret, int fd, const uint64_t rules[PAGE_RULES_WORDS])
{
	uint64_t time_namespace;
	struct stat s;
	int r = memfd_examine(fd, &s);

	if (r)
		return r;
	if (s.st_size != PAGE_MEMORY_SIZE || (s.st_mode & 07777) != PAGE_MEMORY_MODE)
		return -EINVAL;
	if (clock_time_namespace(&time_namespace))
		time_namespace = UINT64_MAX; /* nobody's: not adopted but wiped */
	return page_adopt(ret, fd, time_namespace, rules);
}

/* Nobody will write this page any more. Whatever it is, `fd` is closed. */
static void retire_stored(int fd)
{
	static const uint64_t nobody[PAGE_RULES_WORDS] = {0};
	struct page *page;

	/* under rules that are none it is not adopted but wiped */
	if (adopt_memory(&page, fd, nobody)) {
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
		if (!p->page.shared && !digest_rules(p, &p->settings->allow, p->page.rules) &&
			!adopt_memory(&p->page.shared, fd, p->page.rules)) {
			p->page.stored = true;
			continue;
		}
		others = true;
		retire_stored(fd);
	}
	if (!others)
		return;
	/* The store forgets by name, everything that has it. */
	systemd_forget_fd(name);
	if (p->page.shared)
		keep(p);
}

void pages_adopt(struct broker *b)
{
	const char *name;
	int fd;

	for (size_t i = 0; i < b->profiles.count; i++)
		adopt(b->profiles.items[i]);
	/* Of profiles that are gone. */
	while ((fd = systemd_take_fd_of(STORE_PREFIX, &name)) >= 0) {
		retire_stored(fd);
		systemd_forget_fd(name);
	}
}
