#include "options.h"

#include "../defaults.h"
#include "command.h"
#include "core/text.h"
#include "output.h"
#include "terminal.h"
#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARED_COUNT 6

/* Set by options that are served at once. */
struct asked {
	bool help;
	bool version;
};

static void shared_options(struct settings *s, struct asked *asked, struct option_spec *ret)
{
	const struct option_spec shared[SHARED_COUNT] = {
		{"socket", OPTION_TEXT, &s->socket, "PATH",
			"the daemon's socket (GCTOKEN_SOCKET, else " GCTOKEN_DEFAULT_SOCKET ")", 0},
		{"profile", OPTION_TEXT, &s->profile, "NAME",
			"whose token (GCTOKEN_PROFILE, else " GCTOKEN_DEFAULT_PROFILE ")", 0},
		{"json", OPTION_FLAG, &s->json, NULL, "print the daemon's JSON as it is", 0},
		{"color", OPTION_TEXT, &s->color, "WHEN",
			"auto (on a terminal, unless NO_COLOR is set), always, never", 0},
		{"help", OPTION_FLAG, &asked->help, NULL, "this text", 0},
		{"version", OPTION_FLAG, &asked->version, NULL, "print the version", 0},
	};

	memcpy(ret, shared, sizeof(shared));
}

static const char *dashes(const struct option_spec *o)
{
	return o->name[1] ? "--" : "-";
}

#define HELP_WIDTH 80
#define HELP_INDENT 21

static void print_options(const struct option_spec *specs, size_t count)
{
	static const struct terminal page = {.width = HELP_WIDTH};
	size_t i;

	for (i = 0; i < count; i++) {
		char left[40];

		snprintf(left, sizeof(left), "%s%s%s%s", dashes(&specs[i]), specs[i].name,
			specs[i].argument ? " " : "", specs[i].argument ? specs[i].argument : "");
		printf("  %-*s ", HELP_INDENT - 3, left);
		terminal_wrap(&page, HELP_INDENT, specs[i].help);
	}
}

static void print_help(const struct command *command, const struct option_spec *own,
	size_t own_count, const struct option_spec *shared)
{
	if (command->name)
		printf("Usage: gctoken %s [OPTIONS]%s%s\n", command->name,
			*command->arguments ? " " : "", command->arguments);
	else
		printf("Usage: gctoken [OPTIONS] %s\n", command->arguments);
	printf("%s\n", command->summary);
	if (*command->details)
		printf("\n%s", command->details);
	if (command->examples)
		printf("\nExamples:\n%s", command->examples);
	if (own_count) {
		printf("\nOptions:\n");
		print_options(own, own_count);
	}
	printf("\nOptions of all commands:\n");
	print_options(shared, SHARED_COUNT);
}

static void point_to_help(const struct command *command)
{
	fprintf(stderr, "Try 'gctoken %s%s--help'.\n", command->name ? command->name : "",
		command->name ? " " : "");
}

static const struct option_spec *find_option(
	const struct option_spec *specs, size_t count, const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strlen(specs[i].name) == length && !memcmp(specs[i].name, name, length))
			return &specs[i];
	return NULL;
}

static bool read_number(const char *text, int64_t max, int64_t *ret)
{
	char *end;
	long long n;

	if (!*text || text[strspn(text, "0123456789")])
		return false;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || n > max)
		return false;
	*ret = n;
	return true;
}

/* `value` is NULL where none was given with '='. Takes the next word where one is needed. */
static int set_option(const struct option_spec *o, const char *value, int *i, int argc, char **argv)
{
	if (o->kind == OPTION_FLAG) {
		if (value) {
			complain("%s%s takes no value", dashes(o), o->name);
			return EXIT_USAGE;
		}
		*(bool *)o->value = true;
		return GO_ON;
	}
	if (!value) {
		if (*i + 1 >= argc) {
			complain("%s%s needs a value: %s%s %s", dashes(o), o->name, dashes(o),
				o->name, o->argument);
			return EXIT_USAGE;
		}
		value = argv[++*i];
	}
	if (o->kind == OPTION_TEXT) {
		*(const char **)o->value = value;
	} else if (!read_number(value, o->max, o->value)) {
		complain("%s%s: \"%s\" is not a whole number from 0 to %lld", dashes(o), o->name,
			value, (long long)o->max);
		return EXIT_USAGE;
	}
	return GO_ON;
}

/* The option a word that begins with '-' names, NULL if there is none; *ret_value is what stands
 * behind it in the same word, NULL if nothing does; *ret_length is that of the name with dashes. */
static const struct option_spec *find_in_word(const char *word, const struct option_spec *own,
	size_t own_count, const struct option_spec *shared, const char **ret_value,
	size_t *ret_length)
{
	const struct option_spec *o;
	const char *equals;
	size_t length;

	*ret_value = NULL;
	if (word[1] != '-') {
		*ret_length = strlen(word);
		o = find_option(own, own_count, word + 1, 1);
		if (o && word[2])
			*ret_value = word + 2;
		return o;
	}
	equals = strchr(word, '=');
	length = equals ? (size_t)(equals - word) : strlen(word);
	*ret_length = length;
	if (equals)
		*ret_value = equals + 1;
	if (length < 4) /* a letter with two dashes */
		return NULL;
	o = find_option(own, own_count, word + 2, length - 2);
	return o ? o : find_option(shared, SHARED_COUNT, word + 2, length - 2);
}

int options_read(const struct command *command, struct settings *s, const struct option_spec *own,
	size_t own_count, bool in_order, int *argc, char ***argv)
{
	struct option_spec shared[SHARED_COUNT];
	struct asked asked = {false, false};
	const char *profile_before = s->profile;
	int i, words = 0;

	shared_options(s, &asked, shared);
	for (i = 1; i < *argc; i++) {
		char *word = (*argv)[i];
		const struct option_spec *o;
		const char *value;
		size_t length;
		int result;

		if (!strcmp(word, "--")) {
			i++;
			break;
		}
		if (word[0] != '-' || !word[1]) {
			if (in_order)
				break;
			(*argv)[words++] = word;
			continue;
		}
		if (!strcmp(word, "-h")) {
			asked.help = true;
			continue;
		}
		o = find_in_word(word, own, own_count, shared, &value, &length);
		if (!o) {
			complain("unknown option %.*s", (int)length, word);
			point_to_help(command);
			return EXIT_USAGE;
		}
		result = set_option(o, value, &i, *argc, *argv);
		if (result != GO_ON) {
			point_to_help(command);
			return result;
		}
	}
	while (i < *argc)
		(*argv)[words++] = (*argv)[i++];
	(*argv)[words] = NULL; /* as execvp wants it; argv always has room for that */
	*argc = words;
	if (s->profile != profile_before)
		s->profile_named = true;
	if (asked.help) {
		print_help(command, own, own_count, shared);
		return EXIT_OK;
	}
	if (asked.version) {
		printf("gctoken %s\n", GCTOKEN_VERSION);
		return EXIT_OK;
	}
	if (strcmp(s->color, "auto") && strcmp(s->color, "always") && strcmp(s->color, "never")) {
		complain("--color: \"%s\" is not one of auto, always, never", s->color);
		point_to_help(command);
		return EXIT_USAGE;
	}
	return GO_ON;
}

int options_read_alone(const struct command *command, struct settings *s,
	const struct option_spec *own, size_t own_count, int argc, char **argv)
{
	int result = options_read(command, s, own, own_count, false, &argc, &argv);

	if (result == GO_ON && argc) {
		complain("%s: \"%s\" is one word too many", command->name, argv[0]);
		point_to_help(command);
		return EXIT_USAGE;
	}
	return result;
}

int options_check_profile(const struct settings *s)
{
	if (profile_name_valid(s->profile))
		return GO_ON;
	complain("\"%s\" cannot be a profile: names are 1 to 48 of a-z, 0-9, _ and -, and begin "
		 "with a letter or a digit",
		s->profile);
	return EXIT_CONFIG;
}

int options_read_of_profile(const struct command *command, struct settings *s,
	const struct option_spec *own, size_t own_count, int argc, char **argv)
{
	int result = options_read_alone(command, s, own, own_count, argc, argv);

	return result == GO_ON ? options_check_profile(s) : result;
}
