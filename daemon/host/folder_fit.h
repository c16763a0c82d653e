/* Who could put another file in the place of one that is trusted? Judged as the process's effective
 * user sees it. All of it blocks. `problem` is a phrase that goes on after the path. */
#ifndef GCTOKEND_HOST_FOLDER_FIT_H
#define GCTOKEND_HOST_FOLDER_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stat;

/* Root's or ours, and writable for nobody else. `what` is "" or names a folder, before the phrase.
 */
bool owner_fit(const struct stat *st, const char *what, char *problem, size_t problem_size);
/* One in which others cannot take away or replace what is not theirs: owner_fit, or sticky and
 * root's, as /tmp is. */
bool folder_fit(const struct stat *folder, const char *what, char *problem, size_t problem_size);
/* All folders on the way to `path`, those of symbolic links as well: each in which the last part is
 * looked up has to be folder_fit; above, none may be open to the world but with the sticky
 * bit; and a link in a sticky one has to be root's or ours. True, and *problem is "" or a doubt: a
 * folder above belongs to somebody else. False: what is wrong. */
bool folders_fit(const char *path, char *problem, size_t problem_size);
/* May what listens as uid `listener` at the Unix socket `path` be taken for what the path stands
 * for? If that is root or we; or if all folders on the way are root's, ours or its own, the nearest
 * writable for its owner alone and none above open to the world, sticky or not: then nobody else
 * can have made a socket there. */
bool listener_fit(const char *path, uid_t listener, char *problem, size_t problem_size);

#endif
