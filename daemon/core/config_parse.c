#include "config_parse.h"
#include "config_draft.h"
#include "config_sections.h"
#include "config_text.h"
#include "config_value.h"
#include "text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct config_builder {
	struct config_draft draft;
	struct draft_section *open; /* where settings go; NULL: a section nobody knows */
	bool any_section;           /* of the file being read */
	bool unread;                /* a file is missing, so nothing is known of what it sets */
};

static unsigned current_file(const struct config_builder *b)
{
	return b->draft.file_count - 1;
}

static void problem_here(
	struct config_builder *b, unsigned line, const char *key, const char *message)
{
	const struct config_place place = {
		current_file(b), b->draft.files[current_file(b)], line, key};

	config_problems_add(&b->draft.problems, CONFIG_ERROR, &place, "%s", message);
}

static void section_fini(struct draft_section *section)
{
	for (size_t i = 0; i < CONFIG_KEYS_MAX; i++)
		free(section->settings[i].text);
	free(section->name);
}

int config_builder_new(struct config_builder **ret)
{
	struct config_builder *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->draft.broker.section = CONFIG_SECTION_BROKER;
	*ret = b;
	return 0;
}

void config_builder_free(struct config_builder *b)
{
	if (!b)
		return;
	for (unsigned i = 0; i < b->draft.file_count; i++)
		free(b->draft.files[i]);
	free(b->draft.files);
	for (size_t i = 0; i < b->draft.profile_count; i++) {
		section_fini(b->draft.profiles[i]);
		free(b->draft.profiles[i]);
	}
	free(b->draft.profiles);
	section_fini(&b->draft.broker);
	config_problems_fini(&b->draft.problems);
	free(b);
}

/* NULL: no memory, which is noted. */
static struct draft_section *profile_new(struct config_draft *d, const char *name)
{
	struct draft_section *section = calloc(1, sizeof(*section));
	struct draft_section **profiles =
		reallocarray(d->profiles, d->profile_count + 1, sizeof(*profiles));

	if (profiles)
		d->profiles = profiles;
	if (!section || !profiles)
		goto no_memory;
	section->section = CONFIG_SECTION_PROFILE;
	section->name = strdup(name);
	if (!section->name)
		goto no_memory;
	d->profiles[d->profile_count++] = section;
	return section;

no_memory:
	free(section);
	d->problems.out_of_memory = true;
	return NULL;
}

static struct draft_section *profile_get(struct config_builder *b, unsigned line, const char *name)
{
	struct config_draft *d = &b->draft;
	char message[320], quoted[80];

	for (size_t i = 0; i < d->profile_count; i++) {
		if (strcmp(d->profiles[i]->name, name) == 0)
			return d->profiles[i];
	}
	config_quote(quoted, sizeof(quoted), name);
	if (!profile_name_valid(name)) {
		snprintf(message, sizeof(message),
			"%s is not a name for a profile; allowed: " PROFILE_NAME_ALLOWED, quoted);
		problem_here(b, line, "[profile]", message);
		return NULL;
	}
	if (d->profile_count == PROFILES_MAX) {
		snprintf(message, sizeof(message),
			"one profile too many, %s is left out; allowed: at most %d", quoted,
			PROFILES_MAX);
		problem_here(b, line, "[profile]", message);
		return NULL;
	}
	return profile_new(d, name);
}

static struct draft_section *section_get(
	struct config_builder *b, unsigned line, const char *inside)
{
	size_t word = strcspn(inside, " \t");
	const char *name = inside + word + strspn(inside + word, " \t");
	char message[256], quoted[80];

	if (strcmp(inside, "broker") == 0)
		return &b->draft.broker;
	if (word == 7 && memcmp(inside, "profile", 7) == 0) {
		if (*name)
			return profile_get(b, line, name);
		problem_here(b, line, "[profile]", "it has no name; allowed: [profile NAME]");
		return NULL;
	}
	config_quote(quoted, sizeof(quoted), inside);
	snprintf(message, sizeof(message),
		"unknown section %s%s, its keys are ignored; allowed: [broker], [profile "
		"NAME]",
		quoted,
		text_distance(inside, "broker") <= 2 ? " (did you mean [broker]?)"
		: strncmp(inside, "prof", 4) == 0    ? " (did you mean [profile NAME]?)"
						     : "");
	problem_here(b, line, "", message);
	return NULL;
}

static void read_section(void *context, unsigned line, const char *inside)
{
	struct config_builder *b = context;
	struct draft_section *section = inside ? section_get(b, line, inside) : NULL;

	b->any_section = true;
	b->open = section;
	if (!section)
		return;
	if (section->seen && section->last.file == current_file(b)) {
		char message[160], where[80] = "[broker]";

		if (section->name)
			snprintf(where, sizeof(where), "[profile %s]", section->name);
		snprintf(message, sizeof(message),
			"this file has this section already, in line %u; put its keys there",
			section->last.line);
		problem_here(b, line, where, message);
	}
	section->last = (struct draft_place){.file = current_file(b), .line = line};
	if (!section->seen)
		section->first = section->last;
	section->seen = true;
}

/* Only what looks like a key is repeated: a secret on a line of its own, ending in '=' as base64
 * does, is a key to the syntax. */
static bool key_shown(const char *name)
{
	size_t length = strlen(name);

	return length <= 32 && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					    "0123456789_-.") == length;
}

static void unknown_key(struct config_builder *b, unsigned line, const char *name)
{
	enum config_section section = b->open->section;
	enum config_section other =
		section == CONFIG_SECTION_BROKER ? CONFIG_SECTION_PROFILE : CONFIG_SECTION_BROKER;
	const struct config_key *nearest = config_key_nearest(section, name);
	char message[200];

	if (strcmp(name, "client_secret") == 0)
		snprintf(message, sizeof(message),
			"a secret does not belong in this file; put it alone in a file of mode "
			"0600 and name that file in client_secret_file");
	else if (config_key_find(other, name))
		snprintf(message, sizeof(message), "this key belongs in %s",
			other == CONFIG_SECTION_BROKER ? "[broker]" : "a [profile NAME]");
	else if (nearest)
		snprintf(message, sizeof(message),
			"unknown key; did you mean %s? (all keys: --help-config)", nearest->name);
	else
		snprintf(message, sizeof(message), "unknown key; all keys: --help-config");
	problem_here(b, line, key_shown(name) ? name : "", message);
}

static void read_setting(void *context, unsigned line, const char *name, const char *value)
{
	struct config_builder *b = context;
	const struct config_key *key;
	struct draft_setting *setting;
	union config_value unused;
	char message[512];
	char *text;

	if (!b->open) {
		if (!b->any_section)
			problem_here(b, line, "",
				"a key before any section; allowed: [broker], [profile NAME]");
		/* One complaint is enough: the section's keys are judged once it has a name. */
		b->any_section = true;
		return;
	}
	key = config_key_find(b->open->section, name);
	if (!key) {
		unknown_key(b, line, name);
		return;
	}
	setting = draft_setting(b->open, name);
	if (setting->text && setting->place.file == current_file(b)) {
		snprintf(message, sizeof(message),
			"set twice, first in line %u; remove one of the two", setting->place.line);
		problem_here(b, line, name, message);
		setting->bad = true;
		return;
	}
	text = strdup(value);
	if (!text) {
		b->draft.problems.out_of_memory = true;
		return;
	}
	free(setting->text);
	*setting = (struct draft_setting){
		.text = text,
		.place = {.file = current_file(b), .line = line},
	};
	if (*value) {
		setting->bad = !config_value_read(key, value, &unused, message, sizeof(message));
	} else if (key->flags & CONFIG_NEEDED) {
		char allowed[256];

		config_value_allowed(key, allowed, sizeof(allowed));
		snprintf(message, sizeof(message), "it has no value; allowed: %s", allowed);
		setting->bad = true;
	}
	if (setting->bad)
		problem_here(b, line, name, message);
}

static void read_problem(void *context, unsigned line, const char *message)
{
	problem_here(context, line, "", message);
}

static bool add_file(struct config_builder *b, const char *file)
{
	struct config_draft *d = &b->draft;
	char **files;
	char *copy;

	files = reallocarray(d->files, d->file_count + 1, sizeof(*files));
	if (files)
		d->files = files;
	copy = strdup(file);
	if (!files || !copy) {
		free(copy);
		d->problems.out_of_memory = true;
		return false;
	}
	d->files[d->file_count++] = copy;
	b->open = NULL;
	b->any_section = false;
	return true;
}

void config_builder_add(struct config_builder *b, const char *file, const char *text, size_t length)
{
	const struct config_text_handler handler = {
		.context = b,
		.section = read_section,
		.setting = read_setting,
		.problem = read_problem,
	};

	if (add_file(b, file) && length > 0)
		config_text_read(text, length, &handler);
}

void config_builder_add_problem(struct config_builder *b, const char *file, const char *message)
{
	b->unread = true;
	if (add_file(b, file))
		problem_here(b, 0, "", message);
}

void config_builder_complain(struct config_builder *b, const char *message)
{
	problem_here(b, 0, "", message);
}

char *config_builder_state_dir(struct config_builder *b, const char *from_environment)
{
	const char *text = draft_setting(&b->draft.broker, "state_dir")->text;

	return text && *text ? strdup(text) : state_dir_default(from_environment);
}

static int build_profiles(struct config_draft *d, struct config *config)
{
	config->profiles = calloc(d->profile_count + 1, sizeof(*config->profiles));
	if (!config->profiles)
		return -ENOMEM;
	for (size_t i = 0; i < d->profile_count; i++) {
		struct draft_section *section = d->profiles[i];
		struct profile_settings *profile = &config->profiles[i];
		int error;

		config->profile_count = i + 1;
		profile->name = strdup(section->name);
		if (!profile->name)
			return -ENOMEM;
		error = profile_section_finish(d, section, profile, &config->broker);
		if (error < 0)
			return error;
	}
	return 0;
}

static int build(struct config_draft *d, struct config *config)
{
	int error = broker_section_finish(d, &config->broker);

	if (error == 0)
		error = build_profiles(d, config);
	if (error < 0)
		return error;
	/* A profile that only was misspelt has been reported as that. */
	if (d->profile_count == 0 && d->problems.errors == 0)
		config_problems_add(&d->problems, CONFIG_ERROR,
			&(const struct config_place){.file = d->files[0], .key = ""},
			"there is no profile; at least one [profile NAME] is needed");
	profile_sections_compare(d, config);
	return 0;
}

int config_builder_finish(struct config_builder *b, const struct config_lookup *lookup,
	struct config **ret, struct config_problems *ret_problems)
{
	struct config_draft *d = &b->draft;
	struct config *config = calloc(1, sizeof(*config));
	int error = -ENOMEM;

	if (!config)
		return -ENOMEM;
	d->lookup = lookup;
	if (d->file_count == 0 && !add_file(b, "(no file)"))
		goto out;
	error = b->unread ? 0 : build(d, config);
	if (error < 0)
		goto out;

	error = -ENOMEM;
	if (d->problems.out_of_memory)
		goto out;
	config_problems_sort(&d->problems);
	error = d->problems.errors ? CONFIG_INVALID : CONFIG_VALID;
	*ret_problems = d->problems;
	d->problems = CONFIG_PROBLEMS_NONE;
	if (error == CONFIG_VALID) {
		*ret = config;
		config = NULL; /* moved */
	}
out:
	config_free(config);
	return error;
}
