/* Ctrl-C and the like while something has to be restored first, such as a terminal's echo: the
 * signals are held, and one that has come shows as a readable descriptor. */
#ifndef GCTOKEN_CLI_INTERRUPT_H
#define GCTOKEN_CLI_INTERRUPT_H

#include <signal.h>

struct interrupt {
	int fd; /* for poll(2); never read from */
	sigset_t before;
};

/* 0, or -errno. Signals that were ignored stay so. */
int interrupt_begin(struct interrupt *ret);
/* Lets the signals through again: one that has come ends the process in here, as it would have
 * ended it then. */
void interrupt_end(struct interrupt *i);

#endif
