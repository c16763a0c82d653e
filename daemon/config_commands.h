/* What gctokend does about a configuration besides serving by it. Each prints to standard output
 * and returns the exit code; no secret is kept. */
#ifndef GCTOKEND_CONFIG_COMMANDS_H
#define GCTOKEND_CONFIG_COMMANDS_H

/* --help-config: every key, with its default. */
int config_command_help(void);
/* --check-config: all that is wrong with the configuration at `path`. 0 if nothing is an error,
 * else EX_CONFIG. */
int config_command_check(const char *path);
/* --print-config: it as JSON. Where it is not valid, nothing is printed and EX_CONFIG returned: the
 * problems are for --check-config to tell. */
int config_command_print(const char *path);

/* Ends what has been printed. 0; EX_OSERR, with a line on standard error, if it could not all be
 * written. */
int config_command_printed(void);

#endif
