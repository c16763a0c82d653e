/* A browser for the person at this machine. */
#ifndef GCTOKEN_CLI_BROWSER_H
#define GCTOKEN_CLI_BROWSER_H

#include "browser_file.h"

#include <stdbool.h>

/* Starts the programs of $BROWSER (with colons between several; %s stands for what is to be
 * opened), or xdg-open where there is a desktop, until one could be started. It gets the URL of a
 * file that sends it on to `address`: the address itself is on no command line. No shell sees
 * either. The browser lives on by itself, without this terminal. True if one was started, which
 * does not mean that a person sees it; then the caller removes *ret once it has been read. */
bool browser_open(const char *address, struct browser_file *ret);

#endif
