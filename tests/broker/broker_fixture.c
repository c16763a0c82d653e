#include "broker/profile_set.h"
#include "broker/reload.h"
#include "broker/turn.h"
#include "fixture_parts.h"
#include "front/closer.h"
#include "host/config_files.h"
#include "host/name_table.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Enough for the longest chain of one event that makes the next one due: a connection is accepted,
 * read, served, a turn is taken, a job of the disk is done, who waits is answered. */
#define PASSES 24
/* A stop that waits for ever ends the program: no signal but this one does. */
#define PATIENCE_S 60

struct rig *the_rig;

char *fixture_copy(const char *text, size_t length)
{
	char *ret = text ? strndup(text, length) : NULL;

	assert_true(ret || !text);
	return ret;
}

char *fixture_copy_text(const char *text)
{
	return fixture_copy(text, text ? strlen(text) : 0);
}

struct usual {
	const char *key, *value;
};

static bool has_key(const char *section, const char *end, const char *key)
{
	for (const char *line = section; line < end; line++) {
		if (!strncmp(line, key, strlen(key)) && strspn(line + strlen(key), " =") > 0)
			return true;
		line = strchrnul(line, '\n');
	}
	return false;
}

/* The section as the test has it, and what it does not say. */
static void put_section(FILE *to, const char *section, const char *end, const struct usual *usual)
{
	fprintf(to, "%.*s\n", (int)(end - section), section);
	for (; usual->key; usual++)
		if (!has_key(section, end, usual->key))
			fprintf(to, "%s = %s\n", usual->key, usual->value);
}

static void put_profile(struct rig *r, FILE *to, const char *section, const char *end)
{
	char name[64] = "", secret[160];
	const struct usual usual[] = {
		{"client_id", "client"},
		{"client_secret_file", secret},
		{"token_url", "https://login.test/oauth/token"},
		{"api_url", "https://api.test"},
		{"clock_probe", "no"},
		{NULL, NULL},
	};

	assert_int_equal(sscanf(section, "[profile %63[^]]", name), 1);
	snprintf(secret, sizeof(secret), "%s/%s.secret", r->directory, name);
	put_section(to, section, end, usual);
	if (access(secret, F_OK))
		rig_secret(r, name, "secret");
}

void rig_secret(struct rig *r, const char *profile, const char *secret)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s.secret", r->directory, profile);
	fixture_write_file(path, secret, strlen(secret));
}

void rig_configure(struct rig *r, const char *sections)
{
	const struct usual usual[] = {
		{"socket", r->socket},
		{"socket_group", ""},
		{"page_socket", ""},
		{"state_dir", r->state},
		{NULL, NULL},
	};
	FILE *to = fopen(r->config, "we");
	const char *section = strstr(sections, "[profile ");

	assert_non_null(to);
	fprintf(to, "[broker]\n");
	put_section(to, sections, section ? section : sections + strlen(sections), usual);
	while (section) {
		const char *next = strstr(section + 1, "[profile ");

		put_profile(r, to, section, next ? next : section + strlen(section));
		section = next;
	}
	assert_int_equal(fclose(to), 0);
}

/* Of a broker that was there before: what they would be called with is gone. */
static void assert_no_events(const struct rig *r)
{
	assert_int_equal(event_base_get_num_events(r->base, EVENT_BASE_COUNT_ADDED), 0);
}

void rig_start(struct rig *r)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL;
	struct name_table *names;
	int status, closer_fd;

	assert_no_events(r);
	assert_int_equal(name_table_new(&names, r->base), 0);
	config_ask_for_names(r->config, CONFIG_FOR_START, names);
	while (name_table_pending(names))
		event_base_loop(r->base, EVLOOP_ONCE);
	status = config_load(r->config, CONFIG_FOR_START, names, &config, &problems);
	if (status)
		config_problems_print(&problems, stderr);
	config_problems_fini(&problems);
	assert_int_equal(status, CONFIG_VALID);
	assert_int_equal(closer_start(&closer_fd), 0);
	assert_int_equal(
		broker_new(&r->broker, r->base, r->config, config, names, closer_fd, "test"), 0);
	turn_now(&r->broker->turn);
}

void rig_stop(struct rig *r)
{
	broker_free(r->broker);
	r->broker = NULL;
}

static void remove_tree(const char *path)
{
	char below[512];
	DIR *directory = opendir(path);
	const struct dirent *e;

	assert_non_null(directory);
	while ((e = readdir(directory)) != NULL) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		if (unlink(below) && errno == EISDIR)
			remove_tree(below);
	}
	closedir(directory);
	rmdir(path);
}

struct rig *rig_new(const char *sections)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	/* a test that failed leaves one behind */
	if (the_rig)
		remove_tree(the_rig->directory);
	the_rig = r;
	alarm(PATIENCE_S);
	TAILQ_INIT(&r->fetches);
	TAILQ_INIT(&r->disk);
	/* Ahead of any real clock: a deadline by this one, for which the kernel is to wait by that
	 * one, is not over. */
	r->now.boot.ns = 300000000 * NS_PER_S;
	r->now.suspended.ns = 100 * NS_PER_S;
	r->now.wall.ns = 1700001000 * NS_PER_S;
	snprintf(r->directory, sizeof(r->directory), "/tmp/gct-broker-XXXXXX");
	assert_non_null(mkdtemp(r->directory));
	snprintf(r->config, sizeof(r->config), "%s/gctokend.conf", r->directory);
	snprintf(r->socket, sizeof(r->socket), "%s/socket", r->directory);
	snprintf(r->state, sizeof(r->state), "%s/state", r->directory);
	assert_int_equal(mkdir(r->state, 0700), 0);
	r->base = event_base_new();
	assert_non_null(r->base);
	rig_configure(r, sections);
	rig_start(r);
	return r;
}

void rig_free(struct rig *r)
{
	/* or the stop would wait for it */
	r->fetch_error = -EAGAIN;
	rig_disk_heal(r);
	while (!TAILQ_EMPTY(&r->fetches))
		rig_answer_failure(r, TAILQ_FIRST(&r->fetches), "the test is over");
	rig_stop(r);
	assert_true(TAILQ_EMPTY(&r->fetches));
	assert_true(TAILQ_EMPTY(&r->disk));
	assert_no_events(r);
	event_base_free(r->base);
	remove_tree(r->directory);
	free(r->log);
	free(r);
	the_rig = NULL;
}

void rig_reload(struct rig *r)
{
	broker_reload(r->broker);
	while (r->broker->reload_waits)
		event_base_loop(r->base, EVLOOP_ONCE);
	rig_run(r);
}

void rig_run(struct rig *r)
{
	for (int i = 0; i < PASSES && !r->inside; i++) {
		event_base_loop(r->base, EVLOOP_NONBLOCK);
		fixture_timer_look();
		fixture_disk_step();
	}
}

struct profile *rig_profile(struct rig *r, const char *name)
{
	return profile_set_find(&r->broker->profiles, name);
}
