/* Reads the token from the page that the broker shares (gctoken_page.h), and does what is needed to
 * have a page at the right moments. Part of a handle; not part of the public API. */
#ifndef GCTOKEN_PAGE_HOLDER_H
#define GCTOKEN_PAGE_HOLDER_H

#include "defaults.h"
#include "gctoken.h"
#include "own_fd.h"
#include "page_reader.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* How often a reader checks that the broker is still there. */
#define PAGE_CHECK_NS UINT64_C(1000000000)

struct page_holder {
	/* For every reader. */
	_Atomic(const struct gctoken_page *) current; /* NULL: there is none */
	_Atomic uint64_t checked_ns; /* CLOCK_BOOTTIME: until then the broker was surely there */

	/* The process whose one thread may change what follows; 0: nobody does. */
	_Atomic uint64_t owner;
	const struct gctoken_page *places[2]; /* addresses of mappings; never given back before the
						 end, see page_holder.c */
	unsigned place;                       /* of the latest page */
	struct own_fd connection;             /* it came by this one */
	bool asked;                           /* a token has been wanted before */
	uint64_t next_try_ns, pause_ns;

	struct sockaddr_un address;
	socklen_t address_length; /* 0: no page socket can be there */
	char profile[GCTOKEN_PROFILE_NAME_MAX + 1];
};

/* What became of a read, besides its result. */
struct page_read {
	bool touched;       /* the token was written to, although there is no result */
	int64_t started_ms; /* of gctoken_monotonic_ms, if it took long; else 0 */
};

/* The page socket is beside the broker's. Holds no resources until the first read. */
void gctoken_page_init(struct page_holder *h, const char *socket_path, const char *profile);
/* No read may be under way. */
void gctoken_page_fini(struct page_holder *h);

/* All that gctoken_page_get may have to do besides reading. */
bool gctoken_page_get_slowly(
	struct page_holder *h, struct gctoken_token *ret, int min_ttl_s, struct page_read *how);

/* True: *ret is filled, as the broker would have replied. False: the socket has to be asked. May be
 * called by any number of threads; takes no lock and in the usual case makes no system call. */
static inline bool gctoken_page_get(
	struct page_holder *h, struct gctoken_token *ret, int min_ttl_s, struct page_read *ret_how)
{
	const struct gctoken_page *page = atomic_load_explicit(&h->current, memory_order_acquire);
	enum page_reading reading;
	bool touched = false;
	uint64_t now;

	if (__builtin_expect(page != NULL, 1) &&
		__builtin_expect(
			page_read_once(page, ret, (uint64_t)min_ttl_s, &reading, &now, &touched),
			1) &&
		reading == PAGE_READ_TOKEN && now - page_load(&h->checked_ns) < PAGE_CHECK_NS)
		return true;
	*ret_how = (struct page_read){.touched = touched};
	return gctoken_page_get_slowly(h, ret, min_ttl_s, ret_how);
}

/* ---- page_fetch.c ---- */

/* Asks for the page, until `deadline_ms` of gctoken_monotonic_ms at the latest. 0 and two
 * descriptors of the caller's, of the connection (which ends with the broker) and of the page;
 * negative errno. */
int gctoken_page_fetch(
	const struct page_holder *h, int64_t deadline_ms, int *ret_connection, int *ret_page);
/* False: the broker at its other end is gone. */
bool gctoken_page_connection_alive(int connection);

#endif
