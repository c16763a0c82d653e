/* Files in, a whole configuration or all of what is wrong out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_cases.h"
#include "config_fixture.h"
#include "core/config_text.h"
#include "core/config_value.h"
#include "core/retry.h"

static struct fake_system no_variables;

/* Of files that must be good. `warnings` NULL: none. */
static struct config *must_parse(const struct config_text *files, size_t count,
	struct fake_system *system, const char *warnings)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL;
	int result = parse_files(files, count, system, &config, &problems);
	char *text = problems_text(&problems);

	assert_string_equal(text, warnings ? warnings : "");
	assert_int_equal(result, CONFIG_VALID);
	assert_non_null(config);
	free(text);
	config_problems_fini(&problems);
	return config;
}

static struct config *must_parse_one(const char *text)
{
	struct config_text file = {"f", text, 0};

	return must_parse(&file, 1, &no_variables, NULL);
}

static void must_refuse(const struct config_text *files, size_t count, const char *expected)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL;
	int result = parse_files(files, count, &no_variables, &config, &problems);
	char *text = problems_text(&problems);

	assert_string_equal(text, expected);
	assert_int_equal(result, CONFIG_INVALID);
	assert_null(config);
	assert_true(problems.errors > 0);
	free(text);
	config_problems_fini(&problems);
}

static void every_bad_file_is_refused_with_its_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(config_cases) / sizeof(config_cases[0]); i++) {
		struct config_text file = {"f", config_cases[i].text, config_cases[i].length};

		must_refuse(&file, 1, config_cases[i].problems);
	}
}

static void secrets_are_not_repeated(void **state)
{
	static const char *const texts[] = {
		GOOD "client_secret = hunter2hunter2\n",
		GOOD "client_secert = hunter2hunter2\n",
		GOOD "hunter2hunter2hunter2hunter2hunter2hunter2=\n",
		GOOD "hunter2hunter2\n",
		GOOD "token_url = https://user:hunter2hunter2@host/\n",
		GOOD "proxy = http://user:hunter2hunter2@host:3128\n",
		GOOD "extra_params = client_secret=hunter2hunter2\n",
		GOOD "extra_params = a=hunter2hunter2&\n",
		GOOD "client_secret_credential = hunter2/hunter2\n",
		"[profile p]\nclient_secret_file = /s\nclient_id = hunter2 x\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct config_text file = {"f", texts[i], 0};
		struct config_problems problems = CONFIG_PROBLEMS_NONE;
		struct config *config = NULL;
		char *text;

		assert_int_equal(
			parse_files(&file, 1, &no_variables, &config, &problems), CONFIG_INVALID);
		text = problems_text(&problems);
		assert_null(strstr(text, "hunter2"));
		free(text);
		config_problems_fini(&problems);
	}
}

static void defaults_are_filled_in(void **state)
{
	struct config *c = must_parse_one(GOOD);
	const struct broker_settings *b = &c->broker;
	const struct profile_settings *p = &c->profiles[0];

	(void)state;
	assert_string_equal(b->socket, "/run/gctokend/gctokend.sock");
	assert_int_equal(b->socket_mode, 0660);
	assert_int_equal(b->socket_gid, 900);
	assert_string_equal(b->page_socket, "/run/gctokend/page.sock");
	assert_false(b->admins.lists[ACCESS_USERS].everybody);
	assert_int_equal(
		b->admins.lists[ACCESS_USERS].count + b->admins.lists[ACCESS_GROUPS].count, 0);
	assert_int_equal(b->metrics.lists[ACCESS_USERS].count, 0);
	assert_false(b->root_needs_rule || b->admins.root_needs_rule || b->metrics.root_needs_rule);
	assert_string_equal(b->state_dir, "/var/lib/gctokend");
	assert_null(b->state_key_file);
	assert_null(b->state_key_credential);
	assert_int_equal(b->max_connections, 16384);
	assert_int_equal(b->max_connections_per_user, 4096);
	assert_int_equal(b->request_deadline.ns, 5 * NS_PER_S);
	assert_int_equal(b->idle_timeout.ns, 600 * NS_PER_S);
	assert_int_equal(b->max_wait.ns, 300 * NS_PER_S);
	assert_int_equal(b->log_level, 6);
	assert_null(b->fleet.store);
	assert_string_equal(b->fleet.prefix, "gct");
	assert_int_equal(b->fleet.alone, 3);
	assert_int_equal(b->fleet.poll.ns, 10 * NS_PER_S);
	assert_int_equal(b->fleet.timeout.ns, 2 * NS_PER_S);
	assert_false(b->fleet.plain);

	assert_int_equal(c->profile_count, 1);
	assert_string_equal(p->name, "p");
	assert_string_equal(p->region, "us-west-2");
	assert_string_equal(p->token_url, "https://login.usw2.pure.cloud/oauth/token");
	assert_string_equal(p->authorize_url, "https://login.usw2.pure.cloud/oauth/authorize");
	assert_string_equal(p->api_url, "https://api.usw2.pure.cloud");
	assert_int_equal(p->grant, GRANT_CLIENT_CREDENTIALS);
	assert_string_equal(p->client_id, "id");
	assert_null(p->client_id_file);
	assert_string_equal(p->client_secret_file, "/s");
	assert_null(p->client_secret_credential);
	assert_int_equal(p->socket_gid, 900);
	assert_null(p->fetch.ca_file);
	assert_null(p->fetch.proxy);
	assert_null(p->scope);
	assert_null(p->redirect_uri);
	assert_null(p->extra_params);
	assert_false(p->allow.lists[ACCESS_USERS].everybody);
	assert_int_equal(p->allow.lists[ACCESS_USERS].count + p->allow.lists[ACCESS_GROUPS].count +
				 p->allow.lists[ACCESS_UNITS].count,
		0);
	assert_int_equal(
		p->login.lists[ACCESS_USERS].count + p->login.lists[ACCESS_GROUPS].count, 0);
	assert_true(p->refresh_margin.automatic);
	assert_int_equal(p->use_margin.ns, 5 * NS_PER_S);
	assert_true(p->prefetch);
	assert_int_equal(p->reject_cooldown.ns, 30 * NS_PER_S);
	assert_int_equal(p->mint_limit, MINT_LIMIT_AUTO);
	assert_true(p->clock_probe);
	assert_string_equal(p->clock_probe_url, "https://login.usw2.pure.cloud/");
	assert_int_equal(p->fetch.timeout.ns, 10 * NS_PER_S);
	assert_false(p->fleet);
	config_free(c);
}

static void every_key_arrives(void **state)
{
	struct config *c = must_parse_one(
		"[broker]\n"
		"socket = /x/s\nsocket_mode = 600\nsocket_group = devs\npage_socket =\n"
		"admin_users = alice, bob\nadmin_groups = devs\nmetrics_users = bob\n"
		"root_needs_rule = yes\n"
		"state_dir = /x/state/\nstate_key_file = /x/key\nmax_connections = 10\n"
		"max_connections_per_user = 3\nrequest_deadline = 250ms\nidle_timeout = 2h\n"
		"max_wait = 1min\nlog_level = debug\n"
		"[profile a]\n"
		"environment = Example.ORG\ngrant = client_credentials\nclient_id_file = /x/id\n"
		"client_secret_file = /x/secret\nauthorize_url = https://h/a?b=c\n"
		"api_url = HTTPS://Gateway2:8443/Path//\nca_file = /x/ca.pem\n"
		"proxy = HTTPS://proxy.example:3128\nproxy_user = DOMAIN\\name\n"
		"proxy_password_file = /x/password\nproxy_ca_file = /x/proxy.pem\n"
		"scope = one two\n"
		"redirect_uri = http://127.0.0.1:8017/cb\nextra_params = audience=x%20y&foo=\n"
		"allow_users = alice bob\nallow_groups = devs,gctoken\n"
		"allow_units = a.service,\tsession-1.scope\nlogin_users = alice\nlogin_groups = "
		"devs\n"
		"refresh_margin = 90s\nuse_margin = 0s\nprefetch = no\nreject_cooldown = 1h\n"
		"mint_limit = 1000\nclock_probe = no\nclock_probe_url = https://Time.Example\n"
		"fetch_timeout = 100ms\n");
	const struct broker_settings *b = &c->broker;
	const struct profile_settings *p = &c->profiles[0];

	(void)state;
	assert_string_equal(b->socket, "/x/s");
	assert_int_equal(b->socket_mode, 0600);
	assert_int_equal(b->socket_gid, 950);
	assert_null(b->page_socket);
	assert_int_equal(b->admins.lists[ACCESS_USERS].count, 2);
	assert_int_equal(b->admins.lists[ACCESS_USERS].ids[0], 1001);
	assert_int_equal(b->admins.lists[ACCESS_USERS].ids[1], 1002);
	assert_string_equal(b->admins.lists[ACCESS_USERS].names[1], "bob");
	assert_int_equal(b->admins.lists[ACCESS_GROUPS].count, 1);
	assert_int_equal(b->admins.lists[ACCESS_GROUPS].ids[0], 950);
	assert_int_equal(b->metrics.lists[ACCESS_USERS].ids[0], 1002);
	assert_true(b->root_needs_rule && b->admins.root_needs_rule && b->metrics.root_needs_rule);
	assert_string_equal(b->state_dir, "/x/state/");
	assert_string_equal(b->state_key_file, "/x/key");
	assert_int_equal(b->max_connections, 10);
	assert_int_equal(b->max_connections_per_user, 3);
	assert_int_equal(b->request_deadline.ns, 250 * NS_PER_MS);
	assert_int_equal(b->idle_timeout.ns, 7200 * NS_PER_S);
	assert_int_equal(b->max_wait.ns, 60 * NS_PER_S);
	assert_int_equal(b->log_level, 7);

	assert_string_equal(p->region, "example.org");
	assert_string_equal(p->token_url, "https://login.example.org/oauth/token");
	assert_string_equal(p->authorize_url, "https://h/a?b=c");
	assert_string_equal(p->api_url, "https://gateway2:8443/Path");
	assert_null(p->client_id);
	assert_string_equal(p->client_id_file, "/x/id");
	assert_string_equal(p->fetch.ca_file, "/x/ca.pem");
	assert_string_equal(p->fetch.proxy, "HTTPS://proxy.example:3128");
	assert_string_equal(p->fetch.proxy_user, "DOMAIN\\name");
	assert_string_equal(p->proxy_password_file, "/x/password");
	assert_string_equal(p->fetch.proxy_ca_file, "/x/proxy.pem");
	assert_null(p->fetch.proxy_password); /* read with the other secrets */
	assert_string_equal(p->scope, "one two");
	assert_string_equal(p->redirect_uri, "http://127.0.0.1:8017/cb");
	assert_string_equal(p->extra_params, "audience=x%20y&foo=");
	assert_int_equal(p->allow.lists[ACCESS_USERS].count, 2);
	assert_int_equal(p->allow.lists[ACCESS_GROUPS].count, 2);
	assert_string_equal(p->allow.lists[ACCESS_GROUPS].names[1], "gctoken");
	assert_int_equal(p->allow.lists[ACCESS_UNITS].count, 2);
	assert_string_equal(p->allow.lists[ACCESS_UNITS].names[1], "session-1.scope");
	assert_int_equal(p->login.lists[ACCESS_USERS].ids[0], 1001);
	assert_int_equal(p->login.lists[ACCESS_GROUPS].ids[0], 950);
	assert_true(p->allow.root_needs_rule && p->login.root_needs_rule);
	assert_false(p->refresh_margin.automatic);
	assert_int_equal(p->refresh_margin.duration.ns, 90 * NS_PER_S);
	assert_int_equal(p->use_margin.ns, 0);
	assert_false(p->prefetch);
	assert_int_equal(p->reject_cooldown.ns, 3600 * NS_PER_S);
	assert_int_equal(p->mint_limit, 1000);
	assert_false(p->clock_probe);
	assert_string_equal(p->clock_probe_url, "https://time.example");
	assert_int_equal(p->fetch.timeout.ns, 100 * NS_PER_MS);
	config_free(c);
}

static void the_keys_of_a_fleet_arrive(void **state)
{
	struct config *c = must_parse_one(
		"[broker]\nfleet_store = rediss+sentinel://s1,s2:1,[::1]/m/3\nfleet_user = u\n"
		"fleet_password_file = /x/p\nfleet_key_file = /x/k\n"
		"fleet_old_key_files = /x/1, /x/2\nfleet_ca_file = /x/ca\n"
		"fleet_cert_file = /x/c\nfleet_cert_key_file = /x/ck\nfleet_prefix = test\n"
		"fleet_alone = all\nfleet_poll = 30s\nfleet_timeout = 500ms\n" GOOD
		"[profile follower]\nregion = us-west-2\nclient_id = id2\n"
		"[profile own]\nregion = us-west-2\nclient_id = id3\nclient_secret_file = /s\n"
		"fleet = no\n");
	const struct fleet_config *f = &c->broker.fleet;

	(void)state;
	assert_string_equal(f->store, "rediss+sentinel://s1,s2:1,[::1]/m/3");
	assert_string_equal(f->user, "u");
	assert_string_equal(f->password_file, "/x/p");
	assert_null(f->password_credential);
	assert_string_equal(f->key_file, "/x/k");
	assert_null(f->key_credential);
	assert_string_equal(f->old_key_files, "/x/1, /x/2");
	assert_string_equal(f->ca_file, "/x/ca");
	assert_string_equal(f->cert_file, "/x/c");
	assert_string_equal(f->cert_key_file, "/x/ck");
	assert_string_equal(f->prefix, "test");
	assert_int_equal(f->alone, COUNT_ALL);
	assert_int_equal(f->poll.ns, 30 * NS_PER_S);
	assert_int_equal(f->timeout.ns, 500 * NS_PER_MS);
	assert_true(c->profiles[0].fleet);
	assert_true(c->profiles[1].fleet);
	assert_null(c->profiles[1].client_secret_file);
	assert_false(c->profiles[2].fleet);
	config_free(c);
}

/* Users and groups of containers have no names here. */
static void digits_are_a_number(void **state)
{
	struct config *c = must_parse_one("[broker]\nsocket_group = 100950\nadmin_users = 0\n" GOOD
					  "allow_users = 100999, alice 007\n"
					  "allow_groups = 4294967294\n");
	const struct id_list *users = &c->profiles[0].allow.lists[ACCESS_USERS];

	(void)state;
	assert_int_equal(c->broker.socket_gid, 100950);
	assert_int_equal(c->broker.admins.lists[ACCESS_USERS].ids[0], 0);
	assert_int_equal(users->count, 3);
	assert_int_equal(users->ids[0], 100999);
	assert_string_equal(users->names[0], "100999");
	assert_int_equal(users->ids[1], 1001);
	assert_int_equal(users->ids[2], 7);
	assert_int_equal(c->profiles[0].allow.lists[ACCESS_GROUPS].ids[0], 4294967294U);
	config_free(c);
}

static void everybody_is_a_star(void **state)
{
	struct config *c = must_parse_one(GOOD "allow_users = *\nallow_units = a.service\n");

	(void)state;
	assert_true(c->profiles[0].allow.lists[ACCESS_USERS].everybody);
	assert_int_equal(c->profiles[0].allow.lists[ACCESS_USERS].count, 0);
	assert_int_equal(c->profiles[0].allow.lists[ACCESS_UNITS].count, 1);
	config_free(c);
}

static void token_url_alone_is_enough(void **state)
{
	struct config *c =
		must_parse_one(NOWHERE "token_url = https://Gate:8443/Oauth/token?a=b\n");
	const struct profile_settings *p = &c->profiles[0];

	(void)state;
	assert_string_equal(p->region, "");
	assert_string_equal(p->token_url, "https://gate:8443/Oauth/token?a=b");
	assert_string_equal(p->authorize_url, "");
	assert_string_equal(p->api_url, "");
	assert_string_equal(p->clock_probe_url, "https://gate:8443/");
	config_free(c);
}

static void an_exact_url_overrides_the_region(void **state)
{
	struct config *c = must_parse_one(GOOD "token_url = https://gate\n");
	const struct profile_settings *p = &c->profiles[0];

	(void)state;
	assert_string_equal(p->region, "us-west-2");
	assert_string_equal(p->token_url, "https://gate");
	assert_string_equal(p->api_url, "https://api.usw2.pure.cloud");
	assert_string_equal(p->clock_probe_url, "https://gate/");
	config_free(c);
}

static void an_environment_of_the_table_shows_its_region(void **state)
{
	struct config *c = must_parse_one(NOWHERE "environment = MyPureCloud.de\n");

	(void)state;
	assert_string_equal(c->profiles[0].region, "eu-central-1");
	assert_string_equal(c->profiles[0].token_url, "https://login.mypurecloud.de/oauth/token");
	config_free(c);
}

static void comments_and_line_ends(void **state)
{
	struct config *c =
		must_parse_one("\xef\xbb\xbf# first\r\n\r\n  ; indented comment\r\n\t# another\r\n"
			       "[ profile \t p ]  ; the profile\r\n"
			       "region=us_west_2\t;where\r\n"
			       "client_id   =   id;not-a-comment ; a comment\r\n"
			       "client_secret_file = /s#not;either\r\n"
			       "scope =   ; none");
	const struct profile_settings *p = &c->profiles[0];

	(void)state;
	assert_string_equal(p->name, "p");
	assert_string_equal(p->region, "us-west-2");
	assert_string_equal(p->client_id, "id;not-a-comment");
	assert_string_equal(p->client_secret_file, "/s#not;either");
	assert_null(p->scope);
	config_free(c);
}

static void the_longest_line_and_names(void **state)
{
	static const char two_long_names[] =
		"[profile a12345678901234567890123456789012345678901234567]\n"
		"region = us-west-2\nclient_id = a\nclient_secret_file = /s\n"
		"[profile a12345678901234567890123456789012345678901234568]\n"
		"region = us-west-2\nclient_id = b\nclient_secret_file = /s\n";
	struct config *c = must_parse_one(two_long_names);
	char line[CONFIG_LINE_MAX + 1] = "scope = ";
	char *text;

	(void)state;
	/* No name is cut: they would become one. */
	assert_int_equal(c->profile_count, 2);
	assert_string_equal(
		c->profiles[0].name, "a12345678901234567890123456789012345678901234567");
	assert_string_equal(
		c->profiles[1].name, "a12345678901234567890123456789012345678901234568");
	config_free(c);

	memset(line + 8, 'x', CONFIG_LINE_MAX - 8);
	line[CONFIG_LINE_MAX] = '\0';
	assert_true(asprintf(&text, GOOD "%s\nca_file = /ca\n", line) > 0);
	c = must_parse_one(text);
	assert_int_equal(strlen(c->profiles[0].scope), CONFIG_LINE_MAX - 8);
	assert_string_equal(c->profiles[0].fetch.ca_file, "/ca");
	config_free(c);
	free(text);
}

static void later_files_override(void **state)
{
	const struct config_text files[] = {
		{"main", "[broker]\nmax_wait = 60s\nsocket_group = devs\n" GOOD "scope = a\n", 0},
		{"d/10.conf",
			"[profile q]\nenvironment = a.example\nclient_id = q\n"
			"client_secret_file = /q\n[profile p]\nscope =\nmint_limit = 3\n",
			0},
		{"d/20.conf",
			"[broker]\nsocket_group =\nmax_wait = 30s\n"
			"[profile q]\nenvironment =\nregion = eu-west-2\n",
			0},
		{"d/30.conf", "", 0},
		{"d/40.conf", "# nothing\n[broker]\n", 0},
	};
	struct config *c = must_parse(files, 5, &no_variables, NULL);

	(void)state;
	assert_int_equal(c->broker.max_wait.ns, 30 * NS_PER_S);
	assert_int_equal(c->broker.socket_gid, (gid_t)-1);
	assert_int_equal(c->profile_count, 2);
	assert_string_equal(c->profiles[0].name, "p");
	assert_null(c->profiles[0].scope);
	assert_int_equal(c->profiles[0].mint_limit, 3);
	assert_string_equal(c->profiles[1].name, "q");
	assert_string_equal(c->profiles[1].region, "eu-west-2");
	config_free(c);
}

static void problems_name_their_file(void **state)
{
	const struct config_text files[] = {
		{"main", "[broker]\nmax_wait = 60\n" GOOD, 0},
		{"d/10.conf", "scope = lost\n[profile p]\nenvironment = a.example\n", 0},
		{"d/20.conf", "[broker]\nmax_wait = 70s\n[broker]\nlog_level = loud\n", 0},
	};

	(void)state;
	/* A bad value is told even where a later file overrides it. */
	must_refuse(files, 3,
		"main:2: max_wait: \"60\" has no unit; allowed: a whole number with ms, s, min, h "
		"or d, from 1s to 1h\n"
		"d/10.conf:1: a key before any section; allowed: [broker], [profile NAME]\n"
		"d/10.conf:3: environment: region is set too; only one of the two may be\n"
		"d/20.conf:3: [broker]: this file has this section already, in line 1; put "
		"its keys there\n"
		"d/20.conf:4: log_level: \"loud\" is not a log level; allowed: err, warning, "
		"notice, info or debug\n");
}

static void a_default_can_be_wrong_too(void **state)
{
	struct config_text file = {"f", "# the group gctoken is needed\n" GOOD, 0};
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config_lookup lookup = fake_lookup(&no_variables);
	struct config_builder *b;
	struct config *config = NULL;
	char *text;

	(void)state;
	lookup.gid_by_name = fake_uid; /* knows no gctoken */
	assert_int_equal(config_builder_new(&b), 0);
	config_builder_add(b, file.file, file.text, strlen(file.text));
	assert_int_equal(config_builder_finish(b, &lookup, &config, &problems), CONFIG_INVALID);
	text = problems_text(&problems);
	assert_string_equal(text, "f: socket_group: there is no group \"gctoken\" on this system; "
				  "create it, or leave the group alone with: socket_group =\n");
	free(text);
	config_problems_fini(&problems);
	config_builder_free(b);
}

static void unreadable_files_and_none_at_all(void **state)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config_lookup lookup = fake_lookup(&no_variables);
	struct config_builder *b;
	struct config *config = NULL;
	char *text;

	(void)state;
	assert_int_equal(config_builder_new(&b), 0);
	config_builder_add_problem(b, "main", "cannot be read");
	assert_int_equal(config_builder_finish(b, &lookup, &config, &problems), CONFIG_INVALID);
	text = problems_text(&problems);
	assert_string_equal(text, "main: cannot be read\n");
	free(text);
	config_problems_fini(&problems);
	config_builder_free(b);

	must_refuse(
		NULL, 0, "(no file): there is no profile; at least one [profile NAME] is needed\n");
}

static void the_state_directory_comes_from_the_environment(void **state)
{
	struct fake_system system = {.state_directory = "/var/lib/a:/var/lib/b"};
	struct config_text file = {"f", GOOD, 0};
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *c = must_parse(&file, 1, &system, NULL);
	char *text;

	(void)state;
	assert_string_equal(c->broker.state_dir, "/var/lib/a");
	config_free(c);

	system.state_directory = "";
	c = must_parse(&file, 1, &system, NULL);
	assert_string_equal(c->broker.state_dir, "/var/lib/gctokend");
	config_free(c);

	system.state_directory = "relative";
	c = NULL;
	assert_int_equal(parse_files(&file, 1, &system, &c, &problems), CONFIG_INVALID);
	text = problems_text(&problems);
	assert_string_equal(
		text, "f: state_dir: the environment's STATE_DIRECTORY is not an absolute path\n");
	free(text);
	config_problems_fini(&problems);

	file.text = "[broker]\nstate_dir = /mine\n" GOOD;
	c = must_parse(&file, 1, &system, NULL);
	assert_string_equal(c->broker.state_dir, "/mine");
	config_free(c);
}

static void credentials_are_looked_for_where_systemd_puts_them(void **state)
{
	struct fake_system system = {.credentials_directory = NULL};
	struct config_text file = {"f",
		"[profile p]\nregion = us-west-2\nclient_id = id\nclient_secret_credential = s\n",
		0};
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *c = must_parse(&file, 1, &system,
		"f:4: client_secret_credential: warning: not checked, since CREDENTIALS_DIRECTORY "
		"is "
		"not set (systemd sets it for the service, with LoadCredential=s:PATH in its "
		"unit)\n");
	char *text;

	(void)state;
	assert_string_equal(c->profiles[0].client_secret_credential, "s");
	assert_null(c->profiles[0].client_secret_file);
	config_free(c);

	system.credentials_directory = "/run/credentials/x";
	config_free(must_parse(&file, 1, &system, NULL));

	system.credentials_directory = "/bad";
	c = NULL;
	assert_int_equal(parse_files(&file, 1, &system, &c, &problems), CONFIG_INVALID);
	text = problems_text(&problems);
	assert_string_equal(text,
		"f:4: client_secret_credential: /bad/s cannot be read: No such file "
		"or directory; the unit needs LoadCredential=s:PATH\n");
	free(text);
	config_problems_fini(&problems);
}

static void a_value_that_was_hardly_meant_is_a_warning(void **state)
{
	struct fake_system system = {.credentials_directory = "/odd"};
	struct config_text file = {"f",
		"[profile p]\nregion = us-west-2\nclient_id_file = /odd/id\n"
		"client_secret_file = /odd/secret\n"
		"[profile q]\nregion = us-west-2\nclient_id = id\nclient_secret_credential = s\n",
		0};

	(void)state;
	config_free(must_parse(&file, 1, &system,
		"f:3: client_id_file: warning: /odd/id ends with a blank (20)\n"
		"f:4: client_secret_file: warning: /odd/secret ends with a blank (20)\n"
		"f:8: client_secret_credential: warning: /odd/s ends with a blank (20)\n"));
}

static void the_same_client_twice_is_a_note(void **state)
{
	struct config_text file = {"f",
		GOOD "[profile q]\nenvironment = usw2.pure.cloud\n"
		     "client_id = id\nclient_secret_file = /s\n"
		     "[profile r]\nregion = us-east-1\nclient_id = id\n"
		     "client_secret_file = /s\n",
		0};

	(void)state;
	config_free(must_parse(&file, 1, &no_variables,
		"f:7: client_id: note: profile q is the same client at the same login server as "
		"profile p: each has a token of its own, and with it a limit of its own at the "
		"API\n"));
}

static void everybody_as_admin_is_a_warning(void **state)
{
	struct config_text file = {"f", GOOD BROKER "admin_users = *\n", 0};

	(void)state;
	config_free(must_parse(&file, 1, &no_variables,
		"f:6: admin_users: warning: with * whoever can connect may refresh and revoke "
		"every "
		"profile's tokens; name those who should\n"));
}

static void profiles_have_a_limit(void **state)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL;
	char *text = NULL, *words;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	struct config_text file = {"f", NULL, 0};

	(void)state;
	for (int i = 0; i < PROFILES_MAX; i++)
		fprintf(to,
			"[profile p%d]\nregion = us-west-2\nclient_id = %d\n"
			"client_secret_file = /s\n",
			i, i);
	fflush(to);
	file.text = text;
	config = must_parse(&file, 1, &no_variables, NULL);
	assert_int_equal(config->profile_count, PROFILES_MAX);
	config_free(config);

	fprintf(to, "[profile over]\nregion = nowhere\n");
	fclose(to);
	file.text = text;
	config = NULL;
	assert_int_equal(parse_files(&file, 1, &no_variables, &config, &problems), CONFIG_INVALID);
	words = problems_text(&problems);
	assert_string_equal(words, "f:4001: [profile]: one profile too many, \"over\" is left out; "
				   "allowed: at most 1000\n");
	free(words);
	free(text);
	config_problems_fini(&problems);
}

static void problems_have_a_limit(void **state)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL;
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	struct config_text file = {"f", NULL, 0};

	(void)state;
	fputs(GOOD, to);
	for (int i = 0; i < CONFIG_PROBLEMS_MAX + 5; i++)
		fputs("junk\n", to);
	fclose(to);
	file.text = text;
	assert_int_equal(parse_files(&file, 1, &no_variables, &config, &problems), CONFIG_INVALID);
	assert_int_equal(problems.count, CONFIG_PROBLEMS_MAX);
	assert_int_equal(problems.left_off, 5);
	assert_int_equal(problems.errors, CONFIG_PROBLEMS_MAX + 5);
	config_problems_fini(&problems);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bad_file_is_refused_with_its_words),
		cmocka_unit_test(secrets_are_not_repeated),
		cmocka_unit_test(defaults_are_filled_in),
		cmocka_unit_test(every_key_arrives),
		cmocka_unit_test(the_keys_of_a_fleet_arrive),
		cmocka_unit_test(digits_are_a_number),
		cmocka_unit_test(everybody_is_a_star),
		cmocka_unit_test(token_url_alone_is_enough),
		cmocka_unit_test(an_exact_url_overrides_the_region),
		cmocka_unit_test(an_environment_of_the_table_shows_its_region),
		cmocka_unit_test(comments_and_line_ends),
		cmocka_unit_test(the_longest_line_and_names),
		cmocka_unit_test(later_files_override),
		cmocka_unit_test(problems_name_their_file),
		cmocka_unit_test(a_default_can_be_wrong_too),
		cmocka_unit_test(unreadable_files_and_none_at_all),
		cmocka_unit_test(the_state_directory_comes_from_the_environment),
		cmocka_unit_test(credentials_are_looked_for_where_systemd_puts_them),
		cmocka_unit_test(a_value_that_was_hardly_meant_is_a_warning),
		cmocka_unit_test(the_same_client_twice_is_a_note),
		cmocka_unit_test(everybody_as_admin_is_a_warning),
		cmocka_unit_test(profiles_have_a_limit),
		cmocka_unit_test(problems_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
