/* A system that exists in a test alone, and the way from text to a configuration on it. */
#ifndef TESTS_UNIT_CONFIG_FIXTURE_H
#define TESTS_UNIT_CONFIG_FIXTURE_H

#include "core/config_parse.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_system {
	const char *state_directory;
	const char *credentials_directory;
};

static inline int fake_uid(void *context, const char *name, uid_t *ret)
{
	(void)context;
	if (strcmp(name, "alice") == 0)
		*ret = 1001;
	else if (strcmp(name, "bob") == 0)
		*ret = 1002;
	else
		return strcmp(name, "flaky") == 0 ? -EIO : -ENOENT;
	return 0;
}

static inline int fake_gid(void *context, const char *name, gid_t *ret)
{
	(void)context;
	if (strcmp(name, "gctoken") == 0)
		*ret = 900;
	else if (strcmp(name, "devs") == 0)
		*ret = 950;
	else
		return -ENOENT;
	return 0;
}

/* Paths under /bad are bad, those under /odd may be meant otherwise, and a secret under /group-950
 * is readable for that group. */
static inline bool fake_file(void *context, enum config_file what, const char *path,
	gid_t socket_gid, char *problem, size_t size)
{
	const bool secret = what == CONFIG_FILE_SECRET || what == CONFIG_FILE_KEY ||
			    what == CONFIG_FILE_TLS_KEY;

	(void)context;
	if (strncmp(path, "/bad/", 5) == 0 && !secret)
		snprintf(problem, size, "cannot be read: No such file or directory");
	else if (strncmp(path, "/bad/", 5) == 0)
		snprintf(problem, size, "has mode 0644, which is open to everybody");
	else if (secret && strncmp(path, "/group-950/", 11) == 0 && socket_gid == 950)
		snprintf(problem, size, "is readable by the socket's group");
	else if (strncmp(path, "/odd/", 5) == 0)
		return snprintf(problem, size, "ends with a blank (20)") > 0;
	else
		return true;
	return false;
}

static inline bool fake_state_dir(void *context, const char *path, char *problem, size_t size)
{
	(void)context;
	if (strncmp(path, "/bad/", 5) != 0)
		return true;
	snprintf(problem, size, "is writable by others");
	return false;
}

static inline const char *fake_variable(void *context, const char *name)
{
	const struct fake_system *system = context;

	if (strcmp(name, "STATE_DIRECTORY") == 0)
		return system->state_directory;
	if (strcmp(name, "CREDENTIALS_DIRECTORY") == 0)
		return system->credentials_directory;
	return NULL;
}

static inline struct config_lookup fake_lookup(struct fake_system *system)
{
	return (struct config_lookup){
		.context = system,
		.uid_by_name = fake_uid,
		.gid_by_name = fake_gid,
		.file_fit = fake_file,
		.state_dir_fit = fake_state_dir,
		.variable = fake_variable,
	};
}

struct config_text {
	const char *file;
	const char *text;
	size_t length; /* 0: up to the NUL */
};

/* CONFIG_VALID or CONFIG_INVALID or -ENOMEM. *ret stays NULL unless valid. */
static inline int parse_files(const struct config_text *files, size_t count,
	struct fake_system *system, struct config **ret, struct config_problems *ret_problems)
{
	struct config_lookup lookup = fake_lookup(system);
	struct config_builder *b;
	int result = config_builder_new(&b);

	if (result < 0)
		return result;
	for (size_t i = 0; i < count; i++) {
		size_t length = files[i].length ? files[i].length : strlen(files[i].text);
		/* On the heap and without a NUL, so that a sanitizer sees a read beyond the end. */
		char *copy = malloc(length ? length : 1);

		if (!copy)
			abort();
		memcpy(copy, files[i].text, length);
		config_builder_add(b, files[i].file, copy, length);
		free(copy);
	}
	result = config_builder_finish(b, &lookup, ret, ret_problems);
	config_builder_free(b);
	return result;
}

/* All problems as --check-config prints them; to be freed. */
static inline char *problems_text(const struct config_problems *problems)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	char line[2048];

	if (!to)
		abort();
	for (size_t i = 0; i < problems->count; i++) {
		config_problem_text(&problems->items[i], line, sizeof(line));
		fprintf(to, "%s\n", line);
	}
	fclose(to);
	return text;
}

#endif
