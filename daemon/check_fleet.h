/* What --check-fleet prints: whether this host can be one of its fleet, step by step, and what to
 * do where it cannot. For gctoken doctor, which has no other way to the daemon's secrets and to how
 * it reaches the store. */
#ifndef GCTOKEND_CHECK_FLEET_H
#define GCTOKEND_CHECK_FLEET_H

/* Reads the configuration at that path as the daemon's account does, asks the store, and prints
 * JSON: nothing of it where there is no fleet. In the store it makes keys of its own, and deletes
 * them. An exit code: 0, whatever it found; EX_CONFIG; EX_OSERR. */
int check_fleet(const char *path);

#endif
