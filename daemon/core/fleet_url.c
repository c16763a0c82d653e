#include "fleet_url.h"

#include "config_url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define URL_MAX 2000
#define STORE_PORT 6379
#define SENTINEL_PORT 26379
#define MASTER_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static const struct {
	const char *scheme;
	bool tls, sentinels;
} schemes[] = {
	{"redis://", false, false},
	{"rediss://", true, false},
	{"redis+sentinel://", false, true},
	{"rediss+sentinel://", true, true},
};

static const char *read_database(const char *text, unsigned *ret)
{
	size_t digits = strspn(text, "0123456789");

	if (!digits || digits > 4 || text[digits])
		return "its database is not a number from 0 to 9999";
	*ret = (unsigned)strtoul(text, NULL, 10);
	return NULL;
}

static const char *read_socket(const char *path, struct fleet_url *ret)
{
	size_t length;
	const char *query;

	if (strncmp(path, "//", 2) == 0)
		path += 2;
	length = strcspn(path, "?");
	query = path + length;
	if (path[0] != '/' || path[1] == '/' || path[length - 1] == '/')
		return "it does not name an absolute path";
	if (length > FLEET_URL_SOCKET_MAX)
		return "its path is too long for a socket";
	memcpy(ret->socket, path, length);
	ret->local = true;
	if (!*query)
		return NULL;
	if (strncmp(query, "?db=", 4) != 0)
		return "something other than ?db=NUMBER follows its path";
	return read_database(query + 4, &ret->database);
}

/* One HOST[:PORT] of `length` bytes. */
static const char *read_host(const char *text, size_t length, uint16_t port, struct fleet_url *ret)
{
	struct fleet_url_host *host = &ret->hosts[ret->host_count];
	const char *end = text[0] == '[' ? memchr(text, ']', length) : memchr(text, ':', length);
	size_t name = !end ? length : (size_t)(end - text) + (text[0] == '[');
	const char *problem = length ? url_host_problem(text, name) : "it has no host";

	if (problem)
		return problem;
	if (name < length) {
		if (text[name] != ':')
			return "there is something between its host and its port";
		problem = url_port_problem(text + name + 1, length - name - 1);
		if (problem)
			return problem;
		port = (uint16_t)strtoul(text + name + 1, NULL, 10);
	}
	ret->local = ret->local && url_host_is_loopback(text, name);
	if (text[0] == '[') {
		text++;
		name -= 2;
	}
	memcpy(host->name, text, name);
	host->port = port;
	ret->host_count++;
	return NULL;
}

static const char *read_master(const char **at, struct fleet_url *ret)
{
	size_t length = strcspn(*at, "/");

	if (!length)
		return "it does not say which master the Sentinels watch (/MASTER)";
	if (length > FLEET_URL_MASTER_MAX || strspn(*at, MASTER_CHARACTERS) < length)
		return "its master is no name of letters, digits, '.', '_' and '-'";
	memcpy(ret->master, *at, length);
	*at += length;
	return NULL;
}

static const char *read_hosts(const char *at, bool sentinels, struct fleet_url *ret)
{
	const char *problem = NULL, *end = at + strcspn(at, "/?#");

	if (memchr(at, '@', (size_t)(end - at)))
		return "it has a user or password (@) in it; they have keys of their own";
	/* Sentinels may name a primary anywhere. */
	ret->local = !sentinels;
	for (;;) {
		size_t length = strcspn(at, ",/?#");

		if (ret->host_count == FLEET_URL_HOSTS_MAX)
			return "it has more than 8 hosts";
		problem = read_host(at, length, sentinels ? SENTINEL_PORT : STORE_PORT, ret);
		if (problem)
			return problem;
		at += length;
		if (*at != ',')
			break;
		if (!sentinels)
			return "it has several hosts; that is for Sentinels (rediss+sentinel://)";
		at++;
	}
	if (*at == '/')
		at++;
	if (sentinels)
		problem = read_master(&at, ret);
	if (problem)
		return problem;
	if (sentinels && *at == '/')
		at++;
	return *at ? read_database(at, &ret->database) : NULL;
}

const char *fleet_url_read(const char *url, struct fleet_url *ret)
{
	struct fleet_url read = {0};
	const char *problem = "its scheme is none of redis:, rediss:, redis+sentinel:, "
			      "rediss+sentinel:, unix:";

	if (strnlen(url, URL_MAX + 1) > URL_MAX)
		return "it is longer than 2000 bytes";
	for (const char *c = url; *c; c++)
		if (*c <= 0x20 || *c >= 0x7f || strchr("\\\"<>^`{|}", *c))
			return "it has a character that does not belong in a URL";
	if (strncasecmp(url, "unix:", 5) == 0) {
		problem = read_socket(url + 5, &read);
	} else {
		for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
			size_t length = strlen(schemes[i].scheme);

			if (strncasecmp(url, schemes[i].scheme, length) != 0)
				continue;
			read.tls = schemes[i].tls;
			problem = read_hosts(url + length, schemes[i].sentinels, &read);
		}
	}
	if (!problem)
		*ret = read;
	return problem;
}
