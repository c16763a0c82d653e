/* The command that watch runs for a new token. */
#ifndef GCTOKEN_CLI_WATCH_CHILD_H
#define GCTOKEN_CLI_WATCH_CHILD_H

struct token_parts;

/* Runs sh -c `command` with the token in its environment, and nowhere else, and waits for its end.
 * TERM and HUP that arrive meanwhile are passed on to it, INT is not (a terminal sends that to
 * both); after its end this process ends by the signal it was sent. 0; -1: it could not be run or
 * failed, which has been told on stderr. */
int watch_child_run(const char *command, const struct token_parts *token);

#endif
