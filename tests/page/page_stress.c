/* Reads of a page that is written all the time, to see that none is a mixture of two tokens, and
 * beside them reads without the second look at the sequence, to see that there would be such
 * mixtures.
 *
 * page_stress [READS [READERS]]: a writer in a process of its own, as the broker is, and so many
 * threads that read, as many times together. Every token tells in each of its words which
 * generation it is of, and so do the words beside it. Once in a while the writer is killed at an
 * odd sequence: then no read brings a token until the next writer has put it right. How long it
 * takes to give up is looked at in the end, when nobody else runs: among others a reader may be
 * stopped at any time, and what the machine's own host takes counts as the reader's. */
#include "../edge/page_stub.h"
#include "gctoken_page.h"
#include "page_reader.h"

#include "core/token_page.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define LENGTH_MOST 2000
#define GIVEN_UP 1000
#define GIVE_UP_NS 1000000 /* it takes a few thousand */
#define KILL_EACH_NS (200 * NS_PER_MS)

/* What several processes look at. */
struct board {
	_Atomic bool stop;
	_Atomic uint64_t written;
};

struct reader {
	pthread_t thread;
	const struct gctoken_page *page;
	uint64_t reads, tokens, asked, torn, backwards;
	uint64_t control_reads, control_torn;
	uint64_t slowest_ns; /* of this thread's processor time, for reads that had to give up */
};

static struct board *board;
static uint64_t reads_each;
static _Atomic unsigned under_way;

static uint64_t length_of(uint64_t generation)
{
	return 8 + generation * 8 % LENGTH_MOST;
}

static uint64_t thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Eight letters that no other generation within reach has. */
static uint64_t word_of(uint64_t generation)
{
	unsigned char bytes[8];
	uint64_t word;

	for (size_t i = 0; i < 8; i++, generation /= 26)
		bytes[i] = (unsigned char)('A' + generation % 26);
	memcpy(&word, bytes, sizeof(word));
	return word;
}

static void publish(struct page *page, uint64_t generation)
{
	static char text[LENGTH_MOST + 16];
	uint64_t word = word_of(generation), length = length_of(generation);
	struct token_slot slot = {.generation = generation};
	struct source_page content = {.slot = &slot,
		.until = {INT64_MAX - 2},
		.dead = {INT64_MAX - 1},
		.stale_from = {generation % 2 ? INT64_MAX : 1},
		.min_ttl_limit_s = 100};

	for (size_t i = 0; i < length; i += 8)
		memcpy(text + i, &word, sizeof(word));
	slot.token.text = text;
	slot.token.length = length;
	snprintf(slot.token.fingerprint, sizeof(slot.token.fingerprint), "%016" PRIx64, generation);
	page_publish(page, &content);
}

/* As far as a writer may come that is killed in page_publish. */
static void die_in_the_middle(int fd)
{
	struct gctoken_page *p =
		mmap(NULL, GCTOKEN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint64_t generation = ++board->written;

	if (p == MAP_FAILED)
		_exit(1);
	atomic_store_explicit(&p->sequence, page_load(&p->sequence) | 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&p->generation, generation, memory_order_relaxed);
	for (size_t i = 0; i < length_of(generation) / 16; i++)
		atomic_store_explicit(&p->token[i], word_of(generation), memory_order_relaxed);
	raise(SIGKILL);
}

static void *write_on(void *context)
{
	int64_t end = stub_now().ns + KILL_EACH_NS;
	struct page *page = context;

	while (!board->stop) {
		publish(page, ++board->written);
		/* Readers get a chance, or all that is tested is their giving up. */
		for (volatile int i = 0; i < 300; i++)
			;
		if (!PAGE_THREAD_SANITIZER && stub_now().ns > end)
			die_in_the_middle(page_fd(page));
	}
	return NULL;
}

static pid_t start_writer(int fd)
{
	static const uint64_t rules[PAGE_RULES_WORDS] = {1, 2};
	pid_t child = fork();
	struct page *page;

	if (child)
		return child;
	if (page_adopt(&page, dup(fd), stub_time_namespace(), rules) < 0)
		_exit(1);
	write_on(page);
	_exit(0);
}

static bool is_torn(const struct gctoken_token *t)
{
	uint64_t word = word_of(t->generation), found;
	char fingerprint[24];

	if (t->length != length_of(t->generation) || strlen(t->token) != t->length ||
		t->state != (t->generation % 2 ? GCTOKEN_STATE_FRESH : GCTOKEN_STATE_STALE))
		return true;
	for (size_t i = 0; i < t->length; i += 8) {
		memcpy(&found, t->token + i, sizeof(found));
		if (found != word)
			return true;
	}
	snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, t->generation);
	return strcmp(fingerprint, t->fingerprint) != 0;
}

/* The same copying without the sequence lock. */
static bool control_is_torn(const struct gctoken_page *p, struct gctoken_token *t)
{
	uint64_t generation = page_load(&p->generation), word = word_of(generation), found;

	page_copy_lines(t->token, p->token, LENGTH_MOST);
	for (size_t i = 0; i < length_of(generation) && i < LENGTH_MOST; i += 8) {
		memcpy(&found, t->token + i, sizeof(found));
		if (found != word)
			return true;
	}
	return false;
}

static void read_once(struct reader *r, struct gctoken_token *t, uint64_t *latest)
{
	bool touched = false, odd = page_load(&r->page->sequence) & 1;
	uint64_t begin = odd ? thread_ns() : 0, taken, now;

	if (gctoken_page_read(r->page, t, 0, &now, &touched) == PAGE_READ_TOKEN) {
		r->tokens++;
		r->torn += is_torn(t);
		r->backwards += t->generation < *latest;
		*latest = t->generation;
		return;
	}
	r->asked++;
	taken = odd ? thread_ns() - begin : 0;
	if (taken > r->slowest_ns)
		r->slowest_ns = taken;
}

static void *run_reader(void *context)
{
	static _Thread_local struct gctoken_token t;
	struct reader *r = context;
	uint64_t latest = 0;

	for (r->reads = 0; r->reads < reads_each; r->reads++) {
		read_once(r, &t, &latest);
		if (r->reads % 64 == 0) {
			r->control_reads++;
			r->control_torn += control_is_torn(r->page, &t);
		}
	}
	under_way--;
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

/* Reads a page whose writer has died, and tells what the quicker half of them took at most;
 * UINT64_MAX where one brought a token. */
static uint64_t given_up_after(const struct gctoken_page *page)
{
	static struct gctoken_token t;
	static uint64_t taken[GIVEN_UP];

	for (size_t i = 0; i < GIVEN_UP; i++) {
		uint64_t begin = thread_ns(), now;
		bool touched;

		if (gctoken_page_read(page, &t, 0, &now, &touched) != PAGE_READ_ASK)
			return UINT64_MAX;
		taken[i] = thread_ns() - begin;
	}
	qsort(taken, GIVEN_UP, sizeof(taken[0]), by_size);
	return taken[GIVEN_UP / 2];
}

static void die(const char *what)
{
	fprintf(stderr, "page_stress: %s\n", what);
	exit(1);
}

int main(int argc, char **argv)
{
	uint64_t reads = argc > 1 ? strtoull(argv[1], NULL, 10) : 4000000;
	unsigned readers = argc > 2 ? (unsigned)atoi(argv[2]) : 2, kills = 0;
	struct reader all[16] = {0}, sum = {0};
	struct page *page = stub_page_new();
	struct gctoken_page *shared;
	uint64_t alone_ns = 0;
	const struct rlimit no_core = {0, 0};
	int status;
	pthread_t writing = 0;
	pid_t writer = 0;
	bool fine;

	if (!reads || !readers || readers > 16)
		die("page_stress [READS [READERS, up to 16]]");
	setrlimit(RLIMIT_CORE, &no_core);
	reads_each = (reads + readers - 1) / readers;
	board = mmap(
		NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, GCTOKEN_PAGE_SIZE, PROT_READ, MAP_SHARED, page_fd(page), 0);
	if (board == MAP_FAILED || shared == MAP_FAILED)
		die("no memory");
	publish(page, ++board->written);
	under_way = readers;
	/* ThreadSanitizer sees threads; killing is then left out. */
	if (!PAGE_THREAD_SANITIZER)
		writer = start_writer(page_fd(page));
	else if (pthread_create(&writing, NULL, write_on, page) != 0)
		die("no thread");
	for (unsigned i = 0; i < readers; i++) {
		all[i].page = shared;
		if (pthread_create(&all[i].thread, NULL, run_reader, &all[i]) != 0)
			die("no thread");
	}
	/* Nobody waits for the dead one's successor but for a moment, in which readers meet what it
	 * has left. */
	while (under_way && !PAGE_THREAD_SANITIZER) {
		if (waitpid(writer, &status, 0) != writer)
			die("no writer");
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			die("the writer has failed");
		if (!(atomic_load(&shared->sequence) & 1))
			die("the writer died elsewhere");
		kills++;
		nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
		writer = start_writer(page_fd(page));
	}
	if (writer) {
		board->stop = true;
		waitpid(writer, &status, 0);
		writer = fork();
		if (!writer)
			die_in_the_middle(page_fd(page));
		waitpid(writer, &status, 0);
	}
	for (unsigned i = 0; i < readers; i++)
		pthread_join(all[i].thread, NULL);
	if (!writer) {
		board->stop = true;
		pthread_join(writing, NULL);
	}
	for (unsigned i = 0; i < readers; i++) {
		sum.reads += all[i].reads;
		sum.tokens += all[i].tokens;
		sum.asked += all[i].asked;
		sum.torn += all[i].torn;
		sum.backwards += all[i].backwards;
		sum.control_reads += all[i].control_reads;
		sum.control_torn += all[i].control_torn;
		if (all[i].slowest_ns > sum.slowest_ns)
			sum.slowest_ns = all[i].slowest_ns;
	}
	printf("reads %" PRIu64 ": %" PRIu64 " tokens, %" PRIu64
	       " times left to the socket; %" PRIu64
	       " publications, %u writers killed while they wrote\n",
		sum.reads, sum.tokens, sum.asked, board->written, kills);
	if (writer)
		alone_ns = given_up_after(shared);
	printf("torn %" PRIu64 ", backwards %" PRIu64 ", given up after %" PRIu64
	       " ns alone, the slowest of all after %" PRIu64 " ns\n",
		sum.torn, sum.backwards, alone_ns, sum.slowest_ns);
	printf("control without the lock: %" PRIu64 " of %" PRIu64 " reads torn\n",
		sum.control_torn, sum.control_reads);
	fine = !sum.torn && !sum.backwards && sum.control_torn &&
	       (kills || PAGE_THREAD_SANITIZER) && sum.tokens > sum.reads / 8 &&
	       alone_ns < GIVE_UP_NS;
	page_free(page);
	/* For those who run tests. */
	printf("1..1\n%sok 1 - page_stress\n", fine ? "" : "not ");
	return !fine;
}
