#include "fd_table.h"

#include <errno.h>
#include <linux/close_range.h>
#include <stdbool.h>
#include <unistd.h>

static bool is_among(int fd, const int *kept, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (kept[i] == fd)
			return true;
	return false;
}

int fd_table_own(const int *kept, size_t count)
{
	int last = STDERR_FILENO;

	for (size_t i = 0; i < count; i++)
		if (kept[i] > last)
			last = kept[i];
	if (close_range((unsigned)last + 1, ~0U, CLOSE_RANGE_UNSHARE) < 0)
		return -errno;
	/* Whatever stayed open here would stay open when it is closed elsewhere. */
	for (int fd = STDERR_FILENO + 1; fd < last; fd++)
		if (!is_among(fd, kept, count))
			close(fd);
	return 0;
}
