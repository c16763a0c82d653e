#include "page.h"

#include "gctoken_page.h"

#include "core/token_page.h"
#include "toll.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert(PAGE_MEMORY_SIZE == GCTOKEN_PAGE_SIZE, "what has to be made");
_Static_assert(GCTOKEN_PAGE_TOKEN_MAX == TOKEN_MAX, "every token has to fit");
_Static_assert(
	sizeof(((struct gctoken_page *)0)->rules) == PAGE_RULES_WORDS * sizeof(uint64_t), "rules");

struct page {
	struct gctoken_page *shared;
	int fd;
	int reader; /* the same memory, opened for reading: what callers get */
};

static void store(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static uint64_t load(_Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* ---- the sequence lock; there is one writer ---- */

/* It may be odd already, if the writer before us was killed here. */
static uint64_t write_begin(struct gctoken_page *g)
{
	uint64_t odd = load(&g->sequence) | 1;

	store(&g->sequence, odd);
	atomic_thread_fence(memory_order_release);
	return odd;
}

static void write_end(struct gctoken_page *g, uint64_t odd)
{
	atomic_store_explicit(&g->sequence, odd + 1, memory_order_release);
}

static uint64_t word_of(const char *bytes, size_t length)
{
	uint64_t word = 0;

	memcpy(&word, bytes, length < sizeof(word) ? length : sizeof(word));
	return word;
}

/* With zeros behind it, as far as the longer one before it reached. */
static void write_token(struct gctoken_page *g, const char *text, size_t length)
{
	size_t words = (length + 7) / 8;
	size_t before = (size_t)(load(&g->length) + 7) / 8;

	/* Whoever was killed in the middle may have left any length behind. */
	if (before > GCTOKEN_PAGE_TOKEN_MAX / 8)
		before = GCTOKEN_PAGE_TOKEN_MAX / 8;
	for (size_t i = 0; i < words; i++)
		store(&g->token[i], word_of(text + 8 * i, length - 8 * i));
	for (size_t i = words; i < before; i++)
		store(&g->token[i], 0);
	store(&g->length, length);
}

static void write_content(
	struct gctoken_page *g, enum gctoken_page_state state, const struct source_page *content)
{
	const struct token_slot *slot = content ? content->slot : NULL;

	store(&g->state, (uint64_t)state);
	if (slot) /* else it stays: whose page this was */
		store(&g->generation, slot->generation);
	store(&g->until, slot ? (uint64_t)content->until.ns : 0);
	store(&g->dead, slot ? (uint64_t)content->dead.ns : 0);
	store(&g->stale_from,
		slot && content->stale_from.ns > 0 ? (uint64_t)content->stale_from.ns : 0);
	store(&g->min_ttl_limit_s,
		slot && content->min_ttl_limit_s > 0 ? (uint64_t)content->min_ttl_limit_s : 0);
	for (size_t i = 0; i < 2; i++)
		store(&g->fingerprint[i], slot ? word_of(slot->token.fingerprint + 8 * i, 8) : 0);
	write_token(g, slot ? slot->token.text : "", slot ? slot->token.length : 0);
}

void page_publish(struct page *p, const struct source_page *content)
{
	uint64_t odd = write_begin(p->shared);

	write_content(p->shared, content->slot ? GCTOKEN_PAGE_TOKEN : GCTOKEN_PAGE_ASK, content);
	write_end(p->shared, odd);
}

/* Every word that may hold something, whatever state it is in. */
static void wipe(struct gctoken_page *g, enum gctoken_page_state state)
{
	uint64_t odd = write_begin(g);

	write_content(g, state, NULL);
	if (state == GCTOKEN_PAGE_RETIRED)
		store(&g->generation, 0);
	for (size_t i = 0; i < GCTOKEN_PAGE_TOKEN_MAX / 8; i++)
		store(&g->token[i], 0);
	write_end(g, odd);
}

uint64_t page_generation(const struct page *p)
{
	return load(&p->shared->generation);
}

void page_retire(struct page *p)
{
	wipe(p->shared, GCTOKEN_PAGE_RETIRED);
}

/* ---- making one ---- */

static int map(int fd, struct gctoken_page **ret)
{
	void *at = mmap(NULL, GCTOKEN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	/* As good as it gets: a token should reach neither swap nor a core. */
	mlock(at, GCTOKEN_PAGE_SIZE);
	madvise(at, GCTOKEN_PAGE_SIZE, MADV_DONTDUMP);
	*ret = at;
	return 0;
}

static int page_of(int fd, struct page **ret)
{
	struct page *p = calloc(1, sizeof(*p));
	char path[32];
	int r;

	if (!p)
		return -ENOMEM;
	/* Another open file, which mode 0444 and O_RDONLY hold to reading. Without O_NONBLOCK a
	 * process of our own user that has the page could make us wait here, by a lease. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	p->reader = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	r = p->reader < 0 ? -errno : map(fd, &p->shared);
	if (r < 0) {
		if (p->reader >= 0)
			close(p->reader);
		free(p);
		return r;
	}
	p->fd = fd;
	*ret = p;
	return 0;
}

int page_new(struct page **ret, int fd, uint64_t time_namespace, struct boot_time now,
	const uint64_t rules[PAGE_RULES_WORDS])
{
	struct gctoken_page *g;
	int r;

	/* Memory that is there from the start: writing it cannot end in SIGBUS for want of some. */
	r = fallocate(fd, 0, 0, GCTOKEN_PAGE_SIZE) < 0 ? -errno : page_of(fd, ret);
	if (r < 0)
		return r;
	g = (*ret)->shared;
	store(&g->magic, GCTOKEN_PAGE_MAGIC);
	store(&g->version, GCTOKEN_PAGE_VERSION);
	store(&g->size, GCTOKEN_PAGE_SIZE);
	store(&g->time_namespace, time_namespace);
	for (size_t i = 0; i < PAGE_RULES_WORDS; i++)
		store(&g->rules[i], rules[i]);
	store(&g->state, GCTOKEN_PAGE_ASK);
	write_end(g, (uint64_t)now.ns | 1);
	return 0;
}

static bool is_ours(
	struct gctoken_page *g, uint64_t time_namespace, const uint64_t rules[PAGE_RULES_WORDS])
{
	if (load(&g->version) != GCTOKEN_PAGE_VERSION || load(&g->size) != GCTOKEN_PAGE_SIZE ||
		load(&g->state) == GCTOKEN_PAGE_RETIRED ||
		load(&g->time_namespace) != time_namespace)
		return false;
	for (size_t i = 0; i < PAGE_RULES_WORDS; i++)
		if (load(&g->rules[i]) != rules[i])
			return false;
	return true;
}

int page_adopt(
	struct page **ret, int fd, uint64_t time_namespace, const uint64_t rules[PAGE_RULES_WORDS])
{
	struct page *p;
	int r = page_of(fd, &p);

	if (r < 0)
		return r;
	if (load(&p->shared->magic) != GCTOKEN_PAGE_MAGIC ||
		!is_ours(p->shared, time_namespace, rules)) {
		if (load(&p->shared->magic) == GCTOKEN_PAGE_MAGIC)
			wipe(p->shared, GCTOKEN_PAGE_RETIRED);
		p->fd = -1; /* stays the caller's */
		page_free(p);
		return -ESTALE;
	}
	if (load(&p->shared->sequence) & 1)
		wipe(p->shared, GCTOKEN_PAGE_ASK);
	*ret = p;
	return 0;
}

void page_free(struct page *p)
{
	if (!p)
		return;
	munmap(p->shared, GCTOKEN_PAGE_SIZE);
	close(p->reader);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

int page_fd(const struct page *p)
{
	return p->fd;
}

/* ---- handing it over ---- */

int page_send(const struct page *p, int socket)
{
	static const char words[] = "200\n";
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec io = {(char *)(uintptr_t)words, GCTOKEN_PAGE_REPLY_LENGTH};
	struct msghdr message = {.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	ssize_t n;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(p->reader));
	memcpy(CMSG_DATA(c), &p->reader, sizeof(p->reader));
	n = toll_send_message(socket, &message);
	if (n < 0)
		return (int)n;
	return n == GCTOKEN_PAGE_REPLY_LENGTH ? 0 : -EIO;
}
