/* Is a file that the configuration names, or is made of, what it has to be? Judged as the process's
 * effective user and group see it. All of it blocks. `problem` is a phrase that goes on after the
 * path. */
#ifndef GCTOKEND_HOST_FILE_FIT_H
#define GCTOKEND_HOST_FILE_FIT_H

#include "core/config_lookup.h"

struct stat;

/* Can it be read, and does it hold what it should? Of what is not read at every start (a key, the
 * authorities of ca_file) the content is looked at only where `thorough`, as is the place of a
 * socket. Neither it nor what is secret may lie where others could put another file in its place.
 * `problem`, "" at first, as in core/config_lookup.h. */
bool file_fit(enum config_file what, bool thorough, const char *path, gid_t socket_gid,
	char *problem, size_t problem_size);
/* A file of the configuration, which has been opened: owner_fit, and folders_fit (folder_fit.h). */
bool config_file_fit(const char *path, const struct stat *file, char *problem, size_t problem_size);
/* The directory of the state, where it is there already: root's or ours, writable for nobody else,
 * but with the sticky bit. Where `thorough`, also what would be told when it is opened:
 * something else is there, or, as a doubt, nothing that it could be made in.
 */
bool state_dir_fit(const char *path, bool thorough, char *problem, size_t problem_size);
/* The folder that a socket at `path` is made in, where it is there already: root's or ours,
 * writable for nobody else. In one with the sticky bit somebody else could be there first. */
bool socket_dir_fit(const char *path, char *problem, size_t problem_size);

#endif
