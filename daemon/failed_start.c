/* The number is kept in memory that lies in the manager's store. */
#include "failed_start.h"

#include "host/memfd.h"
#include "host/systemd.h"

#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STORE_NAME "failed-start"

/* As the manager is in host/systemd.c: the process has one. */
static struct {
	int fd; /* -1: none */
	unsigned count;
} before = {.fd = -1};

void failed_start_open(void)
{
	struct stat s;
	int fd = systemd_take_fd(STORE_NAME);

	if (fd < 0)
		return;
	if (memfd_examine(fd, &s) ||
		pread(fd, &before.count, sizeof(before.count), 0) != sizeof(before.count)) {
		before.count = 0;
		systemd_forget_fd(STORE_NAME);
		close(fd);
		return;
	}
	before.fd = fd;
}

unsigned failed_starts_before(void)
{
	return before.count;
}

static void remember(void)
{
	const unsigned count = before.count + 1;
	bool is_new = before.fd < 0;

	if (is_new)
		before.fd = memfd_new("gctokend-" STORE_NAME, sizeof(count), S_IRUSR | S_IWUSR);
	if (before.fd < 0 || pwrite(before.fd, &count, sizeof(count), 0) != sizeof(count))
		return;
	if (is_new)
		systemd_store_fd(STORE_NAME, before.fd);
}

static void wait_a_while(void)
{
	const struct timespec patience = {.tv_sec = FAILED_START_WAIT_S};
	sigset_t hangup;

	sigemptyset(&hangup);
	sigaddset(&hangup, SIGHUP);
	sigtimedwait(&hangup, NULL, &patience);
}

void failed_start_end(void)
{
	if (!systemd_is_there())
		return;
	remember();
	if (before.count < FAILED_STARTS_QUICK)
		return;
	systemd_notify("STATUS=not started %u times in a row: see the log. Tried again in %d s",
		before.count + 1, FAILED_START_WAIT_S + 1);
	wait_a_while();
}

void failed_start_forget(void)
{
	if (before.fd < 0)
		return;
	systemd_forget_fd(STORE_NAME);
	close(before.fd);
	before.fd = -1;
}
