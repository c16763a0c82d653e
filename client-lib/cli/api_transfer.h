/* One exchange with the API, by libcurl. */
#ifndef GCTOKEN_CLI_API_TRANSFER_H
#define GCTOKEN_CLI_API_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api_call {
	const char *method;
	const char *api_url; /* https://HOST[:PORT][/PREFIX], no slash at its end */
	const char *path;
	const char *body; /* NULL: none */
	size_t body_length;
	const char *content_type; /* of the body */
	const char *ca_file;      /* NULL: the system's */
	int64_t timeout_s;
	bool hold; /* keep every body, print none */
};

struct api_response {
	int status;           /* 0: no response */
	double retry_after_s; /* -1: the response does not say */
	char correlation_id[80];
	char *body; /* what was not printed: of a 401 or 429, or all of it with `hold` */
	size_t length, capacity;
	bool printed; /* some of the body went to standard output as it came */
	bool ends_line;
};

#define API_RESPONSE_NONE ((struct api_response){.retry_after_s = -1})

struct api_client; /* keeps its connection from call to call */

/* NULL: libcurl cannot be set up; complained about. */
struct api_client *api_client_new(void);
void api_client_free(struct api_client *c);

/* Goes to no other host than api_url's: no redirect is followed. EXIT_OK: there is a response, of
 * whatever status. Otherwise the exit code, with the complaint made. *ret is to be ended with
 * api_response_fini in any case. */
int api_exchange(struct api_client *c, const struct api_call *call, const char *token,
	struct api_response *ret);
void api_response_fini(struct api_response *r);

/* To standard output; where nobody reads it, ends the process as SIGPIPE does. False: an error,
 * complained about. */
bool api_print(const char *bytes, size_t length);

#endif
