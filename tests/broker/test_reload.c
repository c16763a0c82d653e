/* A reload: which profiles go on, which begin and which end; and that one that is refused changes
 * nothing at all. */
#include "broker_fixture.h"

#include "broker/endpoint.h"
#include "broker/oauth_client.h"
#include "broker/pages.h"
#include "broker/profile_type.h"
#include "broker/reload.h"
#include "core/login_attempt.h"
#include "front/page.h"
#include "front/peer_unit.h"
#include "host/config_files.h"
#include "host/log.h"
#include "host/name_table.h"
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define LOGIN \
	"grant = authorization_code\nredirect_uri = http://127.0.0.1:8484/callback\n" \
	"authorize_url = https://login.test/oauth/authorize\n"

/* What the daemon asks of the system, as the test wants it to be. */
static struct {
	bool units_unknown; /* to the kernel */
	bool units_hidden;  /* in /proc */
	int endpoint_error;
	int config_error;
	int set_error;
	int log_level;
	const struct login_attempts *forgotten; /* the latest */
} played;

/* Held by the test while the name service hangs. */
static pthread_mutex_t name_service = PTHREAD_MUTEX_INITIALIZER;

int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);
int __real_endpoint_get(
	struct endpoint **ret, struct broker *b, const struct profile_settings *settings);
int __wrap_endpoint_get(
	struct endpoint **ret, struct broker *b, const struct profile_settings *settings);
int __real_config_load(const char *path, enum config_purpose purpose, struct name_table *names,
	struct config **ret, struct config_problems *ret_problems);
int __wrap_config_load(const char *path, enum config_purpose purpose, struct name_table *names,
	struct config **ret, struct config_problems *ret_problems);
int __real_getpwnam_r(
	const char *name, struct passwd *entry, char *buffer, size_t size, struct passwd **ret);
int __wrap_getpwnam_r(
	const char *name, struct passwd *entry, char *buffer, size_t size, struct passwd **ret);
void __real_login_attempts_forget(struct login_attempts *t);
void __wrap_login_attempts_forget(struct login_attempts *t);
int __real_profile_set_init(struct profile_set *ret, size_t capacity);
int __wrap_profile_set_init(struct profile_set *ret, size_t capacity);
void __wrap_log_set_level(int max_priority);
bool __wrap_peer_unit_possible(void);

int __wrap_access(const char *path, int mode)
{
	if (strcmp(path, "/proc/1/cgroup") != 0)
		return __real_access(path, mode);
	return played.units_hidden ? -1 : 0;
}

int __wrap_endpoint_get(
	struct endpoint **ret, struct broker *b, const struct profile_settings *settings)
{
	return played.endpoint_error ? played.endpoint_error
				     : __real_endpoint_get(ret, b, settings);
}

int __wrap_config_load(const char *path, enum config_purpose purpose, struct name_table *names,
	struct config **ret, struct config_problems *ret_problems)
{
	return played.config_error ? played.config_error
				   : __real_config_load(path, purpose, names, ret, ret_problems);
}

int __wrap_getpwnam_r(
	const char *name, struct passwd *entry, char *buffer, size_t size, struct passwd **ret)
{
	pthread_mutex_lock(&name_service);
	pthread_mutex_unlock(&name_service);
	return __real_getpwnam_r(name, entry, buffer, size, ret);
}

void __wrap_login_attempts_forget(struct login_attempts *t)
{
	played.forgotten = t;
	__real_login_attempts_forget(t);
}

int __wrap_profile_set_init(struct profile_set *ret, size_t capacity)
{
	return played.set_error ? played.set_error : __real_profile_set_init(ret, capacity);
}

void __wrap_log_set_level(int max_priority)
{
	played.log_level = max_priority;
}

bool __wrap_peer_unit_possible(void)
{
	return !played.units_unknown;
}

static void reload(struct rig *r, const char *sections)
{
	unsigned before = r->ca_forgotten;

	rig_configure(r, sections);
	rig_forget_log(r);
	rig_reload(r);
	assert_false(r->broker->reload_failed);
	assert_false(rig_logged(r, "reload refused"));
	/* a file of certificates may have been renewed in place */
	assert_int_equal(r->ca_forgotten, before + 1);
}

static void refused(struct rig *r, const char *sections, const char *problem)
{
	unsigned before = r->ca_forgotten;

	rig_configure(r, sections);
	rig_reload(r);
	assert_int_equal(r->ca_forgotten, before);
	assert_true(r->broker->reload_failed);
	assert_non_null(strstr(r->broker->reload_problem, problem));
	assert_true(rig_logged(r, "reload refused; the previous configuration stays in use: "));
}

/* A broker whose profile a has the token "token-1". */
static struct rig *with_token(const char *sections)
{
	struct rig *r = rig_new(sections);

	rig_answer_token(r, rig_post(r), "token-1", NULL);
	assert_string_equal(rig_token(r, "a"), "token-1");
	return r;
}

static void assert_status(struct rig *r, const char *path, int status)
{
	struct caller *c = caller_ask(r, "GET", path);

	assert_int_equal(caller_status(r, c), status);
	caller_gone(r, c);
}

/* ---- which is still the same ---- */

static void test_the_same_client_under_the_same_name_goes_on(void **state)
{
	struct rig *r = with_token("[profile a]\n");
	const struct profile *p = rig_profile(r, "a");
	struct caller *c;

	(void)state;
	reload(r, "[profile a]\nuse_margin = 20s\nmint_limit = 3\nreject_cooldown = 1s\n"
		  "fetch_timeout = 1s\n");
	assert_ptr_equal(rig_profile(r, "a"), p);
	assert_int_equal(rig_posts(r), 0);
	assert_string_equal(rig_token(r, "a"), "token-1");
	assert_true(rig_logged(r, "configuration reloaded: 1 profile\n"));
	assert_true(rig_logged(r, "profile a: configuration reloaded\n"));
	/* that is about no token */
	c = caller_ask(r, "GET", "/v1/history?profile=a");
	assert_int_equal(caller_status(r, c), 200);
	assert_non_null(strstr(caller_body(c), "\"event\":\"reloaded\",\"generation\":null"));
	caller_gone(r, c);
	rig_free(r);
}

static void test_another_client_is_another_profile(void **state)
{
	static const char *const changed[] = {
		"[profile a]\nclient_id = other\n",
		"[profile a]\ntoken_url = https://login.test/other\n",
		"[profile a]\ngrant = authorization_code\n"
		"redirect_uri = http://127.0.0.1:8484/callback\n"
		"authorize_url = https://login.test/oauth/authorize\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changed) / sizeof(*changed); i++) {
		struct rig *r = with_token("[profile a]\n");

		reload(r, changed[i]);
		assert_string_equal(rig_token(r, "a"), "");
		assert_int_equal(rig_posts(r), i < 2);
		assert_int_equal(r->broker->profiles.count, 1);
		rig_free(r);
	}
}

static void test_another_name_is_another_profile_of_the_client(void **state)
{
	struct rig *r = with_token("[profile a]\nmint_limit = 2\n");
	struct caller *c;

	(void)state;
	reload(r, "[profile b]\nmint_limit = 2\n");
	assert_status(r, "/v1/token?profile=a", 404);
	rig_answer_token(r, rig_post(r), "token-2", NULL);
	c = caller_ask(r, "GET", "/v1/token?profile=b");
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "generation"), "2");
	caller_gone(r, c);
	/* the client's requests are counted on */
	caller_gone(r, caller_ask(r, "POST", "/v1/refresh?profile=b"));
	assert_int_equal(rig_posts(r), 0);
	rig_pass(r, 300);
	caller_gone(r, caller_ask(r, "POST", "/v1/refresh?profile=b"));
	assert_int_equal(rig_posts(r), 1);
	rig_free(r);
}

static void test_profiles_are_in_order_whatever_the_configuration_has(void **state)
{
	struct rig *r = with_token("[profile a]\n");

	(void)state;
	reload(r, "[profile c]\nprefetch = no\n[profile b]\nprefetch = no\n[profile a]\n");
	assert_int_equal(r->broker->profiles.count, 3);
	for (size_t i = 0; i < 3; i++) {
		const char *name = r->broker->profiles.items[i]->settings->name;

		assert_int_equal(name[0], 'a' + (int)i);
		assert_ptr_equal(rig_profile(r, name), r->broker->profiles.items[i]);
	}
	assert_string_equal(rig_token(r, "a"), "token-1");
	assert_true(rig_logged(r, "configuration reloaded: 3 profiles\n"));
	rig_free(r);
}

static void test_one_that_is_gone_is_unknown(void **state)
{
	struct rig *r = rig_new("[profile a]\n[profile b]\nscope = x\n");
	const struct login_attempts *gone;

	(void)state;
	rig_answer_token(r, rig_post_with(r, "scope=x"), "token-b", NULL);
	rig_answer_token(r, rig_post(r), "token-a", NULL);
	gone = &rig_profile(r, "a")->attempts;
	reload(r, "[profile b]\nscope = x\n");
	assert_status(r, "/v1/token?profile=a", 404);
	assert_string_equal(rig_token(r, "b"), "token-b");
	/* the secrets of the logins that were begun are wiped */
	assert_ptr_equal(played.forgotten, gone);
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
}

static bool page_has(int fd, const char *token)
{
	static char bytes[16384];
	ssize_t length = pread(fd, bytes, sizeof(bytes), 0);

	assert_in_range(length, 1, sizeof(bytes) - 1);
	return memmem(bytes, (size_t)length, token, strlen(token));
}

/* Whoever has the page of one that is gone, by a reload or at a stop, reads no more there. */
static void test_the_page_of_one_that_is_gone_is_wiped(void **state)
{
	(void)state;
	for (int stop = 0; stop < 2; stop++) {
		struct rig *r = with_token("[profile a]\n");
		const struct page *page;
		int fd;

		assert_int_equal(pages_get(rig_profile(r, "a"), &page), 0);
		fd = dup(page_fd(page));
		assert_true(fd >= 0);
		assert_true(page_has(fd, "token-1"));
		if (stop) {
			rig_stop(r);
			rig_start(r);
		} else {
			reload(r, "[profile b]\nclient_id = b\n");
		}
		assert_false(page_has(fd, "token-1"));
		close(fd);
		rig_free(r);
	}
}

/* ---- what has changed of one that goes on ---- */

static void test_another_request_fetches_anew_and_serves_the_old_until_then(void **state)
{
	static const char *const changed[][2] = {
		{"[profile a]\nscope = x\n", "scope=x"},
		{"[profile a]\nextra_params = audience=x\n", "audience=x"},
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rig *r = with_token("[profile a]\n");

		reload(r, changed[i][0]);
		assert_string_equal(rig_token(r, "a"), "token-1");
		rig_answer_token(r, rig_post_with(r, changed[i][1]), "token-2", NULL);
		rig_pass(r, 10);
		assert_string_equal(rig_token(r, "a"), "token-2");
		assert_true(rig_logged(r, "configuration reloaded; the token request changed\n"));
		/* and back again is a change too */
		reload(r, "[profile a]\n");
		assert_int_equal(rig_posts(r), 1);
		rig_free(r);
	}
}

static void test_another_secret_is_worth_a_try_at_once(void **state)
{
	struct rig *r = rig_new("[profile a]\n");

	(void)state;
	rig_answer(r, rig_post(r), 401, "{\"error\":\"invalid_client\"}");
	rig_secret(r, "a", "another");
	rig_reload(r);
	assert_true(rig_logged(r, "configuration reloaded; the client secret changed\n"));
	assert_int_equal(rig_posts(r), 1);
	/* so is the same one: the client may have been enabled again */
	rig_answer(r, rig_post(r), 401, "{\"error\":\"invalid_client\"}");
	rig_reload(r);
	assert_int_equal(rig_posts(r), 1);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	assert_string_equal(rig_token(r, "a"), "token-1");
	/* and no reason to replace a token that is good */
	rig_secret(r, "a", "a third");
	rig_reload(r);
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
}

/* Logs in by a code for a login that was begun before; the status. */
static int finish_with(struct rig *r, const char *sections)
{
	struct caller *c = caller_ask(r, "POST", "/v1/login?profile=a");
	char path[256];
	int status;

	assert_int_equal(caller_status(r, c), 200);
	snprintf(path, sizeof(path), "/v1/login/finish?profile=a&code=code&state=%s",
		caller_member(c, "state"));
	caller_gone(r, c);
	reload(r, sections);
	c = caller_ask(r, "POST", path);
	if (rig_posts(r))
		rig_answer_token(r, rig_post(r), "token-1", NULL);
	status = caller_status(r, c);
	caller_gone(r, c);
	return status;
}

static void test_logins_that_were_begun_are_of_the_request_as_it_was(void **state)
{
	static const struct {
		const char *sections;
		int status;
	} rows[] = {
		{"[profile a]\n" LOGIN "mint_limit = 3\n", 200},
		{"[profile a]\n" LOGIN "scope = x\n", 400},
		{"[profile a]\n" LOGIN "extra_params = audience=x\n", 400},
		{"[profile a]\ngrant = authorization_code\n"
		 "redirect_uri = http://127.0.0.1:8484/other\n"
		 "authorize_url = https://login.test/oauth/authorize\n",
			400},
		{"[profile a]\ngrant = authorization_code\n"
		 "redirect_uri = http://127.0.0.1:8484/callback\n"
		 "authorize_url = https://login.test/oauth/other\n",
			400},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct rig *r = rig_new("[profile a]\n" LOGIN);

		assert_int_equal(finish_with(r, rows[i].sections), rows[i].status);
		rig_free(r);
	}
}

static void test_settings_of_the_daemon_take_effect(void **state)
{
	struct rig *r = with_token("[profile a]\n");
	struct caller *one;

	(void)state;
	assert_status(r, "/v1/token?profile=a&wait=301", 400);
	reload(r, "max_wait = 600s\nlog_level = debug\n[profile a]\n");
	assert_status(r, "/v1/token?profile=a&wait=301", 200);
	assert_int_equal(played.log_level, LOG_DEBUG);
	refused(r, "log_level = err\nmax_connections_per_user = 1\n[profile a]\nmint_limit = 0\n",
		"mint_limit");
	assert_int_equal(played.log_level, LOG_DEBUG);
	one = caller_ask(r, "GET", "/v1/token?profile=a&after=1&wait=60");
	assert_status(r, "/healthz", 200);
	reload(r, "max_connections_per_user = 1\n[profile a]\n");
	assert_status(r, "/healthz", 429);
	caller_gone(r, one);
	rig_free(r);
}

static void test_what_needs_a_restart_is_told(void **state)
{
	struct rig *r = with_token("[profile a]\n");

	(void)state;
	reload(r, "state_dir = /somewhere/else\nsocket = /somewhere/else\n[profile a]\n");
	assert_true(rig_logged(r, "state_dir has changed; that takes effect only at a restart"));
	assert_true(rig_logged(r, "socket has changed; that takes effect only at a restart"));
	assert_string_equal(rig_token(r, "a"), "token-1");
	rig_free(r);
}

/* The key is read with the first profile that has a login. */
static void test_the_state_key_comes_with_the_first_login(void **state)
{
	struct rig *r = with_token("[profile a]\n");
	char sections[512];

	(void)state;
	assert_null(r->broker->state_key);
	rig_secret(r, "key", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
	snprintf(sections, sizeof(sections), "state_key_file = %s/key.secret\n[profile a]\n",
		r->directory);
	reload(r, sections);
	assert_null(r->broker->state_key);
	assert_false(rig_logged(r, "state_key_file has changed"));
	snprintf(sections, sizeof(sections),
		"state_key_file = %s/key.secret\n[profile a]\n[profile b]\nclient_id = b\n" LOGIN,
		r->directory);
	reload(r, sections);
	assert_non_null(r->broker->state_key);
	assert_false(rig_logged(r, "state_key_file has changed"));
	/* from here on another one takes a restart */
	reload(r, "[profile a]\n[profile b]\nclient_id = b\n" LOGIN);
	assert_true(
		rig_logged(r, "state_key_file has changed; that takes effect only at a restart"));
	rig_free(r);
}

/* ---- the system's name service ---- */

/* Until everybody the files name is known. */
static void end_waiting(struct rig *r)
{
	pthread_mutex_unlock(&name_service);
	while (r->broker->reload_waits || name_table_pending(r->broker->names.table))
		event_base_loop(r->base, EVLOOP_ONCE);
	rig_run(r);
}

/* From then on goes what it said before. */
static void test_a_name_service_that_hangs_is_waited_for_half_a_minute(void **state)
{
	static const struct {
		const char *sections, *end;
	} rows[] = {
		{"[profile a]\nuse_margin = 20s\nallow_users = root\n",
			"configuration reloaded: 1 profile\n"},
		{"[profile a]\nallow_users = root, daemon\n",
			"could not be looked up: the system's name service does not answer"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct rig *r = rig_new("[profile a]\nallow_users = root\n");

		pthread_mutex_lock(&name_service);
		rig_configure(r, rows[i].sections);
		broker_reload(r->broker);
		rig_pass_ms(r, 29999);
		assert_true(r->broker->reload_waits);
		assert_false(rig_logged(r, rows[i].end));
		rig_pass_ms(r, 1);
		assert_false(r->broker->reload_waits);
		assert_true(rig_logged(r, "the system's name service takes longer than 30 s"));
		assert_true(rig_logged(r, rows[i].end));
		end_waiting(r);
		rig_free(r);
	}
}

static void test_a_stop_ends_a_reload_that_waits(void **state)
{
	struct rig *r = with_token("[profile a]\n");

	(void)state;
	pthread_mutex_lock(&name_service);
	rig_configure(r, "[profile a]\nallow_users = root\n");
	broker_reload(r->broker);
	rig_run(r);
	assert_true(r->broker->reload_waits);
	rig_stop(r);
	pthread_mutex_unlock(&name_service);
	assert_false(rig_logged(r, "configuration reloaded"));
	rig_start(r);
	rig_free(r);
}

static void test_whom_the_files_name_by_then_is_asked_for_too(void **state)
{
	struct rig *r = with_token("[profile a]\n");

	(void)state;
	pthread_mutex_lock(&name_service);
	rig_configure(r, "[profile a]\nallow_users = root\n");
	broker_reload(r->broker);
	rig_configure(r, "[profile a]\nallow_users = root, daemon\n");
	end_waiting(r);
	assert_true(rig_logged(r, "configuration reloaded: 1 profile\n"));
	assert_int_equal(rig_profile(r, "a")->settings->allow.lists[ACCESS_USERS].count, 2);
	rig_free(r);
}

static void test_whom_no_rule_names_any_more_is_not_missing(void **state)
{
	struct rig *r = rig_new("[profile a]\nallow_users = nobody-of-that-name\n");

	(void)state;
	assert_int_equal(r->broker->names.unknown.count, 1);
	reload(r, "[profile a]\n");
	assert_int_equal(r->broker->names.unknown.count, 0);
	assert_true(rig_logged(r, "the users and groups in the rules are all known"));
	rig_free(r);
}

/* Rules that name units grant nobody where units are not known, and whoever wrote them is told. */
static void test_units_that_are_not_known_are_told(void **state)
{
	static const char units[] = "[profile a]\nallow_users = root\nallow_units = x.service\n";
	static const struct {
		const char *sections;
		bool unknown, hidden;
		const char *words; /* NULL: nothing */
	} rows[] = {
		{units, false, false, NULL},
		{"[profile a]\n", true, true, NULL},
		{units, true, false, "this kernel (before Linux 6.5) cannot say which process"},
		{units, false, true, "Install the drop-in allow-units.conf"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct rig *r = with_token("[profile a]\n");

		played.units_unknown = rows[i].unknown;
		played.units_hidden = rows[i].hidden;
		reload(r, rows[i].sections);
		assert_int_equal(rig_logged(r, "allow_units: "), rows[i].words != NULL);
		assert_true(!rows[i].words || rig_logged(r, rows[i].words));
		rig_free(r);
	}
	played.units_unknown = played.units_hidden = false;
}

/* ---- refused ---- */

static void test_without_memory_nothing_changes(void **state)
{
	struct rig *r = with_token("[profile a]\n");

	(void)state;
	played.endpoint_error = -ENOMEM;
	refused(r, "[profile a]\nscope = x\n", "profile a: Cannot allocate memory");
	refused(r, "[profile b]\nscope = x\n", "profile b: Cannot allocate memory");
	played.endpoint_error = 0;
	played.config_error = -ENOMEM;
	refused(r, "[profile a]\nscope = x\n", "out of memory");
	played.config_error = 0;
	/* not the warning of the files, which is told as well */
	played.set_error = -ENOMEM;
	refused(r, "admin_users = *\n[profile a]\nscope = x\n", "out of memory");
	assert_true(rig_logged(r, "with * whoever can connect"));
	played.set_error = 0;
	assert_int_equal(rig_posts(r), 0);
	assert_string_equal(rig_token(r, "a"), "token-1");
	reload(r, "[profile a]\nscope = x\n");
	assert_int_equal(rig_posts(r), 1);
	rig_free(r);
}

/* In the order of what a reload does. */
static void test_refused_and_nothing_changes(void **state)
{
	static const struct {
		const char *sections, *problem;
	} rows[] = {
		{"colour = red\n[profile a]\n", "colour"},
		{"[profile a]\nmint_limit = 0\n", "mint_limit"},
		{"", "profile"},
		{"state_key_file = /nowhere\n[profile a]\n[profile b]\nclient_id = b\n" LOGIN,
			"/nowhere"},
		{"[profile a]\nscope = x\n[profile b]\nclient_secret_file = /nowhere\n",
			"/nowhere"},
		{"[profile b]\n[profile c]\nclient_secret_file = /nowhere\n", "/nowhere"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct rig *r = with_token("[profile a]\n");
		const struct profile *p = rig_profile(r, "a");
		struct caller *waiting =
			caller_ask(r, "GET", "/v1/token?profile=a&after=1&wait=60");
		struct caller *c;

		refused(r, rows[i].sections, rows[i].problem);
		assert_int_equal(r->broker->profiles.count, 1);
		assert_ptr_equal(rig_profile(r, "a"), p);
		assert_null(p->settings->scope);
		assert_null(r->broker->state_key);
		assert_int_equal(rig_posts(r), 0);
		assert_string_equal(rig_token(r, "a"), "token-1");
		assert_int_equal(caller_status(r, waiting), 0);
		c = caller_ask(r, "GET", "/v1/status");
		assert_int_equal(caller_status(r, c), 200);
		assert_non_null(strstr(caller_body(c), rows[i].problem));
		caller_gone(r, c);
		/* what is under way comes to its end */
		caller_gone(r, caller_ask(r, "POST", "/v1/refresh?profile=a"));
		rig_answer_token(r, rig_post(r), "token-2", NULL);
		rig_pass(r, 30);
		assert_int_equal(caller_status(r, waiting), 200);
		caller_gone(r, waiting);
		/* and the next one that is good is taken over */
		reload(r, "[profile a]\n[profile b]\nscope = x\n");
		assert_int_equal(rig_posts(r), 1);
		rig_free(r);
	}
}

/* One client has one login: of the same id in two places the configuration knows nothing. */
static void test_two_profiles_of_one_login_are_refused(void **state)
{
	struct rig *r = with_token("[profile a]\n");
	char sections[1024];

	(void)state;
	rig_secret(r, "id", "people");
	snprintf(sections, sizeof(sections),
		"[profile a]\n[profile b]\nclient_id = people\n" LOGIN
		"[profile c]\nclient_id =\nclient_id_file = %s/id.secret\n" LOGIN,
		r->directory);
	refused(r, sections,
		"profiles b and c have the same client, and a client has one login: give each "
		"profile a client of its own");
	/* the key that was made for them is nobody's */
	assert_null(r->broker->state_key);
	assert_int_equal(r->broker->profiles.count, 1);
	snprintf(sections, sizeof(sections),
		"[profile a]\n[profile b]\nclient_id = others\n" LOGIN
		"[profile c]\nclient_id =\nclient_id_file = %s/id.secret\n" LOGIN,
		r->directory);
	reload(r, sections);
	assert_non_null(r->broker->state_key);
	/* also of the first two */
	rig_secret(r, "id", "others");
	snprintf(sections, sizeof(sections),
		"[profile b]\nclient_id = others\n" LOGIN
		"[profile c]\nclient_id =\nclient_id_file = %s/id.secret\n" LOGIN,
		r->directory);
	refused(r, sections, "a client has one login");
	/* one that was had before stays */
	assert_non_null(r->broker->state_key);
	assert_int_equal(r->broker->profiles.count, 3);
	rig_free(r);
}

/* Those of the client's own credentials may be as many as there are services. */
static void test_two_profiles_of_one_client_are_fine(void **state)
{
	struct rig *r = with_token("[profile a]\n");

	(void)state;
	reload(r, "[profile a]\n[profile b]\nprefetch = no\n[profile c]\nprefetch = no\n");
	assert_ptr_equal(rig_profile(r, "a")->client, rig_profile(r, "c")->client);
	assert_ptr_equal(rig_profile(r, "b")->client, rig_profile(r, "c")->client);
	rig_free(r);
}

static void test_every_problem_is_told_and_the_first_is_the_reason(void **state)
{
	struct rig *r = with_token("[profile a]\n");

	(void)state;
	refused(r, "[profile a]\nmint_limit = 0\nfetch_timeout = 3\n", "mint_limit");
	assert_null(strstr(r->broker->reload_problem, "fetch_timeout"));
	assert_true(rig_logged(r, "fetch_timeout"));
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_same_client_under_the_same_name_goes_on),
		cmocka_unit_test(test_another_client_is_another_profile),
		cmocka_unit_test(test_another_name_is_another_profile_of_the_client),
		cmocka_unit_test(test_profiles_are_in_order_whatever_the_configuration_has),
		cmocka_unit_test(test_one_that_is_gone_is_unknown),
		cmocka_unit_test(test_the_page_of_one_that_is_gone_is_wiped),
		cmocka_unit_test(test_another_request_fetches_anew_and_serves_the_old_until_then),
		cmocka_unit_test(test_another_secret_is_worth_a_try_at_once),
		cmocka_unit_test(test_logins_that_were_begun_are_of_the_request_as_it_was),
		cmocka_unit_test(test_settings_of_the_daemon_take_effect),
		cmocka_unit_test(test_what_needs_a_restart_is_told),
		cmocka_unit_test(test_the_state_key_comes_with_the_first_login),
		cmocka_unit_test(test_a_name_service_that_hangs_is_waited_for_half_a_minute),
		cmocka_unit_test(test_a_stop_ends_a_reload_that_waits),
		cmocka_unit_test(test_whom_the_files_name_by_then_is_asked_for_too),
		cmocka_unit_test(test_whom_no_rule_names_any_more_is_not_missing),
		cmocka_unit_test(test_units_that_are_not_known_are_told),
		cmocka_unit_test(test_without_memory_nothing_changes),
		cmocka_unit_test(test_refused_and_nothing_changes),
		cmocka_unit_test(test_two_profiles_of_one_login_are_refused),
		cmocka_unit_test(test_two_profiles_of_one_client_are_fine),
		cmocka_unit_test(test_every_problem_is_told_and_the_first_is_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
