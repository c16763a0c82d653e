#include "fleet_link.h"

#include "broker.h"

#include "core/config.h"
#include "core/digest.h"
#include "core/fleet_url.h"
#include "core/text.h"
#include "host/clock.h"
#include "host/folder_fit.h"
#include "store/store.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARTS_MAX 32

/* Digests all of the configuration that the connection depends on; files by what stat says. */
struct parts {
	const void *items[PARTS_MAX];
	size_t lengths[PARTS_MAX];
	size_t count;
};

static void add(struct parts *p, const void *item, size_t length)
{
	p->items[p->count] = item;
	p->lengths[p->count++] = length;
}

static void add_text(struct parts *p, const char *text)
{
	add(p, text ? text : "", text ? strlen(text) + 1 : 1);
}

static void mark_file(int64_t ret[4], const char *path)
{
	struct stat st;

	memset(ret, 0, 4 * sizeof(*ret));
	if (!path || stat(path, &st))
		return;
	ret[0] = (int64_t)st.st_ino;
	ret[1] = (int64_t)st.st_size;
	ret[2] = (int64_t)st.st_mtim.tv_sec;
	ret[3] = (int64_t)st.st_mtim.tv_nsec;
}

static bool digest(const struct fleet_config *f, const struct fleet_secrets *secrets,
	unsigned char ret[FLEET_LINK_DIGEST])
{
	const char *const files[] = {f->ca_file, f->cert_file, f->cert_key_file};
	int64_t marks[3][4];
	struct parts parts = {.count = 0};

	add_text(&parts, f->store);
	add_text(&parts, f->user);
	add_text(&parts, f->prefix);
	add_text(&parts, secrets->password);
	add(&parts, &f->timeout, sizeof(f->timeout));
	add(&parts, &f->plain, sizeof(f->plain));
	for (size_t i = 0; i < 3; i++) {
		mark_file(marks[i], files[i]);
		add_text(&parts, files[i]);
		add(&parts, marks[i], sizeof(marks[i]));
	}
	for (size_t i = 0; i < secrets->key_count; i++)
		add(&parts, secrets->keys[i], FLEET_KEY_LENGTH);
	return digest_front(parts.items, parts.lengths, parts.count, ret, FLEET_LINK_DIGEST);
}

/* A name by which people know this host, and what tells this process from others of that name. */
static int name_host(struct fleet_link *l)
{
	char name[24], random[2 * FLEET_HOST_LENGTH + 1];
	size_t length = 0;

	if (RAND_bytes(l->host_bytes, sizeof(l->host_bytes)) != 1)
		return -EIO;
	hex_write(l->host_bytes, sizeof(l->host_bytes), random);
	if (gethostname(name, sizeof(name)))
		name[0] = '\0';
	name[sizeof(name) - 1] = '\0';
	while ((name[length] >= '0' && name[length] <= '9') ||
		(name[length] >= 'a' && name[length] <= 'z') ||
		(name[length] >= 'A' && name[length] <= 'Z') || name[length] == '-' ||
		name[length] == '_')
		length++;
	snprintf(l->host, sizeof(l->host), "%.*s.%.8s", (int)length, name, random);
	return 0;
}

void fleet_link_settings(
	const struct fleet_config *f, const struct fleet_url *url, struct store_settings *ret)
{
	*ret = (struct store_settings){
		.path = *url->socket ? url->socket : NULL,
		.host_count = url->host_count,
		.sentinel_name = *url->master ? url->master : NULL,
		.database = url->database,
		.user = f->user,
		.listener_fit = f->plain ? NULL : listener_fit,
		.tls = url->tls,
		.ca_file = f->ca_file,
		.cert_file = f->cert_file,
		.cert_key_file = f->cert_key_file,
		.prefix = f->prefix,
		.timeout = f->timeout,
	};
	for (size_t i = 0; i < url->host_count; i++)
		ret->hosts[i] = (struct store_host){url->hosts[i].name, url->hosts[i].port};
}

static int open_store(struct fleet_link *l, struct broker *b, const struct fleet_config *f,
	const struct store_hooks *hooks, char *problem, size_t problem_size)
{
	struct fleet_url url;
	struct store_settings s;
	char why[256] = "out of memory";
	int r;

	if (fleet_url_read(f->store, &url))
		return -EINVAL;
	fleet_link_settings(f, &url, &s);
	s.password = l->secrets.password;
	s.host = l->host;
	if (RAND_bytes((unsigned char *)&s.seed, sizeof(s.seed)) != 1)
		return -EIO;
	r = store_new(&l->store, b->base, clock_read, &s, hooks, b, why);
	if (r)
		snprintf(problem, problem_size, "fleet_store: %s", why);
	return r;
}

int fleet_link_get(struct fleet_link **ret, struct broker *b,
	const struct broker_settings *settings, const struct store_hooks *hooks, char *problem,
	size_t problem_size)
{
	const struct fleet_config *f = &settings->fleet;
	struct clock_reading now;
	struct fleet_link *l;
	int r = -ENOMEM;

	if (!f->store) {
		*ret = NULL;
		return 0;
	}
	snprintf(problem, problem_size, "fleet_store: out of memory");
	l = calloc(1, sizeof(*l));
	if (!l)
		return r;
	r = fleet_secrets_load(f, settings->socket_gid, &l->secrets, problem, problem_size);
	if (!r && !digest(f, &l->secrets, l->digest))
		r = -ENOMEM;
	if (!r && b->fleet && memcmp(b->fleet->digest, l->digest, sizeof(l->digest)) == 0) {
		fleet_link_free(l);
		*ret = b->fleet;
		return 0;
	}
	if (!r)
		r = name_host(l);
	if (!r)
		r = open_store(l, b, f, hooks, problem, problem_size);
	if (r) {
		fleet_link_free(l);
		return r;
	}
	clock_read(&now);
	l->since = now.boot;
	*ret = l;
	return 0;
}

void fleet_link_free(struct fleet_link *l)
{
	if (!l)
		return;
	store_free(l->store);
	fleet_secrets_fini(&l->secrets);
	free(l);
}
