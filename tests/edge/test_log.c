/* The log writes to descriptor 2 of the process, so each case runs in a child whose descriptor 2 is
 * what the case wants it to be; an alarm ends a child that blocks. */
#include "host/log.h"
#include "host/log_format.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void test_line_format(void **state)
{
	static const struct {
		struct log_record record;
		const char *expected;
	} table[] = {
		{{.priority = LOG_INFO, .message = "ready"}, "<6>ready\n"},
		{{.priority = LOG_ERR, .profile = "default", .message = "no"}, "<3>default: no\n"},
		{{.priority = LOG_DAEMON | LOG_DEBUG, .message = ""}, "<7>\n"},
		{{.priority = LOG_INFO, .message = "a\nb\r\t\x1b[31m\x7f"},
			"<6>a\\x0ab\\x0d\\x09\\x1b[31m\\x7f\n"},
		{{.priority = LOG_INFO, .profile = "p\n<0>x", .message = "m"},
			"<6>p\\x0a<0>x: m\n"},
		/* Whole characters stay; C1 controls, broken, overlong and surrogate ones do not.
		 */
		{{.priority = LOG_INFO, .message = "Zürich €𝄞"}, "<6>Zürich €𝄞\n"},
		{{.priority = LOG_INFO,
			 .message = "\xc2\x9b"
				    "1m"},
			"<6>\\xc2\\x9b1m\n"},
		{{.priority = LOG_INFO, .message = "\xff\xc3"}, "<6>\\xff\\xc3\n"},
		{{.priority = LOG_INFO, .message = "\xc0\xaf"}, "<6>\\xc0\\xaf\n"},
		{{.priority = LOG_INFO, .message = "\xe0\x80\x8a"}, "<6>\\xe0\\x80\\x8a\n"},
		{{.priority = LOG_INFO, .message = "\xf0\x80\x80\x8a"},
			"<6>\\xf0\\x80\\x80\\x8a\n"},
		{{.priority = LOG_INFO, .message = "\xed\xa0\x80"}, "<6>\\xed\\xa0\\x80\n"},
		{{.priority = LOG_INFO, .message = "\xe2\x80\xa8"}, "<6>\\xe2\\x80\\xa8\n"},
		{{.priority = LOG_INFO, .message = "\xf4\x90\x80\x80"},
			"<6>\\xf4\\x90\\x80\\x80\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		char line[LOG_RECORD_MAX + 1];
		size_t length = log_format_line(&table[i].record, line);

		line[length] = '\0';
		assert_string_equal(line, table[i].expected);
	}
}

static void test_journal_format(void **state)
{
	const struct log_record all = {.priority = LOG_NOTICE,
		.message_id = "0123456789abcdef0123456789abcdef",
		.profile = "sales",
		.generation = 17,
		.message = "a new token\nPRIORITY=0"};
	const struct log_record bare = {.priority = LOG_ERR, .message = "m"};
	char out[LOG_RECORD_MAX + 1];

	(void)state;
	out[log_format_journal(&all, out)] = '\0';
	assert_string_equal(out,
		"PRIORITY=5\nSYSLOG_IDENTIFIER=gctokend\n"
		"MESSAGE_ID=0123456789abcdef0123456789abcdef\nGCTOKEN_PROFILE=sales\n"
		"GCTOKEN_GENERATION=17\nMESSAGE=sales: a new token\\x0aPRIORITY=0\n");
	out[log_format_journal(&bare, out)] = '\0';
	assert_string_equal(out, "PRIORITY=3\nSYSLOG_IDENTIFIER=gctokend\nMESSAGE=m\n");
}

/* Any bytes at any length: one line, no control character, never past the limit. */
static void test_format_properties(void **state)
{
	char *text = malloc(2 * LOG_RECORD_MAX);
	uint32_t seed = 12345;

	(void)state;
	assert_non_null(text);
	for (int round = 0; round < 2000; round++) {
		char out[LOG_RECORD_MAX];
		struct log_record r = {.priority = round % 8, .message = text};
		size_t length = (size_t)(round * 3) % (2 * LOG_RECORD_MAX), written;

		for (size_t i = 0; i < length; i++) {
			seed = seed * 1664525 + 1013904223;
			text[i] = (char)((seed >> 24) % 255 + 1);
		}
		text[length] = '\0';
		if (round % 3 == 0)
			memset(text, 'y', length);
		if (round % 2)
			r.profile = text;
		for (int journal = 0; journal < 2; journal++) {
			size_t newlines = 0;

			written = journal ? log_format_journal(&r, out) : log_format_line(&r, out);
			assert_in_range(written, 1, LOG_RECORD_MAX);
			assert_int_equal(out[written - 1], '\n');
			for (size_t i = 0; i < written; i++) {
				newlines += out[i] == '\n';
				assert_true(out[i] == '\n' || (unsigned char)out[i] >= 0x20);
				assert_int_not_equal(out[i], 0x7f);
			}
			assert_int_equal(newlines, journal ? 3 + (r.profile != NULL) : 1);
			if (length >= LOG_RECORD_MAX)
				assert_memory_equal(out + written - 4, "...\n", 4);
		}
	}
	free(text);
}

/* Runs `body` in a child with `fd` as its standard error; it has 10 s. Returns its exit status, or
 * 1000 + the signal that ended it. */
static int in_child(int fd, void (*body)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGPIPE, SIG_DFL);
		alarm(10);
		if (fd < 0)
			close(STDERR_FILENO);
		else
			dup2(fd, STDERR_FILENO);
		if (fd > STDERR_FILENO)
			close(fd);
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static size_t read_to_end(int fd, char *bytes, size_t size)
{
	size_t length = 0;
	ssize_t n;

	while ((n = read(fd, bytes + length, size - 1 - length)) > 0)
		length += (size_t)n;
	bytes[length] = '\0';
	return length;
}

static void say_all_kinds(void)
{
	log_open(LOG_INFO);
	log_line(LOG_INFO, "%s %d", "one", 1);
	log_line(LOG_DEBUG, "unwanted");
	log_event(LOG_WARNING, "0123456789abcdef0123456789abcdef", "sales", 17, "two");
	log_set_level(LOG_ERR);
	log_line(LOG_WARNING, "unwanted");
	log_set_level(LOG_DEBUG);
	log_line(LOG_DEBUG, "three");
}

#define ALL_KINDS "<6>one 1\n<4>sales: two\n<7>three\n"

static void test_pipe_file_and_socket(void **state)
{
	char name[] = "/tmp/gctokend-log.XXXXXX";
	char text[256];
	int ends[2], fd;

	(void)state;
	unsetenv("JOURNAL_STREAM");
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(in_child(ends[1], say_all_kinds), 0);
	close(ends[1]);
	read_to_end(ends[0], text, sizeof(text));
	assert_string_equal(text, ALL_KINDS);
	close(ends[0]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(in_child(ends[1], say_all_kinds), 0);
	close(ends[1]);
	read_to_end(ends[0], text, sizeof(text));
	assert_string_equal(text, ALL_KINDS);
	close(ends[0]);

	fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "kept\n", 5), 5);
	assert_int_equal(in_child(fd, say_all_kinds), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	read_to_end(fd, text, sizeof(text));
	assert_string_equal(text, "kept\n" ALL_KINDS);
	close(fd);
	unlink(name);
}

#define FLOOD 5000

/* 5000 lines of 100 bytes are more than a pipe or a socket holds. */
static void flood(void)
{
	log_open(LOG_INFO);
	for (int i = 0; i < FLOOD; i++)
		log_line(LOG_INFO, "%093d", i);
}

/* The reader of the flood: the parent, by way of a pipe to and fro. */
static int drain_fd, drained_fd;

static void flood_then_recover(void)
{
	char byte;

	flood();
	if (write(drain_fd, "x", 1) != 1 || read(drained_fd, &byte, 1) != 1)
		_exit(3);
	log_line(LOG_INFO, "last");
}

/* Lines that found no room are dropped whole and counted; the process never waits. */
static void assert_flood_is_survived(int ends[2])
{
	static char text[FLOOD * 110];
	int ask[2], answer[2], lines = 0, status;
	unsigned lost = 0;
	size_t length = 0;
	char *last;
	pid_t child;
	char byte;

	assert_int_equal(pipe(ask), 0);
	assert_int_equal(pipe(answer), 0);
	drain_fd = ask[1];
	drained_fd = answer[0];
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(in_child(ends[1], flood_then_recover));
	close(ends[1]);
	close(ask[1]);
	assert_int_equal(read(ask[0], &byte, 1), 1);
	/* Everything that is there now, without waiting for an end that has not come. */
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	length = read_to_end(ends[0], text, sizeof(text));
	assert_int_equal(fcntl(ends[0], F_SETFL, 0), 0);
	assert_int_equal(write(answer[1], "x", 1), 1);
	length += read_to_end(ends[0], text + length, sizeof(text) - length);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);

	for (size_t i = 0; i < length; i++)
		lines += text[i] == '\n';
	last = strstr(text, "<4>");
	assert_non_null(last);
	assert_int_equal(
		sscanf(last, "<4>%u log lines before this one were lost\n<6>last\n", &lost), 1);
	assert_int_equal(lines - 2 + (int)lost, FLOOD);
	assert_true(lost > 0 && lines > 100);
	/* No line was cut. */
	for (int i = 0; i < lines - 2; i++)
		assert_int_equal(text[97 * i + 96], '\n');
	close(ends[0]);
	close(ask[0]);
	close(answer[0]);
	close(answer[1]);
}

static void test_pipe_nobody_reads(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_flood_is_survived(ends);
}

static void test_socket_nobody_reads(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_flood_is_survived(ends);
}

/* What opening /proc/self/fd/2 anew is refused for: simulated by taking the right to open away. */
static void flood_without_reopening(void)
{
	/* The pipe's owner is root and its mode 0600. */
	if (setresuid(65534, 65534, 65534) < 0)
		_exit(4);
	flood();
}

static void test_pipe_of_another_user(void **state)
{
	int ends[2], flags;

	(void)state;
	if (geteuid() != 0) {
		printf("# skip: becoming another user needs root\n");
		skip();
	}
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(in_child(ends[1], flood_without_reopening), 0);
	/* The flag of a description that others share was left alone. */
	flags = fcntl(ends[1], F_GETFL);
	assert_int_equal(flags & O_NONBLOCK, 0);
	close(ends[0]);
	close(ends[1]);
}

static void test_reader_gone_or_none_at_all(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	assert_int_equal(in_child(ends[1], flood), 0);
	close(ends[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	close(ends[0]);
	assert_int_equal(in_child(ends[1], flood), 0);
	close(ends[1]);
	assert_int_equal(in_child(-1, flood), 0);
}

static int taken_fd;

/* Started with descriptor 2 closed: the next file opened gets the number and must stay clean. */
static void log_beside_a_file_with_number_two(void)
{
	log_open(LOG_INFO);
	if (dup2(taken_fd, STDERR_FILENO) < 0)
		_exit(5);
	log_line(LOG_ERR, "not for this file");
}

static void test_number_two_is_something_else(void **state)
{
	char text[64];
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	taken_fd = ends[1];
	assert_int_equal(in_child(-1, log_beside_a_file_with_number_two), 0);
	close(ends[1]);
	assert_int_equal(read_to_end(ends[0], text, sizeof(text)), 0);
	close(ends[0]);
}

/* A stand-in journal at the real address, in a mount namespace of the child's own. */
static int journal_listen(void)
{
	struct sockaddr_un address = {
		.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") < 0)
		return -1;
	if (mkdir("/run/systemd", 0755) < 0 || mkdir("/run/systemd/journal", 0755) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	return fd;
}

static void set_journal_stream(int inode_offset)
{
	struct stat st;
	char stream[64];

	if (fstat(STDERR_FILENO, &st) < 0)
		_exit(6);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino + (unsigned long long)inode_offset);
	setenv("JOURNAL_STREAM", stream, 1);
}

#define NOT_PERMITTED 42

static void expect_datagram(int journal, const char *expected)
{
	char datagram[LOG_RECORD_MAX + 1];
	ssize_t length = recv(journal, datagram, LOG_RECORD_MAX, MSG_DONTWAIT);

	if (length < 0)
		_exit(7);
	datagram[length] = '\0';
	if (strcmp(datagram, expected) != 0)
		_exit(8);
}

static void speak_to_the_journal(void)
{
	int journal = journal_listen();

	if (journal < 0)
		_exit(NOT_PERMITTED);
	set_journal_stream(0);
	say_all_kinds();
	expect_datagram(journal, "PRIORITY=6\nSYSLOG_IDENTIFIER=gctokend\nMESSAGE=one 1\n");
	expect_datagram(journal,
		"PRIORITY=4\nSYSLOG_IDENTIFIER=gctokend\n"
		"MESSAGE_ID=0123456789abcdef0123456789abcdef\nGCTOKEN_PROFILE=sales\n"
		"GCTOKEN_GENERATION=17\nMESSAGE=sales: two\n");
	expect_datagram(journal, "PRIORITY=7\nSYSLOG_IDENTIFIER=gctokend\nMESSAGE=three\n");
	/* Nobody takes the datagrams any more: the socket fills up, and nothing waits for it. */
	flood();
	/* The journal's socket is gone, as while it restarts: the stream takes over. */
	close(journal);
	log_line(LOG_INFO, "journal away");
	/* Not the journal's stream any more. */
	set_journal_stream(1);
	log_open(LOG_INFO);
	log_line(LOG_INFO, "redirected");
}

static void test_journal(void **state)
{
	static char text[FLOOD * 110];
	int ends[2], result;
	char *found;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	result = in_child(ends[1], speak_to_the_journal);
	close(ends[1]);
	if (result == NOT_PERMITTED) {
		close(ends[0]);
		printf("# skip: a mount namespace of one's own is not permitted here\n");
		skip();
	}
	assert_int_equal(result, 0);
	read_to_end(ends[0], text, sizeof(text));
	close(ends[0]);
	assert_null(strstr(text, "one 1"));
	assert_null(strstr(text, "three"));
	found = strstr(text, "<6>");
	assert_non_null(found);
}

static void test_odd_journal_streams(void **state)
{
	static const char *const streams[] = {"", ":", "1", "1:", "x:y", "1:2:3", "1:2 ",
		"99999999999999999999999:99999999999999999999999"};
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(streams); i++) {
		int ends[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		setenv("JOURNAL_STREAM", streams[i], 1);
		assert_int_equal(in_child(ends[1], say_all_kinds), 0);
		unsetenv("JOURNAL_STREAM");
		close(ends[1]);
		read_to_end(ends[0], text, sizeof(text));
		assert_string_equal(text, ALL_KINDS);
		close(ends[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_format),
		cmocka_unit_test(test_journal_format),
		cmocka_unit_test(test_format_properties),
		cmocka_unit_test(test_pipe_file_and_socket),
		cmocka_unit_test(test_pipe_nobody_reads),
		cmocka_unit_test(test_socket_nobody_reads),
		cmocka_unit_test(test_pipe_of_another_user),
		cmocka_unit_test(test_reader_gone_or_none_at_all),
		cmocka_unit_test(test_number_two_is_something_else),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_odd_journal_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
