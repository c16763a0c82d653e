/* Starts that fail under a service manager, which starts us again, and again. The first says all
 * that is wrong, those that follow say it in one line, and after FAILED_STARTS_QUICK of them each
 * waits before it ends: a mistake that nobody looks at for a night must not fill the journal. */
#ifndef GCTOKEND_FAILED_START_H
#define GCTOKEND_FAILED_START_H

/* That many in a row end at once: what is mended meanwhile is noticed at once. */
#define FAILED_STARTS_QUICK 30
/* Below the unit's TimeoutStartSec=, and what is mended is noticed within half a minute. */
#define FAILED_START_WAIT_S 25

/* After systemd_open, before systemd_drop_fds. */
void failed_start_open(void);
/* How many starts in a row have failed before this one. */
unsigned failed_starts_before(void);
/* This one has failed, which is remembered for the next. Returns when the process may end. SIGTERM
 * ends the process meanwhile, and SIGHUP, which has to be blocked, the waiting: whoever has mended
 * the mistake need not wait. */
void failed_start_end(void);
/* This one has not. */
void failed_start_forget(void);

#endif
