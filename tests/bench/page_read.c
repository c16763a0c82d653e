/* What a token costs a program that has the page, beside one look at the clock, and what getting
 * the page costs beside one request on a new connection. Everything is measured in turns of a few
 * milliseconds, and a figure is the median of the turns' ratios, since a shared machine is fast and
 * slow by the minute. Prints `name ratio target` lines, `#` before what is only for people.
 *
 * page_read [--socket PATH] [--profile P] [--turns N]; without a socket the last figure is left
 * out, since that takes a real broker. */
#include "../edge/page_stub.h"
#include "clocks.h"
#include "gctoken.h"
#include "http_client.h"
#include "page_holder.h"

#include <getopt.h>

#define READS 20000
#define FETCHES 100

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "page_read: %s\n", what);
	exit(1);
}

static double clock_turn(void)
{
	int64_t begin = now_ns();
	struct timespec t;

	for (int i = 0; i < READS; i++)
		clock_gettime(CLOCK_BOOTTIME, &t);
	return (double)(now_ns() - begin) / READS;
}

static double read_turn(struct gctoken *g)
{
	static _Thread_local struct gctoken_token token;
	int64_t begin = now_ns();

	for (int i = 0; i < READS; i++)
		if (gctoken_get(g, &token, 0, 0) != 0 || token.generation == STUB_SOCKET_GENERATION)
			die("a read that did not come from the page");
	return (double)(now_ns() - begin) / READS;
}

struct pair {
	struct gctoken *g;
	pthread_barrier_t *start;
	double ns;
};

static void *read_turns_thread(void *context)
{
	struct pair *p = context;

	pthread_barrier_wait(p->start);
	p->ns = read_turn(p->g);
	return NULL;
}

/* The slower of two threads that read by the same handle at once. */
static double both_turn(struct gctoken *g, void *(*run)(void *))
{
	pthread_barrier_t start;
	struct pair pairs[2];
	pthread_t threads[2];

	pthread_barrier_init(&start, NULL, 2);
	for (int i = 0; i < 2; i++) {
		pairs[i] = (struct pair){g, &start, 0};
		if (pthread_create(&threads[i], NULL, run, &pairs[i]) != 0)
			die("no thread");
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
	return pairs[0].ns > pairs[1].ns ? pairs[0].ns : pairs[1].ns;
}

static void *clock_turns_thread(void *context)
{
	struct pair *p = context;

	pthread_barrier_wait(p->start);
	p->ns = clock_turn();
	return NULL;
}

/* From nothing to the first token read from the page. */
static double page_turn(const char *socket, const char *profile)
{
	int64_t begin = now_ns();

	for (int i = 0; i < FETCHES; i++) {
		struct gctoken_token token;
		struct page_holder h;
		struct page_read how;

		gctoken_page_init(&h, socket, profile);
		h.asked = true; /* or it would wait for a second call */
		if (!gctoken_page_get(&h, &token, 0, &how))
			die("no page from the broker");
		gctoken_page_fini(&h);
	}
	return (double)(now_ns() - begin) / FETCHES;
}

static double request_turn(const char *socket, const char *profile)
{
	char storage[32768], target[128];
	int64_t begin = now_ns();

	snprintf(target, sizeof(target), "/v1/token?profile=%s", profile);
	for (int i = 0; i < FETCHES; i++) {
		struct http_call call = {
			.method = "GET",
			.target = target,
			.accept = "text/plain",
			.deadline_ms = gctoken_monotonic_ms() + 1000,
			.wait_until_ms = HTTP_CALL_NO_WAIT,
			.repeatable = true,
		};
		struct http_result result;
		struct http_client c;

		if (gctoken_http_init(&c, socket) < 0 ||
			gctoken_http_call(&c, &call, storage, sizeof(storage), &result) < 0 ||
			result.response.status != 200)
			die("no token from the broker");
		gctoken_http_fini(&c);
	}
	return (double)(now_ns() - begin) / FETCHES;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), by_size);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void report(const char *name, double *ratios, double *ns, unsigned turns, double target)
{
	double ratio = median(ratios, turns);

	printf("# %s: %.1f ns\n%s %.2f %.2f\n", name, median(ns, turns), name, ratio, target);
}

static void bench_reads(
	struct stub *s, size_t length, const char *name, double target, unsigned turns)
{
	double *ratios = calloc(turns, sizeof(*ratios)), *ns = calloc(turns, sizeof(*ns));
	struct gctoken_token token;
	struct gctoken *g = NULL;

	if (!ratios || !ns || gctoken_open(&g, s->socket, "default") != 0)
		die("out of memory");
	stub_publish(s->page, 1, length, 86400);
	gctoken_get(g, &token, 0, 0); /* the first comes from the socket */
	for (unsigned i = 0; i < turns; i++) {
		double clock = clock_turn(), after;

		ns[i] = read_turn(g);
		after = clock_turn();
		ratios[i] = ns[i] / ((clock + after) / 2);
	}
	report(name, ratios, ns, turns, target);
	/* What two threads lose is what the machine takes from both, less what it takes from two
	 * that only look at the clock. */
	for (unsigned i = 0; length < 100 && i < turns; i++) {
		double alone = read_turn(g), both = both_turn(g, read_turns_thread);
		double clock = clock_turn(), clocks = both_turn(g, clock_turns_thread);

		ns[i] = both;
		ratios[i] = both / alone / (clocks / clock);
	}
	if (length < 100)
		report("page_read_two_threads", ratios, ns, turns, 1.25);
	free(ratios);
	free(ns);
	gctoken_close(g);
}

static void bench_getting(const char *socket, const char *profile, unsigned turns)
{
	double *ratios = calloc(turns, sizeof(*ratios)), *ns = calloc(turns, sizeof(*ns));

	if (!ratios || !ns)
		die("out of memory");
	for (unsigned i = 0; i < turns; i++) {
		double request = request_turn(socket, profile), after;

		ns[i] = page_turn(socket, profile);
		after = request_turn(socket, profile);
		ratios[i] = ns[i] / ((request + after) / 2);
	}
	report("page_getting", ratios, ns, turns, 1.5);
	free(ratios);
	free(ns);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'},
		{"profile", required_argument, NULL, 'p'}, {"turns", required_argument, NULL, 't'},
		{0}};
	const char *socket = NULL, *profile = "default";
	unsigned turns = 101;
	struct stub *s;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			socket = optarg;
		else if (option == 'p')
			profile = optarg;
		else if (option == 't' && atoi(optarg) > 0)
			turns = (unsigned)atoi(optarg);
		else
			die("page_read [--socket PATH] [--profile P] [--turns N]");
	}
	s = stub_new();
	bench_reads(s, 90, "page_read_90", 1.3, turns);
	bench_reads(s, 2000, "page_read_2000", 2.5, turns);
	stub_free(s);
	if (socket)
		bench_getting(socket, profile, turns);
	return 0;
}
