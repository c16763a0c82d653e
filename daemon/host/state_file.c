/* One thread, one queue. The loop appends jobs under a mutex; the thread takes them one by one,
 * writes with no lock held, appends them to the list of finished ones and rings an eventfd. The
 * loop then takes that whole list and calls back. Jobs are never merged: what asks for durability
 * (a reserved generation, a mint about to happen) waits for its own end. */
#include "state_file.h"
#include "core/secret.h"
#include "durable_file.h"
#include "fd_table.h"
#include "folder_fit.h"
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum job_kind {
	JOB_WRITE,
	JOB_RESERVE,
	JOB_REMOVE,
	JOB_READ,
};

struct state_job {
	struct state_job *next;
	enum job_kind kind;
	char name[DURABLE_NAME_MAX + 1];
	char kept[DURABLE_NAME_MAX + 1]; /* JOB_WRITE: what was there gets this name; "": none */
	char *bytes;                     /* to write, or what was read */
	size_t length;                   /* JOB_RESERVE: of what will be written */
	state_written *done;
	state_was_read *was_read;
	void *context;
	int error;
	bool replaced; /* the directory was found to be another one */
};

struct job_list {
	struct state_job *first;
	struct state_job **end;
};

struct state_writer {
	char *path;
	int directory_fd;
	int lock_fd;
	/* the thread's, whose descriptors are its own: of the directory that has taken the place of
	 * the first one; -1: none has */
	int later_fd;
	int later_lock_fd;
	int finished_fd;
	struct event *finished_event;
	pthread_t thread;
	bool has_thread;
	void (*replaced)(void *context);
	void *context;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	/* under the mutex */
	struct job_list queued;
	struct job_list finished;
	bool stop;
};

static void job_list_init(struct job_list *l)
{
	l->first = NULL;
	l->end = &l->first;
}

static void job_list_append(struct job_list *l, struct state_job *job)
{
	job->next = NULL;
	*l->end = job;
	l->end = &job->next;
}

static struct state_job *job_list_take(struct job_list *l)
{
	struct state_job *job = l->first;

	if (job) {
		l->first = job->next;
		if (!l->first)
			l->end = &l->first;
	}
	return job;
}

static void job_free(struct state_job *job)
{
	if (!job)
		return;
	if (job->bytes)
		secret_wipe(job->bytes, job->length);
	free(job->bytes);
	free(job);
}

/* 0 or negative errno; *ret_fd is as fit as one at a start has to be. */
static int open_fit(const char *path, int *ret_fd)
{
	char problem[256];
	struct stat st;
	int fd, error = durable_directory_open(path, &fd);

	if (error < 0)
		return error;
	if (fstat(fd, &st) < 0)
		error = -errno;
	else if (!folder_fit(&st, "", problem, sizeof(problem)))
		error = -EPERM;
	if (error < 0)
		close(fd);
	else
		*ret_fd = fd;
	return error;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int current_fd(const struct state_writer *w)
{
	return w->later_fd >= 0 ? w->later_fd : w->directory_fd;
}

static void later_close(struct state_writer *w)
{
	if (w->later_fd >= 0) {
		close(w->later_lock_fd);
		close(w->later_fd);
	}
	w->later_lock_fd = w->later_fd = -1;
}

static int later_open(struct state_writer *w)
{
	int directory_fd, lock_fd, error = open_fit(w->path, &directory_fd);
	pid_t holder;

	if (error < 0)
		return error;
	error = durable_lock(directory_fd, &lock_fd, &holder);
	if (error < 0) {
		close(directory_fd);
		return error;
	}
	later_close(w);
	w->later_fd = directory_fd;
	w->later_lock_fd = lock_fd;
	return 0;
}

/* What is written to a directory that was removed, or that another was mounted over, is found by
 * nobody. One that is only out of reach, or was moved away, may come back, and is written to. */
static int follow_path(struct state_writer *w, bool *ret_replaced)
{
	struct stat ours, there, first;
	bool found = stat(w->path, &there) == 0;
	int error = 0;

	if (fstat(current_fd(w), &ours) < 0)
		return 0;
	if (found ? same_file(&ours, &there) : ours.st_nlink > 0)
		return 0;
	/* the first one has been locked all the time */
	if (found && fstat(w->directory_fd, &first) == 0 && same_file(&first, &there))
		later_close(w);
	else
		error = later_open(w);
	*ret_replaced = !error;
	return error;
}

static void do_job(struct state_writer *w, struct state_job *job)
{
	int directory_fd;

	job->error = follow_path(w, &job->replaced);
	if (job->error)
		return;
	directory_fd = current_fd(w);
	switch (job->kind) {
	case JOB_WRITE:
		job->error = *job->kept ? durable_keep(directory_fd, job->name, job->kept) : 0;
		if (!job->error)
			job->error =
				durable_write(directory_fd, job->name, job->bytes, job->length);
		break;
	case JOB_RESERVE:
		job->error = durable_reserve(directory_fd, job->name, (off_t)job->length);
		break;
	case JOB_REMOVE:
		job->error = durable_remove(directory_fd, job->name);
		break;
	case JOB_READ:
		job->error = durable_read(directory_fd, job->name, &job->bytes, &job->length);
		break;
	}
}

static void *writer_main(void *arg)
{
	struct state_writer *w = arg;
	const int used[] = {w->directory_fd, w->finished_fd};
	struct state_job *job;

	/* For the loop's sake: where that is not possible, it is as well without. */
	fd_table_own(used, 2);
	pthread_mutex_lock(&w->mutex);
	for (;;) {
		job = job_list_take(&w->queued);
		if (!job && w->stop)
			break;
		if (!job) {
			pthread_cond_wait(&w->wake, &w->mutex);
			continue;
		}
		pthread_mutex_unlock(&w->mutex);

		do_job(w, job);

		pthread_mutex_lock(&w->mutex);
		job_list_append(&w->finished, job);
		/* Can only fail when the counter is full, and then the loop is awake anyway. */
		eventfd_write(w->finished_fd, 1);
	}
	pthread_mutex_unlock(&w->mutex);
	later_close(w);
	return NULL;
}

static void writer_finished(evutil_socket_t fd, short what, void *arg)
{
	struct state_writer *w = arg;
	struct job_list finished;
	struct state_job *job;
	eventfd_t count;

	(void)what;
	/* Emptied before the list is taken, or the ring of a later job could be lost. */
	eventfd_read(fd, &count);
	pthread_mutex_lock(&w->mutex);
	finished.first = w->finished.first;
	job_list_init(&w->finished);
	pthread_mutex_unlock(&w->mutex);

	while ((job = finished.first)) {
		finished.first = job->next;
		if (job->replaced && w->replaced)
			w->replaced(w->context);
		if (job->was_read)
			job->was_read(job->context, job->error, job->bytes, job->length);
		else if (job->done)
			job->done(job->context, job->error);
		job_free(job);
	}
}

/* No signal is ever handled in the thread: they belong to the loop. */
static int start_thread(struct state_writer *w)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	r = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (r != 0)
		return -r;
	r = pthread_create(&w->thread, NULL, writer_main, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		return -r;
	w->has_thread = true;
	pthread_setname_np(w->thread, "state-writer");
	return 0;
}

int state_writer_new(struct state_writer **ret, struct event_base *base, const char *directory,
	pid_t *ret_holder)
{
	struct state_writer *w = calloc(1, sizeof(*w));
	int error;

	if (!w)
		return -ENOMEM;
	w->directory_fd = -1;
	w->lock_fd = -1;
	w->later_fd = w->later_lock_fd = -1;
	w->finished_fd = -1;
	job_list_init(&w->queued);
	job_list_init(&w->finished);
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->wake, NULL);

	error = -ENOMEM;
	w->path = strdup(directory);
	if (!w->path)
		goto fail;
	error = durable_directory_open(directory, &w->directory_fd);
	if (error < 0)
		goto fail;
	error = durable_lock(w->directory_fd, &w->lock_fd, ret_holder);
	if (error < 0)
		goto fail;
	w->finished_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->finished_fd < 0) {
		error = -errno;
		goto fail;
	}
	error = -ENOMEM;
	w->finished_event =
		event_new(base, w->finished_fd, EV_READ | EV_PERSIST, writer_finished, w);
	if (!w->finished_event || event_add(w->finished_event, NULL) < 0)
		goto fail;
	error = start_thread(w);
	if (error < 0)
		goto fail;
	*ret = w;
	return 0;
fail:
	state_writer_free(w);
	return error;
}

void state_writer_set_hook(struct state_writer *w, void (*replaced)(void *context), void *context)
{
	w->replaced = replaced;
	w->context = context;
}

void state_writer_free(struct state_writer *w)
{
	struct state_job *job;

	if (!w)
		return;
	if (w->has_thread) {
		pthread_mutex_lock(&w->mutex);
		w->stop = true;
		pthread_cond_signal(&w->wake);
		pthread_mutex_unlock(&w->mutex);
		pthread_join(w->thread, NULL);
	}
	while ((job = job_list_take(&w->finished)))
		job_free(job);
	if (w->finished_event)
		event_free(w->finished_event);
	if (w->finished_fd >= 0)
		close(w->finished_fd);
	if (w->lock_fd >= 0)
		close(w->lock_fd);
	if (w->directory_fd >= 0)
		close(w->directory_fd);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->mutex);
	free(w->path);
	free(w);
}

static struct state_job *job_new(enum job_kind kind, const char *name, void *context)
{
	struct state_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->kind = kind;
	memcpy(job->name, name, strlen(name));
	job->context = context;
	return job;
}

static void job_queue(struct state_writer *w, struct state_job *job)
{
	pthread_mutex_lock(&w->mutex);
	job_list_append(&w->queued, job);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
}

int state_write_keeping(struct state_writer *w, const char *name, const char *kept,
	const char *bytes, size_t length, state_written *done, void *context)
{
	struct state_job *job;

	if (!durable_name_is_valid(name) || (*kept && !durable_name_is_valid(kept)))
		return -EINVAL;
	job = job_new(JOB_WRITE, name, context);
	if (!job)
		return -ENOMEM;
	job->bytes = malloc(length > 0 ? length : 1);
	if (!job->bytes) {
		job_free(job);
		return -ENOMEM;
	}
	if (length > 0)
		memcpy(job->bytes, bytes, length);
	memcpy(job->kept, kept, strlen(kept));
	job->length = length;
	job->done = done;
	job_queue(w, job);
	return 0;
}

int state_write(struct state_writer *w, const char *name, const char *bytes, size_t length,
	state_written *done, void *context)
{
	return state_write_keeping(w, name, "", bytes, length, done, context);
}

int state_reserve(
	struct state_writer *w, const char *name, size_t size, state_written *done, void *context)
{
	struct state_job *job;

	if (!durable_name_is_valid(name))
		return -EINVAL;
	job = job_new(JOB_RESERVE, name, context);
	if (!job)
		return -ENOMEM;
	job->length = size;
	job->done = done;
	job_queue(w, job);
	return 0;
}

int state_remove(struct state_writer *w, const char *name, state_written *done, void *context)
{
	struct state_job *job;

	if (!durable_name_is_valid(name))
		return -EINVAL;
	job = job_new(JOB_REMOVE, name, context);
	if (!job)
		return -ENOMEM;
	job->done = done;
	job_queue(w, job);
	return 0;
}

int state_read_later(struct state_writer *w, const char *name, state_was_read *done, void *context)
{
	struct state_job *job;

	if (!durable_name_is_valid(name))
		return -EINVAL;
	job = job_new(JOB_READ, name, context);
	if (!job)
		return -ENOMEM;
	job->was_read = done;
	job_queue(w, job);
	return 0;
}

int state_read(const char *directory, const char *name, char **ret, size_t *ret_length)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = durable_read(fd, name, ret, ret_length);
	close(fd);
	return error;
}

int state_read_unfinished(const char *directory, const char *name, char **ret, size_t *ret_length)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = durable_read_unfinished(fd, name, ret, ret_length);
	close(fd);
	return error;
}

int state_finish(const char *directory, const char *name)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = durable_finish(fd, name);
	close(fd);
	return error;
}

int state_each(const char *directory, void (*visit)(void *context, const char *name), void *context)
{
	DIR *d = opendir(directory);
	struct dirent *entry;
	int error;

	if (!d)
		return -errno;
	/* only errno tells an error from the end */
	while (errno = 0, (entry = readdir(d)) != NULL)
		if (durable_name_is_valid(entry->d_name))
			visit(context, entry->d_name);
	error = -errno;
	closedir(d);
	return error;
}
