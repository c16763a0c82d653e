/* The page as its writer makes it: what it says, what an earlier run has left, and that nobody who
 * was given it can do anything but read. */
#include "page_stub.h"

#include "gctoken_page.h"
#include "page_reader.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define OTHER_USER 65534

static const uint64_t rules[PAGE_RULES_WORDS] = {1, 2};
static struct page *page;

static int set_up(void **state)
{
	(void)state;
	page = stub_page_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	page_free(page);
	return 0;
}

/* What a client gets, by way of a socket. */
static int handed_over(const struct page *p)
{
	char text[8], control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec io = {text, sizeof(text)};
	struct msghdr m = {.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	int pair[2], fd;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(page_send(p, pair[0]), 0);
	assert_int_equal(recvmsg(pair[1], &m, MSG_CMSG_CLOEXEC), 4);
	assert_memory_equal(text, "200\n", 4);
	assert_non_null(CMSG_FIRSTHDR(&m));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	close(pair[0]);
	close(pair[1]);
	return fd;
}

static struct gctoken_page *map_fd(int fd, int protection)
{
	void *at = mmap(NULL, GCTOKEN_PAGE_SIZE, protection, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static enum page_reading read_page(const struct gctoken_page *p, struct gctoken_token *ret)
{
	bool touched = false;
	uint64_t now;

	return gctoken_page_read(p, ret, 0, &now, &touched);
}

static void assert_no_token(const struct gctoken_page *p)
{
	for (size_t i = 0; i < GCTOKEN_PAGE_TOKEN_MAX / 8; i++)
		assert_int_equal(atomic_load(&p->token[i]), 0);
	assert_int_equal(atomic_load(&p->length), 0);
	assert_int_equal(atomic_load(&p->fingerprint[0]), 0);
}

static void a_new_page_says_ask(void **state)
{
	int fd = handed_over(page);
	struct gctoken_page *p = map_fd(fd, PROT_READ);
	struct gctoken_token t;
	struct stat s;

	(void)state;
	assert_int_equal(read_page(p, &t), PAGE_READ_ASK);
	assert_int_equal(atomic_load(&p->magic), GCTOKEN_PAGE_MAGIC);
	assert_int_equal(atomic_load(&p->version), 1);
	assert_int_equal(stat("/proc/self/ns/time", &s), 0);
	assert_int_equal(atomic_load(&p->time_namespace), s.st_ino);
	assert_int_equal(atomic_load(&p->sequence) & 1, 0);
	munmap(p, GCTOKEN_PAGE_SIZE);
	close(fd);
}

static void a_shorter_token_leaves_nothing_of_a_longer_one(void **state)
{
	struct gctoken_page *p = map_fd(page_fd(page), PROT_READ);
	struct gctoken_token t;

	(void)state;
	stub_publish(page, 1, TOKEN_MAX, 3600);
	assert_int_equal(read_page(p, &t), PAGE_READ_TOKEN);
	stub_publish(page, 2, 3, 3600);
	assert_int_equal(read_page(p, &t), PAGE_READ_TOKEN);
	assert_int_equal(t.length, 3);
	for (size_t i = 1; i < GCTOKEN_PAGE_TOKEN_MAX / 8; i++)
		assert_int_equal(atomic_load(&p->token[i]), 0);
	page_publish(page, &(struct source_page){.slot = NULL});
	assert_int_equal(read_page(p, &t), PAGE_READ_ASK);
	assert_no_token(p);
	munmap(p, GCTOKEN_PAGE_SIZE);
}

static void a_retired_page_is_empty(void **state)
{
	struct gctoken_page *p = map_fd(page_fd(page), PROT_READ);
	uint64_t before = atomic_load(&p->sequence);
	struct gctoken_token t;

	(void)state;
	stub_publish(page, 1, TOKEN_MAX, 3600);
	page_retire(page);
	assert_int_equal(read_page(p, &t), PAGE_READ_RETIRED);
	assert_no_token(p);
	assert_true(atomic_load(&p->sequence) > before);
	munmap(p, GCTOKEN_PAGE_SIZE);
}

static void no_two_pages_have_a_sequence_in_common(void **state)
{
	struct page *next = stub_page_new();
	struct gctoken_page *a = map_fd(page_fd(page), PROT_READ);
	struct gctoken_page *b = map_fd(page_fd(next), PROT_READ);

	(void)state;
	stub_publish(page, 1, 10, 10);
	stub_publish(page, 2, 10, 10);
	assert_true(atomic_load(&a->sequence) < atomic_load(&b->sequence));
	munmap(a, GCTOKEN_PAGE_SIZE);
	munmap(b, GCTOKEN_PAGE_SIZE);
	page_free(next);
}

static void the_next_run_goes_on_with_it(void **state)
{
	struct gctoken_page *p = map_fd(page_fd(page), PROT_READ);
	struct gctoken_token t;
	struct page *again;

	(void)state;
	stub_publish(page, 5, 100, 3600);
	assert_int_equal(page_adopt(&again, dup(page_fd(page)), stub_time_namespace(), rules), 0);
	/* readers notice nothing */
	assert_int_equal(read_page(p, &t), PAGE_READ_TOKEN);
	assert_int_equal(t.generation, 5);
	stub_publish(again, 6, 10, 3600);
	assert_int_equal(read_page(p, &t), PAGE_READ_TOKEN);
	assert_int_equal(t.generation, 6);
	page_free(again);
	munmap(p, GCTOKEN_PAGE_SIZE);
}

/* At whatever word the writer was killed: the next run's first look makes it whole. */
static void a_killed_writer_is_put_right(void **state)
{
	struct gctoken_page *p = map_fd(page_fd(page), PROT_READ | PROT_WRITE);
	struct gctoken_token t;
	struct page *again;

	(void)state;
	for (uint64_t garbage = 0; garbage < 3; garbage++) {
		stub_publish(page, 5, 4000, 3600);
		atomic_fetch_add(&p->sequence, 1);
		atomic_store(&p->length, garbage * UINT64_C(0x7fffffffffffffff));
		atomic_store(&p->state, 2 - garbage % 2);
		assert_int_equal(
			page_adopt(&again, dup(page_fd(page)), stub_time_namespace(), rules), 0);
		assert_int_equal(atomic_load(&p->sequence) & 1, 0);
		assert_int_equal(read_page(p, &t), PAGE_READ_ASK);
		assert_no_token(p);
		page_free(again);
	}
	munmap(p, GCTOKEN_PAGE_SIZE);
}

static void what_is_not_to_be_adopted_is_wiped(void **state)
{
	static const uint64_t others[][PAGE_RULES_WORDS] = {{1, 3}, {2, 2}, {0, 0}};
	struct gctoken_page *p;
	struct gctoken_token t;
	struct page *again = NULL;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		struct page *left = stub_page_new();

		stub_publish(left, 5, TOKEN_MAX, 3600);
		fd = dup(page_fd(left));
		assert_int_equal(page_adopt(&again, fd, stub_time_namespace(), others[i]), -ESTALE);
		p = map_fd(fd, PROT_READ | PROT_WRITE);
		assert_int_equal(read_page(p, &t), PAGE_READ_RETIRED);
		assert_no_token(p);
		/* not a second time either, by whoever */
		assert_int_equal(page_adopt(&again, fd, stub_time_namespace(), rules), -ESTALE);
		close(fd); /* it is still ours */
		munmap(p, GCTOKEN_PAGE_SIZE);
		page_free(left);
	}
	/* of another layout, or of another time */
	for (size_t word = 1; word < 4; word++) {
		struct page *left = stub_page_new();

		p = map_fd(page_fd(left), PROT_READ | PROT_WRITE);
		atomic_store((_Atomic uint64_t *)(void *)p + word, 77);
		assert_int_equal(
			page_adopt(&again, page_fd(left), stub_time_namespace(), rules), -ESTALE);
		assert_int_equal(read_page(p, &t), PAGE_READ_RETIRED);
		munmap(p, GCTOKEN_PAGE_SIZE);
		page_free(left);
	}
	assert_null(again);
}

/* ---- the hostile client ---- */

#define REFUSED(call) \
	do { \
		errno = 0; \
		if ((call) >= 0) { \
			fprintf(stderr, "# not refused: %s\n", #call); \
			bad++; \
		} \
	} while (0)

/* Whatever a process can do with nothing but the descriptor. Returns how much was not refused. */
static int attack_descriptor(int fd)
{
	char path[64], byte = 'x';
	int bad = 0;
	void *at;

	REFUSED(write(fd, &byte, 1));
	REFUSED(pwrite(fd, &byte, 1, 80));
	if (lseek(fd, 64, SEEK_SET) == 64)
		REFUSED(write(fd, &byte, 1));
	REFUSED(ftruncate(fd, 0));
	REFUSED(ftruncate(fd, 2 * GCTOKEN_PAGE_SIZE));
	REFUSED(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	REFUSED(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096));
	REFUSED(fallocate(fd, 0, GCTOKEN_PAGE_SIZE, 4096));
	REFUSED(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	REFUSED(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	at = mmap(NULL, GCTOKEN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REFUSED(at == MAP_FAILED ? -1 : 0);
	at = mmap(NULL, GCTOKEN_PAGE_SIZE, PROT_WRITE, MAP_SHARED, fd, 0);
	REFUSED(at == MAP_FAILED ? -1 : 0);
	at = mmap(NULL, GCTOKEN_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	REFUSED(mprotect(at, GCTOKEN_PAGE_SIZE, PROT_READ | PROT_WRITE));
	REFUSED(mprotect(at, 4096, PROT_WRITE));
	/* a hole by the other way */
	REFUSED(madvise(at, 4096, MADV_REMOVE));
	munmap(at, GCTOKEN_PAGE_SIZE);
	/* more rights by the status flags: they are ignored, not refused */
	fcntl(fd, F_SETFL, O_RDWR);
	REFUSED(write(fd, &byte, 1));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	REFUSED(truncate(path, 4096));
	return bad;
}

/* And what another user could, who has the writer's process before its eyes. */
static int attack_as_other(int fd, pid_t writer, int writers_fd)
{
	static const int modes[] = {O_RDWR, O_WRONLY, O_RDWR | O_TRUNC, O_WRONLY | O_APPEND};
	char path[64];
	int bad = 0;

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		REFUSED(open(path, modes[i] | O_CLOEXEC));
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
		REFUSED(open(path, modes[i] | O_CLOEXEC));
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)writer, writers_fd);
		REFUSED(open(path, modes[i] | O_CLOEXEC));
	}
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)writer, writers_fd);
	REFUSED(open(path, O_RDONLY | O_CLOEXEC));
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)writer);
	REFUSED(open(path, O_RDWR | O_CLOEXEC));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	REFUSED(fchmod(fd, 0666));
	/* a lease would hold up whoever opens it next: the writer, for another client */
	REFUSED(fcntl(fd, F_SETLEASE, F_WRLCK));
	REFUSED(fcntl(fd, F_SETLEASE, F_RDLCK));
	REFUSED(fchown(fd, OTHER_USER, OTHER_USER));
	REFUSED(chmod(path, 0777));
	REFUSED(execl(path, "page", (char *)NULL));
	return bad;
}

static int run_as(uid_t uid, int (*attack)(int fd, pid_t writer), int fd)
{
	pid_t writer = getpid(), child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		if (uid && (setgid(uid) || setuid(uid)))
			_exit(100);
		_exit(attack(fd, writer));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static int with_descriptor(int fd, pid_t writer)
{
	(void)writer;
	return attack_descriptor(fd);
}

static int writers_fd;

static int with_everything(int fd, pid_t writer)
{
	/* the memfd itself, which a fork has inherited, is not what a client has */
	close(writers_fd);
	return attack_descriptor(fd) + attack_as_other(fd, writer, writers_fd);
}

static void nobody_can_do_anything_but_read(void **state)
{
	struct gctoken_page before, *p = map_fd(page_fd(page), PROT_READ);
	int fd = handed_over(page);

	(void)state;
	stub_publish(page, 9, 1000, 3600);
	memcpy(&before, p, sizeof(before));
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
		F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	writers_fd = page_fd(page);
	assert_int_equal(run_as(0, with_descriptor, fd), 0);
	if (geteuid() == 0)
		assert_int_equal(run_as(OTHER_USER, with_everything, fd), 0);
	else
		print_message("# not root: not tried as another user\n");
	assert_memory_equal(p, &before, sizeof(before));
	munmap(p, GCTOKEN_PAGE_SIZE);
	close(fd);
}

/* The attacks are real: what the writer keeps for itself does fall to them. */
static int with_memfd(int fd, pid_t writer)
{
	char byte = 'x';

	(void)fd;
	(void)writer;
	return pwrite(writers_fd, &byte, 1, 4096) == 1;
}

static void the_memfd_itself_would_fall(void **state)
{
	(void)state;
	writers_fd = page_fd(page);
	assert_int_equal(run_as(0, with_memfd, writers_fd), 1);
}

static void without_descriptors_there_is_an_error(void **state)
{
	struct rlimit limit, none;
	struct page *again;
	int pair[2], fd = memfd_new("page", PAGE_MEMORY_SIZE, PAGE_MEMORY_MODE);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(page_new(&again, fd, stub_time_namespace(), stub_now(), rules), -EMFILE);
	/* what there is can still be handed over */
	assert_int_equal(page_send(page, pair[0]), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	close(pair[1]);
	assert_int_equal(page_send(page, pair[0]), -EPIPE);
	close(pair[0]);
	close(fd); /* it is still ours */
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_new_page_says_ask),
		CASE(a_shorter_token_leaves_nothing_of_a_longer_one),
		CASE(a_retired_page_is_empty),
		CASE(no_two_pages_have_a_sequence_in_common),
		CASE(the_next_run_goes_on_with_it),
		CASE(a_killed_writer_is_put_right),
		CASE(what_is_not_to_be_adopted_is_wiped),
		CASE(nobody_can_do_anything_but_read),
		CASE(the_memfd_itself_would_fall),
		CASE(without_descriptors_there_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
