/* The table of keys, and what is made of it: suggestions, --help-config, the commented example, the
 * check on reload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_fixture.h"
#include "core/buffer.h"
#include "core/config_help.h"
#include "core/config_keys.h"
#include "core/config_storage.h"
#include "core/config_value.h"

static struct fake_system no_variables;

static void the_table_is_sound(void **state)
{
	size_t count;
	const struct config_key *keys = config_keys(&count);

	(void)state;
	assert_in_range(count, 1, CONFIG_KEYS_MAX);
	for (size_t i = 0; i < count; i++) {
		const struct config_key *key = &keys[i];
		union config_value value;
		char problem[512], rules[CONFIG_HELP_RULES_MAX];

		assert_ptr_equal(config_key_find(key->section, key->name), key);
		if (*key->default_text)
			assert_true(config_value_read(
				key, key->default_text, &value, problem, sizeof(problem)));
		else
			assert_false(key->flags & CONFIG_NEEDED);
		assert_true(i == 0 || keys[i - 1].section <= key->section);
		assert_true(
			key->section == CONFIG_SECTION_BROKER || !(key->flags & CONFIG_RESTART));
		/* a type judges, or reads what fits */
		assert_true(!key->type->check != !key->type->read);
		assert_true(key->type->kept || (key->type->read && key->size <= sizeof(value)));
		assert_true(key->type->kept != &keep_text || key->size == sizeof(char *));
		assert_true(key->type->kept != &keep_group || key->size == sizeof(gid_t));
		assert_int_equal(key->help[strlen(key->help) - 1], '.');
		config_help_rules(key, rules);
		assert_true(strlen(rules) > strlen("Allowed: ."));
		assert_true(strlen(rules) < sizeof(rules) - 1);
	}
	assert_null(config_key_find(CONFIG_SECTION_BROKER, "region"));
	assert_null(config_key_find(CONFIG_SECTION_PROFILE, "socket"));
}

static void near_names_are_suggested(void **state)
{
	static const struct {
		enum config_section section;
		const char *name, *nearest;
	} cases[] = {
		{CONFIG_SECTION_PROFILE, "clientid", "client_id"},
		{CONFIG_SECTION_PROFILE, "client-secret-file", "client_secret_file"},
		{CONFIG_SECTION_PROFILE, "allow_user", "allow_users"},
		{CONFIG_SECTION_PROFILE, "allow_grups", "allow_groups"},
		{CONFIG_SECTION_PROFILE, "regoin", "region"},
		{CONFIG_SECTION_PROFILE, "fetch_time_out", "fetch_timeout"},
		{CONFIG_SECTION_BROKER, "max_connection", "max_connections"},
		{CONFIG_SECTION_BROKER, "sockets", "socket"},
		{CONFIG_SECTION_BROKER, "statedir", "state_dir"},
		{CONFIG_SECTION_BROKER, "q", NULL},
		{CONFIG_SECTION_BROKER, "frobnicate", NULL},
		{CONFIG_SECTION_PROFILE, "", NULL},
	};
	char name[5000];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct config_key *key = config_key_nearest(cases[i].section, cases[i].name);

		if (cases[i].nearest) {
			assert_non_null(key);
			assert_string_equal(key->name, cases[i].nearest);
		} else {
			assert_null(key);
		}
	}
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_null(config_key_nearest(CONFIG_SECTION_BROKER, name));
}

static void durations_as_text(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} cases[] = {
		{0, "0s"},
		{NS_PER_MS, "1ms"},
		{1500 * NS_PER_MS, "1500ms"},
		{NS_PER_S, "1s"},
		{90 * NS_PER_S, "90s"},
		{600 * NS_PER_S, "10min"},
		{7200 * NS_PER_S, "2h"},
		{86400 * NS_PER_S, "1d"},
		{25 * 3600 * NS_PER_S, "25h"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[32];

		duration_show(cases[i].ns, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
}

static void quoting(void **state)
{
	char quoted[32];

	(void)state;
	config_quote(quoted, sizeof(quoted), "plain text");
	assert_string_equal(quoted, "\"plain text\"");
	config_quote(quoted, sizeof(quoted), "a\"b\\c\n\xff");
	assert_string_equal(quoted, "\"a\\x22b\\x5cc\\x0a\\xff\"");
	config_quote(quoted, sizeof(quoted), "0123456789012345678901234567890123456789");
	assert_string_equal(quoted, "\"01234567890123456789012...\"");
	config_quote(quoted, sizeof(quoted),
		"\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01");
	assert_true(strlen(quoted) < sizeof(quoted));
	assert_string_equal(quoted + strlen(quoted) - 4, "...\"");
}

static void the_help_names_every_key_in_80_columns(void **state)
{
	size_t count, column = 0;
	const struct config_key *keys = config_keys(&count);
	struct buffer help;
	const char *broker, *profile;

	(void)state;
	buffer_init(&help, NULL, 0);
	config_help_write(&help);
	buffer_put_char(&help, '\0');
	assert_false(buffer_failed(&help));
	for (const char *c = help.data; *c; c++) {
		assert_true(*c == '\n' || (*c >= 0x20 && *c <= 0x7e));
		column = *c == '\n' ? 0 : column + 1;
		assert_true(column < 80);
	}
	broker = strstr(help.data, "\n[broker]\n");
	profile = strstr(help.data, "\n[profile NAME]\n");
	assert_non_null(broker);
	assert_true(profile > broker);
	for (size_t i = 0; i < count; i++) {
		char line[128];
		const char *at;

		snprintf(line, sizeof(line), "\n  %s =%s%s\n", keys[i].name,
			*keys[i].default_text ? " " : "", keys[i].default_text);
		at = strstr(help.data, line);
		assert_non_null(at);
		assert_int_equal(at > profile, keys[i].section == CONFIG_SECTION_PROFILE);
	}
	assert_non_null(strstr(help.data, "  us-west-2        usw2.pure.cloud\n"));
	buffer_fini(&help);
}

static char *read_example(void)
{
	char path[4096];
	const char *slash = strrchr(__FILE__, '/');
	char *text = calloc(1, 65536);
	FILE *from;

	snprintf(path, sizeof(path), "%.*s/../../conf/gctokend.conf",
		slash ? (int)(slash - __FILE__) : 1, slash ? __FILE__ : ".");
	from = fopen(path, "r");
	assert_non_null(from);
	assert_non_null(text);
	assert_true(fread(text, 1, 65535, from) > 1000);
	fclose(from);
	return text;
}

/* What stands in the lines before a key, without the signs and the line breaks: what the table says
 * of it. */
static void comment_add(char *comment, size_t size, const char *line)
{
	size_t length = strlen(comment);

	if (strncmp(line, "# ", 2) == 0)
		snprintf(comment + length, size - length, "%s%s", length ? " " : "", line + 2);
	else
		*comment = '\0';
}

static void comment_check(const char *comment, const struct config_key *key)
{
	char expected[1024], rules[CONFIG_HELP_RULES_MAX];

	config_help_rules(key, rules);
	snprintf(expected, sizeof(expected), "%s %s", key->help, rules);
	assert_string_equal(comment, expected);
}

/* In the example every key stands once, in its section, at its default, below what the table says
 * of it; only the three keys that have no default and are needed are set. */
static void the_example_agrees_with_the_table(void **state)
{
	size_t count, found = 0;
	const struct config_key *keys = config_keys(&count);
	enum config_section section = CONFIG_SECTION_BROKER;
	bool seen[CONFIG_KEYS_MAX] = {false};
	char *text = read_example();
	char *rest = text, *line, comment[1024] = "";

	(void)state;
	while ((line = strsep(&rest, "\n"))) {
		char name[64], value[128] = "";
		const struct config_key *key;

		assert_true(strlen(line) <= 80);
		if (strncmp(line, "[profile", 8) == 0)
			section = CONFIG_SECTION_PROFILE;
		/* "#key =" is a setting, "# text" is not. */
		if (sscanf(line, "%*[#]%63[a-z_] =%127[^\n]", name, value) < 1 &&
			sscanf(line, "%63[a-z_] =%127[^\n]", name, value) < 1) {
			comment_add(comment, sizeof(comment), line);
			continue;
		}
		key = config_key_find(section, name);
		assert_non_null(key);
		assert_false(seen[key - keys]);
		seen[key - keys] = true;
		found++;
		comment_check(comment, key);
		if (line[0] == '#')
			assert_string_equal(value + (*value == ' '), key->default_text);
		else
			assert_string_equal(key->default_text, "");
	}
	assert_int_equal(found, count);
	free(text);
}

static struct config *parse_example(const char *text)
{
	struct config_text file = {"example", text, 0};
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL;
	char *words;

	parse_files(&file, 1, &no_variables, &config, &problems);
	words = problems_text(&problems);
	assert_string_equal(words, "");
	free(words);
	config_problems_fini(&problems);
	assert_non_null(config);
	return config;
}

static void the_example_is_valid_with_and_without_its_comment_signs(void **state)
{
	char *text = read_example();
	struct config *commented = parse_example(text);
	struct config *uncommented;
	const char *names[CONFIG_KEYS_MAX];

	(void)state;
	/* "#key = value" loses its sign; "# words" and "#" alone stay. */
	for (char *at = text; (at = strstr(at, "\n#")); at++) {
		if (at[2] >= 'a' && at[2] <= 'z')
			memmove(at + 1, at + 2, strlen(at + 2) + 1);
	}
	assert_non_null(strstr(text, "\nsocket = "));
	assert_non_null(strstr(text, "\nfetch_timeout = "));
	uncommented = parse_example(text);
	assert_int_equal(config_restart_keys(commented, uncommented, names, CONFIG_KEYS_MAX), 0);
	assert_int_equal(uncommented->broker.max_wait.ns, commented->broker.max_wait.ns);
	assert_string_equal(uncommented->profiles[0].name, "default");
	assert_string_equal(uncommented->profiles[0].token_url, commented->profiles[0].token_url);
	assert_int_equal(uncommented->profiles[0].mint_limit, commented->profiles[0].mint_limit);
	assert_true(uncommented->profiles[0].refresh_margin.automatic);
	config_free(commented);
	config_free(uncommented);
	free(text);
}

static void what_needs_a_restart(void **state)
{
	static const char profile[] =
		"[profile p]\nregion = us-west-2\nclient_id = id\nclient_secret_file = /s\n";
	static const struct {
		const char *broker, *names;
	} cases[] = {
		{"", ""},
		{"socket = /run/gctokend/gctokend.sock\nstate_dir = /var/lib/gctokend\n", ""},
		{"max_wait = 1min\nadmin_users = bob\nlog_level = err\n", ""},
		{"socket = /other\n", "socket "},
		{"socket_mode = 0600\n", "socket_mode "},
		{"socket_group = devs\n", "socket_group "},
		{"page_socket =\n", "page_socket "},
		{"state_dir = /x\n", "state_dir "},
		{"state_key_file = /k\nsocket_group =\n", "socket_group state_key_file "},
		{"socket = /a\nsocket_mode = 0600\nsocket_group =\npage_socket =\nstate_dir = /x\n",
			"socket socket_mode socket_group page_socket state_dir "},
	};
	struct config *before = parse_example(profile);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *names[CONFIG_KEYS_MAX];
		char *text, joined[256] = "";
		struct config *after;
		size_t n;

		assert_true(asprintf(&text, "[broker]\n%s%s", cases[i].broker, profile) > 0);
		after = parse_example(text);
		n = config_restart_keys(before, after, names, CONFIG_KEYS_MAX);
		for (size_t k = 0; k < n; k++) {
			strcat(joined, names[k]);
			strcat(joined, " ");
		}
		assert_string_equal(joined, cases[i].names);
		/* Counted beyond what fits, stored never. */
		assert_int_equal(config_restart_keys(after, before, NULL, 0), n);
		config_free(after);
		free(text);
	}
	config_free(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_sound),
		cmocka_unit_test(near_names_are_suggested),
		cmocka_unit_test(durations_as_text),
		cmocka_unit_test(quoting),
		cmocka_unit_test(the_help_names_every_key_in_80_columns),
		cmocka_unit_test(the_example_agrees_with_the_table),
		cmocka_unit_test(the_example_is_valid_with_and_without_its_comment_signs),
		cmocka_unit_test(what_needs_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
