/* Closes connections in a thread of its own, because what a caller has put into one can hold up
 * whoever closes it (passing.h). Nothing is waited for here. A close that sleeps is woken a
 * thousand times a second until it gives up, so that whoever sends many of them holds up those that
 * are closed after them for about a millisecond each. */
#ifndef GCTOKEND_FRONT_REAPER_H
#define GCTOKEND_FRONT_REAPER_H

struct reaper;

/* 0; a negative errno: the thread could not be started, and nothing is to be accepted. Takes the
 * signal SIGRTMIN. */
int reaper_new(struct reaper **ret);
/* Waits for what was given up, a second at most: the process is about to end, and closes what is
 * left without lingering. NULL is fine. */
void reaper_free(struct reaper *r);

/* The other end sees the end of `fd` at once; the descriptor is consumed, and closed soon. */
void reaper_close(struct reaper *r, int fd);
/* How many are not yet closed. */
unsigned reaper_pending(const struct reaper *r);

#endif
