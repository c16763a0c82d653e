#include "cli.h"
int command_doctor(const struct command *self, struct settings *s, int argc, char **argv)
{
	(void)self;
	(void)s;
	(void)argc;
	(void)argv;
	return EXIT_OK;
}
