#include "api_options.h"

#include "api_pages.h"
#include "daemon_call.h"
#include "options.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BODY_MAX (64 * 1024 * 1024)
#define TIMEOUT_MAX_S 86400

void api_options_fini(struct api_options *o)
{
	free(o->body);
	*o = API_OPTIONS_NONE;
}

/* In capitals, as HTTP has them; people type them in any case. */
static int read_method(const char *word, struct api_options *ret)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (!strcasecmp(word, methods[i])) {
			strcpy(ret->method, methods[i]);
			return GO_ON;
		}
	complain("api: \"%s\" is not a method: use GET, HEAD, POST, PUT, PATCH or DELETE", word);
	return EXIT_USAGE;
}

static int read_path(const char *word, struct api_options *ret)
{
	if (api_path_is_valid(word)) {
		ret->path = word;
		return GO_ON;
	}
	if (strstr(word, "://"))
		complain("api: \"%s\" is a URL; give only its path, e.g. /api/v2/users/me: the "
			 "token goes to the profile's API and nowhere else",
			word);
	else if (word[0] != '/' || word[1] == '/')
		complain("api: \"%s\" is not a path: a path begins with one '/', e.g. "
			 "/api/v2/users/me",
			word);
	else
		complain("api: the path has characters that must be written as %%XX (a space as "
			 "%%20, # as %%23), or is too long");
	return EXIT_USAGE;
}

static int read_all(int fd, const char *name, struct api_options *ret)
{
	size_t capacity = 65536, length = 0;
	char *body = malloc(capacity);

	while (body) {
		ssize_t n = read(fd, body + length, capacity - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			complain("api: cannot read %s: %s", name, strerror(errno));
			free(body);
			return EXIT_FAILED;
		}
		if (!n) {
			ret->body = body;
			ret->body_length = length;
			return GO_ON;
		}
		length += (size_t)n;
		if (length == capacity) {
			char *more = capacity < BODY_MAX ? realloc(body, capacity * 2) : NULL;

			if (!more)
				break;
			body = more;
			capacity *= 2;
		}
	}
	complain("api: %s is too long to be sent", name);
	free(body);
	return EXIT_FAILED;
}

static int read_body(const char *data, struct api_options *ret)
{
	int fd, code;

	if (*data != '@') {
		ret->body = strdup(data);
		if (!ret->body) {
			complain("out of memory");
			return EXIT_FAILED;
		}
		ret->body_length = strlen(data);
		return GO_ON;
	}
	if (!strcmp(data, "@-"))
		return read_all(STDIN_FILENO, "standard input", ret);
	fd = open(data + 1, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		complain("api: cannot open %s: %s", data + 1, strerror(errno));
		return EXIT_FAILED;
	}
	code = read_all(fd, data + 1, ret);
	close(fd);
	return code;
}

int api_options_read(const struct command *self, struct settings *s, int argc, char **argv,
	struct api_options *ret)
{
	const char *data = NULL, *ca_file = getenv("GCTOKEN_CA_FILE");
	struct api_options o = {
		.content_type = "application/json",
		.retry_wait_s = 120,
		.timeout_s = 300,
		.wait_s = -1,
	};
	const struct option_spec own[] = {
		{"d", OPTION_TEXT, &data, "BODY",
			"the request's body; @FILE: the contents of FILE; @-: standard input", 0},
		{"type", OPTION_TEXT, &o.content_type, "TYPE",
			"the body's Content-Type (application/json)", 0},
		{"paginate", OPTION_FLAG, &o.paginate, NULL,
			"get all pages of a list, and print its items as one JSON array", 0},
		{"ca-file", OPTION_TEXT, &ca_file, "FILE",
			"trust these certificates (GCTOKEN_CA_FILE, else the system's)", 0},
		{"retry-wait", OPTION_NUMBER, &o.retry_wait_s, "S",
			"how long to wait in total when the API answers 429 (120)", TIMEOUT_MAX_S},
		{"timeout", OPTION_NUMBER, &o.timeout_s, "S",
			"how long one exchange with the API may take (300); 0: no limit",
			TIMEOUT_MAX_S},
		{"wait", OPTION_NUMBER, &o.wait_s, "S",
			"how long to wait for a token, in seconds (60)", WAIT_MAX_S},
	};
	int code = options_read(self, s, own, sizeof(own) / sizeof(own[0]), false, &argc, &argv);

	if (code != GO_ON)
		return code;
	if (argc != 2) {
		complain(argc < 2 ? "api: a method and a path are needed: gctoken api GET "
				    "/api/v2/users/me"
				  : "api: one word too many: a method and a path are expected");
		return EXIT_USAGE;
	}
	code = read_method(argv[0], &o);
	if (code == GO_ON)
		code = read_path(argv[1], &o);
	if (code == GO_ON && o.paginate && strcmp(o.method, "GET")) {
		complain("api: --paginate goes only with GET");
		code = EXIT_USAGE;
	}
	/* A response to HEAD has no body, and libcurl would wait for one. */
	if (code == GO_ON && data && !strcmp(o.method, "HEAD")) {
		complain("api: -d does not go with HEAD");
		code = EXIT_USAGE;
	}
	if (code == GO_ON && (!*o.content_type || strpbrk(o.content_type, "\r\n") ||
				     strlen(o.content_type) > 200)) {
		complain("api: --type: this is not a content type");
		code = EXIT_USAGE;
	}
	if (code == GO_ON)
		code = options_check_profile(s);
	if (code == GO_ON && data)
		code = read_body(data, &o);
	o.ca_file = ca_file && *ca_file ? ca_file : NULL;
	*ret = o;
	return code;
}
