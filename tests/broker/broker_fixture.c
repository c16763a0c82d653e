#include "broker_fixture.h"

#include "broker/profile_set.h"
#include "broker/reload.h"
#include "broker/turn.h"
#include "front/closer.h"
#include "host/clock.h"
#include "host/config_files.h"
#include "host/log.h"
#include "host/name_table.h"
#include "host/state_file.h"
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Enough for the longest chain of one event that makes the next one due: a connection is accepted,
 * read, served, a turn is taken, a job of the disk is done, who waits is answered. */
#define PASSES 24
/* A stop that waits for ever ends the program: no signal but this one does. */
#define PATIENCE_S 60

static struct rig *rig; /* for what is called without one */

static char *copy(const char *text, size_t length)
{
	char *ret = text ? strndup(text, length) : NULL;

	assert_true(ret || !text);
	return ret;
}

static char *copy_text(const char *text)
{
	return copy(text, text ? strlen(text) : 0);
}

/* ---- the login server ---- */

struct fetcher {
	char unused;
};

static struct fetcher the_fetcher;

int fetcher_new(
	struct fetcher **ret, struct event_base *base, void (*clock)(struct clock_reading *ret))
{
	(void)base;
	(void)clock;
	*ret = &the_fetcher;
	return 0;
}

static void release(struct fetch *f)
{
	TAILQ_REMOVE(&rig->fetches, f, link);
	free(f->url);
	free(f->authorization);
	free(f->body);
	free(f->ca_file);
	free(f);
}

void fetcher_free(struct fetcher *fetcher)
{
	(void)fetcher;
	/* whoever began one has ended it: what it would be told of is gone by now */
	assert_true(TAILQ_EMPTY(&rig->fetches));
}

void fetcher_forget_ca(struct fetcher *fetcher)
{
	(void)fetcher;
	rig->ca_forgotten++;
}

int fetch_start(struct fetcher *fetcher, const struct fetch_request *q, fetch_done *done,
	void *context, struct fetch **ret)
{
	struct fetch *f;

	(void)fetcher;
	if (rig->fetch_error)
		return rig->fetch_error;
	f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->method = q->method;
	f->fresh = q->fresh;
	f->timeout = q->settings.timeout;
	f->url = copy_text(q->url);
	f->authorization = copy_text(q->authorization);
	f->body = copy(q->body, q->body_length);
	f->ca_file = copy_text(q->settings.ca_file);
	f->done = done;
	f->context = context;
	f->sent = rig->now;
	TAILQ_INSERT_TAIL(&rig->fetches, f, link);
	rig->fetches_begun++;
	if (ret)
		*ret = f;
	return 0;
}

void fetch_cancel(struct fetch *f)
{
	if (f)
		release(f);
}

void fetch_end(struct fetch *f, const char *failure)
{
	struct exchange x = {.failure = failure, .silence = true, .sent = f->sent};
	fetch_done *done = f->done;
	void *context = f->context;

	x.received = f->sent;
	release(f);
	done(context, &x);
}

static struct fetch *find(struct rig *r, enum fetch_method method, const char *in_body)
{
	struct fetch *f, *found = NULL;

	rig_run(r);
	TAILQ_FOREACH(f, &r->fetches, link)
	if (f->method == method && (!in_body || strstr(f->body, in_body))) {
		if (found)
			fail_msg("more than one such request is under way");
		found = f;
	}
	return found;
}

struct fetch *rig_post(struct rig *r)
{
	return find(r, FETCH_POST, NULL);
}

struct fetch *rig_post_with(struct rig *r, const char *in_body)
{
	return find(r, FETCH_POST, in_body);
}

struct fetch *rig_delete(struct rig *r)
{
	return find(r, FETCH_DELETE, NULL);
}

unsigned rig_posts(struct rig *r)
{
	const struct fetch *f;
	unsigned n = 0;

	rig_run(r);
	TAILQ_FOREACH(f, &r->fetches, link)
	n += f->method == FETCH_POST;
	return n;
}

static void finish(struct rig *r, struct fetch *f, struct exchange *x)
{
	fetch_done *done = f->done;
	void *context = f->context;

	x->sent = f->sent;
	x->received = x->status ? r->now : f->sent;
	release(f);
	done(context, x);
	rig_run(r);
}

void rig_answer(struct rig *r, struct fetch *f, long status, const char *body)
{
	struct exchange x = {.status = status, .body = body, .body_length = strlen(body)};
	time_t wall = (time_t)(r->now.wall.ns / NS_PER_S + r->server_ahead_s);
	struct tm tm;

	assert_non_null(f);
	gmtime_r(&wall, &tm);
	strftime(x.date, sizeof(x.date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	snprintf(x.retry_after, sizeof(x.retry_after), "%s", r->retry_after ? r->retry_after : "");
	finish(r, f, &x);
}

void rig_answer_token(struct rig *r, struct fetch *f, const char *token, const char *refresh_token)
{
	char body[1024], refresh[512] = "";

	if (refresh_token)
		snprintf(refresh, sizeof(refresh), ",\"refresh_token\":\"%s\"", refresh_token);
	snprintf(body, sizeof(body),
		"{\"access_token\":\"%s\",\"token_type\":\"bearer\",\"expires_in\":3600%s}", token,
		refresh);
	rig_answer(r, f, 200, body);
}

void rig_answer_failure(struct rig *r, struct fetch *f, const char *failure)
{
	struct exchange x = {.failure = failure};

	assert_non_null(f);
	finish(r, f, &x);
}

void rig_answer_unsent(struct rig *r, struct fetch *f, const char *failure)
{
	struct exchange x = {.failure = failure, .unsent = true};

	assert_non_null(f);
	finish(r, f, &x);
}

/* ---- the disk ---- */

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
	assert_string_equal(directory, rig->state);
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
	snprintf(path, 256, "%s/%s", rig->state, name);
}

static void write_file(const char *path, const char *bytes, size_t length)
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

	TAILQ_REMOVE(&rig->disk, j, link);
	path_of(path, j->name);
	if (j->kind == DISK_READ && !error)
		error = state_read(rig->state, j->name, &bytes, &length);
	if (j->kind == DISK_WRITE && !error) {
		if (j->kept && *j->kept) {
			path_of(kept, j->kept);
			if (rename(path, kept))
				assert_int_equal(errno, ENOENT);
		}
		write_file(path, j->bytes, j->length);
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
	while (!TAILQ_EMPTY(&rig->disk))
		job_end(TAILQ_FIRST(&rig->disk), 0, false);
}

static int begin(enum disk_kind kind, const char *name, const char *kept, const char *bytes,
	size_t length, state_written *written, state_was_read *was_read, void *context)
{
	struct disk_job *j;

	if (rig->disk_refuses)
		return rig->disk_refuses;
	j = calloc(1, sizeof(*j));
	assert_non_null(j);
	*j = (struct disk_job){
		.kind = kind,
		.name = copy_text(name),
		.kept = copy_text(kept),
		.bytes = malloc(length + 1),
		.length = length,
		.written = written,
		.was_read = was_read,
		.context = context,
	};
	assert_non_null(j->bytes);
	if (length)
		memcpy(j->bytes, bytes, length);
	TAILQ_INSERT_TAIL(&rig->disk, j, link);
	return 0;
}

/* The next, if the disk is well. */
static bool do_disk_job(void)
{
	struct disk_job *j = rig->disk_hangs ? NULL : TAILQ_FIRST(&rig->disk);

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
	done(context, rig->no_room);
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
	write_file(path, bytes, length);
}

void rig_file_remove(struct rig *r, const char *suffix)
{
	char path[256];

	assert_true(find_file(r, suffix, path));
	assert_int_equal(unlink(path), 0);
}

/* ---- the clocks ---- */

/* libevent's timers go by it as well. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
	int64_t ns;

	if (!rig)
		return (int)syscall(SYS_clock_gettime, id, ret);
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		ns = rig->now.wall.ns;
		break;
	case CLOCK_BOOTTIME:
		ns = rig->now.boot.ns;
		break;
	default:
		ns = rig->now.boot.ns - rig->now.suspended.ns;
		break;
	}
	*ret = (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
	return 0;
}

/* The one timer that is not libevent's. */
struct boot_timer {
	struct boot_time at;
	void (*fired)(void *context);
	void *context;
};

static struct boot_timer the_timer;

int __wrap_boot_timer_new(struct boot_timer **ret, struct event_base *base,
	void (*fired)(void *context), void *context);
void __wrap_boot_timer_free(struct boot_timer *t);
int __wrap_boot_timer_arm(struct boot_timer *t, struct boot_time at);

int __wrap_boot_timer_new(struct boot_timer **ret, struct event_base *base,
	void (*fired)(void *context), void *context)
{
	(void)base;
	the_timer = (struct boot_timer){BOOT_TIME_NEVER, fired, context};
	*ret = &the_timer;
	return 0;
}

void __wrap_boot_timer_free(struct boot_timer *t)
{
	(void)t;
}

int __wrap_boot_timer_arm(struct boot_timer *t, struct boot_time at)
{
	t->at = at;
	return 0;
}

static void boot_timer_look(void)
{
	struct boot_timer *t = &the_timer;

	if (t->at.ns == BOOT_TIME_NEVER.ns || boot_before(rig->now.boot, t->at))
		return;
	t->at = BOOT_TIME_NEVER;
	t->fired(t->context);
}

void rig_pass_ms(struct rig *r, int64_t ms)
{
	r->now.boot.ns += ms * NS_PER_MS;
	r->now.wall.ns += ms * NS_PER_MS;
	rig_run(r);
}

void rig_pass(struct rig *r, int64_t seconds)
{
	rig_pass_ms(r, seconds * 1000);
}

/* ---- the log ---- */

void __wrap_log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
void __wrap_log_event(int priority, const char *message_id, const char *profile,
	uint64_t generation, const char *message);

static const struct timeval at_once;

static void call_then(int fd, short events, void *context)
{
	struct rig *r = context;

	(void)fd;
	(void)events;
	r->inside = true;
	r->then(r);
	r->inside = false;
	while (do_disk_job())
		;
}

/* Not in the first pass of the loop: whoever turns it has to go on for more than that. */
static void call_soon(int fd, short events, void *context)
{
	(void)fd;
	(void)events;
	assert_int_equal(
		event_base_once(rig->base, -1, EV_TIMEOUT, call_then, context, &at_once), 0);
}

static void keep_line(const char *line)
{
	size_t length = strlen(line);

	rig->log = realloc(rig->log, rig->log_length + length + 2);
	assert_non_null(rig->log);
	memcpy(rig->log + rig->log_length, line, length);
	rig->log_length += length;
	memcpy(rig->log + rig->log_length++, "\n", 2);
	if (!rig->awaited || !strstr(line, rig->awaited))
		return;
	rig->awaited = NULL;
	assert_int_equal(event_base_once(rig->base, -1, EV_TIMEOUT, call_soon, rig, &at_once), 0);
}

void __wrap_log_line(int priority, const char *format, ...)
{
	char line[1024];
	va_list arguments;

	(void)priority;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	keep_line(line);
}

void __wrap_log_event(int priority, const char *message_id, const char *profile,
	uint64_t generation, const char *message)
{
	char line[1024];

	(void)priority;
	(void)message_id;
	(void)generation;
	snprintf(line, sizeof(line), "profile %s: %s", profile, message);
	keep_line(line);
}

void rig_when_logged(struct rig *r, const char *text, void (*then)(struct rig *r))
{
	r->awaited = text;
	r->then = then;
}

void rig_forget_log(struct rig *r)
{
	free(r->log);
	r->log = NULL;
	r->log_length = 0;
}

bool rig_logged(const struct rig *r, const char *text)
{
	return r->log && strstr(r->log, text);
}

/* ---- the broker ---- */

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
	write_file(path, secret, strlen(secret));
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
	if (rig)
		remove_tree(rig->directory);
	rig = r;
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
	rig = NULL;
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
		boot_timer_look();
		do_disk_job();
	}
}

struct profile *rig_profile(struct rig *r, const char *name)
{
	return profile_set_find(&r->broker->profiles, name);
}

/* ---- callers ---- */

struct caller *caller_ask(struct rig *r, const char *method, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct caller *c = calloc(1, sizeof(*c));
	char request[1024];
	int length = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: test\r\n%s\r\n",
		method, path, strcmp(method, "POST") ? "" : "Content-Length: 0\r\n");

	assert_non_null(c);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", r->socket);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(c->fd, request, (size_t)length, MSG_NOSIGNAL), length);
	rig_run(r);
	return c;
}

static bool complete(const struct caller *c)
{
	const char *end = strstr(c->bytes, "\r\n\r\n");
	const char *field = strcasestr(c->bytes, "\r\nContent-Length:");
	size_t body = 0;

	if (!end)
		return false;
	if (field && field < end)
		body = strtoul(field + strlen("\r\nContent-Length:"), NULL, 10);
	return c->length >= (size_t)(end + 4 - c->bytes) + body;
}

int caller_status(struct rig *r, struct caller *c)
{
	ssize_t n;

	rig_run(r);
	while ((n = recv(c->fd, c->bytes + c->length, sizeof(c->bytes) - 1 - c->length, 0)) > 0)
		c->length += (size_t)n;
	c->closed |= n == 0;
	return complete(c) ? atoi(c->bytes + strlen("HTTP/1.1 ")) : 0;
}

const char *caller_body(const struct caller *c)
{
	const char *end = strstr(c->bytes, "\r\n\r\n");

	return end ? end + 4 : "";
}

const char *caller_member(const struct caller *c, const char *name)
{
	static char value[2048];
	char key[64];
	const char *at;
	size_t length;

	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(caller_body(c), key);
	if (!at)
		return "";
	at += strlen(key);
	if (*at == '"')
		length = strcspn(++at, "\"");
	else
		length = strcspn(at, ",}");
	assert_true(length < sizeof(value));
	memcpy(value, at, length);
	value[length] = '\0';
	return value;
}

void caller_gone(struct rig *r, struct caller *c)
{
	close(c->fd);
	free(c);
	rig_run(r);
}

const char *rig_token(struct rig *r, const char *name)
{
	static char token[2048];
	struct caller *c;
	char path[128];

	snprintf(path, sizeof(path), "/v1/token?profile=%s&wait=0", name);
	c = caller_ask(r, "GET", path);
	snprintf(token, sizeof(token), "%s",
		caller_status(r, c) == 200 ? caller_member(c, "access_token") : "");
	caller_gone(r, c);
	return token;
}

/* ---- people ---- */

struct caller *rig_log_in(struct rig *r, const char *profile, const char *code)
{
	struct caller *c;
	char path[512], state[128];

	snprintf(path, sizeof(path), "/v1/login?profile=%s", profile);
	c = caller_ask(r, "POST", path);
	assert_int_equal(caller_status(r, c), 200);
	snprintf(state, sizeof(state), "%s", caller_member(c, "state"));
	caller_gone(r, c);
	snprintf(path, sizeof(path), "/v1/login/finish?profile=%s&state=%s&code=%s", profile, state,
		code);
	return caller_ask(r, "POST", path);
}
