/* Where a fleet's store is: what is read of each form, and what is wrong with the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/fleet_url.h"

/* All that was read, as one text. */
static void show(const struct fleet_url *url, char *text, size_t size)
{
	size_t length = (size_t)snprintf(
		text, size, "%s%s", url->tls ? "tls " : "", url->local ? "local " : "");

	for (size_t i = 0; i < url->host_count; i++)
		length += (size_t)snprintf(text + length, size - length, "%s%s:%u", i ? "," : "",
			url->hosts[i].name, url->hosts[i].port);
	snprintf(text + length, size - length, "%s|%s|%u", url->socket, url->master, url->database);
}

static void good_ones_are_read(void **state)
{
	static const struct {
		const char *url, *read;
	} cases[] = {
		{"redis://store", "store:6379||0"},
		{"REDIS://localhost/", "local localhost:6379||0"},
		{"redis://127.0.0.1:7000/15", "local 127.0.0.1:7000||15"},
		{"redis://[::1]:7000", "local ::1:7000||0"},
		{"rediss://redis.internal:6380/0", "tls redis.internal:6380||0"},
		{"rediss://[2001:db8::1]", "tls 2001:db8::1:6379||0"},
		{"redis+sentinel://localhost,127.0.0.2/m", "localhost:26379,127.0.0.2:26379|m|0"},
		{"redis+sentinel://localhost,h/m", "localhost:26379,h:26379|m|0"},
		{"rediss+sentinel://s1:1,s2,[::1]:3/my.Master_1-a/7",
			"tls s1:1,s2:26379,::1:3|my.Master_1-a|7"},
		{"unix:/run/redis/redis.sock", "local /run/redis/redis.sock||0"},
		{"unix:///run/redis.sock?db=4", "local /run/redis.sock||4"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fleet_url url;
		char text[512];

		assert_null(fleet_url_read(cases[i].url, &url));
		show(&url, text, sizeof(text));
		assert_string_equal(text, cases[i].read);
	}
}

static void bad_ones_are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *url, *problem;
	} cases[] = {
		{"store:6379", "its scheme is none of"},
		{"http://store", "its scheme is none of"},
		{"redis:store", "its scheme is none of"},
		{"redis://", "it has no host"},
		{"redis://:6379", "it has no host"},
		{"redis://user:secret@store", "it has a user or password (@)"},
		{"rediss://store,other", "it has several hosts"},
		{"redis://sto re", "it has a character that does not belong"},
		{"redis://-store", "its host is neither a name nor an address"},
		{"redis://1.2.3", "its host is neither a name nor an address"},
		{"redis://[::1", "what is in brackets is not an IPv6 address"},
		{"redis://[::1]x", "there is something between its host and its port"},
		{"redis://store:0", "its port is not a number"},
		{"redis://store:65536", "its port is not a number"},
		{"redis://store:", "its port is not a number"},
		{"redis://store/a", "its database is not a number"},
		{"redis://store/1/2", "its database is not a number"},
		{"redis://store/10000", "its database is not a number"},
		{"redis://store?db=1", "its database is not a number"},
		{"redis+sentinel://a,b", "it does not say which master"},
		{"redis+sentinel://a,b/", "it does not say which master"},
		{"redis+sentinel://a,,b/m", "it has no host"},
		{"redis+sentinel://a/m!", "its master is no name"},
		{"redis+sentinel://a/m/x", "its database is not a number"},
		{"redis+sentinel://1.1.1.1,2.1.1.1,3.1.1.1,4.1.1.1,5.1.1.1,6.1.1.1,7.1.1.1,8.1.1.1,"
		 "9.1.1.1/m",
			"it has more than 8 hosts"},
		{"unix:run/redis.sock", "it does not name an absolute path"},
		{"unix:", "it does not name an absolute path"},
		{"unix://host/redis.sock", "it does not name an absolute path"},
		{"unix:/run/", "it does not name an absolute path"},
		{"unix:/s?db=", "its database is not a number"},
		{"unix:/s?x=1", "something other than ?db=NUMBER"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fleet_url url = {.database = 77};
		const char *problem = fleet_url_read(cases[i].url, &url);

		assert_non_null(problem);
		assert_ptr_equal(strstr(problem, cases[i].problem), problem);
		assert_int_equal(url.database, 77);
	}
}

static void long_ones_are_refused(void **state)
{
	struct fleet_url url;
	char text[4096];

	(void)state;
	snprintf(text, sizeof(text), "unix:/%0*d", FLEET_URL_SOCKET_MAX - 1, 0);
	assert_null(fleet_url_read(text, &url));
	assert_int_equal(strlen(url.socket), FLEET_URL_SOCKET_MAX);
	snprintf(text, sizeof(text), "unix:/%0*d", FLEET_URL_SOCKET_MAX, 0);
	assert_string_equal(fleet_url_read(text, &url), "its path is too long for a socket");
	snprintf(text, sizeof(text), "redis+sentinel://a/%0*d", FLEET_URL_MASTER_MAX, 0);
	assert_null(fleet_url_read(text, &url));
	snprintf(text, sizeof(text), "redis+sentinel://a/%0*d", FLEET_URL_MASTER_MAX + 1, 0);
	assert_non_null(fleet_url_read(text, &url));
	snprintf(text, sizeof(text), "redis://%0*da", FLEET_URL_HOST_MAX, 0);
	assert_non_null(fleet_url_read(text, &url));
	snprintf(text, sizeof(text), "redis://%0*d", 3000, 0);
	assert_string_equal(fleet_url_read(text, &url), "it is longer than 2000 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones_are_read),
		cmocka_unit_test(bad_ones_are_refused_with_a_reason),
		cmocka_unit_test(long_ones_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
