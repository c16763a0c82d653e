/* Counts what a process asks its allocator for. Preloaded into a daemon under test by
 * test_serving_path.py, which reads the count from the file named in GCTOKEN_TEST_COUNT while the
 * daemon runs. glibc's own names for its functions keep this free of dlsym(), which allocates. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static _Atomic uint64_t before_start;
static _Atomic uint64_t *count = &before_start;

__attribute__((constructor)) static void counter_init(void)
{
	const char *path = getenv("GCTOKEN_TEST_COUNT");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *page;

	if (fd < 0)
		return;
	page = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (page != MAP_FAILED)
		count = page;
}

static void note(void)
{
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

void *malloc(size_t size)
{
	note();
	return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
	note();
	return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
	note();
	return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
	note();
	return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	note();
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *got;

	note();
	got = __libc_memalign(alignment, size);
	if (!got)
		return ENOMEM;
	*ret = got;
	return 0;
}
