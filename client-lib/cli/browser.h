/* A browser for the person at this machine. */
#ifndef GCTOKEN_CLI_BROWSER_H
#define GCTOKEN_CLI_BROWSER_H

#include <stdbool.h>

/* Starts the programs of $BROWSER (with colons between several; %s stands for the URL), or
 * xdg-open where there is a desktop, until one could be started. No shell sees the URL. The browser
 * lives on by itself, without this terminal. True if one was started, which does not mean that a
 * person sees it. */
bool browser_open(const char *url);

#endif
