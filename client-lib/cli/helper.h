/* Finds gctoken-net. */
#ifndef GCTOKEN_CLI_HELPER_H
#define GCTOKEN_CLI_HELPER_H

/* The program of that name that belongs to this one: beside it, as in a build folder, else at
 * `installed`. Beside counts only what the owner of this program or root put there: in a folder
 * such as /tmp anybody may have. `ret` takes PATH_MAX bytes. */
void helper_find(const char *name, const char *installed, char *ret);

#endif
