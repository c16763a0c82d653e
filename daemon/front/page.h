/* The shared page of one profile, as its writer sees it; client-lib/gctoken_page.h has the layout
 * and the rules of reading. The memfd itself never leaves the process but into the service
 * manager's store: whoever has it can map it writable, whatever its mode. Callers get page_send. */
#ifndef GCTOKEND_FRONT_PAGE_H
#define GCTOKEND_FRONT_PAGE_H

#include "core/times.h"
#include <stdint.h>

#define PAGE_RULES_WORDS 2

struct page;
struct source_page;

/* What the memory of a page has to be: sealed against any change of its size, so that reading it
 * ends in no SIGBUS, and of a mode that lets no other user open it for writing. */
#define PAGE_MEMORY_SIZE 12288
#define PAGE_MEMORY_MODE 0444

/* A new page that says "ask", in such memory, all zero. The time namespace (0: the kernel has
 * none), `now` and `rules` go into it. 0, `fd` is consumed; negative errno, and it is not. */
int page_new(struct page **ret, int fd, uint64_t time_namespace, struct boot_time now,
	const uint64_t rules[PAGE_RULES_WORDS]);
/* A page that an earlier run made, in such memory, out of the service manager's store. What it says
 * stays until the next page_publish, so that readers notice no restart; if its writer was killed in
 * the middle it is put right, and says "ask". 0, `fd` is consumed; -ESTALE: it is retired, of
 * another layout, time namespace or set of rules; what it held is wiped, and the fd still the
 * caller's; another negative errno likewise. */
int page_adopt(
	struct page **ret, int fd, uint64_t time_namespace, const uint64_t rules[PAGE_RULES_WORDS]);
/* Lets go of it without touching what readers see. NULL is fine. */
void page_free(struct page *p);

/* What readers see from now on. slot NULL: they have to ask. */
void page_publish(struct page *p, const struct source_page *content);
/* Of the token that is in it, or was until it came to say "ask", in an earlier run too; 0: there
 * has been none. */
uint64_t page_generation(const struct page *p);
/* Wiped, and retired for good: readers notice at their next read. */
void page_retire(struct page *p);

/* The memfd, for the service manager's store and nobody else. */
int page_fd(const struct page *p);
/* Hands a descriptor that can only be read to the other end of `socket`, with the words that
 * precede it: the one place where a page leaves the process. 0; negative errno, -EAGAIN if it would
 * wait. */
int page_send(const struct page *p, int socket);

#endif
