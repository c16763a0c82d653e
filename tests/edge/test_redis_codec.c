/* hiredis' reader as it is installed, with our limits: what is read, and what is refused. */
#include "store/redis_codec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void show(const struct fleet_element *e, struct buffer *out)
{
	switch (e->type) {
	case FLEET_ELEMENT_NIL:
		buffer_put_text(out, "nil");
		break;
	case FLEET_ELEMENT_INTEGER:
		buffer_put_signed(out, e->integer);
		break;
	case FLEET_ELEMENT_TEXT:
	case FLEET_ELEMENT_ERROR:
		buffer_put_char(out, e->type == FLEET_ELEMENT_TEXT ? '\'' : '!');
		buffer_put(out, e->bytes, e->length);
		buffer_put_char(out, '\'');
		break;
	case FLEET_ELEMENT_ARRAY:
		buffer_put_char(out, '[');
		for (size_t i = 0; i < e->count; i++) {
			if (i)
				buffer_put_char(out, ' ');
			show(&e->items[i], out);
		}
		buffer_put_char(out, ']');
		break;
	}
}

/* All of `bytes` in pieces of that size; what was read of it, each answer with a blank behind it,
 * and "error" where no more could be. */
static void read_all(const char *bytes, size_t length, size_t piece, struct buffer *out)
{
	const struct fleet_element *e;
	struct redis_reader *r;
	int n = 0;

	assert_int_equal(redis_reader_new(&r), 0);
	for (size_t at = 0; at < length && n >= 0; at += piece) {
		size_t size = length - at < piece ? length - at : piece;

		assert_int_equal(redis_reader_feed(r, bytes + at, size), 0);
		while ((n = redis_reader_next(r, &e)) == 1) {
			show(e, out);
			buffer_put_char(out, ' ');
		}
	}
	if (n < 0) {
		assert_int_equal(n, -EPROTO);
		buffer_put_text(out, "error");
	}
	redis_reader_free(r);
}

static void expect(const char *bytes, size_t length, const char *shown)
{
	static const size_t pieces[] = {1, 2, 7, REDIS_FEED_MAX};

	for (size_t i = 0; i < LENGTH(pieces); i++) {
		struct buffer out;

		buffer_init(&out, NULL, 0);
		read_all(bytes, length, pieces[i], &out);
		buffer_put_char(&out, '\0');
		assert_string_equal(out.data, shown);
		buffer_fini(&out);
	}
}

static void answers_are_read_in_pieces_of_any_size(void **state)
{
	static const struct {
		const char *bytes, *shown;
	} cases[] = {
		{"+OK\r\n", "'OK' "},
		{"+\r\n", "'' "},
		{"-ERR no\r\n", "!ERR no' "},
		{":0\r\n:-7\r\n:9223372036854775807\r\n", "0 -7 9223372036854775807 "},
		{"$3\r\na\rb\r\n$0\r\n\r\n$-1\r\n", "'a\rb' '' nil "},
		{"*0\r\n*-1\r\n", "[] nil "},
		{"*3\r\n$1\r\na\r\n*2\r\n:1\r\n*1\r\n$-1\r\n-E\r\n+x\r\n",
			"['a' [1 [nil]] !E'] 'x' "},
		/* HELLO of a server with modules */
		{"*2\r\n$7\r\nmodules\r\n*2\r\n*2\r\n$4\r\nargs\r\n*0\r\n"
		 "*2\r\n$4\r\nargs\r\n*1\r\n$1\r\na\r\n",
			"['modules' [['args' []] ['args' ['a']]]] "},
		{"+O", ""},
		{"$5\r\nabc", ""},
		{"*2\r\n+a\r\n", ""},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		expect(cases[i].bytes, strlen(cases[i].bytes), cases[i].shown);
	expect("$2\r\n\0\n\r\n", 8, "'");
}

static void what_is_no_answer_is_refused(void **state)
{
	static const char *const cases[] = {
		"x",
		"\r\n",
		"HTTP/1.1 400 Bad Request\r\n",
		"\x15\x03\x03\x00\x02\x02\x28",
		":\r\n",
		":x\r\n",
		":1.5\r\n",
		": 1\r\n",
		":9223372036854775808\r\n",
		":99999999999999999999999\r\n",
		"$-2\r\n",
		"$x\r\n",
		"$99999999999999999999\r\n",
		"$3\r\nabcd\r\n",
		"$3\r\nab\r\n\r\n",
		"$1\r\na\n\r",
		"*-2\r\n",
		"*x\r\n",
		"*17\r\n",
		"*1000000000\r\n",
		"*2147483647\r\n",
		"*4294967296\r\n",
		"*9223372036854775807\r\n",
		"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
		"*1\r\n*17\r\n",
		/* RESP3 */
		"_\r\n",
		"#t\r\n",
		",1.5\r\n",
		",inf\r\n",
		"%1\r\n+a\r\n+b\r\n",
		"~1\r\n+a\r\n",
		">1\r\n+a\r\n",
		"(123\r\n",
		"=5\r\ntxt:a\r\n",
		"!3\r\nERR\r\n",
		"|1\r\n+a\r\n+b\r\n",
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct buffer out;

		buffer_init(&out, NULL, 0);
		read_all(cases[i], strlen(cases[i]), REDIS_FEED_MAX, &out);
		buffer_put_char(&out, '\0');
		assert_string_equal(out.data, "error");
		buffer_fini(&out);
	}
}

/* `head`, and then so many bytes; is it read or refused? */
static bool is_read(const char *head, size_t fill, const char *tail)
{
	size_t length = strlen(head) + fill + strlen(tail);
	char *bytes = malloc(length);
	struct buffer out;
	bool read;

	assert_non_null(bytes);
	memcpy(bytes, head, strlen(head));
	memset(bytes + strlen(head), 'x', fill);
	memcpy(bytes + strlen(head) + fill, tail, strlen(tail));
	buffer_init(&out, NULL, 0);
	read_all(bytes, length, REDIS_FEED_MAX, &out);
	read = out.length > fill;
	if (!read)
		assert_memory_equal(out.data, "error", 5);
	buffer_fini(&out);
	free(bytes);
	return read;
}

static void what_is_too_large_is_refused(void **state)
{
	(void)state;
	assert_true(is_read("$8448\r\n", 8448, "\r\n"));
	assert_false(is_read("$8449\r\n", 8449, "\r\n"));
	assert_false(is_read("$1000000000\r\n", 1000000, ""));
	assert_true(is_read("-", 8448, "\r\n"));
	assert_false(is_read("+", 8449, "\r\n"));
	assert_false(is_read("+", 1000000, ""));
}

/* Each text may be, and all of them together may not. */
static void limits_are_of_the_whole_answer(void **state)
{
	struct buffer all, out;
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text));
	buffer_init(&all, NULL, 0);
	buffer_init(&out, NULL, 0);
	buffer_put_text(&all, "*16\r\n");
	for (int i = 0; i < 16; i++) {
		buffer_put_text(&all, "$5000\r\n");
		buffer_put(&all, text, sizeof(text));
		buffer_put_text(&all, "\r\n");
	}
	read_all(all.data, all.length, REDIS_FEED_MAX, &out);
	assert_int_equal(out.length, 5);
	buffer_fini(&all);
	buffer_fini(&out);

	buffer_init(&all, NULL, 0);
	buffer_init(&out, NULL, 0);
	buffer_put_text(&all, "*16\r\n");
	for (int i = 0; i < 16; i++) {
		buffer_put_text(&all, "*16\r\n");
		for (int j = 0; j < 16; j++)
			buffer_put_text(&all, ":1\r\n");
	}
	read_all(all.data, all.length, REDIS_FEED_MAX, &out);
	assert_int_equal(out.length, 5);
	buffer_fini(&all);
	buffer_fini(&out);
}

static const struct fleet_element *one(struct redis_reader *r, const char *bytes)
{
	const struct fleet_element *e;

	assert_int_equal(redis_reader_feed(r, bytes, strlen(bytes)), 0);
	assert_int_equal(redis_reader_next(r, &e), 1);
	return e;
}

static void copies_outlive_what_comes_next(void **state)
{
	struct redis_reader *r;
	struct fleet_element *copy;
	struct buffer out;

	(void)state;
	assert_int_equal(redis_reader_new(&r), 0);
	copy = redis_element_copy(one(r, "*4\r\n$3\r\nabc\r\n$-1\r\n$0\r\n\r\n+de\r\n"));
	assert_non_null(copy);
	one(r, "*2\r\n$3\r\nxyz\r\n$5\r\nother\r\n");
	buffer_init(&out, NULL, 0);
	show(copy, &out);
	buffer_put_char(&out, '\0');
	assert_string_equal(out.data, "['abc' nil '' 'de']");
	buffer_fini(&out);
	free(copy);
	assert_null(redis_element_copy(one(r, "+abc\r\n")));
	assert_null(redis_element_copy(one(r, "*1\r\n:1\r\n")));
	assert_null(redis_element_copy(one(r, "*1\r\n*0\r\n")));
	assert_null(redis_element_copy(one(r, "*1\r\n-ERR\r\n")));
	redis_reader_free(r);
}

static void commands_are_written(void **state)
{
	const struct redis_word words[] = {{"PING", 4}, {"a\0\r\n", 4}, {"", 0}};
	static const char written[] = "*3\r\n$4\r\nPING\r\n$4\r\na\0\r\n\r\n$0\r\n\r\n";
	struct buffer out;

	(void)state;
	buffer_init(&out, NULL, 0);
	redis_command_write(&out, words, 3);
	assert_int_equal(out.length, sizeof(written) - 1);
	assert_memory_equal(out.data, written, out.length);
	buffer_fini(&out);
}

static void errors_are_told_apart(void **state)
{
	static const struct {
		const char *line;
		enum redis_error kind;
		bool leaves;
	} cases[] = {
		{"-READONLY You can't write against a read only replica.\r\n", REDIS_ERROR_READONLY,
			true},
		{"-ERR Error running script (call to f_1): @user_script:26: @user_script: 26: "
		 "-READONLY You can't write against a read only replica.\r\n",
			REDIS_ERROR_READONLY, true},
		{"-ERR Error running script (call to f_1): @user_script:3: @user_script: 3: -OOM "
		 "command not allowed when used memory > 'maxmemory'.\r\n",
			REDIS_ERROR_OOM, false},
		{"-LOADING Redis is loading the dataset in memory\r\n", REDIS_ERROR_LOADING, true},
		{"-MASTERDOWN Link with MASTER is down\r\n", REDIS_ERROR_MASTERDOWN, true},
		{"-NOREPLICAS Not enough good replicas to write.\r\n", REDIS_ERROR_NOREPLICAS,
			true},
		{"-CLUSTERDOWN The cluster is down\r\n", REDIS_ERROR_CLUSTERDOWN, true},
		{"-MOVED 3999 127.0.0.1:6381\r\n", REDIS_ERROR_MOVED, true},
		{"-NOAUTH Authentication required.\r\n", REDIS_ERROR_NOAUTH, true},
		{"-WRONGPASS invalid username-password pair\r\n", REDIS_ERROR_WRONGPASS, true},
		{"-NOPERM this user has no permissions\r\n", REDIS_ERROR_NOPERM, false},
		{"-NOSCRIPT No matching script.\r\n", REDIS_ERROR_NOSCRIPT, false},
		{"-BUSY Redis is busy running a script.\r\n", REDIS_ERROR_BUSY, false},
		{"-MISCONF Redis is configured to save RDB snapshots\r\n", REDIS_ERROR_MISCONF,
			false},
		{"-WRONGTYPE Operation against a key\r\n", REDIS_ERROR_WRONGTYPE, false},
		{"-OOM\r\n", REDIS_ERROR_OOM, false},
		{"-ERR unknown command\r\n", REDIS_ERROR_OTHER, false},
		{"-ERR a READONLY of other words\r\n", REDIS_ERROR_OTHER, false},
		{"-READONLYX\r\n", REDIS_ERROR_OTHER, false},
		{"-hunter2\r\n", REDIS_ERROR_OTHER, false},
		{"-\r\n", REDIS_ERROR_OTHER, false},
		{"-ERR -\r\n", REDIS_ERROR_OTHER, false},
	};
	struct redis_reader *r;

	(void)state;
	assert_int_equal(redis_reader_new(&r), 0);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		enum redis_error kind = redis_error_kind(one(r, cases[i].line));

		assert_int_equal(kind, cases[i].kind);
		assert_int_equal(redis_error_leaves(kind), cases[i].leaves);
		assert_true(strlen(redis_error_words(kind)) > 10);
	}
	redis_reader_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_read_in_pieces_of_any_size),
		cmocka_unit_test(what_is_no_answer_is_refused),
		cmocka_unit_test(what_is_too_large_is_refused),
		cmocka_unit_test(limits_are_of_the_whole_answer),
		cmocka_unit_test(copies_outlive_what_comes_next),
		cmocka_unit_test(commands_are_written),
		cmocka_unit_test(errors_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
