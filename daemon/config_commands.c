#include "config_commands.h"

#include "print_config.h"

#include "core/buffer.h"
#include "core/config_help.h"
#include "host/config_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

int config_command_printed(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	fprintf(stderr, "gctokend: cannot write to standard output: %s\n", strerror(errno));
	return EX_OSERR;
}

/* Ends `text`. */
static int print_text(struct buffer *text)
{
	int status = EX_OSERR;

	if (buffer_failed(text)) {
		fputs("gctokend: out of memory\n", stderr);
	} else {
		fwrite(text->data, 1, text->length, stdout);
		status = config_command_printed();
	}
	buffer_fini(text);
	return status;
}

int config_command_help(void)
{
	struct buffer text;

	buffer_init(&text, NULL, 0);
	config_help_write(&text);
	return print_text(&text);
}

int config_command_check(const char *path)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL;
	bool warned = false;
	char reader[128];
	int r = config_become_reader(path, reader, sizeof(reader));

	if (!r)
		r = config_load(path, CONFIG_FOR_CHECK, NULL, &config, &problems);
	config_problems_print(&problems, stdout);
	for (size_t i = 0; i < problems.count; i++)
		warned |= problems.items[i].severity == CONFIG_WARNING;
	if (r < 0)
		fprintf(stderr, "gctokend: %s\n", strerror(-r));
	else if (!r)
		printf("%s: %zu profile%s, %s\n", path, config->profile_count,
			config->profile_count == 1 ? "" : "s",
			warned ? "no error" : "nothing wrong");
	if (*reader)
		printf("(Files are judged as the daemon's %s reads them.)\n", reader);
	config_problems_fini(&problems);
	config_free(config);
	return r ? EX_CONFIG : 0;
}

int config_command_print(const char *path)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL;
	struct buffer text;
	char reader[128];
	int status = EX_CONFIG;

	/* as the daemon sees it: what it may read and root may not is no problem */
	if (!config_become_reader(path, reader, sizeof(reader)) &&
		!config_load(path, CONFIG_FOR_CHECK, NULL, &config, &problems)) {
		buffer_init(&text, NULL, 0);
		config_print_json(config, &text);
		status = print_text(&text);
	}
	config_problems_fini(&problems);
	config_free(config);
	return status;
}
