#include "folder_fit.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel has it */

static bool ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

bool owner_fit(const struct stat *st, const char *what, char *problem, size_t problem_size)
{
	const unsigned mode = (unsigned)(st->st_mode & 07777);

	if (!ours(st))
		snprintf(problem, problem_size,
			"%sbelongs to uid %lu; it must belong to root or to the daemon's user (uid "
			"%lu)",
			what, (unsigned long)st->st_uid, (unsigned long)geteuid());
	else if (mode & 0022)
		snprintf(problem, problem_size,
			"%shas mode %04o: others could change what is in it; allowed: writable for "
			"its owner alone (chmod go-w)",
			what, mode);
	else
		return true;
	return false;
}

static bool is_sticky(const struct stat *folder)
{
	return (folder->st_mode & S_ISVTX) && folder->st_uid == 0;
}

bool folder_fit(const struct stat *folder, const char *what, char *problem, size_t problem_size)
{
	return is_sticky(folder) || owner_fit(folder, what, problem, problem_size);
}

/* On the way from / to a file, as the kernel goes it. */
struct walk {
	char at[PATH_MAX];   /* the folder that was reached; "": / */
	char rest[PATH_MAX]; /* what is still to go */
	unsigned links;
	uid_t owner_of_root; /* in a user namespace not always 0 */
	bool in_sticky;      /* the folder that was reached is */
	/* Of a socket: who listens. Then it is about who can make a file, and the sticky bit is no
	 * help; (uid_t)-1: it is no socket. */
	uid_t listener;
	char *problem;
	size_t problem_size;
};

static bool tell_errno(const struct walk *w, int error)
{
	snprintf(w->problem, w->problem_size, "cannot be read: %s", strerror(error));
	return false;
}

static bool judge_socket_folder(
	const struct walk *w, const struct stat *folder, const char *what, bool nearest)
{
	const unsigned mode = (unsigned)(folder->st_mode & 07777);
	bool by_others = mode & (nearest ? 0022 : 0002);

	if (!by_others && (ours(folder) || folder->st_uid == w->listener))
		return true;
	if (by_others)
		snprintf(w->problem, w->problem_size, "%shas mode %04o: others could make it there",
			what, mode);
	else
		snprintf(w->problem, w->problem_size, "%sbelongs to uid %lu", what,
			(unsigned long)folder->st_uid);
	return false;
}

/* A folder above the nearest that is somebody else's is a doubt only: it may be a home, and whoever
 * has the home is trusted with it. */
static bool judge_folder(struct walk *w, bool nearest)
{
	const char *folder = *w->at ? w->at : "/";
	char what[300];
	struct stat st;

	if (stat(folder, &st))
		return tell_errno(w, errno);
	snprintf(what, sizeof(what), "lies in %.250s, which ", folder);
	if (w->listener != (uid_t)-1)
		return judge_socket_folder(w, &st, what, nearest);
	w->in_sticky = is_sticky(&st);
	if (w->in_sticky)
		return true;
	if (nearest)
		return owner_fit(&st, what, w->problem, w->problem_size);
	if (st.st_mode & 0002) {
		snprintf(w->problem, w->problem_size, "%severybody can change (mode %04o)", what,
			(unsigned)(st.st_mode & 07777));
		return false;
	}
	if (!ours(&st) && st.st_uid != w->owner_of_root && !*w->problem)
		snprintf(w->problem, w->problem_size,
			"%sbelongs to uid %lu, who can put another in its place", what,
			(unsigned long)st.st_uid);
	return true;
}

/* `w->at` is the link. What it says comes before what is still to go. */
static bool follow(struct walk *w, const struct stat *link)
{
	char target[PATH_MAX], *slash = strrchr(w->at, '/');
	size_t rest = strlen(w->rest);
	ssize_t n;

	if (w->in_sticky && !ours(link)) {
		snprintf(w->problem, w->problem_size,
			"goes by the symbolic link %.250s, which belongs to uid %lu; it must "
			"belong to root or to the daemon's user (uid %lu)",
			w->at, (unsigned long)link->st_uid, (unsigned long)geteuid());
		return false;
	}
	n = readlink(w->at, target, sizeof(target) - 1);
	if (n < 0)
		return tell_errno(w, errno);
	if (++w->links > LINKS_MAX || (size_t)n + 1 + rest >= sizeof(w->rest))
		return tell_errno(w, ELOOP);
	memmove(w->rest + n + 1, w->rest, rest + 1);
	memcpy(w->rest, target, (size_t)n);
	w->rest[n] = '/';
	if (*target == '/')
		w->at[0] = '\0';
	else
		*slash = '\0';
	return true;
}

/* One part of the path. */
static bool go(struct walk *w, const char *part, bool last)
{
	size_t length = strlen(w->at);
	struct stat st;

	if (!strcmp(part, "..")) {
		if (length)
			*strrchr(w->at, '/') = '\0';
		return true;
	}
	if (!judge_folder(w, last))
		return false;
	if (snprintf(w->at + length, sizeof(w->at) - length, "/%s", part) >=
		(int)(sizeof(w->at) - length))
		return tell_errno(w, ENAMETOOLONG);
	if (lstat(w->at, &st))
		return tell_errno(w, errno);
	return !S_ISLNK(st.st_mode) || follow(w, &st);
}

static bool go_all_the_way(struct walk *w)
{
	char part[NAME_MAX + 1];
	size_t from, length;

	for (;;) {
		from = strspn(w->rest, "/");
		length = strcspn(w->rest + from, "/");
		if (!length)
			return true;
		if (length >= sizeof(part))
			return tell_errno(w, ENAMETOOLONG);
		memcpy(part, w->rest + from, length);
		part[length] = '\0';
		from += length;
		from += strspn(w->rest + from, "/");
		memmove(w->rest, w->rest + from, strlen(w->rest + from) + 1);
		if (strcmp(part, ".") != 0 && !go(w, part, !*w->rest))
			return false;
	}
}

static bool walk(const char *path, uid_t listener, char *problem, size_t problem_size)
{
	struct walk *w = calloc(1, sizeof(*w));
	struct stat root;
	size_t length = 0;
	bool fit;

	if (!w) {
		snprintf(problem, problem_size, "cannot be judged: out of memory");
		return false;
	}
	w->listener = listener;
	w->problem = problem;
	w->problem_size = problem_size;
	*problem = '\0';
	w->owner_of_root = stat("/", &root) ? 0 : root.st_uid;
	if (*path != '/' && getcwd(w->rest, sizeof(w->rest))) {
		length = strlen(w->rest);
		w->rest[length++] = '/';
	}
	if (length + strlen(path) >= sizeof(w->rest)) {
		fit = tell_errno(w, ENAMETOOLONG);
	} else {
		memcpy(w->rest + length, path, strlen(path) + 1);
		fit = go_all_the_way(w);
	}
	free(w);
	return fit;
}

bool folders_fit(const char *path, char *problem, size_t problem_size)
{
	return walk(path, (uid_t)-1, problem, problem_size);
}

bool listener_fit(const char *path, uid_t listener, char *problem, size_t problem_size)
{
	return listener == 0 || listener == geteuid() ||
	       (listener != (uid_t)-1 && walk(path, listener, problem, problem_size));
}
