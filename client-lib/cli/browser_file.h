/* A page on the disk, for this user alone, that sends a browser on to an address. Whoever opened
 * the address itself would show it to every user of this machine, in the list of processes. */
#ifndef GCTOKEN_CLI_BROWSER_FILE_H
#define GCTOKEN_CLI_BROWSER_FILE_H

#include <limits.h>

struct browser_file {
	char path[PATH_MAX];        /* "": there is none */
	char url[3 * PATH_MAX + 8]; /* of the file */
};

#define BROWSER_FILE_NONE ((struct browser_file){.path = ""})

/* In $XDG_RUNTIME_DIR, else $TMPDIR, else /tmp: the first that is there, root's or one's own, and
 * writable for nobody else, or sticky. 0; negative errno. */
int browser_file_make(struct browser_file *ret, const char *address);
/* Nothing happens where there is none. */
void browser_file_remove(struct browser_file *f);

#endif
