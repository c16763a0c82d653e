/* libcurl's multi interface, driven by libevent.
 *
 * libcurl says which sockets it waits for (socket_wanted) and when it wants to be called next
 * (timer_wanted); both only change events. Events call curl_multi_socket_action, then `collect`
 * takes the finished exchanges and calls back. Callers' code therefore never runs inside libcurl.
 *
 * Each exchange has a deadline of its own; libcurl's timeouts are only a net below it. What happens
 * to a handle at its deadline, or when it is cancelled, depends on what it is doing. A handle that
 * resolves a name is not destroyed: its thread sits in getaddrinfo, which can take half a minute
 * when no resolver answers. It is given up instead: secrets wiped, sockets and requests refused by
 * the callbacks, its place among FETCHES_MAX still taken, until libcurl ends it by itself. That
 * bounds the threads. Quick exit lets go of them when the whole fetcher ends. From 8.20 on they
 * are a pool of the multi handle's, in which some names that hang must not keep others waiting.
 *
 * libcurl formats the header with the Authorization field into a buffer of its own, and OpenSSL
 * keeps records. Both get their memory from core/wiping, and an exchange's is freed with it. */
#include "fetch.h"
#include "core/secret.h"
#include "core/wiping.h"
#include "fetch_handle.h"
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define TRUSTED_MAX_S 86400L
#define TURNS_MAX 3 /* of further addresses of a host */
/* CURLMOPT_s of 8.20, by number: the libcurl that runs may be newer than the header. Without them
 * its pool has 20 threads, and curl_multi_cleanup waits for each. */
#define MULTI_RESOLVE_THREADS_MAX ((CURLMoption)20)
#define MULTI_QUICK_EXIT ((CURLMoption)21)
#define THREADS_A_NAME 2L /* of that pool: IPv4 and IPv6 */
/* Of exchanges that have ended: a HEAD uses that of the POST before it, which it follows soon. */
#define CONNECTIONS_KEPT 16L

struct fetcher {
	struct event_base *base;
	void (*clock_read)(struct clock_reading *ret);
	CURLM *multi;
	struct event *timer;
	struct fetch_list fetches; /* given up ones included */
	unsigned count;
	struct duration trust_since; /* CLOCK_MONOTONIC: what was read before is not trusted */
	struct silent_addresses silent;
};

/* Out of the list, and of libcurl: its callbacks do not come any more. */
static void handle_release(struct fetch *x)
{
	if (x->running) {
		curl_multi_remove_handle(x->fetcher->multi, x->easy);
		LIST_REMOVE(x, link);
		x->fetcher->count--;
		x->running = false;
	}
	curl_easy_cleanup(x->easy); /* NULL is fine */
	x->easy = NULL;
	fetch_secrets_wipe(x);
}

static void fetch_free(struct fetch *x)
{
	handle_release(x);
	if (x->deadline)
		event_free(x->deadline);
	if (x->turn)
		event_free(x->turn);
	http_response_fini(&x->reply);
	secret_free(x->authorization, x->authorization_size);
	secret_free(x->proxy_authorization, x->proxy_authorization_size);
	secret_free(x->body, x->body_size);
	free(x->host);
	free(x);
}

static void fetch_give_up(struct fetch *x)
{
	if (!x->resolving) {
		fetch_free(x);
		return;
	}
	x->given_up = true;
	event_del(x->deadline);
	event_del(x->turn);
	fetch_secrets_wipe(x);
	http_response_fini(&x->reply);
}

/* The one place that calls back. */
static void fetch_finish(struct fetch *x, const char *failure)
{
	event_del(x->deadline);
	event_del(x->turn);
	if (!x->resolving)
		handle_release(x);
	if (x->exchange.status == 0)
		x->exchange.received = x->exchange.sent;
	x->exchange.unsent = !x->left;
	x->exchange.failure = failure;
	x->exchange.oversize = x->reply.oversize;
	x->exchange.body = x->reply.body ? x->reply.body : "";
	x->exchange.body_length = x->reply.body_length;
	x->ended = true;
	x->done(x->context, &x->exchange);
	fetch_give_up(x);
}

/* No length was announced: the content goes on until the connection ends. */
static bool ends_with_connection(const struct fetch *x)
{
	struct curl_header *field;
	curl_off_t length = -1;

	curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	return length < 0 && curl_easy_header(x->easy, "Transfer-Encoding", 0, CURLH_HEADER, -1,
				     &field) != CURLHE_OK;
}

static const char *failure_find(struct fetch *x, CURLcode code)
{
	struct failure_evidence e = {.code = code,
		.host = x->host,
		.words = x->curl_words,
		.status = x->exchange.status};
	struct clock_reading now;

	if (x->reply.problem)
		return x->reply.problem;
	/* A connection that ends within the header, or after a 1xx, is no failure to libcurl. */
	if (code == CURLE_OK && x->exchange.status == 0)
		return "the server sent no final response";
	if (code == CURLE_OK || (failure_is_silent_end(code, x->curl_words) && x->exchange.status &&
					ends_with_connection(x)))
		return x->reply.part == HTTP_RESPONSE_CONTENT ? NULL : "the response was cut short";
	curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &e.os_error);
	curl_easy_getinfo(x->easy, CURLINFO_HTTP_CONNECTCODE, &e.connect_status);
	curl_easy_getinfo(x->easy, CURLINFO_PROXY_SSL_VERIFYRESULT, &e.proxy_verify);
	x->clock_read(&now);
	e.wall = now.wall;
	failure_of_curl(x->failure, &e);
	return x->failure;
}

/* Nothing has been sent. Names that were resolved are still known to libcurl. */
static bool begin_anew(struct fetch *x)
{
	address_tries_again(&x->addresses);
	curl_multi_remove_handle(x->fetcher->multi, x->easy);
	return curl_multi_add_handle(x->fetcher->multi, x->easy) == CURLM_OK;
}

/* The addresses that were passed over have their turn if no other one will do. */
static bool has_others(struct fetch *x, CURLcode code)
{
	return (code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT) &&
	       !x->given_up && address_tries_all(&x->addresses);
}

/* A certificate that does not prove right may be one that does by a CA file of today. */
static void distrust(struct fetcher *f, CURLcode code)
{
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
		code == CURLE_SSL_ISSUER_ERROR)
		fetcher_forget_ca(f);
}

static void collect(struct fetcher *f)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(f->multi, &left))) {
		CURLcode code = message->data.result;
		struct fetch *x;

		if (message->msg != CURLMSG_DONE ||
			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &x) != CURLE_OK)
			continue;
		x->resolving = false;
		distrust(f, code);
		if (has_others(x, code) && begin_anew(x))
			continue;
		if (x->given_up)
			fetch_free(x);
		else
			fetch_finish(x, failure_find(x, code));
	}
}

static int after(struct event *event, struct duration d)
{
	struct timeval t = {.tv_sec = (time_t)(d.ns / NS_PER_S),
		.tv_usec = (suseconds_t)(d.ns % NS_PER_S / 1000)};

	return evtimer_add(event, &t) == 0 ? 0 : -ENOMEM;
}

/* An address that has not connected within half of the time leaves the rest to the others, if there
 * are any. libcurl would do likewise, but 7.88 then waits for an event that never comes. One that
 * has connected is not disturbed: it may only be slow. */
static void turn_passed(evutil_socket_t fd, short what, void *context)
{
	struct fetch *x = context;
	struct clock_reading now;
	struct duration left;

	(void)fd, (void)what;
	if (x->left || x->addresses.all || address_tries_connected(&x->addresses))
		return;
	x->clock_read(&now);
	left = duration_sub(x->timeout, boot_since(now.boot, x->began));
	if (left.ns > x->timeout.ns / (1 << TURNS_MAX))
		after(x->turn, duration_ns(left.ns / 2));
	if (!x->resolving && address_tries_silent(&x->addresses, now.boot))
		begin_anew(x);
}

/* Next time others come first; but if none of these has connected, neither need they. */
static void note_silence(struct fetch *x)
{
	struct clock_reading now;

	x->clock_read(&now);
	if (address_tries_connected(&x->addresses))
		address_tries_silent(&x->addresses, now.boot);
	else
		address_tries_all(&x->addresses);
}

static void deadline_passed(evutil_socket_t fd, short what, void *context)
{
	struct fetch *x = context;
	enum failure_phase phase = PHASE_CONNECTING;

	(void)fd, (void)what;
	if (x->out_of_memory) {
		fetch_finish(x, "out of memory");
		return;
	}
	if (x->exchange.status)
		phase = PHASE_READING;
	else if (x->left)
		phase = PHASE_WAITING;
	else if (x->resolving)
		phase = PHASE_RESOLVING;
	if (phase == PHASE_CONNECTING || phase == PHASE_WAITING)
		note_silence(x);
	x->exchange.silence = phase == PHASE_CONNECTING || phase == PHASE_WAITING;
	failure_of_deadline(x->failure, x->timeout, phase, x->host, x->proxied);
	fetch_finish(x, x->failure);
}

/* What curl_multi_socket_action returns is about the whole multi handle and leaves nothing to do
 * here: every exchange still ends at its deadline. */
static void socket_ready(evutil_socket_t fd, short what, void *context)
{
	struct fetcher *f = context;
	int mask =
		(what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
	int running;

	curl_multi_socket_action(f->multi, fd, mask, &running);
	collect(f);
}

static void timer_due(evutil_socket_t fd, short what, void *context)
{
	struct fetcher *f = context;
	int running;

	(void)fd, (void)what;
	curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(f);
}

/* Never an error to libcurl: one would end every exchange of this fetcher, for good. */
static int timer_wanted(CURLM *multi, long ms, void *context)
{
	struct fetcher *f = context;
	struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	(void)multi;
	if (ms < 0)
		evtimer_del(f->timer);
	else
		evtimer_add(f->timer, &t);
	return 0;
}

static void socket_lost(CURL *easy)
{
	struct fetch *x;

	if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &x) != CURLE_OK || !x || x->given_up)
		return;
	x->out_of_memory = true;
	event_active(x->deadline, EV_TIMEOUT, 0);
}

static int socket_wanted(
	CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
	struct fetcher *f = context;
	struct event *event = socket_context;
	short wanted = EV_PERSIST;

	if (event)
		event_free(event);
	if (what == CURL_POLL_REMOVE)
		return 0;
	if (what != CURL_POLL_OUT)
		wanted |= EV_READ;
	if (what != CURL_POLL_IN)
		wanted |= EV_WRITE;
	event = event_new(f->base, fd, wanted, socket_ready, f);
	if (event && event_add(event, NULL) == 0 &&
		curl_multi_assign(f->multi, fd, event) == CURLM_OK)
		return 0;
	if (event)
		event_free(event);
	curl_multi_assign(f->multi, fd, NULL);
	socket_lost(easy);
	return 0;
}

/* libcurl's clock for its cached CA store is CLOCK_MONOTONIC. */
static struct duration monotonic(const struct clock_reading *r)
{
	return duration_ns(ns_sub(r->boot.ns, r->suspended.ns));
}

/* libcurl cannot be told to forget its CA store, but how old it may be, for each exchange again. */
static long trusted_for(const struct fetcher *f, const struct clock_reading *now)
{
	int64_t s = duration_floor_s(duration_sub(monotonic(now), f->trust_since));

	return s < 0 ? 0 : s < TRUSTED_MAX_S ? (long)s : TRUSTED_MAX_S;
}

static int timers_arm(struct fetch *x)
{
	x->deadline = evtimer_new(x->fetcher->base, deadline_passed, x);
	x->turn = evtimer_new(x->fetcher->base, turn_passed, x);
	if (!x->deadline || !x->turn)
		return -ENOMEM;
	return after(x->deadline, x->timeout) ? -ENOMEM
					      : after(x->turn, duration_ns(x->timeout.ns / 2));
}

int fetch_start(struct fetcher *f, const struct fetch_request *request, fetch_done *done,
	void *context, struct fetch **ret)
{
	struct fetch *x;
	int r;

	if (request->settings.timeout.ns < NS_PER_MS)
		return -EINVAL;
	if (request->authorization && strpbrk(request->authorization, "\r\n"))
		return -EINVAL;
	if (f->count >= FETCHES_MAX)
		return -EAGAIN;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->fetcher = f;
	x->done = done;
	x->context = context;
	x->method = request->method;
	x->timeout = request->settings.timeout;
	x->clock_read = f->clock_read;
	x->addresses.silent = &f->silent;
	x->proxied = request->settings.proxy != NULL;
	f->clock_read(&x->exchange.sent);
	x->began = x->exchange.sent.boot;
	r = fetch_handle_make(x, request, trusted_for(f, &x->exchange.sent));
	if (r == 0)
		r = timers_arm(x);
	if (r < 0)
		goto fail;
	if (curl_multi_add_handle(f->multi, x->easy) != CURLM_OK) {
		r = -ENOMEM;
		goto fail;
	}
	x->running = true;
	LIST_INSERT_HEAD(&f->fetches, x, link);
	f->count++;
	if (ret)
		*ret = x;
	return 0;
fail:
	fetch_free(x);
	return r;
}

void fetch_end(struct fetch *fetch, const char *failure)
{
	if (fetch->ended || fetch->exchange.status)
		return;
	fetch->exchange.silence = true;
	fetch_finish(fetch, failure);
}

void fetch_cancel(struct fetch *fetch)
{
	if (fetch && !fetch->ended)
		fetch_give_up(fetch);
}

void fetcher_forget_ca(struct fetcher *f)
{
	struct clock_reading now;

	f->clock_read(&now);
	f->trust_since = monotonic(&now);
}

/* QUICK_EXIT and the cached CA store came with 7.87; a synchronous resolver would block the loop.
 */
static bool curl_suits(void)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

	return v->version_num >= 0x075700 && v->features & CURL_VERSION_ASYNCHDNS &&
	       v->features & CURL_VERSION_SSL;
}

static bool multi_set(struct fetcher *f)
{
	return curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted) == CURLM_OK &&
	       curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f) == CURLM_OK &&
	       curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, timer_wanted) == CURLM_OK &&
	       curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f) == CURLM_OK &&
	       curl_multi_setopt(f->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == CURLM_OK &&
	       curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT) == CURLM_OK;
}

/* A libcurl without a pool knows neither option, and needs none. */
static bool pool_set(struct fetcher *f)
{
	CURLMcode threads = curl_multi_setopt(
		f->multi, MULTI_RESOLVE_THREADS_MAX, FETCHES_MAX * THREADS_A_NAME);
	CURLMcode quick = curl_multi_setopt(f->multi, MULTI_QUICK_EXIT, 1L);

	return (threads == CURLM_OK || threads == CURLM_UNKNOWN_OPTION) &&
	       (quick == CURLM_OK || quick == CURLM_UNKNOWN_OPTION);
}

int fetcher_new(struct fetcher **ret, struct event_base *base,
	void (*clock_read)(struct clock_reading *ret))
{
	struct fetcher *f;

	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, wiping_malloc, wiping_free, wiping_realloc,
		    wiping_strdup, wiping_calloc) != CURLE_OK)
		return -EIO;
	f = calloc(1, sizeof(*f));
	if (!f) {
		curl_global_cleanup();
		return -ENOMEM;
	}
	f->base = base;
	f->clock_read = clock_read;
	f->trust_since = duration_ns(INT64_MIN);
	LIST_INIT(&f->fetches);
	if (!curl_suits()) {
		fetcher_free(f);
		return -EIO;
	}
	f->timer = evtimer_new(base, timer_due, f);
	f->multi = curl_multi_init();
	if (!f->timer || !f->multi || !multi_set(f) || !pool_set(f)) {
		fetcher_free(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

void fetcher_free(struct fetcher *f)
{
	if (!f)
		return;
	while (!LIST_EMPTY(&f->fetches))
		fetch_free(LIST_FIRST(&f->fetches));
	curl_multi_cleanup(f->multi); /* closes idle connections by way of socket_wanted */
	if (f->timer)
		event_free(f->timer);
	free(f);
	curl_global_cleanup();
}
