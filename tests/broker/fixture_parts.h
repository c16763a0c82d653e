/* What the files of the fixture share; for them alone. */
#ifndef GCTOKEND_TESTS_BROKER_FIXTURE_PARTS_H
#define GCTOKEND_TESTS_BROKER_FIXTURE_PARTS_H

#include "broker_fixture.h"

/* For what the daemon calls, which does not say of which rig. NULL: there is none. */
extern struct rig *the_rig;

/* To be freed. NULL of NULL. */
char *fixture_copy(const char *text, size_t length);
char *fixture_copy_text(const char *text);

void fixture_write_file(const char *path, const char *bytes, size_t length);
/* The disk does its next job, if it is well. False: there is none. */
bool fixture_disk_step(void);
/* The boot timer fires, if it is due. */
void fixture_timer_look(void);

#endif
