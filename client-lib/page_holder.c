/* Keeps a page mapped, so that a read costs only the memory accesses and one look at the clock: it
 * writes nothing that threads share.
 *
 * That works because a mapping's address stays valid until the handle is closed. There are two
 * places: a new page is mapped over the one that is not in use (MAP_FIXED replaces in one step),
 * and only then becomes the current one. A reader that was stopped in the old place, however long,
 * finds the old page or a newer one when it continues, and the sequence tells them apart: no two
 * pages ever have the same one. So there is no need for locks, counters or garbage.
 *
 * The handle keeps the connection by which the page came. It ends with the broker, and about once
 * a second a reader checks it: a page whose writer is gone is not used any more, since rules could
 * change and tokens be rejected meanwhile. A handle's first token comes from the socket, so that a
 * program that needs only one never asks for a page. */
#include "page_holder.h"

#include "clocks.h"
#include "gctoken_page.h"
#include "page_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_SOCKET "page.sock"
#define FETCH_MS 250
#define PAUSE_FIRST_NS UINT64_C(1000000000)
#define PAUSE_MAX_NS UINT64_C(60000000000)

/* One thread at a time; the others do without. What a parent's thread owned at a fork the child
 * takes over: that thread does not exist there. */
static bool own(struct page_holder *h)
{
	uint64_t mine = (uint64_t)getpid();
	uint64_t owner = atomic_load(&h->owner);

	return owner != mine && atomic_compare_exchange_strong(&h->owner, &owner, mine);
}

static void disown(struct page_holder *h)
{
	atomic_store(&h->owner, 0);
}

/* 0: the kernel has no time namespaces. The link's words, "time:[4026531834]", cost half of what
 * its stat(2) does. */
static bool time_namespace(uint64_t *ret)
{
	char link[64];
	ssize_t n = readlink("/proc/self/ns/time", link, sizeof(link) - 1);
	struct stat s;

	if (n < 0) {
		*ret = 0;
		return errno == ENOENT && stat("/proc/self/ns", &s) == 0;
	}
	link[n] = '\0';
	return sscanf(link, "time:[%" SCNu64 "]", ret) == 1;
}

static bool is_for_us(const struct gctoken_page *p)
{
	uint64_t namespace;

	return page_load(&p->magic) == GCTOKEN_PAGE_MAGIC &&
	       page_load(&p->version) == GCTOKEN_PAGE_VERSION &&
	       page_load(&p->size) == GCTOKEN_PAGE_SIZE && time_namespace(&namespace) &&
	       page_load(&p->time_namespace) == namespace;
}

static void drop(struct page_holder *h)
{
	atomic_store(&h->current, NULL);
	gctoken_own_fd_close(&h->connection);
}

static bool install(struct page_holder *h, int fd)
{
	unsigned other = h->place ^ 1;
	void *place = (void *)(uintptr_t)h->places[other];
	void *at = mmap(
		place, GCTOKEN_PAGE_SIZE, PROT_READ, MAP_SHARED | (place ? MAP_FIXED : 0), fd, 0);

	if (at == MAP_FAILED) {
		/* It is not known whether the old mapping is still there: the place is given up. */
		h->places[other] = NULL;
		return false;
	}
	madvise(at, GCTOKEN_PAGE_SIZE, MADV_DONTDUMP);
	h->places[other] = at;
	if (!is_for_us(at))
		return false;
	h->place = other;
	atomic_store(&h->current, at);
	return true;
}

static bool fetch(struct page_holder *h, uint64_t now)
{
	int connection, page;
	bool installed;

	if (gctoken_page_fetch(h, gctoken_monotonic_ms() + FETCH_MS, &connection, &page) < 0)
		return false;
	installed = install(h, page);
	close(page);
	if (!installed) {
		close(connection);
		return false;
	}
	if (gctoken_own_fd(connection, &h->connection) < 0) {
		atomic_store(&h->current, NULL);
		return false;
	}
	atomic_store_explicit(&h->checked_ns, now, memory_order_relaxed);
	return true;
}

/* True: there is a page now. */
static bool want_page(struct page_holder *h, struct page_read *how)
{
	uint64_t now = gctoken_page_now();
	bool there;

	if (!own(h))
		return false;
	there = atomic_load(&h->current) != NULL;
	if (!there && !h->asked) {
		h->asked = true;
	} else if (!there && now >= h->next_try_ns) {
		how->started_ms = gctoken_monotonic_ms();
		there = fetch(h, now);
		h->pause_ns = there                            ? 0
			      : !h->pause_ns                   ? PAUSE_FIRST_NS
			      : h->pause_ns * 2 > PAUSE_MAX_NS ? PAUSE_MAX_NS
							       : h->pause_ns * 2;
		h->next_try_ns = now + h->pause_ns;
	}
	disown(h);
	return there;
}

/* Another page is wanted at once; `seen` may have been replaced meanwhile. */
static void forget(struct page_holder *h, const struct gctoken_page *seen)
{
	if (!own(h))
		return;
	if (atomic_load(&h->current) == seen)
		drop(h);
	disown(h);
}

/* False: the broker that wrote the page is gone, or the connection by which that could be told, or
 * this process's clock is another one now. */
static bool broker_is_there(struct page_holder *h, const struct gctoken_page *page, uint64_t now)
{
	bool there = true;

	if (now - page_load(&h->checked_ns) < PAGE_CHECK_NS || !own(h))
		return true;
	if (atomic_load(&h->current) == page && now - page_load(&h->checked_ns) >= PAGE_CHECK_NS) {
		there = gctoken_own_fd_is_ours(&h->connection) &&
			gctoken_page_connection_alive(h->connection.fd) && is_for_us(page);
		if (there)
			atomic_store_explicit(&h->checked_ns, now, memory_order_relaxed);
		else
			drop(h);
	}
	disown(h);
	return there;
}

static bool get_slowly(
	struct page_holder *h, struct gctoken_token *ret, int min_ttl_s, struct page_read *how)
{
	const struct gctoken_page *page;
	enum page_reading reading;
	uint64_t now;

	/* Twice, because a page that is retired or orphaned has a successor more often than not. */
	for (int i = 0; i < 2; i++) {
		page = atomic_load_explicit(&h->current, memory_order_acquire);
		if (!page) {
			if (!want_page(h, how))
				return false;
			page = atomic_load_explicit(&h->current, memory_order_acquire);
			if (!page)
				return false;
		}
		reading = gctoken_page_read(page, ret, (uint64_t)min_ttl_s, &now, &how->touched);
		if (reading == PAGE_READ_RETIRED)
			forget(h, page);
		else if (broker_is_there(h, page, now))
			return reading == PAGE_READ_TOKEN;
	}
	return false;
}

bool gctoken_page_get_slowly(
	struct page_holder *h, struct gctoken_token *ret, int min_ttl_s, struct page_read *how)
{
	int cancel;
	bool found;

	/* Nobody would disown what a thread that ended in between had owned: the broker would not
	 * be looked for any more, and the page be read without it. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	found = get_slowly(h, ret, min_ttl_s, how);
	pthread_setcancelstate(cancel, &cancel);
	return found;
}

void gctoken_page_init(struct page_holder *h, const char *socket_path, const char *profile)
{
	const char *slash = strrchr(socket_path, '/');
	size_t directory = slash ? (size_t)(slash + 1 - socket_path) : 0;

	memset(h, 0, sizeof(*h));
	h->connection = OWN_FD_NONE;
	strcpy(h->profile, profile);
	h->address.sun_family = AF_UNIX;
	if (directory + sizeof(PAGE_SOCKET) > sizeof(h->address.sun_path))
		return;
	memcpy(h->address.sun_path, socket_path, directory);
	memcpy(h->address.sun_path + directory, PAGE_SOCKET, sizeof(PAGE_SOCKET));
	h->address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + directory +
					sizeof(PAGE_SOCKET));
}

void gctoken_page_fini(struct page_holder *h)
{
	drop(h);
	for (size_t i = 0; i < 2; i++)
		if (h->places[i])
			munmap((void *)(uintptr_t)h->places[i], GCTOKEN_PAGE_SIZE);
}
