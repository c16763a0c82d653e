/* The daemon starts no programs, and whoever took it over cannot either. */
#ifndef GCTOKEND_HOST_NO_PROGRAMS_H
#define GCTOKEND_HOST_NO_PROGRAMS_H

/* From here on the kernel refuses this thread, and all that it creates, to become another program
 * (EPERM): for good, in whichever way the system call is made. To be called before there are other
 * threads. 0; -ENOTSUP: not known how on this processor; other negative errno. */
int no_programs(void);

#endif
