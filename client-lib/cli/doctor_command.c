/* doctor: checks everything that a token depends on, in the order of dependence. Of each it says
 * that it is fine, or what is wrong and what to do, or that it could not be checked. It changes
 * nothing, but for keys of its own in a fleet's store, which it deletes; and it sends no
 * credentials anywhere, but those for a proxy to it, and for a store to that. */
#include "command.h"
#include "doctor.h"
#include "options.h"

#include <stdlib.h>

int command_doctor(const struct command *self, struct settings *s, int argc, char **argv)
{
	struct doctor d = {.s = s, .config_file = "/etc/gctokend/gctokend.conf"};
	const char *ca_file = getenv("GCTOKEN_CA_FILE");
	const struct option_spec own[] = {
		{"config", OPTION_TEXT, &d.config_file, "FILE",
			"the daemon's configuration (/etc/gctokend/gctokend.conf)", 0},
		{"ca-file", OPTION_TEXT, &ca_file, "FILE",
			"trust these where no profile says which (GCTOKEN_CA_FILE)", 0},
	};
	int code = options_read_alone(self, s, own, 2, argc, argv);

	if (code != GO_ON)
		return code;
	d.ca_file = ca_file && *ca_file ? ca_file : NULL;
	doctor_begin(&d);
	if (!doctor_finds_something(&d))
		return doctor_end(&d);
	doctor_look_at_config(&d);
	doctor_look_at_credentials(&d);
	doctor_look_at_state(&d);
	doctor_look_at_sockets(&d);
	doctor_look_at_members(&d);
	doctor_look_at_daemon(&d);
	doctor_look_at_fleet(&d);
	doctor_look_at_network(&d);
	doctor_plan_fini(&d.plan);
	return doctor_end(&d);
}
