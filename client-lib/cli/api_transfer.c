#include "api_transfer.h"

#include "../gctoken.h"
#include "cli.h"
#include "output.h"
#include "version.h"

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_S 10
#define BODY_MAX (256 * 1024 * 1024)

struct api_client {
	CURL *curl;
	char error[CURL_ERROR_SIZE];
};

struct receiving {
	CURL *curl;
	const struct api_call *call;
	struct api_response *response;
	int code; /* why it was broken off; EXIT_OK: it was not */
};

struct api_client *api_client_new(void)
{
	struct api_client *c = calloc(1, sizeof(*c));

	unsetenv("SSLKEYLOGFILE"); /* libcurl would write the session's keys there */
	if (c && !curl_global_init(CURL_GLOBAL_DEFAULT) && (c->curl = curl_easy_init()))
		return c;
	complain("libcurl cannot be set up");
	free(c);
	return NULL;
}

void api_client_free(struct api_client *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	curl_global_cleanup();
	free(c);
}

void api_response_fini(struct api_response *r)
{
	free(r->body);
	*r = API_RESPONSE_NONE;
}

bool api_print(const char *bytes, size_t length)
{
	int error = write_all(STDOUT_FILENO, bytes, length);

	/* libcurl has SIGPIPE ignored while it is at work. */
	if (error == -EPIPE) {
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	if (error)
		complain_of_output(error);
	return !error;
}

static bool keep(struct api_response *r, const char *bytes, size_t length)
{
	if (r->length + length > r->capacity) {
		size_t capacity = r->capacity ? r->capacity : 16384;
		char *body;

		while (capacity < r->length + length)
			capacity *= 2;
		body = capacity <= BODY_MAX ? realloc(r->body, capacity) : NULL;
		if (!body) {
			complain("the response is too long to be kept in memory");
			return false;
		}
		r->body = body;
		r->capacity = capacity;
	}
	memcpy(r->body + r->length, bytes, length);
	r->length += length;
	return true;
}

static size_t on_body(char *bytes, size_t one, size_t length, void *context)
{
	struct receiving *r = context;
	long status = 0;
	bool good;

	(void)one;
	curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
	if (r->call->hold || status == 401 || status == 429) {
		good = keep(r->response, bytes, length);
	} else {
		good = api_print(bytes, length);
		if (length) {
			r->response->printed = true;
			r->response->ends_line = bytes[length - 1] == '\n';
		}
	}
	if (!good)
		r->code = EXIT_FAILED;
	return good ? length : 0;
}

static const char *find_header(CURL *curl, const char *name)
{
	struct curl_header *h;

	return curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &h) ? NULL : h->value;
}

/* A date is by the server's clock, so it is compared with the response's own Date. */
static double retry_after(CURL *curl)
{
	const char *text = find_header(curl, "Retry-After"), *date;
	time_t then, now;

	if (!text)
		return -1;
	if (*text && !text[strspn(text, "0123456789")])
		return strlen(text) < 10 ? strtod(text, NULL) : 1e9;
	date = find_header(curl, "Date");
	then = curl_getdate(text, NULL);
	now = date ? curl_getdate(date, NULL) : time(NULL);
	if (then == -1 || now == -1)
		return -1;
	return then > now ? (double)(then - now) : 0;
}

static void take_head(CURL *curl, struct api_response *ret)
{
	const char *id = find_header(curl, "ININ-Correlation-Id");
	long status = 0;
	size_t i;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	ret->status = (int)status;
	ret->retry_after_s = retry_after(curl);
	if (!id)
		id = find_header(curl, "Genesys-Correlation-Id");
	snprintf(ret->correlation_id, sizeof(ret->correlation_id), "%s", id ? id : "");
	for (i = 0; ret->correlation_id[i]; i++)
		if (ret->correlation_id[i] < 0x21 || ret->correlation_id[i] > 0x7e)
			ret->correlation_id[i] = '?';
}

/* What libcurl says can hold a server's words, e.g. names of its certificate. */
static int explain(const struct api_client *c, CURLcode result, const struct api_call *call)
{
	char words[CURL_ERROR_SIZE];
	size_t i;

	snprintf(words, sizeof(words), "%s", *c->error ? c->error : curl_easy_strerror(result));
	for (i = 0; words[i]; i++)
		if (words[i] < 0x20 || words[i] > 0x7e)
			words[i] = '?';
	complain("%s %s%s: %s", call->method, call->api_url, call->path, words);
	switch (result) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		fputs("  Name other certificates to trust with --ca-file or GCTOKEN_CA_FILE.\n",
			stderr);
		return EXIT_FAILED;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_SSL_CONNECT_ERROR:
		fputs("  'gctoken doctor' checks names, connections and certificates.\n", stderr);
		return EXIT_TRY_LATER;
	default:
		return EXIT_FAILED;
	}
}

static void set_options(
	CURL *curl, const struct api_call *call, const char *url, struct receiving *receiving)
{
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_NETRC, CURL_NETRC_IGNORED);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "gctoken/" GCTOKEN_VERSION);
	curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)call->timeout_s);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, receiving);
	if (call->ca_file) {
		curl_easy_setopt(curl, CURLOPT_CAINFO, call->ca_file);
		curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	}
	if (call->body || !strcmp(call->method, "POST") || !strcmp(call->method, "PUT") ||
		!strcmp(call->method, "PATCH")) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_length);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body ? call->body : "");
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	} else if (!strcmp(call->method, "HEAD")) {
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	} else {
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	}
}

/* Each line is copied by libcurl; the one with the token is the first. */
static struct curl_slist *make_headers(const struct api_call *call, const char *token)
{
	char line[GCTOKEN_TOKEN_MAX + 64], type[256];
	struct curl_slist *list, *more = NULL;

	snprintf(line, sizeof(line), "Authorization: Bearer %s", token);
	list = curl_slist_append(NULL, line);
	explicit_bzero(line, sizeof(line));
	if (list)
		more = curl_slist_append(list, "Accept: application/json");
	if (more)
		more = curl_slist_append(list, "Expect:");
	snprintf(type, sizeof(type), "Content-Type:%s%s", call->body ? " " : "",
		call->body ? call->content_type : "");
	if (more)
		more = curl_slist_append(list, type);
	if (!more && list) {
		explicit_bzero(list->data, strlen(list->data));
		curl_slist_free_all(list);
		list = NULL;
	}
	return list;
}

int api_exchange(struct api_client *c, const struct api_call *call, const char *token,
	struct api_response *ret)
{
	struct receiving receiving = {c->curl, call, ret, EXIT_OK};
	size_t url_size = strlen(call->api_url) + strlen(call->path) + 1;
	struct curl_slist *headers = make_headers(call, token);
	char *url = malloc(url_size);
	CURLcode result;
	int code = EXIT_OK;

	if (!headers || !url) {
		complain("out of memory");
		code = EXIT_FAILED;
		goto out;
	}
	snprintf(url, url_size, "%s%s", call->api_url, call->path);
	curl_easy_reset(c->curl);
	*c->error = '\0';
	set_options(c->curl, call, url, &receiving);
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->error);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
	result = curl_easy_perform(c->curl);
	if (receiving.code != EXIT_OK)
		code = receiving.code;
	else if (result != CURLE_OK)
		code = explain(c, result, call);
	else
		take_head(c->curl, ret);
out:
	if (headers)
		explicit_bzero(headers->data, strlen(headers->data));
	curl_slist_free_all(headers);
	free(url);
	return code;
}
