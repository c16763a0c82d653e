#include "protection.h"

#include "core/wiping.h"
#include "host/log.h"
#include "host/no_programs.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* A power of two, as OpenSSL asks. Room for the credentials and tokens of about a hundred profiles;
 * what does not fit goes to the ordinary heap, wiped all the same. */
#define SECURE_HEAP_SIZE (1024 * 1024)
#define SECURE_HEAP_SMALLEST 64

void protection_open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* What the environment must not decide: where traffic goes and where TLS keys are written. */
static void clear_environment(void)
{
	static const char *const names[] = {"SSLKEYLOGFILE", "http_proxy", "https_proxy",
		"HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "CURL_HOME",
		"NETRC"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unsetenv(names[i]);
}

static void *openssl_realloc(void *p, size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return wiping_realloc(p, size);
}

static void openssl_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	wiping_free(p);
}

bool protection_wipe_what_openssl_frees(void)
{
	return CRYPTO_set_mem_functions(NULL, openssl_realloc, openssl_free) == 1;
}

void protection_of_readers(void)
{
	const struct rlimit no_core = {0, 0};

	umask(077);
	signal(SIGPIPE, SIG_IGN);
	clear_environment();
	if (setrlimit(RLIMIT_CORE, &no_core) || prctl(PR_SET_DUMPABLE, 0))
		log_line(LOG_WARNING, "core dumps cannot be turned off: %s", strerror(errno));
}

void protection_of_daemon(void)
{
	struct rlimit files;
	int error;

	protection_of_readers();
	error = no_programs();
	if (error)
		log_line(LOG_WARNING, "this process cannot be kept from starting programs: %s",
			strerror(-error));
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	switch (CRYPTO_secure_malloc_init(SECURE_HEAP_SIZE, SECURE_HEAP_SMALLEST)) {
	case 1:
		break;
	case 2:
		log_line(LOG_WARNING,
			"memory for secrets cannot be locked: they may reach swap (raise "
			"LimitMEMLOCK)");
		break;
	default:
		log_line(LOG_WARNING, "no memory set apart for secrets; the ordinary heap is used");
	}
}
