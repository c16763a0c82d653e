/* The configuration. The input is up to three files, divided by a line of their own. What is
 * accepted is whole, says the same when all files are read once more, and the same again when it is
 * written out key by key from the model; what is refused says why, in order, in printable words,
 * and never repeats a value that may be a secret. */
#include "../unit/config_fixture.h"
#include "core/config_keys.h"
#include "core/config_storage.h"
#include "core/config_value.h"
#include "core/fleet_url.h"
#include "core/text.h"
#include "fuzz.h"

#define NEXT_FILE "#### next file\n"
#define FILES_MAX 3
#define CANARY "hunter2-S3CRET" /* of the seeds and the dictionary */

static void check_rules(const struct access_rules *rules)
{
	const struct id_list *users = &rules->lists[ACCESS_USERS];
	const struct id_list *groups = &rules->lists[ACCESS_GROUPS];

	CHECK(!users->everybody || !users->count);
	for (size_t i = 0; i < users->count; i++) {
		uid_t uid;

		CHECK(fake_uid(NULL, users->names[i], &uid) == 0 && uid == users->ids[i]);
	}
	for (size_t i = 0; i < groups->count; i++) {
		gid_t gid;

		CHECK(fake_gid(NULL, groups->names[i], &gid) == 0 && gid == groups->ids[i]);
	}
	if (access_needs_unit(rules))
		CHECK(users->everybody || users->count || groups->count);
}

static void check_fit(const char *path, gid_t socket_gid)
{
	char problem[256];

	if (!path)
		return;
	CHECK(*path == '/');
	CHECK(fake_file(NULL, CONFIG_FILE_SECRET, path, socket_gid, problem, sizeof(problem)));
}

/* Nothing that two readers could read in two ways: host and port, then a path. */
static bool is_plain(const char *url, const char *scheme)
{
	const char *host = url + strlen(scheme);

	return strncmp(url, scheme, strlen(scheme)) == 0 && strcspn(host, "/?") > 0 &&
	       strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-.:[]") >= strcspn(host, "/?") &&
	       !strpbrk(host, "#\\ \"<>") && fuzz_printable(url);
}

static bool is_https(const char *url)
{
	return is_plain(url, "https://");
}

static void check_fleet(const struct broker_settings *b)
{
	const struct fleet_config *f = &b->fleet;
	struct fleet_url url;

	if (!f->store)
		return;
	CHECK(!fleet_url_read(f->store, &url) && !strchr(f->store, '@'));
	CHECK(url.tls || url.local || f->plain);
	CHECK(!f->key_file != !f->key_credential);
	CHECK(!f->password_file || !f->password_credential);
	CHECK(!f->cert_file == !f->cert_key_file && (url.tls || (!f->ca_file && !f->cert_file)));
	CHECK(f->alone <= 16 || f->alone == COUNT_ALL);
	check_fit(f->key_file, b->socket_gid);
	check_fit(f->password_file, b->socket_gid);
	check_fit(f->cert_key_file, b->socket_gid);
}

static void check_whole(const struct config *c)
{
	CHECK(c->profile_count >= 1 && c->profile_count <= PROFILES_MAX);
	CHECK(*c->broker.socket == '/' && *c->broker.state_dir == '/');
	CHECK((c->broker.socket_mode & 0600) == 0600 && c->broker.socket_mode <= 0777);
	CHECK(!c->broker.page_socket || strcmp(c->broker.socket, c->broker.page_socket));
	CHECK(!c->broker.state_key_file || !c->broker.state_key_credential);
	check_fit(c->broker.state_key_file, c->broker.socket_gid);
	check_fleet(&c->broker);
	check_rules(&c->broker.admins);
	check_rules(&c->broker.metrics);
	for (size_t i = 0; i < c->profile_count; i++) {
		const struct profile_settings *p = &c->profiles[i];

		CHECK(profile_name_valid(p->name));
		for (size_t k = 0; k < i; k++)
			CHECK(strcmp(c->profiles[k].name, p->name));
		CHECK(p->region && is_https(p->token_url) && is_https(p->clock_probe_url));
		CHECK(!*p->authorize_url || is_https(p->authorize_url));
		CHECK(!*p->api_url || is_https(p->api_url));
		CHECK(!p->client_id != !p->client_id_file);
		CHECK(p->fleet ? !p->client_secret_file || !p->client_secret_credential
			       : !p->client_secret_file != !p->client_secret_credential);
		CHECK(!p->fleet || (c->broker.fleet.store && p->grant == GRANT_CLIENT_CREDENTIALS));
		CHECK(p->socket_gid == c->broker.socket_gid);
		check_fit(p->client_secret_file, p->socket_gid);
		check_rules(&p->allow);
		check_rules(&p->login);
	}
}

/* Whether the key is of the same type as one of [broker]. */
static bool is_like(const struct config_key *key, const char *other)
{
	return key->type == config_key_find(CONFIG_SECTION_BROKER, other)->type;
}

static void check_limits(const struct config_key *key, const void *base)
{
	const void *at = (const char *)base + key->offset;

	if (is_like(key, "max_connections"))
		CHECK(*(const uint32_t *)at >= key->min && *(const uint32_t *)at <= key->max);
	if (is_like(key, "max_wait"))
		CHECK(((const struct duration *)at)->ns >= key->min &&
			((const struct duration *)at)->ns <= key->max);
	if (key->flags & CONFIG_NEEDED && key->type->kept == &keep_text)
		CHECK(*(char *const *)at);
}

/* ---- comparing, by the table ---- */

static void check_same(const struct config *a, const struct config *b)
{
	size_t count;
	const struct config_key *keys = config_keys(&count);

	CHECK(a->profile_count == b->profile_count);
	for (size_t i = 0; i < count; i++) {
		if (keys[i].section == CONFIG_SECTION_BROKER) {
			CHECK(config_member_same(&keys[i], &a->broker, &b->broker));
			check_limits(&keys[i], &a->broker);
			continue;
		}
		for (size_t p = 0; p < a->profile_count; p++) {
			CHECK(config_member_same(&keys[i], &a->profiles[p], &b->profiles[p]));
			check_limits(&keys[i], &a->profiles[p]);
		}
	}
	for (size_t p = 0; p < a->profile_count; p++) {
		CHECK(!strcmp(a->profiles[p].name, b->profiles[p].name));
	}
	CHECK(config_restart_keys(a, b, NULL, 0) == 0);
}

/* ---- writing it out ---- */

static void write_list(FILE *to, const struct id_list *list)
{
	if (list->everybody)
		fputs("*", to);
	for (size_t i = 0; i < list->count; i++)
		fprintf(to, "%s%s", i ? "," : "", list->names[i]);
}

static void write_word(FILE *to, const struct config_word *words, int value)
{
	while (words->value != value)
		words++;
	fputs(words->word, to);
}

static void write_duration(FILE *to, int64_t ns)
{
	char text[32];

	duration_show(ns, text, sizeof(text));
	fputs(text, to);
}

static void write_count_or_auto(FILE *to, uint32_t count)
{
	if (count)
		fprintf(to, "%u", count);
	else
		fputs("auto", to);
}

static void write_value(FILE *to, const struct config_key *key, const void *base)
{
	const void *at = (const char *)base + key->offset;
	const struct duration_or_auto *margin = at;

	if (is_like(key, "socket_mode"))
		fprintf(to, "%04o", *(const mode_t *)at);
	else if (is_like(key, "socket_group") && *(const gid_t *)at != (gid_t)-1)
		fputs(*(const gid_t *)at == 900 ? "gctoken" : "devs", to);
	else if (is_like(key, "max_connections"))
		fprintf(to, "%u", *(const uint32_t *)at);
	else if (key->type->read == count_or_all_read && *(const uint32_t *)at == UINT32_MAX)
		fputs("all", to);
	else if (key->type->read == count_or_all_read)
		fprintf(to, "%u", *(const uint32_t *)at);
	else if (key->type->read == count_or_auto_read)
		write_count_or_auto(to, *(const uint32_t *)at);
	else if (is_like(key, "max_wait"))
		write_duration(to, ((const struct duration *)at)->ns);
	else if (key->type->words)
		write_word(to, key->type->words, *(const int *)at);
	else if (key->type->kept == &keep_text && *(char *const *)at)
		fputs(*(char *const *)at, to);
	else if (key->size == sizeof(struct id_list))
		write_list(to, at);
	else if (key->size == sizeof(bool))
		fputs(*(const bool *)at ? "yes" : "no", to);
	else if (key->size == sizeof(*margin) && margin->automatic)
		fputs("auto", to);
	else if (key->size == sizeof(*margin))
		write_duration(to, margin->duration.ns);
}

static void write_section(FILE *to, enum config_section section, const void *base)
{
	size_t count;
	const struct config_key *keys = config_keys(&count);

	for (size_t i = 0; i < count; i++) {
		if (keys[i].section != section || keys[i].type->kept == &keep_nothing)
			continue;
		/* No blanks: a line must not become longer than it was. */
		fprintf(to, "%s=", keys[i].name);
		write_value(to, &keys[i], base);
		fputc('\n', to);
	}
}

static void check_written_again(const struct config *c, struct fake_system *system)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *again = NULL;
	struct config_text file = {.file = "again"};
	char *text = NULL;
	FILE *to = open_memstream(&text, &file.length);

	CHECK(to);
	fputs("[broker]\n", to);
	write_section(to, CONFIG_SECTION_BROKER, &c->broker);
	for (size_t i = 0; i < c->profile_count; i++) {
		fprintf(to, "[profile %s]\n", c->profiles[i].name);
		write_section(to, CONFIG_SECTION_PROFILE, &c->profiles[i]);
	}
	fclose(to);
	file.text = text;
	if (parse_files(&file, 1, system, &again, &problems) != CONFIG_VALID) {
		char *said = problems_text(&problems);

		fprintf(stderr, "%s\n%s", text, said);
		CHECK(problems.errors == 0);
	}
	check_same(c, again);
	config_problems_fini(&problems);
	config_free(again);
	free(text);
}

/* ---- what is said about it ---- */

static unsigned lines_in(const struct config_text *file)
{
	unsigned lines = 1;

	for (size_t i = 0; i < file->length; i++)
		lines += file->text[i] == '\n';
	return lines;
}

static void check_problems(const struct config_problems *problems, const struct config_text *files)
{
	const struct config_problem *before = NULL;
	struct random dice = {problems->count};
	size_t errors = 0;

	CHECK(problems->count <= CONFIG_PROBLEMS_MAX);
	CHECK(!problems->left_off || problems->count == CONFIG_PROBLEMS_MAX);
	for (size_t i = 0; i < problems->count; i++) {
		const struct config_problem *p = &problems->items[i];
		char line[64];

		errors += p->severity == CONFIG_ERROR;
		CHECK(p->file_order < FILES_MAX);
		CHECK(!strcmp(p->file, files[p->file_order].file));
		CHECK(p->line <= lines_in(&files[p->file_order]));
		CHECK(*p->message && fuzz_printable(p->message) && fuzz_printable(p->key));
		if (before)
			CHECK(before->file_order < p->file_order ||
				(before->file_order == p->file_order && before->line <= p->line));
		before = p;
		memset(line, 'x', sizeof(line));
		config_problem_text(p, line, 1 + fuzz_below(&dice, sizeof(line)));
		CHECK(memchr(line, '\0', sizeof(line)));
	}
	CHECK(errors <= problems->errors && errors + problems->left_off >= problems->errors);
}

/* In one file no section comes twice and in one section no key: by the lines alone. */
static void check_once(const struct config_text *file)
{
	const char *end = file->text + file->length;
	struct {
		const char *at;
		size_t length;
	} names[512];
	size_t sections = 0, keys = 0; /* sections from the front, keys from the back */

	for (const char *at = file->text, *next; at < end; at = next) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const bool section = *at == '[';
		size_t length = 0, from, to;

		next = newline ? newline + 1 : end;
		if (strchr("#; \t\r\n", *at) || sections + keys >= 512)
			continue;
		while (at + length < next && !strchr(section ? "]" : "=: \t", at[length]))
			length++;
		from = section ? 0 : 512 - keys;
		to = section ? sections : 512;
		for (size_t i = from; i < to; i++)
			CHECK(names[i].length != length || memcmp(names[i].at, at, length));
		keys = section ? 0 : keys + 1;
		sections += section;
		names[section ? sections - 1 : 512 - keys].at = at;
		names[section ? sections - 1 : 512 - keys].length = length;
	}
}

/* Whether the value that begins behind the line's first '=' or ':' is one that is never shown. */
static bool line_keeps_secrets(const char *line, size_t length)
{
	static const char *const names[] = {"client_secret", "client_id", "token_url",
		"authorize_url", "api_url", "clock_probe_url", "redirect_uri", "proxy",
		"extra_params", "password", "fleet_store"};
	size_t name = 0;

	while (name < length && line[name] != '=' && line[name] != ':')
		name++;
	if (memmem(line, name, CANARY, strlen(CANARY)))
		return name == length && length && *line != '[';
	while (name && (line[name - 1] == ' ' || line[name - 1] == '\t'))
		name--;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strlen(names[i]) == name && !memcmp(line, names[i], name))
			return true;
	return false;
}

static void check_secrets(const struct config_problems *problems, const char *text, size_t length)
{
	const char *at = text, *end = text + length;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t line = (size_t)((newline ? newline : end) - at);

		if (memmem(at, line, CANARY, strlen(CANARY)) && !line_keeps_secrets(at, line))
			return;
		at += line + 1;
	}
	for (size_t i = 0; i < problems->count; i++) {
		CHECK(!strstr(problems->items[i].message, CANARY));
		CHECK(!strstr(problems->items[i].key, CANARY));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const directories[] = {NULL, "", "/run/credentials/x", "/bad"};
	struct random dice = fuzz_random(data, size);
	struct fake_system system = {
		.state_directory = dice.state & 1 ? "/var/lib/a:/var/lib/b" : NULL,
		.credentials_directory = directories[dice.state >> 1 & 3],
	};
	struct config_text files[2 * FILES_MAX] = {{.file = "a"}, {.file = "b"}, {.file = "c"}};
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL, *again = NULL;
	const char *at = (const char *)data, *end = at + size;
	size_t count = 0;
	int result;

	do {
		const char *next = count + 1 < FILES_MAX ? memmem(at, (size_t)(end - at), NEXT_FILE,
								   strlen(NEXT_FILE))
							 : NULL;

		files[count].text = at;
		files[count++].length = (size_t)((next ? next : end) - at);
		at = next ? next + strlen(NEXT_FILE) : end;
		if (!files[count - 1].length)
			files[count - 1].text = "";
	} while (at < end);

	result = parse_files(files, count, &system, &config, &problems);
	check_problems(&problems, files);
	check_secrets(&problems, (const char *)data, size);
	if (result == CONFIG_VALID) {
		CHECK(config && !problems.errors);
		check_whole(config);
		for (size_t i = 0; i < count; i++)
			check_once(&files[i]);
		config_problems_fini(&problems);
		memcpy(files + count, files, count * sizeof(*files));
		CHECK(parse_files(files, 2 * count, &system, &again, &problems) == CONFIG_VALID);
		check_same(config, again);
		check_written_again(config, &system);
	} else {
		CHECK(result == CONFIG_INVALID && !config && problems.errors > 0);
	}
	config_problems_fini(&problems);
	config_free(config);
	config_free(again);
	return 0;
}
