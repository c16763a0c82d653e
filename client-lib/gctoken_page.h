/* The page: what the broker and libgctoken share. There is one memfd per profile and token, which
 * the broker writes. Whoever may have the profile's token gets a read-only descriptor of it, and
 * from then on reads the token where it lies, without a system call. docs/architecture.md says how
 * it is asked for.
 *
 * Everything is words of 64 bits in the machine's byte order, read and written by relaxed atomic
 * accesses, in three parts:
 *
 *   what never changes     `magic` to `rules`: written before anybody else sees the page
 *   what does              `state` to `token`, under the sequence lock below
 *   `sequence`             odd while the broker writes. It begins with an instant of CLOCK_BOOTTIME
 *                          in ns and only grows, so that no two pages ever have the same one
 *
 * A reader loads `sequence` (acquire), and if it is even, what it wants of the rest; then, after
 * an acquire fence, `sequence` again. If that is the same, all it has read was there at one moment.
 * If not, it has read a mixture and tries again, a bounded number of times: the broker may have
 * been descheduled or killed at an odd number, and then only the socket is left. The writer stores
 * the odd number, a release fence, the content, and the even number (release).
 *
 * `state` decides: 0 is "retired", so that a page full of zeros is a retired one. The reader
 * takes the token if CLOCK_BOOTTIME, read after the words, is before `until`; from then on, and in
 * every state but GCTOKEN_PAGE_TOKEN, it has to ask the socket. Instants are of the time namespace
 * whose inode the page names; a reader in another one cannot use the page.
 *
 * Versions. `magic`, `version`, `sequence` and `state` keep their place in every version, and
 * state 0 its meaning, so that a newer broker can retire the page that an older one has left. A
 * reader uses only versions it knows and asks for one of them by number; a broker that cannot make
 * that version says so, and the reader keeps using the socket. A reserved word (zero) may get a
 * meaning without a new version if readers that ignore it lose nothing; everything else needs a new
 * version. */
#ifndef GCTOKEN_PAGE_H
#define GCTOKEN_PAGE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define GCTOKEN_PAGE_MAGIC UINT64_C(0x6763746f6b656e50) /* "gctokenP" */
#define GCTOKEN_PAGE_VERSION 1
#define GCTOKEN_PAGE_SIZE 12288 /* of the memfd; sealed */
#define GCTOKEN_PAGE_TOKEN_MAX 8192

enum gctoken_page_state {
	GCTOKEN_PAGE_RETIRED = 0, /* for good: ask for another page */
	GCTOKEN_PAGE_ASK = 1,     /* no token that could be taken from here just now */
	GCTOKEN_PAGE_TOKEN = 2,
};

struct gctoken_page {
	_Atomic uint64_t magic;
	_Atomic uint64_t version;
	_Atomic uint64_t size;           /* GCTOKEN_PAGE_SIZE */
	_Atomic uint64_t time_namespace; /* inode of /proc/PID/ns/time; 0: the kernel has none */
	_Atomic uint64_t rules[2];       /* the broker's own: a digest of who may have this page */
	_Atomic uint64_t reserved_constant[2];

	_Atomic uint64_t sequence;
	_Atomic uint64_t state; /* enum gctoken_page_state */
	_Atomic uint64_t generation;
	_Atomic uint64_t until;      /* CLOCK_BOOTTIME, ns: the page says nothing from then on */
	_Atomic uint64_t dead;       /* likewise: expires_in counts down to it; > until */
	_Atomic uint64_t stale_from; /* likewise: the state is stale from then on */
	_Atomic uint64_t min_ttl_limit_s; /* whoever wants more has to ask */
	_Atomic uint64_t length;          /* of the token, without padding */
	_Atomic uint64_t fingerprint[2];  /* 16 characters */
	_Atomic uint64_t reserved[6];
	_Atomic uint64_t token[GCTOKEN_PAGE_TOKEN_MAX / 8]; /* 0x21 to 0x7E, then zeros */
};

/* The token starts a cache line and is copied by whole ones, so that zeros up to the next must be
 * there: they are, since the longest token ends one. */
#define GCTOKEN_PAGE_LINE 64

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && sizeof(_Atomic uint64_t) == 8,
	"words have to be atomic without a lock, which two processes could not share");
_Static_assert(offsetof(struct gctoken_page, magic) == 0, "layout");
_Static_assert(offsetof(struct gctoken_page, version) == 8, "layout");
_Static_assert(offsetof(struct gctoken_page, size) == 16, "layout");
_Static_assert(offsetof(struct gctoken_page, time_namespace) == 24, "layout");
_Static_assert(offsetof(struct gctoken_page, rules) == 32, "layout");
_Static_assert(offsetof(struct gctoken_page, sequence) == 64, "layout");
_Static_assert(offsetof(struct gctoken_page, state) == 72, "layout");
_Static_assert(offsetof(struct gctoken_page, generation) == 80, "layout");
_Static_assert(offsetof(struct gctoken_page, until) == 88, "layout");
_Static_assert(offsetof(struct gctoken_page, dead) == 96, "layout");
_Static_assert(offsetof(struct gctoken_page, stale_from) == 104, "layout");
_Static_assert(offsetof(struct gctoken_page, min_ttl_limit_s) == 112, "layout");
_Static_assert(offsetof(struct gctoken_page, length) == 120, "layout");
_Static_assert(offsetof(struct gctoken_page, fingerprint) == 128, "layout");
_Static_assert(offsetof(struct gctoken_page, token) == 192, "layout");
_Static_assert(sizeof(struct gctoken_page) == 8384, "layout");
_Static_assert(sizeof(struct gctoken_page) <= GCTOKEN_PAGE_SIZE, "layout");
_Static_assert(offsetof(struct gctoken_page, token) % GCTOKEN_PAGE_LINE == 0 &&
		       GCTOKEN_PAGE_TOKEN_MAX % GCTOKEN_PAGE_LINE == 0,
	"the token is copied by whole lines");

/* ---- page.sock: a stream socket, one line to and fro ----
 *
 * The client says
 *
 *     page VERSION PROFILE\n
 *
 * and the broker either of
 *
 *     200\n   with one descriptor (SCM_RIGHTS)
 *     NNN\n   and the end
 *
 * After a 200 the connection stays, and neither says anything any more: its end tells the client
 * that this broker is gone. NNN is 400: not such a line; 403: denied; 404: no such profile (told to
 * admins only); 408: the line took too long; 429: too many connections of this user; 503: not now;
 * 505: no such version. */
#define GCTOKEN_PAGE_REQUEST "page %d %s\n"
#define GCTOKEN_PAGE_REQUEST_MAX 80
#define GCTOKEN_PAGE_REPLY_LENGTH 4

#endif
