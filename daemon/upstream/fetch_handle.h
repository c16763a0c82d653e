/* One exchange's libcurl handle: what it is told, and what it reports back. */
#ifndef GCTOKEND_UPSTREAM_FETCH_HANDLE_H
#define GCTOKEND_UPSTREAM_FETCH_HANDLE_H

#include "address_tries.h"
#include "failure.h"
#include "fetch.h"
#include "http_response.h"
#include <curl/curl.h>
#include <stdbool.h>
#include <sys/queue.h>

struct event;

LIST_HEAD(fetch_list, fetch);

struct fetch {
	LIST_ENTRY(fetch) link;
	struct fetcher *fetcher;
	void (*clock_read)(struct clock_reading *ret);
	fetch_done *done;
	void *context;
	enum fetch_method method;
	struct boot_time began;
	struct duration timeout;
	struct event *deadline;
	struct event *turn; /* of the next address */
	CURL *easy;
	char *host;
	char *authorization; /* the whole field */
	size_t authorization_size;
	char *proxy_authorization; /* likewise, for the proxy alone */
	size_t proxy_authorization_size;
	char *body;
	size_t body_size;
	/* Accept, Accept-Encoding, Expect and, if there is one, Authorization */
	struct curl_slist fields[4], proxy_field;
	struct address_tries addresses;
	struct exchange exchange;
	struct http_response reply;
	bool running;       /* libcurl has the handle, the fetcher lists it */
	bool resolving;     /* a thread may be in getaddrinfo for it */
	bool left;          /* the request, or its first part, may have been sent */
	bool ended;         /* called back, or being called back */
	bool given_up;      /* nobody waits for it any more */
	bool out_of_memory; /* it lost a socket event */
	bool proxied;
	char curl_words[CURL_ERROR_SIZE];
	char failure[FAILURE_MAX];
};

/* Fills in host, body, authorization, fields and easy, with every option set; `method`, `timeout`,
 * `clock_read` and `addresses` are there already. `trusted_s`: what was read from CA files and what
 * connections were made longer ago is not used. 0; -EINVAL; -ENOMEM; what has been filled in is the
 * caller's to free in every case. */
int fetch_handle_make(struct fetch *x, const struct fetch_request *q, long trusted_s);
void fetch_secrets_wipe(struct fetch *x);

#endif
