#include "redis_pause.h"

#define LEAST_MS 100
#define DOUBLINGS_MAX 10
/* That a server takes back: the first time, by what a plain connection costs it; in a long outage,
 * when all hosts are at the longest pause, by what one in TLS costs. */
#define HOSTS_PER_S 1000
#define HOSTS_PER_S_LATER 200
#define HOSTS_MOST 1000000 /* a server may say anything */
#define LONGEST_LEAST_S 5
#define LONGEST_MOST_S 30

static struct duration longest(int64_t hosts)
{
	struct duration most = duration_s(LONGEST_MOST_S);

	if (!hosts)
		return most;
	return duration_min(most, duration_max(duration_s(LONGEST_LEAST_S),
					  duration_ms(hosts * 1000 / HOSTS_PER_S_LATER)));
}

struct duration redis_pause(struct random *random, unsigned failures, int64_t hosts)
{
	int64_t count = hosts < 0 ? 0 : hosts < HOSTS_MOST ? hosts : HOSTS_MOST;
	struct duration spread =
		duration_max(duration_s(1), duration_ms(count * 1000 / HOSTS_PER_S));
	struct duration most = longest(count);
	unsigned doublings = failures < DOUBLINGS_MAX ? failures : DOUBLINGS_MAX;
	struct duration pause =
		duration_add(duration_ms(LEAST_MS), random_duration(random, spread));

	for (unsigned i = 0; i < doublings; i++)
		pause = duration_add(pause, pause);
	/* However long the pauses have become: hosts that lost the store together come apart. */
	if (pause.ns > most.ns)
		pause = duration_add(duration_ns(most.ns / 2),
			random_duration(random, duration_ns(most.ns / 2)));
	return pause;
}
