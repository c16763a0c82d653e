/* libgctoken and the page, with the real writer behind a broker that does as the test says. */
#include "page_stub.h"

#include "gctoken.h"
#include "gctoken_page.h"
#include "handle_probe.h"
#include "page_holder.h"
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define GIVE_UP_MS 30000

static struct stub *stub;
static struct gctoken *g;

static int64_t now_ms(void)
{
	return stub_now().ns / NS_PER_MS;
}

static int set_up(void **state)
{
	(void)state;
	stub = stub_new();
	return gctoken_open(&g, stub->socket, "default");
}

static int tear_down(void **state)
{
	(void)state;
	gctoken_close(g);
	stub_free(stub);
	return 0;
}

static struct gctoken_token get_ttl(int min_ttl_s)
{
	struct gctoken_token t;

	assert_int_equal(gctoken_get(g, &t, min_ttl_s, 1000), 0);
	return t;
}

/* The token's generation, after a look at all of it. */
static uint64_t get(void)
{
	struct gctoken_token t = get_ttl(0);
	char text[GCTOKEN_TOKEN_MAX + 1], fingerprint[17];

	if (t.generation == STUB_SOCKET_GENERATION) {
		assert_string_equal(t.token, "socket");
		return t.generation;
	}
	assert_int_equal(strlen(t.token), t.length);
	stub_token(t.generation, t.length, text);
	assert_string_equal(t.token, text);
	snprintf(fingerprint, sizeof(fingerprint), "%016llx", (unsigned long long)t.generation);
	assert_string_equal(t.fingerprint, fingerprint);
	for (size_t i = 0; i < sizeof(t.reserved); i++)
		assert_int_equal(t.reserved[i], 0);
	return t.generation;
}

/* The first token comes from the socket, by design. */
static void warm_up(void)
{
	assert_int_equal(get(), STUB_SOCKET_GENERATION);
	assert_int_equal(stub->page_asked, 0);
}

static void wait_for_generation(uint64_t generation)
{
	int64_t give_up = now_ms() + GIVE_UP_MS;

	while (get() != generation) {
		assert_true(now_ms() < give_up);
		usleep(10000);
	}
}

static struct gctoken_page *writable(struct page *page)
{
	void *at =
		mmap(NULL, GCTOKEN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd(page), 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static void reads_come_from_the_page(void **state)
{
	struct gctoken_token t;

	(void)state;
	stub_publish(stub->page, 7, 86, 3600);
	warm_up();
	for (int i = 0; i < 10000; i++)
		assert_int_equal(get(), 7);
	assert_int_equal(stub->asked, 1);
	assert_int_equal(stub->page_asked, 1);
	t = get_ttl(0);
	assert_in_range(t.expires_in_ms, 3600000 - GIVE_UP_MS, 3600000);
	assert_int_equal(t.state, GCTOKEN_STATE_FRESH);
}

static void every_length_arrives_whole(void **state)
{
	static const size_t lengths[] = {
		1, 7, 8, 9, 63, 64, 65, 90, 127, 128, 2000, 4095, 8191, 8192, 64, 1, 8192, 90};

	(void)state;
	warm_up();
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		stub_publish(stub->page, i + 1, lengths[i], 3600);
		assert_int_equal(get(), i + 1);
	}
	assert_int_equal(stub->asked, 1);
}

static void publish_content(struct source_page *content, int64_t until_ns, int64_t stale_ns)
{
	struct token_slot slot = {.generation = 9, .token = {.text = (char[]){"abc"}, .length = 3}};
	struct boot_time now = stub_now();

	memcpy(slot.token.fingerprint, "0123456789abcdef", 17);
	*content = (struct source_page){.slot = &slot,
		.until = {now.ns + until_ns},
		.dead = {now.ns + 100 * NS_PER_S},
		.stale_from = {stale_ns == INT64_MAX ? stale_ns : now.ns + stale_ns},
		.min_ttl_limit_s = 50};
	page_publish(stub->page, content);
}

static void what_the_page_does_not_know_the_socket_does(void **state)
{
	struct source_page content;

	(void)state;
	warm_up();
	publish_content(&content, 60 * NS_PER_S, INT64_MAX);
	assert_int_equal(get_ttl(0).generation, 9);
	assert_int_equal(get_ttl(50).generation, 9);
	/* more than can be asked for: the broker has to say so */
	assert_int_equal(get_ttl(51).generation, STUB_SOCKET_GENERATION);
	/* the past, and what has just become the past */
	publish_content(&content, 0, INT64_MAX);
	assert_int_equal(get_ttl(0).generation, STUB_SOCKET_GENERATION);
	publish_content(&content, 200 * NS_PER_MS, INT64_MAX);
	while (now_ms() * NS_PER_MS < content.until.ns + NS_PER_MS)
		usleep(1000);
	assert_int_equal(get_ttl(0).generation, STUB_SOCKET_GENERATION);
	/* nothing to serve, then something again */
	content.slot = NULL;
	page_publish(stub->page, &content);
	assert_int_equal(get_ttl(0).generation, STUB_SOCKET_GENERATION);
	publish_content(&content, 60 * NS_PER_S, INT64_MAX);
	assert_int_equal(get_ttl(0).generation, 9);
	assert_int_equal(stub->page_asked, 1);
}

static void min_ttl_is_counted_to_the_end(void **state)
{
	(void)state;
	warm_up();
	stub_publish(stub->page, 3, 10, 100); /* limit 50, 100 s left: asked for is less */
	assert_int_equal(get_ttl(50).generation, 3);
	stub_publish(stub->page, 4, 10, 20);
	assert_int_equal(get_ttl(10).generation, 4);
	assert_int_equal(get_ttl(11).generation, STUB_SOCKET_GENERATION);
}

static void stale_is_told(void **state)
{
	struct source_page content;

	(void)state;
	warm_up();
	publish_content(&content, 60 * NS_PER_S, -1);
	assert_int_equal(get_ttl(0).state, GCTOKEN_STATE_STALE);
	publish_content(&content, 60 * NS_PER_S, 50 * NS_PER_S);
	assert_int_equal(get_ttl(0).state, GCTOKEN_STATE_FRESH);
}

static void a_retired_page_is_noticed_by_the_next_read(void **state)
{
	(void)state;
	stub_publish(stub->page, 1, 86, 3600);
	warm_up();
	assert_int_equal(get(), 1);
	for (unsigned i = 2; i < 50; i++) {
		struct page *next = stub_page_new();

		stub_publish(next, i, 86, 3600);
		stub_replace_page(stub, next);
		assert_int_equal(get(), i);
		assert_int_equal(stub->page_asked, i);
	}
	/* and if nobody may have it any more, the socket says so */
	stub->page_status = stub->http_status = 403;
	stub_replace_page(stub, stub_page_new());
	for (int i = 0; i < 10; i++) {
		struct gctoken_token t;

		assert_int_equal(gctoken_get(g, &t, 0, 0), GCTOKEN_DENIED);
	}
	/* which it is then not bothered with at every call */
	assert_int_equal(stub->page_asked, 50);
}

/* A sequence that stays odd, as of a writer that was killed there. */
static void a_killed_writer_costs_no_millisecond(void **state)
{
	struct gctoken_page *shared;
	uint64_t now_ns, best = UINT64_MAX;
	struct gctoken_token t;
	bool touched = false;
	struct page *again;
	uint64_t rules[] = {1, 2};

	(void)state;
	stub_publish(stub->page, 1, 2000, 3600);
	warm_up();
	assert_int_equal(get(), 1);
	shared = writable(stub->page);
	atomic_fetch_add(&shared->sequence, 1);
	for (int i = 0; i < 100; i++) {
		uint64_t begin = gctoken_page_now(), taken;

		assert_int_equal(
			gctoken_page_read(shared, &t, 0, &now_ns, &touched), PAGE_READ_ASK);
		taken = gctoken_page_now() - begin;
		best = taken < best ? taken : best;
	}
	assert_false(touched);
	assert_true(best < 1000000);
	print_message("# given up after %llu ns\n", (unsigned long long)best);
	assert_int_equal(get(), STUB_SOCKET_GENERATION);
	/* the next run puts it right, and goes on in the same page */
	assert_int_equal(
		page_adopt(&again, dup(page_fd(stub->page)), stub_time_namespace(), rules), 0);
	assert_int_equal(get(), STUB_SOCKET_GENERATION);
	assert_int_equal(atomic_load(&shared->token[0]), 0);
	stub_publish(again, 2, 86, 3600);
	assert_int_equal(get(), 2);
	assert_int_equal(stub->page_asked, 1);
	page_free(again);
	munmap(shared, GCTOKEN_PAGE_SIZE);
}

static void a_broker_that_is_gone_is_noticed(void **state)
{
	struct page *orphan, *next = stub_page_new();
	int64_t begin;

	(void)state;
	stub_publish(stub->page, 1, 86, 3600);
	warm_up();
	assert_int_equal(get(), 1);
	/* killed: nobody retires the page */
	stub_publish(next, 2, 86, 3600);
	pthread_mutex_lock(&stub->lock);
	orphan = stub->page;
	stub->page = next;
	pthread_mutex_unlock(&stub->lock);
	begin = now_ms();
	stub_hang_up(stub);
	wait_for_generation(2);
	assert_true(now_ms() - begin < GIVE_UP_MS / 3);
	assert_int_equal(stub->page_asked, 2);
	page_free(orphan);
}

static void write_word(struct page *page, size_t word, uint64_t value)
{
	struct gctoken_page *shared = writable(page);

	atomic_store((_Atomic uint64_t *)(void *)shared + word, value);
	munmap(shared, GCTOKEN_PAGE_SIZE);
}

/* By the number of the word: magic, version, size, time namespace. */
static void a_page_that_is_not_for_us_is_left_alone(void **state)
{
	(void)state;
	for (size_t word = 0; word < 4; word++) {
		struct page *other = stub_page_new();

		stub_publish(other, 5, 86, 3600);
		write_word(other, word, 12345);
		stub_replace_page(stub, other);
		gctoken_close(g);
		assert_int_equal(gctoken_open(&g, stub->socket, "default"), 0);
		for (int i = 0; i < 4; i++)
			assert_int_equal(get(), STUB_SOCKET_GENERATION);
		assert_int_equal(stub->page_asked, word + 1);
	}
}

static void assert_refuses(int fd)
{
	pthread_mutex_lock(&stub->lock);
	stub->other_fd = fd;
	pthread_mutex_unlock(&stub->lock);
	gctoken_close(g);
	assert_int_equal(gctoken_open(&g, stub->socket, "default"), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(get(), STUB_SOCKET_GENERATION);
	pthread_mutex_lock(&stub->lock);
	stub->other_fd = -1;
	pthread_mutex_unlock(&stub->lock);
	close(fd);
}

/* What could be cut short under a reader would end it with SIGBUS. */
static void memory_that_can_shrink_is_not_read(void **state)
{
	struct gctoken_page *good = writable(stub->page);

	(void)state;
	stub_publish(stub->page, 5, 86, 3600);
	/* all that a page has, but for the seal, or the length */
	for (int i = 0; i < 2; i++) {
		int fd = memfd_create("t", MFD_ALLOW_SEALING | MFD_CLOEXEC);

		assert_int_equal(write(fd, good, GCTOKEN_PAGE_SIZE), GCTOKEN_PAGE_SIZE);
		if (i)
			assert_int_equal(ftruncate(fd, 4096), 0);
		if (i)
			assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
		assert_refuses(fd);
	}
	munmap(good, GCTOKEN_PAGE_SIZE);
	assert_refuses(open("/dev/null", O_RDONLY | O_CLOEXEC));
	assert_int_equal(stub->page_asked, 3);
}

static void a_silent_page_socket_delays_little(void **state)
{
	struct gctoken_token t;
	int64_t begin;

	(void)state;
	stub->silent = true;
	warm_up();
	begin = now_ms();
	assert_int_equal(gctoken_get(g, &t, 0, 0), 0);
	assert_in_range(now_ms() - begin, 200, 1000);
	begin = now_ms();
	for (int i = 0; i < 10; i++)
		assert_int_equal(gctoken_get(g, &t, 0, 0), 0);
	assert_int_equal(stub->page_asked, 1);
}

static void without_a_page_socket_all_goes_on(void **state)
{
	(void)state;
	unlink(stub->page_socket);
	for (int i = 0; i < 10; i++)
		assert_int_equal(get(), STUB_SOCKET_GENERATION);
	assert_int_equal(stub->asked, 10);
}

/* And how many of them a program that is executed would get. */
static unsigned descriptors(unsigned *ret_inherited)
{
	unsigned count = 0;

	*ret_inherited = 0;
	for (int fd = 0; fd < 1024; fd++) {
		int flags = fcntl(fd, F_GETFD);

		count += flags >= 0;
		*ret_inherited += flags >= 0 && !(flags & FD_CLOEXEC);
	}
	return count;
}

static void close_gives_everything_back(void **state)
{
	unsigned before, inherited_before, inherited;

	(void)state;
	gctoken_close(g);
	stub_publish(stub->page, 1, 86, 3600);
	stub_hang_up(stub);
	before = descriptors(&inherited_before);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(gctoken_open(&g, stub->socket, "default"), 0);
		assert_int_equal(get(), STUB_SOCKET_GENERATION);
		assert_int_equal(get(), 1);
		stub_replace_page(stub, stub_page_new());
		stub_publish(stub->page, 1, 86, 3600);
		assert_int_equal(get(), 1);
		assert_true(descriptors(&inherited) > before);
		assert_int_equal(inherited, inherited_before);
		gctoken_close(g);
		stub_hang_up(stub);
	}
	assert_int_equal(descriptors(&inherited), before);
	assert_int_equal(gctoken_open(&g, stub->socket, "default"), 0);
}

static void page_socket_path(char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%.*s/page.sock", (int)(strrchr(stub->socket, '/') - stub->socket),
		stub->socket);
}

/* Silent and open as the page's connection was, and yet it says nothing about the broker. */
static void what_is_in_the_connection_s_place_is_left_alone(void **state)
{
	char path[PATH_MAX];
	struct stat before, now;
	int fd, sockets[2];

	(void)state;
	page_socket_path(path);
	stub_publish(stub->page, 1, 86, 3600);
	warm_up();
	assert_int_equal(get(), 1);
	fd = descriptor_to(path);
	assert_true(fd >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	assert_int_equal(dup2(sockets[1], fd), fd);
	assert_int_equal(fstat(fd, &before), 0);
	/* with the next look at the broker another connection is made */
	for (int64_t end = now_ms() + GIVE_UP_MS; stub->page_asked < 2 && now_ms() < end;) {
		get();
		usleep(10000);
	}
	assert_int_equal(stub->page_asked, 2);
	assert_int_equal(get(), 1);
	assert_int_equal(fstat(fd, &now), 0);
	assert_int_equal(now.st_ino, before.st_ino);
	close(fd);

	fd = descriptor_to(path);
	assert_int_equal(dup2(sockets[1], fd), fd);
	gctoken_close(g);
	assert_int_equal(fstat(fd, &now), 0);
	assert_int_equal(now.st_ino, before.st_ino);
	close(fd);
	close(sockets[0]);
	close(sockets[1]);
	assert_int_equal(gctoken_open(&g, stub->socket, "default"), 0);
}

static void *nothing(void *context)
{
	return context;
}

static void *two_reads(void *context)
{
	static struct gctoken_token t;

	for (int i = 0; i < 2; i++)
		if (gctoken_get(g, &t, 0, 1000))
			*(bool *)context = true;
	return NULL;
}

static void a_page_needs_little_stack(void **state)
{
	bool failed = false;
	size_t used, own = stack_used(nothing, NULL);

	(void)state;
	stub_publish(stub->page, 1, 8192, 3600);
	used = stack_used(two_reads, &failed);
	assert_false(failed);
	assert_int_equal(stub->page_asked, 1);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_in_range(used - own, 256, 16384);
#endif
}

static void a_child_goes_on_reading(void **state)
{
	int status;
	pid_t child;

	(void)state;
	stub_publish(stub->page, 1, 86, 3600);
	warm_up();
	assert_int_equal(get(), 1);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct gctoken_token t;
		int r = gctoken_get(g, &t, 0, 0);

		if (r || t.generation != 1)
			_exit(1);
		/* the parent retires it now, and the child asks for the next by itself */
		for (int64_t end = now_ms() + GIVE_UP_MS; t.generation != 2 && now_ms() < end;) {
			usleep(1000);
			if (gctoken_get(g, &t, 0, 1000))
				_exit(2);
		}
		gctoken_close(g);
		_exit(t.generation == 2 ? 0 : 3);
	}
	usleep(20000);
	stub_replace_page(stub, stub_page_new());
	stub_publish(stub->page, 2, 86, 3600);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* what the child closed was its own */
	assert_int_equal(get(), 2);
	assert_int_equal(get(), 2);
}

static void a_failure_leaves_no_half_token(void **state)
{
	struct gctoken_token t, before;

	(void)state;
	warm_up();
	memset(&t, 'x', sizeof(t));
	before = t;
	stub->http_status = 503;
	assert_int_equal(gctoken_get(g, &t, 0, 0), GCTOKEN_UNAVAILABLE);
	assert_memory_equal(&t, &before, sizeof(t));
	assert_int_equal(gctoken_get(g, &t, -1, 0), -EINVAL);
	assert_int_equal(gctoken_get(g, &t, 0, -1), -EINVAL);
	assert_memory_equal(&t, &before, sizeof(t));
}

/* The one case in which *ret is written to without a result: the page was read, and then it turned
 * out that nobody stands behind it any more. It is wiped. */
static void an_orphan_is_not_handed_out(void **state)
{
	static const struct gctoken_token empty;
	struct gctoken_token t;
	int64_t begin;

	(void)state;
	stub_publish(stub->page, 1, 86, 3600);
	warm_up();
	assert_int_equal(get(), 1);
	stub->page_status = stub->http_status = 503;
	begin = now_ms();
	stub_hang_up(stub);
	do {
		memset(&t, 'x', sizeof(t));
		usleep(10000);
		assert_true(now_ms() < begin + GIVE_UP_MS);
	} while (gctoken_get(g, &t, 0, 0) == 0);
	assert_memory_equal(&t, &empty, sizeof(t));
	assert_int_equal(gctoken_get(g, &t, 0, 0), GCTOKEN_UNAVAILABLE);
}

/* Threads that read while pages come and go under them: each token is whole, and generations never
 * go back. */
struct crowd {
	_Atomic bool stop;
	_Atomic uint64_t reads, from_socket;
	_Atomic unsigned bad;
};

static void *read_on(void *context)
{
	struct crowd *crowd = context;
	char text[GCTOKEN_TOKEN_MAX + 1];
	struct gctoken_token t;
	uint64_t latest = 0;

	while (!crowd->stop) {
		if (gctoken_get(g, &t, 0, 1000) != 0) {
			crowd->bad++;
			continue;
		}
		crowd->reads++;
		if (t.generation == STUB_SOCKET_GENERATION) {
			crowd->from_socket++;
			continue;
		}
		stub_token(t.generation, t.length, text);
		if (t.generation < latest || strcmp(text, t.token) != 0)
			crowd->bad++;
		latest = t.generation;
	}
	return NULL;
}

static void threads_read_while_pages_change(void **state)
{
	struct crowd crowd = {0};
	pthread_t threads[4];
	int64_t end;
	uint64_t generation = 1;

	(void)state;
	stub_publish(stub->page, generation, 86, 3600);
	warm_up();
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &crowd), 0);
	for (end = now_ms() + 1500; now_ms() < end;) {
		generation++;
		if (generation % 8 == 0) {
			struct page *next = stub_page_new();

			stub_publish(next, generation, 1 + generation % 4000, 3600);
			stub_replace_page(stub, next);
		} else if (generation % 301 == 0) {
			stub_hang_up(stub);
		} else {
			stub_publish(stub->page, generation, 1 + generation % 4000, 3600);
		}
		if (generation % 4 == 0)
			usleep(100);
	}
	crowd.stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	print_message("# %llu reads, %llu by the socket, %llu publications, %u pages asked for\n",
		(unsigned long long)crowd.reads, (unsigned long long)crowd.from_socket,
		(unsigned long long)generation, stub->page_asked);
	assert_int_equal(crowd.bad, 0);
	assert_true(crowd.reads > crowd.from_socket);
	assert_true(stub->page_asked > 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(reads_come_from_the_page),
		CASE(every_length_arrives_whole),
		CASE(what_the_page_does_not_know_the_socket_does),
		CASE(min_ttl_is_counted_to_the_end),
		CASE(stale_is_told),
		CASE(a_retired_page_is_noticed_by_the_next_read),
		CASE(a_killed_writer_costs_no_millisecond),
		CASE(a_broker_that_is_gone_is_noticed),
		CASE(a_page_that_is_not_for_us_is_left_alone),
		CASE(memory_that_can_shrink_is_not_read),
		CASE(a_silent_page_socket_delays_little),
		CASE(without_a_page_socket_all_goes_on),
		CASE(close_gives_everything_back),
		CASE(what_is_in_the_connection_s_place_is_left_alone),
		CASE(a_page_needs_little_stack),
		CASE(a_child_goes_on_reading),
		CASE(a_failure_leaves_no_half_token),
		CASE(an_orphan_is_not_handed_out),
		CASE(threads_read_while_pages_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
