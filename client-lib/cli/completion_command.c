/* completion: for those whose gctoken came without a package. */
#include "completion_command.h"

#include "command.h"
#include "options.h"
#include "output.h"

#include <string.h>

int command_completion(const struct command *self, struct settings *s, int argc, char **argv)
{
	const struct completion_script *script = completion_scripts;
	int code = options_read(self, s, NULL, 0, false, &argc, &argv);

	if (code != GO_ON)
		return code;
	if (argc != 1) {
		complain("completion: name one shell: bash, zsh or fish");
		return EXIT_USAGE;
	}
	while (script->shell && strcmp(script->shell, argv[0]))
		script++;
	if (script->shell)
		return print_bytes(script->text, strlen(script->text));
	complain("completion: there is none for \"%s\", only for bash, zsh and fish", argv[0]);
	return EXIT_USAGE;
}
