/* Linked into a daemon under test: any one of the calls it makes can be made to fail, the Nth of
 * its kind, with an error of the test's choice. Which one is steered by the shared page in the file
 * that GCTOKEN_TEST_FAULTS names; there the calls are counted as well. The linker's --wrap brings
 * the calls here: see meson.build.
 *
 * Types of libraries are void * here, and functions with a variable number of arguments get the
 * most that is ever passed: both are the same to the calling conventions of Linux. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* WRAP(what it returns, its name, its parameters, the same to pass on, what it returns on failure).
 * `error` is the errno to fail with. The wrapper has set errno to it, whether or not that is how
 * the call tells. */
#define CALLS(WRAP) \
	WRAP(void *, malloc, (size_t size), (size), NULL) \
	WRAP(void *, calloc, (size_t count, size_t size), (count, size), NULL) \
	WRAP(void *, realloc, (void *old, size_t size), (old, size), NULL) \
	WRAP(void *, reallocarray, (void *old, size_t count, size_t size), (old, count, size), \
		NULL) \
	WRAP(char *, strdup, (const char *text), (text), NULL) \
	WRAP(char *, strndup, (const char *text, size_t length), (text, length), NULL) \
	WRAP(int, vasprintf, (char **ret, const char *format, va_list arguments), \
		(ret, format, arguments), -1) \
	WRAP(int, __vasprintf_chk, (char **ret, int flag, const char *format, va_list arguments), \
		(ret, flag, format, arguments), -1) \
	WRAP(int, open64, (const char *path, int flags, mode_t mode), (path, flags, mode), -1) \
	WRAP(int, openat64, (int fd, const char *path, int flags, mode_t mode), \
		(fd, path, flags, mode), -1) \
	WRAP(FILE *, fopen64, (const char *path, const char *mode), (path, mode), NULL) \
	WRAP(char *, fgets, (char *text, int size, FILE *file), (text, size, file), NULL) \
	WRAP(DIR *, opendir, (const char *path), (path), NULL) \
	WRAP(struct dirent *, readdir64, (DIR * d), (d), NULL) \
	WRAP(int, scandir64, \
		(const char *path, struct dirent ***ret, int (*wanted)(const struct dirent *), \
			int (*compare)(const struct dirent **, const struct dirent **)), \
		(path, ret, wanted, compare), -1) \
	WRAP(ssize_t, read, (int fd, void *bytes, size_t size), (fd, bytes, size), -1) \
	WRAP(ssize_t, write, (int fd, const void *bytes, size_t length), (fd, bytes, length), -1) \
	WRAP(int, fsync, (int fd), (fd), -1) \
	WRAP(int, fstat64, (int fd, struct stat *ret), (fd, ret), -1) \
	WRAP(int, lstat64, (const char *path, struct stat *ret), (path, ret), -1) \
	WRAP(int, rename, (const char *from, const char *to), (from, to), -1) \
	WRAP(int, renameat, (int fd, const char *from, int to_fd, const char *to), \
		(fd, from, to_fd, to), -1) \
	WRAP(int, renameat2, \
		(int fd, const char *from, int to_fd, const char *to, unsigned flags), \
		(fd, from, to_fd, to, flags), -1) \
	WRAP(ssize_t, pread64, (int fd, void *bytes, size_t size, off64_t at), \
		(fd, bytes, size, at), -1) \
	WRAP(ssize_t, pwrite64, (int fd, const void *bytes, size_t length, off64_t at), \
		(fd, bytes, length, at), -1) \
	WRAP(int, unlink, (const char *path), (path), -1) \
	WRAP(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), -1) \
	WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode), -1) \
	WRAP(int, chmod, (const char *path, mode_t mode), (path, mode), -1) \
	WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), -1) \
	WRAP(int, fchownat, (int fd, const char *path, uid_t uid, gid_t gid, int flags), \
		(fd, path, uid, gid, flags), -1) \
	WRAP(int, faccessat, (int fd, const char *path, int mode, int flags), \
		(fd, path, mode, flags), -1) \
	WRAP(int, flock, (int fd, int operation), (fd, operation), -1) \
	WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1) \
	WRAP(int, ftruncate64, (int fd, off64_t length), (fd, length), -1) \
	WRAP(int, fallocate64, (int fd, int mode, off64_t at, off64_t length), \
		(fd, mode, at, length), -1) \
	WRAP(void *, mmap64, \
		(void *at, size_t length, int protection, int flags, int fd, off64_t offset), \
		(at, length, protection, flags, fd, offset), MAP_FAILED) \
	WRAP(int, stat64, (const char *path, struct stat *ret), (path, ret), -1) \
	WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1) \
	WRAP(int, bind, (int fd, const void *address, socklen_t length), (fd, address, length), \
		-1) \
	WRAP(int, listen, (int fd, int backlog), (fd, backlog), -1) \
	WRAP(int, connect, (int fd, const void *address, socklen_t length), (fd, address, length), \
		-1) \
	WRAP(int, accept4, (int fd, void *address, socklen_t *length, int flags), \
		(fd, address, length, flags), -1) \
	WRAP(int, getsockopt, (int fd, int level, int option, void *ret, socklen_t *length), \
		(fd, level, option, ret, length), -1) \
	WRAP(ssize_t, recv, (int fd, void *bytes, size_t size, int flags), \
		(fd, bytes, size, flags), -1) \
	WRAP(ssize_t, send, (int fd, const void *bytes, size_t length, int flags), \
		(fd, bytes, length, flags), -1) \
	WRAP(ssize_t, sendto, \
		(int fd, const void *bytes, size_t length, int flags, const void *to, \
			socklen_t to_length), \
		(fd, bytes, length, flags, to, to_length), -1) \
	WRAP(ssize_t, sendmsg, (int fd, const void *message, int flags), (fd, message, flags), -1) \
	WRAP(int, shutdown, (int fd, int how), (fd, how), -1) \
	WRAP(int, evutil_make_socket_nonblocking, (int fd), (fd), -1) \
	WRAP(int, evutil_make_socket_closeonexec, (int fd), (fd), -1) \
	WRAP(int, timerfd_create, (clockid_t id, int flags), (id, flags), -1) \
	WRAP(int, timerfd_settime, \
		(int fd, int flags, const struct itimerspec *to, struct itimerspec *ret), \
		(fd, flags, to, ret), -1) \
	WRAP(int, eventfd, (unsigned value, int flags), (value, flags), -1) \
	WRAP(int, eventfd_read, (int fd, eventfd_t *ret), (fd, ret), -1) \
	WRAP(int, eventfd_write, (int fd, eventfd_t value), (fd, value), -1) \
	WRAP(int, poll, (struct pollfd * fds, nfds_t count, int ms), (fds, count, ms), -1) \
	WRAP(int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags), -1) \
	WRAP(int, close_range, (unsigned first, unsigned last, int flags), (first, last, flags), \
		-1) \
	WRAP(int, pthread_create, \
		(pthread_t * ret, const pthread_attr_t *how, void *(*run)(void *), void *context), \
		(ret, how, run, context), error) \
	WRAP(int, getrlimit64, (int resource, struct rlimit *ret), (resource, ret), -1) \
	WRAP(int, setrlimit64, (int resource, const struct rlimit *limit), (resource, limit), -1) \
	WRAP(int, prctl, (int option, long a, long b, long c, long d), (option, a, b, c, d), -1) \
	WRAP(int, getpwnam_r, \
		(const char *name, struct passwd *entry, char *bytes, size_t size, \
			struct passwd **ret), \
		(name, entry, bytes, size, ret), (*ret = NULL, error)) \
	WRAP(int, getgrnam_r, \
		(const char *name, struct group *entry, char *bytes, size_t size, \
			struct group **ret), \
		(name, entry, bytes, size, ret), (*ret = NULL, error)) \
	WRAP(int, sd_pid_get_unit, (pid_t pid, char **ret), (pid, ret), -error) \
	WRAP(int, mlock2, (const void *at, size_t length, unsigned flags), (at, length, flags), \
		-1) \
	WRAP(int, sd_listen_fds_with_names, (int unset, char ***ret), (unset, ret), -error) \
	WRAP(int, sd_is_socket_unix, \
		(int fd, int type, int listening, const char *path, size_t length), \
		(fd, type, listening, path, length), -error) \
	WRAP(void *, event_base_new, (void), (), NULL) \
	WRAP(void *, event_new, (void *base, int fd, short what, void *call, void *context), \
		(base, fd, what, call, context), NULL) \
	WRAP(int, event_add, (void *event, const void *timeout), (event, timeout), -1) \
	WRAP(void *, bufferevent_socket_new, (void *base, int fd, int options), \
		(base, fd, options), NULL) \
	WRAP(int, bufferevent_enable, (void *stream, short what), (stream, what), -1) \
	WRAP(int, bufferevent_write, (void *stream, const void *bytes, size_t length), \
		(stream, bytes, length), -1) \
	WRAP(int, evbuffer_add_reference, \
		(void *to, const void *bytes, size_t length, void *ended, void *context), \
		(to, bytes, length, ended, context), -1) \
	WRAP(void *, redisReaderCreateWithFunctions, (void *functions), (functions), NULL) \
	WRAP(int, redisReaderFeed, (void *reader, const char *bytes, size_t length), \
		(reader, bytes, length), -1) \
	WRAP(void *, yajl_alloc, (const void *calls, void *allocators, void *context), \
		(calls, allocators, context), NULL) \
	WRAP(void *, CRYPTO_malloc, (size_t size, const char *file, int line), (size, file, line), \
		NULL) \
	WRAP(void *, CRYPTO_secure_malloc, (size_t size, const char *file, int line), \
		(size, file, line), NULL) \
	WRAP(int, CRYPTO_secure_malloc_init, (size_t size, size_t smallest), (size, smallest), 0) \
	WRAP(void *, EVP_MD_CTX_new, (void), (), NULL) \
	WRAP(int, EVP_DigestInit_ex, (void *digest, const void *kind, void *engine), \
		(digest, kind, engine), 0) \
	WRAP(int, EVP_Q_digest, \
		(void *library, const char *name, const char *properties, const void *bytes, \
			size_t length, unsigned char *ret, size_t *ret_length), \
		(library, name, properties, bytes, length, ret, ret_length), 0) \
	WRAP(int, RAND_bytes, (unsigned char *ret, int count), (ret, count), 0) \
	WRAP(int, RAND_priv_bytes, (unsigned char *ret, int count), (ret, count), 0) \
	WRAP(void *, EVP_CIPHER_CTX_new, (void), (), NULL) \
	WRAP(int, EVP_CIPHER_CTX_ctrl, (void *cipher, int what, int number, void *value), \
		(cipher, what, number, value), 0) \
	WRAP(int, EVP_EncryptInit_ex, \
		(void *cipher, const void *kind, void *engine, const void *key, const void *iv), \
		(cipher, kind, engine, key, iv), 0) \
	WRAP(int, EVP_EncryptUpdate, \
		(void *cipher, unsigned char *ret, int *ret_length, const void *bytes, \
			int length), \
		(cipher, ret, ret_length, bytes, length), 0) \
	WRAP(int, EVP_EncryptFinal_ex, (void *cipher, unsigned char *ret, int *ret_length), \
		(cipher, ret, ret_length), 0) \
	WRAP(int, EVP_DecryptInit_ex, \
		(void *cipher, const void *kind, void *engine, const void *key, const void *iv), \
		(cipher, kind, engine, key, iv), 0) \
	WRAP(int, EVP_DecryptUpdate, \
		(void *cipher, unsigned char *ret, int *ret_length, const void *bytes, \
			int length), \
		(cipher, ret, ret_length, bytes, length), 0) \
	WRAP(int, EVP_DecryptFinal_ex, (void *cipher, unsigned char *ret, int *ret_length), \
		(cipher, ret, ret_length), 0) \
	WRAP(int, curl_global_init_mem, \
		(long flags, void *make, void *let_go, void *grow, void *copy, void *zeroed), \
		(flags, make, let_go, grow, copy, zeroed), CURLE_OUT_OF_MEMORY) \
	WRAP(void *, curl_easy_init, (void), (), NULL) \
	WRAP(int, curl_easy_setopt, (void *handle, int option, void *value), \
		(handle, option, value), CURLE_OUT_OF_MEMORY) \
	WRAP(void *, curl_multi_init, (void), (), NULL) \
	WRAP(int, curl_multi_setopt, (void *multi, int option, void *value), \
		(multi, option, value), CURLM_OUT_OF_MEMORY) \
	WRAP(int, curl_multi_add_handle, (void *multi, void *handle), (multi, handle), \
		CURLM_OUT_OF_MEMORY) \
	WRAP(int, curl_multi_assign, (void *multi, int fd, void *value), (multi, fd, value), \
		CURLM_OUT_OF_MEMORY) \
	WRAP(void *, curl_url, (void), (), NULL) \
	WRAP(int, curl_url_set, (void *url, int part, const char *text, unsigned flags), \
		(url, part, text, flags), CURLUE_OUT_OF_MEMORY)

/* Of <curl/curl.h>, which would make a macro of curl_easy_setopt. */
enum {
	CURLE_OUT_OF_MEMORY = 27,
	CURLM_OUT_OF_MEMORY = 3,
	CURLUE_OUT_OF_MEMORY = 7,
};

enum call {
#define ENUM(type, name, parameters, arguments, failure) CALL_##name,
	CALLS(ENUM) CALL_asprintf,
	CALL___asprintf_chk,
	CALL_COUNT
};

#define CALLS_MAX 128
#define NAME_SIZE 32

_Static_assert(CALL_COUNT <= CALLS_MAX, "day.py knows of so many");

/* day.py reads and writes it. */
struct page {
	uint32_t call;  /* index of the one to fail; CALLS_MAX: none */
	uint32_t first; /* which of these calls fails, from 1 on */
	uint32_t last;
	int32_t error;
	_Atomic uint64_t failed;
	_Atomic uint64_t where; /* offset in the program of who made the latest one that failed */
	_Atomic uint64_t counts[CALLS_MAX];
	char names[CALLS_MAX][NAME_SIZE];
};

extern const char __executable_start[]; /* the linker's */

static struct page *page;

__attribute__((constructor)) static void page_map(void)
{
	static const char *const names[CALL_COUNT] = {
#define NAME(type, name, parameters, arguments, failure) #name,
		CALLS(NAME) "asprintf", "__asprintf_chk"};
	const char *path = getenv("GCTOKEN_TEST_FAULTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	struct page *map;

	if (fd < 0) {
		/* A test without its faults would pass for the wrong reason. */
		fputs("faults: the file that GCTOKEN_TEST_FAULTS names cannot be opened\n", stderr);
		_exit(125);
	}
	map = mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		_exit(125);
	for (size_t i = 0; i < CALL_COUNT; i++)
		memcpy(map->names[i], names[i], strlen(names[i]));
	page = map;
}

static _Thread_local bool for_library;

static int fault(enum call call, const void *where)
{
	uint64_t number;

	/* Not yet: what a sanitizer does first. */
	if (!page || for_library)
		return 0;
	number = atomic_fetch_add_explicit(&page->counts[call], 1, memory_order_relaxed) + 1;
	if (page->call != call || number < page->first || number > page->last)
		return 0;
	atomic_fetch_add_explicit(&page->failed, 1, memory_order_relaxed);
	atomic_store_explicit(&page->where, (uint64_t)((const char *)where - __executable_start),
		memory_order_relaxed);
	errno = page->error;
	return page->error;
}

#define DEFINE(type, name, parameters, arguments, failure) \
	type __real_##name parameters; \
	type __wrap_##name parameters; \
	type __wrap_##name parameters \
	{ \
		int error = fault(CALL_##name, __builtin_return_address(0)); \
\
		return error ? (failure) : __real_##name arguments; \
	}
CALLS(DEFINE)

int __wrap_asprintf(char **ret, const char *format, ...);
int __wrap___asprintf_chk(char **ret, int flag, const char *format, ...);

int __wrap_asprintf(char **ret, const char *format, ...)
{
	va_list arguments;
	int length;

	if (fault(CALL_asprintf, __builtin_return_address(0)))
		return -1;
	va_start(arguments, format);
	length = __real_vasprintf(ret, format, arguments);
	va_end(arguments);
	return length;
}

int __wrap___asprintf_chk(char **ret, int flag, const char *format, ...)
{
	va_list arguments;
	int length;

	if (fault(CALL___asprintf_chk, __builtin_return_address(0)))
		return -1;
	va_start(arguments, format);
	length = __real___vasprintf_chk(ret, flag, format, arguments);
	va_end(arguments);
	return length;
}

/* What core/wiping allocates is for libcurl and OpenSSL, whose calls do not fail here. */
#define LIBRARY_CALLS(LEAVE) \
	LEAVE(void *, wiping_malloc, (size_t size), (size)) \
	LEAVE(void *, wiping_calloc, (size_t count, size_t size), (count, size)) \
	LEAVE(char *, wiping_strdup, (const char *text), (text)) \
	LEAVE(void *, wiping_realloc, (void *old, size_t size), (old, size))

#define DEFINE_LIBRARY(type, name, parameters, arguments) \
	type __real_##name parameters; \
	type __wrap_##name parameters; \
	type __wrap_##name parameters \
	{ \
		type made; \
\
		for_library = true; \
		made = __real_##name arguments; \
		for_library = false; \
		return made; \
	}
LIBRARY_CALLS(DEFINE_LIBRARY)
