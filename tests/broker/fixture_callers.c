#include "fixture_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct caller *caller_ask(struct rig *r, const char *method, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct caller *c = calloc(1, sizeof(*c));
	char request[1024];
	int length = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: test\r\n%s\r\n",
		method, path, strcmp(method, "POST") ? "" : "Content-Length: 0\r\n");

	assert_non_null(c);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", r->socket);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(c->fd, request, (size_t)length, MSG_NOSIGNAL), length);
	rig_run(r);
	return c;
}

static bool complete(const struct caller *c)
{
	const char *end = strstr(c->bytes, "\r\n\r\n");
	const char *field = strcasestr(c->bytes, "\r\nContent-Length:");
	size_t body = 0;

	if (!end)
		return false;
	if (field && field < end)
		body = strtoul(field + strlen("\r\nContent-Length:"), NULL, 10);
	return c->length >= (size_t)(end + 4 - c->bytes) + body;
}

int caller_status(struct rig *r, struct caller *c)
{
	ssize_t n;

	rig_run(r);
	while ((n = recv(c->fd, c->bytes + c->length, sizeof(c->bytes) - 1 - c->length, 0)) > 0)
		c->length += (size_t)n;
	c->closed |= n == 0;
	return complete(c) ? atoi(c->bytes + strlen("HTTP/1.1 ")) : 0;
}

const char *caller_body(const struct caller *c)
{
	const char *end = strstr(c->bytes, "\r\n\r\n");

	return end ? end + 4 : "";
}

const char *caller_member(const struct caller *c, const char *name)
{
	static char value[2048];
	char key[64];
	const char *at;
	size_t length;

	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(caller_body(c), key);
	if (!at)
		return "";
	at += strlen(key);
	if (*at == '"')
		length = strcspn(++at, "\"");
	else
		length = strcspn(at, ",}");
	assert_true(length < sizeof(value));
	memcpy(value, at, length);
	value[length] = '\0';
	return value;
}

void caller_gone(struct rig *r, struct caller *c)
{
	close(c->fd);
	free(c);
	rig_run(r);
}

const char *rig_token(struct rig *r, const char *name)
{
	static char token[2048];
	struct caller *c;
	char path[128];

	snprintf(path, sizeof(path), "/v1/token?profile=%s&wait=0", name);
	c = caller_ask(r, "GET", path);
	snprintf(token, sizeof(token), "%s",
		caller_status(r, c) == 200 ? caller_member(c, "access_token") : "");
	caller_gone(r, c);
	return token;
}

/* ---- people ---- */

struct caller *rig_log_in(struct rig *r, const char *profile, const char *code)
{
	struct caller *c;
	char path[512], state[128];

	snprintf(path, sizeof(path), "/v1/login?profile=%s", profile);
	c = caller_ask(r, "POST", path);
	assert_int_equal(caller_status(r, c), 200);
	snprintf(state, sizeof(state), "%s", caller_member(c, "state"));
	caller_gone(r, c);
	snprintf(path, sizeof(path), "/v1/login/finish?profile=%s&state=%s&code=%s", profile, state,
		code);
	return caller_ask(r, "POST", path);
}
