#include "account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCOUNT "gctokend"
#define STATE_DIR_DEFAULT "/var/lib/gctokend"

int account_become(const char *state_dir, char *text, size_t size)
{
	const struct passwd *account = NULL;
	struct stat st;

	*text = '\0';
	if (geteuid() != 0)
		return 0;
	errno = 0;
	/* NOLINTBEGIN(concurrency-mt-unsafe): this program has one thread */
	if (!stat(state_dir, &st)) {
		if (st.st_uid)
			account = getpwuid(st.st_uid); /* cppcheck-suppress getpwuidCalled */
	} else if (!strcmp(state_dir, STATE_DIR_DEFAULT)) {
		account = getpwnam(ACCOUNT); /* cppcheck-suppress getpwnamCalled */
	}
	/* NOLINTEND(concurrency-mt-unsafe) */
	if (!account || account->pw_uid == 0)
		return 0;
	if (initgroups(account->pw_name, account->pw_gid) ||
		setresgid(account->pw_gid, account->pw_gid, account->pw_gid) ||
		setresuid(account->pw_uid, account->pw_uid, account->pw_uid))
		return -errno;
	snprintf(text, size, "user %.64s (uid %lu)", account->pw_name,
		(unsigned long)account->pw_uid);
	return 0;
}
