/* api and doctor, as gctoken has them: this process becomes gctoken-net. */
#include "cli.h"
#include "command.h"
#include "helper.h"
#include "output.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The settings so far become options again; the environment is the same there. */
static int run_elsewhere(const struct settings *s, int argc, char **argv)
{
	char path[PATH_MAX];
	char **words = calloc((size_t)argc + 9, sizeof(*words)), **w = words;
	char gctoken[] = "gctoken", socket[] = "--socket", profile[] = "--profile",
	     json[] = "--json", color[] = "--color";

	if (!words) {
		complain("out of memory");
		return EXIT_FAILED;
	}
	*w++ = gctoken;
	*w++ = socket;
	*w++ = (char *)(uintptr_t)s->socket; /* execv does not write to them */
	if (s->profile_named) {
		*w++ = profile;
		*w++ = (char *)(uintptr_t)s->profile;
	}
	if (s->json)
		*w++ = json;
	*w++ = color;
	*w++ = (char *)(uintptr_t)s->color;
	memcpy(w, argv, (size_t)argc * sizeof(*words));
	helper_find("gctoken-net", GCTOKEN_NET, path);
	execv(path, words);
	complain("cannot run %s: %s. It comes with gctoken: is the installation complete?", path,
		strerror(errno));
	free(words);
	return EXIT_FAILED;
}

int command_api(const struct command *self, struct settings *s, int argc, char **argv)
{
	(void)self;
	return run_elsewhere(s, argc, argv);
}

int command_doctor(const struct command *self, struct settings *s, int argc, char **argv)
{
	(void)self;
	return run_elsewhere(s, argc, argv);
}
