#include "fixture_parts.h"
#include "host/state_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum disk_kind {
	DISK_WRITE,
	DISK_REMOVE,
	DISK_READ,
};

struct disk_job {
	TAILQ_ENTRY(disk_job) link;
	enum disk_kind kind;
	char *name, *kept, *bytes;
	size_t length;
	state_written *written;
	state_was_read *was_read;
	void *context;
};

struct state_writer {
	void (*replaced)(void *context);
	void *context;
};

static struct state_writer the_writer;

int __wrap_state_writer_new(struct state_writer **ret, struct event_base *base,
	const char *directory, pid_t *ret_holder);
void __wrap_state_writer_set_hook(
	struct state_writer *w, void (*replaced)(void *context), void *context);
void __wrap_state_writer_free(struct state_writer *w);
int __wrap_state_write(struct state_writer *w, const char *name, const char *bytes, size_t length,
	state_written *done, void *context);
int __wrap_state_write_keeping(struct state_writer *w, const char *name, const char *kept,
	const char *bytes, size_t length, state_written *done, void *context);
int __wrap_state_remove(
	struct state_writer *w, const char *name, state_written *done, void *context);
int __wrap_state_reserve(
	struct state_writer *w, const char *name, size_t size, state_written *done, void *context);
int __wrap_state_read_later(
	struct state_writer *w, const char *name, state_was_read *done, void *context);

int __wrap_state_writer_new(struct state_writer **ret, struct event_base *base,
	const char *directory, pid_t *ret_holder)
{
	(void)base;
	(void)ret_holder;
	assert_string_equal(directory, the_rig->state);
	*ret = &the_writer;
	return 0;
}

void __wrap_state_writer_set_hook(
	struct state_writer *w, void (*replaced)(void *context), void *context)
{
	*w = (struct state_writer){replaced, context};
}

static void path_of(char path[256], const char *name)
{
	snprintf(path, 256, "%s/%s", the_rig->state, name);
}

void fixture_write_file(const char *path, const char *bytes, size_t length)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), length);
	close(fd);
}

/* Done, and told. */
static void job_end(struct disk_job *j, int error, bool tell)
{
	char path[256], kept[256];
	char *bytes = NULL;
	size_t length = 0;

	TAILQ_REMOVE(&the_rig->disk, j, link);
	path_of(path, j->name);
	if (j->kind == DISK_READ && !error)
		error = state_read(the_rig->state, j->name, &bytes, &length);
	if (j->kind == DISK_WRITE && !error) {
		if (j->kept && *j->kept) {
			path_of(kept, j->kept);
			if (rename(path, kept))
				assert_int_equal(errno, ENOENT);
		}
		fixture_write_file(path, j->bytes, j->length);
	}
	if (j->kind == DISK_REMOVE && !error && unlink(path))
		assert_int_equal(errno, ENOENT);
	if (tell && j->written)
		j->written(j->context, error);
	if (tell && j->was_read)
		j->was_read(j->context, error, bytes, length);
	free(bytes);
	free(j->name);
	free(j->kept);
	free(j->bytes);
	free(j);
}

void __wrap_state_writer_free(struct state_writer *w)
{
	(void)w;
	while (!TAILQ_EMPTY(&the_rig->disk))
		job_end(TAILQ_FIRST(&the_rig->disk), 0, false);
}

static int begin(enum disk_kind kind, const char *name, const char *kept, const char *bytes,
	size_t length, state_written *written, state_was_read *was_read, void *context)
{
	struct disk_job *j;

	if (the_rig->disk_refuses)
		return the_rig->disk_refuses;
	j = calloc(1, sizeof(*j));
	assert_non_null(j);
	*j = (struct disk_job){
		.kind = kind,
		.name = fixture_copy_text(name),
		.kept = fixture_copy_text(kept),
		.bytes = malloc(length + 1),
		.length = length,
		.written = written,
		.was_read = was_read,
		.context = context,
	};
	assert_non_null(j->bytes);
	if (length)
		memcpy(j->bytes, bytes, length);
	TAILQ_INSERT_TAIL(&the_rig->disk, j, link);
	return 0;
}

/* The next, if the disk is well. */
bool fixture_disk_step(void)
{
	struct disk_job *j = the_rig->disk_hangs ? NULL : TAILQ_FIRST(&the_rig->disk);

	if (j)
		job_end(j, 0, true);
	return j;
}

int __wrap_state_write(struct state_writer *w, const char *name, const char *bytes, size_t length,
	state_written *done, void *context)
{
	(void)w;
	return begin(DISK_WRITE, name, NULL, bytes, length, done, NULL, context);
}

int __wrap_state_write_keeping(struct state_writer *w, const char *name, const char *kept,
	const char *bytes, size_t length, state_written *done, void *context)
{
	(void)w;
	return begin(DISK_WRITE, name, kept, bytes, length, done, NULL, context);
}

int __wrap_state_remove(
	struct state_writer *w, const char *name, state_written *done, void *context)
{
	(void)w;
	return begin(DISK_REMOVE, name, NULL, NULL, 0, done, NULL, context);
}

/* Known at once. */
int __wrap_state_reserve(
	struct state_writer *w, const char *name, size_t size, state_written *done, void *context)
{
	(void)w;
	(void)name;
	assert_true(size > 1024);
	done(context, the_rig->no_room);
	return 0;
}

int __wrap_state_read_later(
	struct state_writer *w, const char *name, state_was_read *done, void *context)
{
	(void)w;
	return begin(DISK_READ, name, NULL, NULL, 0, NULL, done, context);
}

unsigned rig_disk_jobs(struct rig *r)
{
	const struct disk_job *j;
	unsigned n = 0;

	rig_run(r);
	TAILQ_FOREACH(j, &r->disk, link)
	n++;
	return n;
}

void rig_disk_end(struct rig *r, int error)
{
	struct disk_job *j;

	rig_run(r);
	j = TAILQ_FIRST(&r->disk);
	assert_non_null(j);
	job_end(j, error, true);
	rig_run(r);
}

void rig_disk_heal(struct rig *r)
{
	r->disk_hangs = false;
	r->disk_refuses = 0;
	rig_run(r);
}

void rig_state_replaced(struct rig *r)
{
	DIR *directory = opendir(r->state);
	const struct dirent *e;

	assert_non_null(directory);
	while ((e = readdir(directory)) != NULL)
		if (*e->d_name != '.')
			assert_int_equal(unlinkat(dirfd(directory), e->d_name, 0), 0);
	closedir(directory);
	the_writer.replaced(the_writer.context);
	rig_run(r);
}

/* The path of the only file whose name ends so; false: there is none. */
static bool find_file(struct rig *r, const char *suffix, char path[256])
{
	DIR *directory = opendir(r->state);
	const struct dirent *e;
	bool found = false;

	assert_non_null(directory);
	while ((e = readdir(directory)) != NULL) {
		size_t length = strlen(e->d_name), n = strlen(suffix);

		if (length < n || strcmp(e->d_name + length - n, suffix))
			continue;
		assert_false(found);
		found = true;
		path_of(path, e->d_name);
	}
	closedir(directory);
	return found;
}

bool rig_file_exists(struct rig *r, const char *suffix)
{
	char path[256];

	return find_file(r, suffix, path);
}

char *rig_file_read(struct rig *r, const char *suffix, size_t *ret_length)
{
	char path[256], *bytes;

	assert_true(find_file(r, suffix, path));
	assert_int_equal(state_read(r->state, strrchr(path, '/') + 1, &bytes, ret_length), 0);
	return bytes;
}

void rig_file_write(struct rig *r, const char *suffix, const char *bytes, size_t length)
{
	char path[256];

	assert_true(find_file(r, suffix, path));
	fixture_write_file(path, bytes, length);
}

void rig_file_remove(struct rig *r, const char *suffix)
{
	char path[256];

	assert_true(find_file(r, suffix, path));
	assert_int_equal(unlink(path), 0);
}
