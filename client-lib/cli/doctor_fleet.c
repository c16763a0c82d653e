/* The store of a fleet. The daemon's own program looks at it, which has the secrets for it and
 * reaches it as the daemon does; here it is told. */
#include "doctor.h"
#include "doctor_program.h"
#include "json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AREA "Fleet"

struct findings {
	struct doctor *doctor;
	char result[16], words[2048];
};

/* A finding's members come in this order: result, words, todo. */
static void see_value(void *context, const struct json_value *v)
{
	struct findings *f = context;
	enum finding found;
	char todo[1024];
	bool has_todo;

	if (json_take_text(v, "checks[].result", f->result, sizeof(f->result)) ||
		json_take_text(v, "checks[].words", f->words, sizeof(f->words)) ||
		strcmp(v->path, "checks[].todo") != 0)
		return;
	found = !strcmp(f->result, "ok")        ? FOUND_OK
		: !strcmp(f->result, "problem") ? FOUND_PROBLEM
						: FOUND_UNKNOWN;
	has_todo = json_take_text(v, "checks[].todo", todo, sizeof(todo));
	doctor_say(f->doctor, AREA, found, has_todo ? todo : NULL, "%s", f->words);
}

void doctor_look_at_fleet(struct doctor *d)
{
	struct findings f = {.doctor = d};
	char *text = NULL;

	/* Why there is none was told. */
	if (!d->plan.count)
		return;
	if (doctor_run_daemon(d->config_file, "--check-fleet", false, &text) ||
		!json_read(text, strlen(text), see_value, &f))
		doctor_say(d, AREA, FOUND_UNKNOWN,
			"gctokend --check-fleet, by hand, may say why: is it of this version?",
			"whether there is one, and its store, could not be looked at");
	free(text);
}
