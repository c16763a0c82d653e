/* gctokend.conf(5) from its text and the daemon's own table of keys, so that the two cannot
 * disagree: copies the file it is given to standard output, and in place of the lines @BROKER@,
 * @PROFILE@ and @REGIONS@ writes what the table holds, as scdoc(5) reads it. */
#include "core/buffer.h"
#include "core/config_help.h"
#include "core/config_keys.h"
#include "core/regions.h"

#include <stdio.h>
#include <string.h>

/* scdoc takes these for marks; behind a backslash they are themselves. */
static void put_plain(const char *text)
{
	for (; *text; text++) {
		if (strchr("\\*_~<#|[]", *text))
			putchar('\\');
		putchar(*text);
	}
}

static void put_key(const struct config_key *key)
{
	char rules[CONFIG_HELP_RULES_MAX];

	config_help_rules(key, rules);
	printf("*%s* =", key->name);
	if (*key->default_text) {
		fputs(" ", stdout);
		put_plain(key->default_text);
	}
	fputs("\n\t", stdout);
	put_plain(key->help);
	fputs("\n\n\t", stdout);
	put_plain(rules);
	fputs("\n\n", stdout);
}

static void put_keys(enum config_section section)
{
	size_t count;
	const struct config_key *keys = config_keys(&count);

	for (size_t i = 0; i < count; i++)
		if (keys[i].section == section)
			put_key(&keys[i]);
}

static void put_regions(void)
{
	size_t count;
	const struct region *regions = region_table(&count);

	fputs("|[ *Region*\n:[ *Domain*\n", stdout);
	for (size_t i = 0; i < count; i++)
		printf("|  %s\n:  %s\n", regions[i].name, regions[i].environment);
}

int main(int argc, char **argv)
{
	char line[1024];
	FILE *in = argc == 2 ? fopen(argv[1], "r") : NULL;

	if (!in) {
		fputs("config_page: name one file that can be read\n", stderr);
		return 1;
	}
	while (fgets(line, sizeof(line), in)) {
		if (!strcmp(line, "@BROKER@\n"))
			put_keys(CONFIG_SECTION_BROKER);
		else if (!strcmp(line, "@PROFILE@\n"))
			put_keys(CONFIG_SECTION_PROFILE);
		else if (!strcmp(line, "@REGIONS@\n"))
			put_regions();
		else
			fputs(line, stdout);
	}
	if (ferror(in) || fclose(in) || fflush(stdout) || ferror(stdout)) {
		fputs("config_page: reading or writing failed\n", stderr);
		return 1;
	}
	return 0;
}
