/* The real fetcher on a real loop against a TLS server that behaves in every way it should not. */
#include "tls_server.h"
#include "upstream/fetch.h"
#include <dlfcn.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netdb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))
#define SECRET "Basic Y2FuYXJ5OnNlY3JldA=="
#define BODY "grant_type=client_credentials&canary=1"
#define JSON "{\"access_token\":\"T0ken\"}"
#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define OK_ANSWER \
	"HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Length: 24\r\n" \
	"ININ-Correlation-Id: corr-1\r\n\r\n" JSON

/* What a test sees of one exchange. */
struct outcome {
	int calls;
	struct exchange x;
	char failure[300];
	char body[70000];
};

static struct event_base *base;
static struct fetcher *fetcher;
static struct identity authority, good;
static char ca_file[] = "/tmp/test_fetch_ca.XXXXXX";

/* Names below dead.test hang until they are let go; then they are 127.0.0.1. libcurl from 8.20 on
 * asks for IPv6 addresses by themselves, in another thread: both hang. two.test has two
 * addresses, and first.test the first of them. libcurl calls this one, because a program's own
 * symbols come first. */
static pthread_mutex_t dns_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t dns_let_go = PTHREAD_COND_INITIALIZER;
static int dns_inside, dns_inside_ipv6;
static bool dns_released;

/* 127.0.0.2 and then 127.0.0.1. Each entry of glibc's lists is freed by itself. */
static int find_two(const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	int r = getaddrinfo("127.0.0.2", service, hints, ret);
	struct addrinfo *last = *ret;

	if (r)
		return r;
	while (last->ai_next)
		last = last->ai_next;
	return getaddrinfo("127.0.0.1", service, hints, &last->ai_next);
}

int getaddrinfo(
	const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	bool ipv6 = hints && hints->ai_family == AF_INET6;
	int *inside = ipv6 ? &dns_inside_ipv6 : &dns_inside;
	const char *name = node;

	pthread_mutex_lock(&dns_lock);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (node && strstr(node, "dead.test")) {
		++*inside;
		while (!dns_released)
			pthread_cond_wait(&dns_let_go, &dns_lock);
		--*inside;
		name = "127.0.0.1";
	}
	pthread_mutex_unlock(&dns_lock);
	if (node && ipv6 && strstr(node, ".test"))
		return EAI_NONAME;
	if (node && !strcmp(node, "two.test"))
		return find_two(service, hints, ret);
	if (node && !strcmp(node, "first.test"))
		name = "127.0.0.2";
	return real(name, service, hints, ret);
}

static void dns_hold(void)
{
	pthread_mutex_lock(&dns_lock);
	dns_released = false;
	pthread_mutex_unlock(&dns_lock);
}

static int dns_waiting(void)
{
	int inside;

	pthread_mutex_lock(&dns_lock);
	inside = dns_inside;
	pthread_mutex_unlock(&dns_lock);
	return inside;
}

static void dns_release(void)
{
	pthread_mutex_lock(&dns_lock);
	dns_released = true;
	pthread_cond_broadcast(&dns_let_go);
	pthread_mutex_unlock(&dns_lock);
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void read_clocks(struct clock_reading *ret)
{
	ret->boot.ns = clock_ns(CLOCK_BOOTTIME);
	ret->wall.ns = clock_ns(CLOCK_REALTIME);
	ret->slew.ns = 5;
	ret->suspended.ns = 6;
}

static int64_t now_ms(void)
{
	return clock_ns(CLOCK_BOOTTIME) / NS_PER_MS;
}

static void on_done(void *context, const struct exchange *x)
{
	struct outcome *o = context;

	o->calls++;
	o->x = *x;
	snprintf(o->failure, sizeof(o->failure), "%s", x->failure ? x->failure : "");
	assert_non_null(x->body);
	assert_true(x->body_length < sizeof(o->body));
	memcpy(o->body, x->body, x->body_length);
	o->body[x->body_length] = '\0';
}

static struct fetch_request request_to(const char *url, enum fetch_method method)
{
	return (struct fetch_request){.method = method,
		.url = url,
		.authorization = SECRET,
		.body = method == FETCH_POST ? BODY : NULL,
		.body_length = method == FETCH_POST ? strlen(BODY) : 0,
		.settings = {.ca_file = ca_file, .timeout = duration_s(8)}};
}

static void url_of(char ret[64], const struct server *s)
{
	snprintf(ret, 64, "https://127.0.0.1:%d/oauth/token", s->port);
}

static void run_until(const int *calls, int wanted)
{
	int64_t end = now_ms() + 15000;

	while (*calls < wanted) {
		assert_true(now_ms() < end);
		event_base_loop(base, EVLOOP_ONCE);
	}
}

static void nothing(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	++*(int *)context;
}

static void run_for_ms(int ms)
{
	struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	int fired = 0;

	assert_int_equal(event_base_once(base, -1, EV_TIMEOUT, nothing, &fired, &t), 0);
	run_until(&fired, 1);
}

static bool dns_waiting_ipv6(void)
{
	bool any;

	pthread_mutex_lock(&dns_lock);
	any = dns_inside_ipv6 > 0;
	pthread_mutex_unlock(&dns_lock);
	return any;
}

/* Until so many names sit in getaddrinfo; the loop runs on. */
static void dns_wait_for(int inside)
{
	int64_t end = now_ms() + 10000;

	while (dns_waiting() != inside || (inside == 0 && dns_waiting_ipv6())) {
		assert_true(now_ms() < end);
		run_for_ms(2);
	}
}

static void fetch_now(const struct fetch_request *q, struct outcome *o)
{
	memset(o, 0, sizeof(*o));
	assert_int_equal(fetch_start(fetcher, q, on_done, o, NULL), 0);
	assert_int_equal(o->calls, 0); /* never from within fetch_start */
	run_until(&o->calls, 1);
	assert_null(strstr(o->failure, "canary"));
	assert_null(strstr(o->failure, SECRET));
	assert_null(strstr(o->failure, "T0ken"));
}

static void post_to(struct server *s, struct outcome *o)
{
	struct fetch_request q;
	char url[64];

	url_of(url, s);
	q = request_to(url, FETCH_POST);
	fetch_now(&q, o);
}

static void head_to(struct server *s, struct outcome *o)
{
	struct fetch_request q;
	char url[64];

	url_of(url, s);
	q = request_to(url, FETCH_HEAD);
	q.authorization = NULL;
	fetch_now(&q, o);
}

static int set_up(void **state)
{
	(void)state;
	base = event_base_new();
	assert_non_null(base);
	assert_int_equal(fetcher_new(&fetcher, base, read_clocks), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fetcher_free(fetcher);
	fetcher = NULL;
	assert_int_equal(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0);
	event_base_free(base);
	return 0;
}

/* Behaviours. */

static bool say_answer(struct server *s, SSL *tls, const char *request)
{
	if (strncmp(request, "HEAD ", 5) == 0)
		return tls_say(
			tls, "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Length: 9\r\n\r\n");
	return tls_say(tls, s->answer ? s->answer : OK_ANSWER);
}

static bool say_answer_and_close(struct server *s, SSL *tls, const char *request)
{
	say_answer(s, tls, request);
	SSL_shutdown(tls);
	return false;
}

static bool say_answer_and_cut(struct server *s, SSL *tls, const char *request)
{
	say_answer(s, tls, request);
	return false; /* no close_notify */
}

static bool say_late(struct server *s, SSL *tls, const char *request)
{
	sleep_ms(200);
	return say_answer(s, tls, request);
}

static bool say_interim_first(struct server *s, SSL *tls, const char *request)
{
	tls_say(tls, "HTTP/1.1 103 Early Hints\r\nDate: Mon, 07 Nov 1994 08:49:37 GMT\r\nAge: 3\r\n"
		     "Retry-After: 9\r\n\r\nHTTP/1.1 102 Processing\r\nAge: 4\r\n\r\n");
	sleep_ms(150);
	return say_answer(s, tls, request);
}

static bool close_at_once(struct server *s, SSL *tls, const char *request)
{
	(void)s, (void)request;
	SSL_shutdown(tls);
	return false;
}

static bool hang(struct server *s, SSL *tls, const char *request)
{
	char byte;

	(void)s, (void)request;
	SSL_read(tls, &byte, 1); /* until the other side goes */
	return false;
}

/* `answer`, then `unit` over and over, until nobody takes it. */
static bool flood(struct server *s, SSL *tls, const char *unit)
{
	char block[16 * 1024];
	size_t length = 0;

	while (length + strlen(unit) <= sizeof(block)) {
		memcpy(block + length, unit, strlen(unit));
		length += strlen(unit);
	}
	tls_say(tls, s->answer);
	while (!atomic_load(&s->stopping) && tls_send(tls, block, length))
		;
	return false;
}

static bool flood_bytes(struct server *s, SSL *tls, const char *request)
{
	(void)request;
	return flood(s, tls, "x");
}

static bool flood_chunks(struct server *s, SSL *tls, const char *request)
{
	(void)request;
	return flood(s, tls, "1\r\nx\r\n");
}

static bool flood_interim(struct server *s, SSL *tls, const char *request)
{
	(void)request;
	return flood(s, tls, "HTTP/1.1 103 Early Hints\r\n\r\n");
}

static bool flood_fields(struct server *s, SSL *tls, const char *request)
{
	(void)request;
	return flood(s, tls, "X: y\r\n");
}

static bool flood_long_fields(struct server *s, SSL *tls, const char *request)
{
	(void)request;
	return flood(s, tls,
		"X: "
		"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r"
		"\n");
}

/* Tests. */

static void posts_what_it_is_told(void **state)
{
	struct server s = {.behaviour = say_answer};
	struct outcome *o = test_malloc(sizeof(*o));

	(void)state;
	server_start(&s, &good);
	post_to(&s, o);
	assert_string_equal(o->failure, "");
	assert_null(o->x.failure);
	assert_int_equal(o->x.status, 200);
	assert_string_equal(o->body, JSON);
	assert_int_equal(o->x.body_length, strlen(JSON));
	assert_string_equal(o->x.date, DATE);
	assert_string_equal(o->x.age, "");
	assert_string_equal(o->x.retry_after, "");
	assert_string_equal(o->x.correlation_id, "corr-1");
	assert_int_equal(o->x.sent.slew.ns, 5);
	assert_int_equal(o->x.received.suspended.ns, 6);

	assert_int_equal(strncmp(s.last_request, "POST /oauth/token HTTP/1.1\r\n", 28), 0);
	assert_non_null(strstr(s.last_request, "\r\nAuthorization: " SECRET "\r\n"));
	assert_non_null(
		strstr(s.last_request, "\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
	assert_non_null(strstr(s.last_request, "\r\nAccept: application/json\r\n"));
	assert_non_null(strstr(s.last_request, "\r\n\r\n" BODY));
	assert_null(strcasestr(s.last_request, "\r\nExpect:"));
	assert_non_null(strstr(s.last_request, "\r\nAccept-Encoding: identity\r\n"));
	assert_null(strcasestr(s.last_request, "\r\nUpgrade:"));
	server_stop(&s);
	assert_int_equal(s.posts, 1);
	test_free(o);
}

static void takes_times_at_the_right_moments(void **state)
{
	struct server s = {.behaviour = say_late, .handshake_delay_ms = 150};
	struct outcome *o = test_malloc(sizeof(*o));
	int64_t start;

	(void)state;
	server_start(&s, &good);
	start = now_ms();
	post_to(&s, o);
	assert_int_equal(o->x.status, 200);
	assert_true(o->x.sent.boot.ns / NS_PER_MS - start >= 149);
	assert_true(o->x.sent.boot.ns / NS_PER_MS - start < 1000);
	assert_true(o->x.received.boot.ns - o->x.sent.boot.ns >= 200 * NS_PER_MS);
	assert_true(o->x.received.boot.ns - o->x.sent.boot.ns < 1000 * NS_PER_MS);
	/* wall and boot of one reading belong together */
	assert_true(llabs(clock_wall_offset(&o->x.sent).ns - clock_wall_offset(&o->x.received).ns) <
		    50 * NS_PER_MS);
	server_stop(&s);
	test_free(o);
}

static void drops_interim_answers(void **state)
{
	struct server s = {.behaviour = say_interim_first};
	struct outcome *o = test_malloc(sizeof(*o));

	(void)state;
	server_start(&s, &good);
	post_to(&s, o);
	assert_string_equal(o->failure, "");
	assert_int_equal(o->x.status, 200);
	assert_string_equal(o->body, JSON);
	assert_string_equal(o->x.date, DATE);
	assert_string_equal(o->x.age, "");
	assert_string_equal(o->x.retry_after, "");
	assert_true(o->x.received.boot.ns - o->x.sent.boot.ns >= 150 * NS_PER_MS);
	server_stop(&s);
	test_free(o);
}

static void reads_fields_strictly(void **state)
{
	static const struct {
		const char *fields, *date, *age, *retry_after, *correlation_id;
	} cases[] = {
		{"date:" DATE "\r\nAGE: \t7 \t\r\nRetry-After:30\r\n", DATE, "7", "30", ""},
		{"Date: " DATE "\r\nDate: " DATE "\r\n", "", "", "", ""},
		{"Age: 1\r\nDate: " DATE "\r\nage: 1\r\nAge: 1\r\n", DATE, "?", "", ""},
		{"Retry-After: 1\r\nRetry-After: 2\r\n", "", "", "", ""},
		{"Date: " DATE "\r\n and more, which is too long where libcurl unfolds it\r\n", "",
			"", "", ""},
		{"Date: " DATE "                      x\r\n", "", "", "", ""},
		{"Date: Sun\x01\r\n", "", "", "", ""},
		{"X-Date: " DATE "\r\nDat: x\r\n", "", "", "", ""},
		{"Genesys-Correlation-Id: g\r\n", "", "", "", "g"},
		{"Genesys-Correlation-Id: g\r\nININ-Correlation-Id: i\r\n", "", "", "", "g"},
		{"ININ-Correlation-Id: i\xc3\xa9\r\n", "", "", "", ""},
		{"Age:\r\n", "", "", "", ""},
	};
	struct outcome *o = test_malloc(sizeof(*o));

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct server s = {.behaviour = say_answer};
		char answer[600];

		snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\n%sContent-Length: 0\r\n\r\n",
			cases[i].fields);
		s.answer = answer;
		server_start(&s, &good);
		post_to(&s, o);
		assert_string_equal(o->failure, "");
		assert_string_equal(o->x.date, cases[i].date);
		assert_string_equal(o->x.age, cases[i].age);
		assert_string_equal(o->x.retry_after, cases[i].retry_after);
		assert_string_equal(o->x.correlation_id, cases[i].correlation_id);
		server_stop(&s);
	}
	test_free(o);
}

static void ignores_trailers(void **state)
{
	struct server s = {.behaviour = say_answer,
		.answer = "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\nAge: 1\r\n\r\n"
			  "2\r\nhi\r\n0\r\nDate: " DATE "\r\nAge: 2\r\nRetry-After: 5\r\n\r\n"};
	struct outcome *o = test_malloc(sizeof(*o));

	(void)state;
	server_start(&s, &good);
	post_to(&s, o);
	assert_string_equal(o->failure, "");
	assert_int_equal(o->x.status, 503);
	assert_string_equal(o->body, "hi");
	assert_string_equal(o->x.age, "1");
	assert_string_equal(o->x.date, "");
	assert_string_equal(o->x.retry_after, "");
	server_stop(&s);
	test_free(o);
}

static void never_follows_a_redirect(void **state)
{
	static const int statuses[] = {301, 302, 303, 307, 308};
	struct outcome *o = test_malloc(sizeof(*o));

	(void)state;
	for (size_t i = 0; i < LENGTH(statuses); i++) {
		struct server other = {.behaviour = say_answer}, s = {.behaviour = say_answer};
		char answer[200];

		server_start(&other, &good);
		snprintf(answer, sizeof(answer),
			"HTTP/1.1 %d Away\r\nLocation: https://127.0.0.1:%d/\r\n"
			"Content-Length: 0\r\n\r\n",
			statuses[i], other.port);
		s.answer = answer;
		server_start(&s, &good);
		post_to(&s, o);
		assert_string_equal(o->failure, "");
		assert_int_equal(o->x.status, statuses[i]);
		server_stop(&s);
		server_stop(&other);
		assert_int_equal(s.requests, 1);
		assert_int_equal(other.connections, 0);
	}
	test_free(o);
}

static void bounds_what_it_reads(void **state)
{
	static const struct {
		server_behaviour *behaviour;
		const char *answer, *failure;
	} cases[] = {
		{flood_bytes, "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n",
			"response larger than 64 KiB"},
		{flood_bytes, "HTTP/1.1 200 OK\r\n\r\n", "response larger than 64 KiB"},
		{flood_chunks, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
			"response larger than 64 KiB"},
		{flood_interim, "", "the response header has more than 1000 lines"},
		{flood_fields, "HTTP/1.1 200 OK\r\n",
			"the response header has more than 1000 lines"},
		{flood_long_fields, "HTTP/1.1 200 OK\r\n",
			"the response header is larger than 64 KiB"},
		{flood_bytes, "HTTP/1.1 200 OK\r\nX: ",
			"out of memory, or a header line too long to be taken into it"},
		{flood_bytes, "HTTP/1.1 200 ",
			"out of memory, or a header line too long to be taken into it"},
		{flood_bytes, "", "127.0.0.1 did not answer in HTTP/1.1"},
	};
	struct outcome *o = test_malloc(sizeof(*o));

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct server s = {.behaviour = cases[i].behaviour, .answer = cases[i].answer};
		int64_t start;

		server_start(&s, &good);
		start = now_ms();
		post_to(&s, o);
		if (strcmp(o->failure, cases[i].failure) != 0)
			fail_msg("case %zu: %s", i, o->failure);
		assert_true(o->x.body_length <= 64 * 1024);
		assert_int_equal(o->x.oversize, !strcmp(o->failure, "response larger than 64 KiB"));
		assert_true(now_ms() - start < 5000);
		server_stop(&s);
		assert_int_equal(s.requests, 1);
	}
	test_free(o);
}

static void accepts_64_kib(void **state)
{
	static char answer[70000];
	struct server s = {.behaviour = say_answer, .answer = answer};
	struct outcome *o = test_malloc(sizeof(*o));

	(void)state;
	for (int extra = 0; extra < 2; extra++) {
		int head = snprintf(answer, sizeof(answer),
			"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 65536 + extra);

		memset(answer + head, 'x', (size_t)(65536 + extra));
		answer[head + 65536 + extra] = '\0';
		s = (struct server){.behaviour = say_answer, .answer = answer};
		server_start(&s, &good);
		post_to(&s, o);
		assert_string_equal(o->failure, extra ? "response larger than 64 KiB" : "");
		assert_int_equal(o->x.oversize, extra);
		if (!extra)
			assert_int_equal(o->x.body_length, 65536);
		server_stop(&s);
	}
	test_free(o);
}

static void tells_half_an_answer_from_a_whole_one(void **state)
{
	static const struct {
		server_behaviour *behaviour;
		const char *answer, *failure;
		long status;
	} cases[] = {
		{say_answer_and_close, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" JSON,
			"the response was cut short", 200},
		{say_answer_and_cut, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" JSON,
			"the response was cut short", 200},
		/* Without a length only close_notify would tell, and some libcurls do not mind.
		 * JSON tells: cut anywhere, an object is none. */
		{say_answer_and_cut, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" JSON, "", 200},
		{say_answer_and_close,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n" JSON "\r\n",
			"the response was cut short", 200},
		{say_answer_and_cut,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n" JSON "\r\n",
			"the response was cut short", 200},
		{say_answer_and_cut, "HTTP/1.1 200 OK\r\nContent-Le", "the response was cut short",
			200},
		{say_answer_and_close, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" JSON, "",
			200},
		{say_answer_and_close, "HTTP/1.1 200 OK\r\nContent-Le",
			"the response was cut short", 200},
		{say_answer_and_close, "HTTP/1.1 103 Early Hints\r\n\r\n",
			"127.0.0.1 closed the connection without a response", 0},
		{say_answer_and_close, "HTTP/1.1 101 Switching Protocols\r\n\r\n",
			"127.0.0.1 closed the connection without a response", 0},
		{say_answer_and_close, "HTTP/1.1 101 Switching Protocols\r\n\r\n" JSON,
			"the server sent no final response", 0},
		{close_at_once, NULL, "127.0.0.1 closed the connection without a response", 0},
		{say_answer_and_close, "SSH-2.0-OpenSSH\r\n",
			"127.0.0.1 did not answer in HTTP/1.1", 0},
		{say_answer_and_close, JSON, "127.0.0.1 did not answer in HTTP/1.1", 0},
	};
	struct outcome *o = test_malloc(sizeof(*o));

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct server s = {.behaviour = cases[i].behaviour, .answer = cases[i].answer};

		server_start(&s, &good);
		post_to(&s, o);
		if (strcmp(o->failure, cases[i].failure) != 0)
			fail_msg("case %zu: %s", i, o->failure);
		assert_int_equal(o->x.status, cases[i].status);
		assert_true(o->x.sent.boot.ns > 0);
		if (!cases[i].status)
			assert_memory_equal(&o->x.sent, &o->x.received, sizeof(o->x.sent));
		server_stop(&s);
		assert_int_equal(s.posts, 1);
	}
	test_free(o);
}

/* libcurl's habit: when a connection from its pool dies it sends the request again. */
static void a_post_is_sent_once(void **state)
{
	struct server s = {.behaviour = say_answer};
	struct outcome *o = test_malloc(sizeof(*o));

	(void)state;
	server_start(&s, &good);
	post_to(&s, o);
	assert_int_equal(o->x.status, 200);
	s.behaviour = close_at_once;
	post_to(&s, o);
	assert_int_equal(o->x.status, 0);
	assert_string_not_equal(o->failure, "");
	run_for_ms(100);
	server_stop(&s);
	assert_int_equal(s.posts, 2);
	assert_int_equal(s.connections, 2);
	test_free(o);
}

static void a_head_reuses_the_connection(void **state)
{
	struct server s = {.behaviour = say_answer};
	struct outcome *o = test_malloc(sizeof(*o));

	(void)state;
	server_start(&s, &good);
	post_to(&s, o);
	for (int i = 0; i < 3; i++) {
		head_to(&s, o);
		assert_string_equal(o->failure, "");
		assert_int_equal(o->x.status, 200);
		assert_string_equal(o->x.date, DATE);
		assert_int_equal(o->x.body_length, 0);
		assert_null(strstr(s.last_request, "Authorization"));
	}
	assert_int_equal(s.connections, 1);
	assert_int_equal(s.heads, 3);
	post_to(&s, o); /* a fresh one */
	assert_int_equal(s.connections, 2);
	server_stop(&s);
	test_free(o);
}

static void a_head_survives_a_dead_connection(void **state)
{
	struct server s = {.behaviour = say_answer_and_close};
	struct outcome *o = test_malloc(sizeof(*o));

	(void)state;
	server_start(&s, &good);
	for (int i = 0; i < 3; i++) {
		head_to(&s, o);
		assert_string_equal(o->failure, "");
		assert_int_equal(o->x.status, 200);
		assert_true(o->x.received.boot.ns >= o->x.sent.boot.ns);
	}
	server_stop(&s);
	test_free(o);
}

static void deletes(void **state)
{
	struct server s = {.behaviour = say_answer, .answer = "HTTP/1.1 204 No Content\r\n\r\n"};
	struct outcome *o = test_malloc(sizeof(*o));
	struct fetch_request q;
	char url[64];

	(void)state;
	server_start(&s, &good);
	url_of(url, &s);
	q = request_to(url, FETCH_DELETE);
	fetch_now(&q, o);
	assert_int_equal(o->x.status, 204);
	assert_int_equal(strncmp(s.last_request, "DELETE /oauth/token HTTP/1.1\r\n", 30), 0);
	assert_non_null(strstr(s.last_request, "\r\nAuthorization: " SECRET "\r\n"));
	server_stop(&s);
	test_free(o);
}

static void tls_failures_cost_no_byte(void **state)
{
	struct identity other_ca = identity_new(NULL, NULL, 30);
	struct identity identities[] = {
		identity_new(&authority, "IP:127.0.0.1", -1),
		identity_new(&authority, "DNS:login.example,IP:127.0.0.2", 30),
		identity_new(NULL, "IP:127.0.0.1", 30),
		identity_new(&other_ca, "IP:127.0.0.1", 30),
		identity_new(&authority, "IP:127.0.0.1", 30),
	};
	static const char *const failures[] = {
		"TLS: certificate has expired (this host's clock says 20",
		"TLS: no alternative certificate subject name matches target ", /* host name, or
										   address */
		"TLS: self-signed certificate",
		"TLS: unable to get local issuer certificate",
		"TLS: ",
	};
	struct outcome *o = test_malloc(sizeof(*o));

	(void)state;
	for (size_t i = 0; i < LENGTH(identities); i++) {
		struct server s = {.behaviour = say_answer};

		server_start(&s, &identities[i]);
		if (i == 4) { /* nothing newer than TLS 1.1 */
			SSL_CTX_set_min_proto_version(s.context, TLS1_VERSION);
			SSL_CTX_set_max_proto_version(s.context, TLS1_1_VERSION);
			assert_int_equal(SSL_CTX_set_cipher_list(s.context, "ALL:@SECLEVEL=0"), 1);
		}
		post_to(&s, o);
		assert_int_equal(o->x.status, 0);
		if (strncmp(o->failure, failures[i], strlen(failures[i])) != 0)
			fail_msg("case %zu: %s", i, o->failure);
		server_stop(&s);
		assert_int_equal(s.connections, 1);
		assert_int_equal(s.application_bytes, 0);
		identity_free(&identities[i]);
	}
	identity_free(&other_ca);
	test_free(o);
}

/* The system's store must not be trusted beside a CA file, nor a missing file mean all is well. */
static void trusts_the_ca_file_only(void **state)
{
	struct server s = {.behaviour = say_answer};
	struct outcome *o = test_malloc(sizeof(*o));
	char missing[] = "/nonexistent/ca.pem", empty[] = "/dev/null";
	char *const files[] = {NULL, missing, empty};
	char url[64];

	(void)state;
	server_start(&s, &good);
	url_of(url, &s);
	for (size_t i = 0; i < LENGTH(files); i++) {
		struct fetch_request q = request_to(url, FETCH_POST);

		q.settings.ca_file = files[i];
		fetch_now(&q, o);
		assert_int_equal(o->x.status, 0);
		assert_int_equal(strncmp(o->failure, "TLS: ", 5), 0);
	}
	server_stop(&s);
	assert_int_equal(s.application_bytes, 0);
	test_free(o);
}

/* The store is cached, so that the loop does not parse it for each POST, and can be forgotten. */
static void caches_the_ca_file(void **state)
{
	struct identity new_ca = identity_new(NULL, NULL, 30);
	struct identity new_good = identity_new(&new_ca, "IP:127.0.0.1", 30);
	struct server before = {.behaviour = say_answer}, after = {.behaviour = say_answer};
	struct outcome *o = test_malloc(sizeof(*o));
	char path[] = "/tmp/test_fetch_ca2.XXXXXX", next[] = "/tmp/test_fetch_ca3.XXXXXX";
	char again[] = "/tmp/test_fetch_ca4.XXXXXX", url[64];
	struct fetch_request q;

	(void)state;
	identity_write(&authority, path);
	identity_write(&new_ca, next);
	server_start(&before, &good);
	server_start(&after, &new_good);
	url_of(url, &before);
	q = request_to(url, FETCH_POST);
	q.settings.ca_file = path;
	fetch_now(&q, o);
	assert_int_equal(o->x.status, 200);

	assert_int_equal(rename(next, path), 0);
	fetch_now(&q, o);
	assert_int_equal(o->x.status, 200); /* still the old store */
	/* a server that the old one does not know is reason enough to look again */
	url_of(url, &after);
	fetch_now(&q, o);
	assert_int_equal(o->x.status, 0);
	fetch_now(&q, o);
	assert_string_equal(o->failure, "");
	assert_int_equal(o->x.status, 200);

	identity_write(&authority, again);
	assert_int_equal(rename(again, path), 0);
	fetcher_forget_ca(fetcher);
	fetch_now(&q, o);
	assert_int_equal(o->x.status, 0);
	url_of(url, &before);
	fetch_now(&q, o);
	assert_string_equal(o->failure, "");
	assert_int_equal(o->x.status, 200);
	server_stop(&before);
	server_stop(&after);
	identity_free(&new_good);
	identity_free(&new_ca);
	unlink(path);
	test_free(o);
}

static void refuses_other_urls(void **state)
{
	static const char *const urls[] = {"http://127.0.0.1/", "HTTP://127.0.0.1/",
		"ftp://127.0.0.1/", "file:///etc/passwd", "127.0.0.1", "", "https://",
		"https://user@127.0.0.1/", "https://user:password@127.0.0.1/",
		"https://:p@127.0.0.1/", "https://127.0.0.1:99999/", "https://127.0.0.1:x/",
		"gopher://127.0.0.1/", "https://127.0.0.1 /", "https://127.0.0.1/\r\nX: y"};
	struct outcome *o = test_calloc(1, sizeof(*o));
	struct fetch_request q;

	(void)state;
	for (size_t i = 0; i < LENGTH(urls); i++) {
		q = request_to(urls[i], FETCH_POST);
		if (fetch_start(fetcher, &q, on_done, o, NULL) != -EINVAL)
			fail_msg("%s was taken", urls[i]);
	}
	q = request_to("https://127.0.0.1/", FETCH_POST);
	q.settings.timeout = duration_ns(999999);
	assert_int_equal(fetch_start(fetcher, &q, on_done, o, NULL), -EINVAL);
	q.settings.timeout = duration_s(-1);
	assert_int_equal(fetch_start(fetcher, &q, on_done, o, NULL), -EINVAL);
	q = request_to("https://127.0.0.1/", FETCH_POST);
	q.authorization = "Basic x\r\nX: y";
	assert_int_equal(fetch_start(fetcher, &q, on_done, o, NULL), -EINVAL);
	run_for_ms(20);
	assert_int_equal(o->calls, 0);
	test_free(o);
}

static void asks_neither_environment_nor_netrc(void **state)
{
	static const char *const variables[] = {
		"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"};
	struct server s = {.behaviour = say_answer}, trap = {.behaviour = say_answer};
	struct outcome *o = test_malloc(sizeof(*o));
	char home[] = "/tmp/test_fetch_home.XXXXXX", path[64], proxy[64];
	char closed_port[] = "http://127.0.0.1:1";
	struct fetch_request q;
	char url[64];
	FILE *netrc;

	(void)state;
	server_start(&s, &good);
	server_start(&trap, &good);
	assert_non_null(mkdtemp(home));
	snprintf(path, sizeof(path), "%s/.netrc", home);
	netrc = fopen(path, "w");
	assert_non_null(netrc);
	fprintf(netrc, "machine 127.0.0.1 login netrc password netrc\n");
	fclose(netrc);
	setenv("HOME", home, 1);
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", trap.port);
	for (size_t i = 0; i < LENGTH(variables); i++)
		setenv(variables[i], proxy, 1);
	url_of(url, &s);
	q = request_to(url, FETCH_POST);
	q.authorization = NULL;
	fetch_now(&q, o);
	assert_int_equal(o->x.status, 200);
	assert_null(strstr(s.last_request, "Authorization"));

	/* no_proxy does not take a configured proxy away either */
	setenv("no_proxy", "*", 1);
	setenv("NO_PROXY", "*", 1);
	q.settings.proxy = closed_port;
	fetch_now(&q, o);
	assert_int_equal(o->x.status, 0);
	assert_string_equal(o->failure, "could not connect to 127.0.0.1: Connection refused");
	for (size_t i = 0; i < LENGTH(variables); i++)
		unsetenv(variables[i]);
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	unlink(path);
	rmdir(home);
	server_stop(&s);
	server_stop(&trap);
	assert_int_equal(trap.connections, 0);
	test_free(o);
}

static void goes_through_a_configured_proxy(void **state)
{
	struct server s = {.behaviour = say_answer,
		.is_proxy = true,
		.connect_answer = "HTTP/1.1 200 OK\r\nAge: 5\r\nRetry-After: 5\r\n\r\n"};
	struct outcome *o = test_malloc(sizeof(*o));
	struct fetch_request q = request_to("https://127.0.0.1:4433/oauth/token", FETCH_POST);
	char proxy[64];

	(void)state;
	server_start(&s, &good);
	snprintf(proxy, sizeof(proxy), "http://user:canary@127.0.0.1:%d", s.port);
	q.settings.proxy = proxy;
	fetch_now(&q, o);
	assert_string_equal(o->failure, "");
	assert_int_equal(o->x.status, 200);
	assert_string_equal(o->x.age, "");
	assert_string_equal(o->x.retry_after, "");
	assert_string_equal(o->x.date, DATE);
	assert_int_equal(strncmp(s.connect_request, "CONNECT 127.0.0.1:4433 HTTP/1.1\r\n", 33), 0);
	assert_null(strstr(s.connect_request, SECRET));
	assert_null(strstr(s.last_request, "Proxy-Authorization"));

	s.connect_answer = "HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n";
	fetch_now(&q, o);
	assert_int_equal(o->x.status, 0);
	assert_string_equal(
		o->failure, "the proxy answered HTTP 407: it wants another proxy_user or password");
	server_stop(&s);
	assert_int_equal(s.posts, 1);
	test_free(o);
}

static void tells_the_proxy_who_it_is(void **state)
{
	struct server s = {.behaviour = say_answer,
		.is_proxy = true,
		.connect_answer = "HTTP/1.1 200 OK\r\n\r\n"};
	struct outcome *o = test_malloc(sizeof(*o));
	struct fetch_request q = request_to("https://127.0.0.1:4433/oauth/token", FETCH_POST);
	char proxy[64], user[] = "DOMAIN\\a name";

	(void)state;
	server_start(&s, &good);
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", s.port);
	q.settings.proxy = proxy;
	q.settings.proxy_user = user;
	q.settings.proxy_password = "pass:word \303\251";
	fetch_now(&q, o);
	assert_string_equal(o->failure, "");
	/* base64 of user:password as they are */
	assert_non_null(strstr(s.connect_request,
		"\r\nProxy-Authorization: Basic RE9NQUlOXGEgbmFtZTpwYXNzOndvcmQgw6k=\r\n"));
	assert_null(strstr(s.connect_request, SECRET));
	assert_non_null(strstr(s.last_request, SECRET));
	assert_null(strcasestr(s.last_request, "Proxy-Authorization"));

	/* a HEAD on its own connection, too; but no server without a proxy */
	q = request_to("https://127.0.0.1:4433/", FETCH_HEAD);
	q.authorization = NULL;
	q.settings.proxy = proxy;
	q.settings.proxy_user = user;
	q.settings.proxy_password = "other";
	fetch_now(&q, o);
	assert_string_equal(o->failure, "");
	assert_null(strcasestr(s.last_request, "Proxy-Authorization"));
	server_stop(&s);
	test_free(o);
}

/* How much longer than usual a busy machine, or one under a sanitizer, may take. */
static int patience(void)
{
	const char *told = getenv("GCTOKEN_TEST_PATIENCE");
	double times = told ? strtod(told, NULL) : 1;

	return times > 1 ? (int)times : 1;
}

static void ends_at_the_deadline(void **state)
{
	/* The loop's clock is a coarse one: a few ms early is on time. */
	static const struct {
		server_behaviour *behaviour;
		const char *answer;
		bool handshake_hangs;
		const char *phase;
	} cases[] = {
		{hang, NULL, false, "waiting for"},
		{say_answer, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" JSON, false,
			"reading the response of"},
		{say_answer, NULL, true, "connecting to"},
		{say_answer, "HTTP/1.1 100 Continue\r\n\r\n", false, "waiting for"},
	};
	/* Not whole seconds, which would be told as such. */
	const int deadline_ms = 400 * patience() + (patience() % 5 ? 0 : 1);
	struct outcome *o = test_malloc(sizeof(*o));

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct server s = {.behaviour = cases[i].behaviour,
			.answer = cases[i].answer,
			.handshake_delay_ms = cases[i].handshake_hangs ? 5 * deadline_ms / 2 : 0};
		char url[64], failure[96];
		struct fetch_request q;
		int64_t start;

		server_start(&s, &good);
		url_of(url, &s);
		q = request_to(url, FETCH_POST);
		q.settings.timeout = duration_ms(deadline_ms);
		start = now_ms();
		fetch_now(&q, o);
		snprintf(failure, sizeof(failure), "timed out after %d ms, %s 127.0.0.1",
			deadline_ms, cases[i].phase);
		if (strcmp(o->failure, failure) != 0)
			fail_msg("case %zu: %s", i, o->failure);
		assert_true(now_ms() - start >= deadline_ms - 10);
		assert_true(now_ms() - start < 5 * deadline_ms / 2);
		server_stop(&s);
	}
	test_free(o);
}

static void says_why_it_cannot_connect(void **state)
{
	struct outcome *o = test_malloc(sizeof(*o));
	struct fetch_request q = request_to("https://127.0.0.1:1/", FETCH_POST);

	(void)state;
	fetch_now(&q, o);
	assert_string_equal(o->failure, "could not connect to 127.0.0.1: Connection refused");
	assert_int_equal(o->x.status, 0);
	q.url = "https://login.invalid/";
	fetch_now(&q, o);
	assert_string_equal(o->failure, "could not resolve host login.invalid");
	test_free(o);
}

/* At 127.0.0.2, with the port of `s`. */
static int second_listener(const struct server *s, int backlog)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(inet_pton(AF_INET, "127.0.0.2", &address.sin_addr), 1);
	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static int connections_taken(int listener)
{
	int count = 0, fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		close(fd);
		count++;
	}
	return count;
}

/* A full queue drops what else wants to connect, as an address does at which nobody is. */
static void fill(const struct server *s, int held[4])
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};

	assert_int_equal(inet_pton(AF_INET, "127.0.0.2", &address.sin_addr), 1);
	for (int i = 0; i < 4; i++) {
		held[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(held[i] >= 0);
		connect(held[i], (struct sockaddr *)&address, sizeof(address));
	}
	sleep_ms(100);
}

static void a_dead_address_leaves_time_for_the_next(void **state)
{
	struct server s = {.behaviour = say_answer};
	struct outcome *o = test_malloc(sizeof(*o));
	const int timeout_ms = 2000 * patience();
	struct fetch_request q;
	int listener, held[4];
	int64_t start;
	char url[64];

	(void)state;
	server_start(&s, &good);
	listener = second_listener(&s, 0);
	fill(&s, held);
	snprintf(url, sizeof(url), "https://two.test:%d/", s.port);
	q = request_to(url, FETCH_POST);
	q.settings.timeout = duration_ms(timeout_ms);
	start = now_ms();
	fetch_now(&q, o);
	assert_string_equal(o->failure, "");
	assert_int_equal(o->x.status, 200);
	/* The first one had its turn: half of the time, or the 200 ms after which libcurl, from
	 * 8.16 on, tries the next one beside it. */
	assert_true(now_ms() - start >= 190);
	/* and the next one need not wait for it */
	start = now_ms();
	fetch_now(&q, o);
	assert_int_equal(o->x.status, 200);
	assert_true(now_ms() - start < timeout_ms / 2 - 10);
	assert_int_equal(s.posts, 2);
	for (int i = 0; i < 4; i++)
		close(held[i]);
	close(listener);
	server_stop(&s);
	test_free(o);
}

/* The kernel completes a connection that nobody accepts. */
static void passes_over_a_silent_address(void **state)
{
	struct server s = {.behaviour = say_answer};
	struct outcome *o = test_malloc(sizeof(*o));
	struct fetch_request q;
	int listener;
	char url[64];

	(void)state;
	server_start(&s, &good);
	listener = second_listener(&s, 8);
	snprintf(url, sizeof(url), "https://two.test:%d/", s.port);
	q = request_to(url, FETCH_POST);
	q.settings.timeout = duration_ms(701);
	fetch_now(&q, o);
	assert_string_equal(o->failure, "timed out after 701 ms, connecting to two.test");
	assert_int_equal(s.connections, 0);
	q.settings.timeout = duration_s(8);
	for (int i = 0; i < 2; i++) {
		fetch_now(&q, o);
		assert_string_equal(o->failure, "");
		assert_int_equal(o->x.status, 200);
	}
	assert_int_equal(s.posts, 2);
	fcntl(listener, F_SETFL, O_NONBLOCK);
	assert_int_equal(connections_taken(listener), 1);
	close(listener);
	server_stop(&s);
	test_free(o);
}

static void tries_a_silent_address_where_there_is_no_other(void **state)
{
	struct server s = {.behaviour = say_answer};
	struct outcome *o = test_malloc(sizeof(*o));
	struct fetch_request q;
	int listener;
	char url[64];

	(void)state;
	server_start(&s, &good);
	listener = second_listener(&s, 8);
	snprintf(url, sizeof(url), "https://first.test:%d/", s.port);
	q = request_to(url, FETCH_POST);
	q.settings.timeout = duration_ms(501);
	for (int i = 0; i < 3; i++) {
		fetch_now(&q, o);
		assert_string_equal(o->failure, "timed out after 501 ms, connecting to first.test");
	}
	fcntl(listener, F_SETFL, O_NONBLOCK);
	assert_int_equal(connections_taken(listener), 3);
	/* and of two, where the other one is gone */
	server_stop(&s);
	snprintf(url, sizeof(url), "https://two.test:%d/", s.port);
	fetch_now(&q, o);
	assert_string_equal(o->failure, "timed out after 501 ms, connecting to two.test");
	assert_int_equal(connections_taken(listener), 1);
	close(listener);
	test_free(o);
}

/* Its thread is there for longer than anybody waits for it. */
static void a_resolver_that_hangs_keeps_its_place(void **state)
{
	struct outcome *o = test_malloc(sizeof(*o));
	struct fetch_request q = request_to("https://login.dead.test/", FETCH_POST);
	struct fetch *rest[FETCHES_MAX - 1];

	(void)state;
	dns_hold();
	q.settings.timeout = duration_ms(101);
	fetch_now(&q, o);
	assert_string_equal(o->failure, "timed out after 101 ms, resolving login.dead.test");
	run_for_ms(500); /* libcurl has no reason to end it either */
	assert_int_equal(dns_waiting(), 1);
	q.settings.timeout = duration_s(8);
	for (size_t i = 0; i < LENGTH(rest); i++)
		assert_int_equal(fetch_start(fetcher, &q, on_done, o, &rest[i]), 0);
	assert_int_equal(fetch_start(fetcher, &q, on_done, o, NULL), -EAGAIN);
	for (size_t i = 0; i < LENGTH(rest); i++)
		fetch_cancel(rest[i]);
	dns_release();
	dns_wait_for(0);
	test_free(o);
}

/* As at its deadline, but now. */
static void ends_before_its_deadline(void **state)
{
	struct server still = {.behaviour = hang}, s = {.behaviour = say_answer};
	struct outcome *o = test_calloc(1, sizeof(*o));
	struct fetch_request q;
	struct fetch *x;
	char url[64];

	(void)state;
	server_start(&still, &good);
	url_of(url, &still);
	q = request_to(url, FETCH_POST);
	assert_int_equal(fetch_start(fetcher, &q, on_done, o, &x), 0);
	fetch_end(x, "it was enough");
	assert_int_equal(o->calls, 1);
	assert_string_equal(o->failure, "it was enough");
	assert_true(o->x.unsent && o->x.silence && o->x.status == 0);
	assert_int_equal(fetch_start(fetcher, &q, on_done, o, &x), 0);
	while (atomic_load(&still.posts) == 0)
		run_for_ms(10);
	fetch_end(x, "it was enough");
	assert_int_equal(o->calls, 2);
	assert_true(!o->x.unsent && o->x.silence);
	run_for_ms(50);
	assert_int_equal(o->calls, 2);

	/* Each on a connection of its own, which HEADs usually share. */
	server_start(&s, &good);
	url_of(url, &s);
	q = request_to(url, FETCH_HEAD);
	q.authorization = NULL;
	q.fresh = true;
	fetch_now(&q, o);
	assert_int_equal(o->x.status, 200);
	assert_false(o->x.silence);
	fetch_now(&q, o);
	server_stop(&s);
	server_stop(&still);
	assert_int_equal(s.connections, 2);
	test_free(o);
}

struct chain {
	struct fetch *victim;
	const struct fetch_request *again;
	struct outcome outcome, second;
	struct fetch *self;
};

static void cancel_and_go_on(void *context, const struct exchange *x)
{
	struct chain *c = context;

	on_done(&c->outcome, x);
	fetch_cancel(c->victim);
	fetch_cancel(c->self); /* too late, and harmless here */
	assert_int_equal(fetch_start(fetcher, c->again, on_done, &c->second, NULL), 0);
	assert_int_equal(c->second.calls, 0);
}

static void cancels_inside_and_outside_callbacks(void **state)
{
	struct server s = {.behaviour = say_answer}, still = {.behaviour = hang};
	struct chain *c = test_calloc(1, sizeof(*c));
	struct outcome *never = test_calloc(1, sizeof(*never));
	struct fetch_request q, q_still;
	char url[64], url_still[64];
	struct fetch *outside;

	(void)state;
	server_start(&s, &good);
	server_start(&still, &good);
	url_of(url, &s);
	url_of(url_still, &still);
	q = request_to(url, FETCH_POST);
	q_still = request_to(url_still, FETCH_POST);
	assert_int_equal(fetch_start(fetcher, &q_still, on_done, never, &c->victim), 0);
	assert_int_equal(fetch_start(fetcher, &q_still, on_done, never, &outside), 0);
	c->again = &q;
	assert_int_equal(fetch_start(fetcher, &q, cancel_and_go_on, c, &c->self), 0);
	run_until(&c->second.calls, 1);
	assert_int_equal(c->second.x.status, 200);
	assert_int_equal(c->outcome.calls, 1);
	assert_int_equal(c->outcome.x.status, 200);
	fetch_cancel(outside);
	fetch_cancel(NULL);

	/* at once after the start, and in any state the exchange passes through */
	for (int i = 0; i < 40; i++) {
		assert_int_equal(fetch_start(fetcher, &q, on_done, never, &outside), 0);
		for (int passes = 0; passes < i % 8; passes++)
			event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		if (never->calls == 0)
			fetch_cancel(outside);
		assert_int_equal(never->calls, 0);
	}
	run_for_ms(50);
	assert_int_equal(never->calls, 0);
	server_stop(&s);
	server_stop(&still);
	test_free(never);
	test_free(c);
}

static void bounds_how_many_are_under_way(void **state)
{
	struct outcome *o = test_calloc(1, sizeof(*o));
	struct fetch *fetches[FETCHES_MAX], *more;
	struct fetch_request q;
	int port, listener = listener_new(&port); /* takes connections, says nothing */
	char url[64];

	(void)state;
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/", port);
	q = request_to(url, FETCH_POST);
	for (int i = 0; i < FETCHES_MAX; i++)
		assert_int_equal(fetch_start(fetcher, &q, on_done, o, &fetches[i]), 0);
	assert_int_equal(fetch_start(fetcher, &q, on_done, o, &more), -EAGAIN);
	run_for_ms(50);
	assert_int_equal(fetch_start(fetcher, &q, on_done, o, &more), -EAGAIN);
	fetch_cancel(fetches[7]);
	assert_int_equal(fetch_start(fetcher, &q, on_done, o, &more), 0);
	assert_int_equal(fetch_start(fetcher, &q, on_done, o, &more), -EAGAIN);
	run_for_ms(50);
	assert_int_equal(o->calls, 0);
	/* fetcher_free ends the rest without a call */
	fetcher_free(fetcher);
	fetcher = NULL;
	assert_int_equal(o->calls, 0);
	assert_int_equal(fetcher_new(&fetcher, base, read_clocks), 0);
	close(listener);
	test_free(o);
}

/* How long the loop did not turn. */
struct ticker {
	struct event *event;
	int64_t last_ns, worst_ns;
};

static void tick(evutil_socket_t fd, short what, void *context)
{
	struct ticker *t = context;
	int64_t now = clock_ns(CLOCK_MONOTONIC);

	(void)fd, (void)what;
	if (now - t->last_ns > t->worst_ns)
		t->worst_ns = now - t->last_ns;
	t->last_ns = now;
}

/* One round with a resolver that does not answer: deadlines, cancels and the end of the fetcher.
 * Returns the longest stall in ms. */
static int64_t dead_resolver_round(struct server *s)
{
	struct timeval five_ms = {.tv_usec = 5000};
	struct outcome *o = test_calloc(1, sizeof(*o)), *never = test_calloc(1, sizeof(*never));
	struct ticker t = {.last_ns = clock_ns(CLOCK_MONOTONIC)};
	struct fetch *cancelled[8];
	struct fetch_request q;
	char url[64];
	int64_t before;

	dns_hold();
	t.event = event_new(base, -1, EV_PERSIST, tick, &t);
	assert_non_null(t.event);
	assert_int_equal(event_add(t.event, &five_ms), 0);
	snprintf(url, sizeof(url), "https://login.dead.test:%d/", s->port);
	q = request_to(url, FETCH_POST);
	for (int i = 0; i < 8; i++) {
		q.settings.timeout = duration_ms(150);
		assert_int_equal(fetch_start(fetcher, &q, on_done, o, NULL), 0);
		q.settings.timeout = duration_s(8);
		assert_int_equal(fetch_start(fetcher, &q, on_done, never, &cancelled[i]), 0);
	}
	run_for_ms(50);
	for (int i = 0; i < 8; i++)
		fetch_cancel(cancelled[i]);
	run_until(&o->calls, 8);
	assert_string_equal(o->failure, "timed out after 150 ms, resolving login.dead.test");
	assert_int_equal(o->x.status, 0);
	run_for_ms(50);

	/* Their threads are still there, and so are their places. */
	dns_wait_for(16);
	for (int i = 0; i < FETCHES_MAX - 16; i++)
		assert_int_equal(fetch_start(fetcher, &q, on_done, never, NULL), 0);
	assert_int_equal(fetch_start(fetcher, &q, on_done, never, NULL), -EAGAIN);
	/* All of them inside, so that none is late for this round and stuck in the next. */
	dns_wait_for(FETCHES_MAX);
	before = clock_ns(CLOCK_MONOTONIC);
	fetcher_free(fetcher);
	fetcher = NULL;
	before = clock_ns(CLOCK_MONOTONIC) - before;
	if (before > t.worst_ns)
		t.worst_ns = before;
	event_free(t.event);
	dns_release();
	dns_wait_for(0);
	assert_int_equal(never->calls, 0);
	assert_int_equal(fetcher_new(&fetcher, base, read_clocks), 0);
	test_free(o);
	test_free(never);
	return t.worst_ns / NS_PER_MS;
}

/* A loop that waits for the resolver waits for ever here. A stall of a few ms over the limit is the
 * machine's: then the round is repeated. valgrind makes everything thirty times slower. */
static void a_dead_resolver_never_stalls_the_loop(void **state)
{
	struct server s = {.behaviour = say_answer};
	const char *preload = getenv("LD_PRELOAD");
	int64_t limit_ms = preload && strstr(preload, "vgpreload") ? 5000 : 50;
	int64_t stall_ms = INT64_MAX;

	(void)state;
	server_start(&s, &good);
	for (int round = 0; round < 5 && stall_ms > limit_ms; round++)
		stall_ms = dead_resolver_round(&s);
	print_message("# longest stall %lld ms\n", (long long)stall_ms);
	assert_true(stall_ms <= limit_ms);
	server_stop(&s);
	assert_int_equal(s.connections, 0); /* nobody connected for an exchange given up */
}

static void a_late_resolver_gives_the_place_back(void **state)
{
	struct server s = {.behaviour = say_answer};
	struct outcome *o = test_calloc(1, sizeof(*o)), *never = test_calloc(1, sizeof(*never));
	struct fetch_request q;
	char url[64];
	int64_t end;

	(void)state;
	server_start(&s, &good);
	dns_hold();
	snprintf(url, sizeof(url), "https://login.dead.test:%d/", s.port);
	q = request_to(url, FETCH_POST);
	for (int i = 0; i < FETCHES_MAX; i++) {
		struct fetch *x;

		assert_int_equal(fetch_start(fetcher, &q, on_done, never, &x), 0);
		/* Half of them before their thread has started. */
		if (i % 2)
			event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		fetch_cancel(x);
	}
	url_of(url, &s);
	dns_release();
	end = now_ms() + 10000;
	while (fetch_start(fetcher, &q, on_done, o, NULL) == -EAGAIN) {
		assert_true(now_ms() < end);
		run_for_ms(5);
	}
	run_until(&o->calls, 1);
	assert_string_equal(o->failure, "");
	assert_int_equal(o->x.status, 200);
	/* until the last one is gone */
	dns_wait_for(0);
	run_for_ms(100);
	assert_int_equal(never->calls, 0);
	server_stop(&s);
	assert_int_equal(s.posts, 1);
	assert_int_equal(s.connections, 1);
	test_free(o);
	test_free(never);
}

#define FETCH_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FETCH_TEST(posts_what_it_is_told),
		FETCH_TEST(takes_times_at_the_right_moments),
		FETCH_TEST(drops_interim_answers),
		FETCH_TEST(reads_fields_strictly),
		FETCH_TEST(ignores_trailers),
		FETCH_TEST(never_follows_a_redirect),
		FETCH_TEST(bounds_what_it_reads),
		FETCH_TEST(accepts_64_kib),
		FETCH_TEST(tells_half_an_answer_from_a_whole_one),
		FETCH_TEST(a_post_is_sent_once),
		FETCH_TEST(a_head_reuses_the_connection),
		FETCH_TEST(a_head_survives_a_dead_connection),
		FETCH_TEST(deletes),
		FETCH_TEST(tls_failures_cost_no_byte),
		FETCH_TEST(trusts_the_ca_file_only),
		FETCH_TEST(caches_the_ca_file),
		FETCH_TEST(refuses_other_urls),
		FETCH_TEST(asks_neither_environment_nor_netrc),
		FETCH_TEST(goes_through_a_configured_proxy),
		FETCH_TEST(tells_the_proxy_who_it_is),
		FETCH_TEST(ends_at_the_deadline),
		FETCH_TEST(says_why_it_cannot_connect),
		FETCH_TEST(a_dead_address_leaves_time_for_the_next),
		FETCH_TEST(passes_over_a_silent_address),
		FETCH_TEST(tries_a_silent_address_where_there_is_no_other),
		FETCH_TEST(a_resolver_that_hangs_keeps_its_place),
		FETCH_TEST(ends_before_its_deadline),
		FETCH_TEST(cancels_inside_and_outside_callbacks),
		FETCH_TEST(bounds_how_many_are_under_way),
		FETCH_TEST(a_dead_resolver_never_stalls_the_loop),
		FETCH_TEST(a_late_resolver_gives_the_place_back),
	};
	int r;

	signal(SIGPIPE, SIG_IGN);
	authority = identity_new(NULL, NULL, 30);
	good = identity_new(&authority, "IP:127.0.0.1,DNS:two.test,DNS:first.test", 30);
	identity_write(&authority, ca_file);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(ca_file);
	identity_free(&good);
	identity_free(&authority);
	return r;
}
