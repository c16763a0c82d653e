#include "broker.h"

#include "endpoint.h"
#include "fleet_link.h"
#include "handover.h"
#include "login_key.h"
#include "names.h"
#include "oauth_client.h"
#include "pages.h"
#include "profile.h"
#include "profile_type.h"
#include "reload.h"
#include "renewal.h"
#include "revoke.h"
#include "service.h"
#include "sockets.h"
#include "token_exchange.h"

#include "core/token_judge.h"
#include "front/closer.h"
#include "host/clock.h"
#include "host/log.h"
#include "host/name_table.h"
#include "host/state_file.h"
#include "host/systemd.h"
#include "upstream/fetch.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_ROOM_AGAIN_MS 500

/* Takes everybody's decisions and carries them out. */
static struct boot_time take_turn(void *context)
{
	struct boot_time wake_at = BOOT_TIME_NEVER;
	struct broker *b = context;
	struct clock_reading now;
	struct endpoint *e;

	if (b->stopping)
		return wake_at;
	clock_read(&now);
	server_clocks_look(&b->clocks, &now);
	/* Profiles of one OAuth client share its mint window: who needs a place most goes first. */
	for (unsigned rank = 0; rank < SOURCE_RANKS; rank++)
		for (size_t i = 0; i < b->profiles.count; i++) {
			struct profile *p = b->profiles.items[i];

			if ((token_source_needs_turn(&p->source) ||
				    !boot_before(now.boot, p->wake_at)) &&
				token_source_rank(&p->source, &now) == rank)
				profile_turn(p, &now);
		}
	TAILQ_FOREACH(e, &b->endpoints, link)
	wake_at = boot_min(wake_at, endpoint_turn(e, &now));
	for (size_t i = 0; i < b->profiles.count; i++)
		if (!token_exchange_send_waiting(b->profiles.items[i]->exchange))
			/* The end of an exchange causes a turn; but a resolver that was given up
			 * frees its place silently. The others are tried as well: this one may
			 * wait for its login alone. */
			wake_at = boot_min(
				wake_at, boot_add(now.boot, duration_ms(NO_ROOM_AGAIN_MS)));
	/* Only now: a fetch that cannot begin ends at once, and its profile wants to wake up early.
	 */
	for (size_t i = 0; i < b->profiles.count; i++) {
		const struct profile *p = b->profiles.items[i];

		wake_at = boot_min(
			wake_at, token_source_needs_turn(&p->source) ? now.boot : p->wake_at);
	}
	handover_write(b, &now);
	service_turn(b, &now);
	return wake_at;
}

static void signalled(int number, short events, void *context)
{
	struct broker *b = context;

	(void)events;
	if (number != SIGHUP)
		event_base_loopbreak(b->base);
	else if (!b->stopping) /* what a reload changes may be gone by then */
		broker_reload(b);
}

static int read_boot_id(char *boot_id, size_t size)
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	int r = file && fgets(boot_id, (int)size, file) ? 0 : -EIO;

	if (file)
		fclose(file);
	if (!r)
		boot_id[strcspn(boot_id, "\n")] = '\0';
	return r;
}

/* 0 or negative errno. */
static int read_clock_id(struct broker *b)
{
	uint64_t time_namespace;
	int r = read_boot_id(b->boot_id, sizeof(b->boot_id));

	if (r)
		return r;
	if (clock_time_namespace(&time_namespace))
		time_namespace = 0;
	snprintf(b->clock_id, sizeof(b->clock_id), "%s/%llu", b->boot_id,
		(unsigned long long)time_namespace);
	return 0;
}

static int start_events(struct broker *b)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	waiters_init(&b->waiters, b->base);
	service_init(b);
	reload_init(b);
	renewal_init(b);
	for (size_t i = 0; i < 3; i++) {
		evsignal_assign(&b->signals[i], b->base, numbers[i], signalled, b);
		if (evsignal_add(&b->signals[i], NULL))
			return -ENOMEM;
	}
	return turn_init(&b->turn, b->base, take_turn, b);
}

static void state_dir_replaced(void *context)
{
	struct broker *b = context;

	log_line(LOG_WARNING,
		"state_dir %s has become another directory: all that is kept there is written to "
		"it anew",
		b->state_dir);
	login_key_lost(b);
	oauth_clients_write_all(b);
}

/* Whoever writes to the directory also holds its lock. */
static int open_state(struct broker *b)
{
	pid_t holder = 0;
	int r = state_writer_new(&b->writer, b->base, b->state_dir, &holder);

	if (r == -EBUSY)
		log_line(LOG_ERR,
			"state_dir %s is in use by another gctokend (pid %ld): stop that one, or "
			"give each a state_dir of its own",
			b->state_dir, (long)holder);
	else if (r)
		log_line(LOG_ERR,
			"state_dir %s: %s. It has to be a directory the daemon can write to",
			b->state_dir, strerror(-r));
	else
		state_writer_set_hook(b->writer, state_dir_replaced, b);
	return r;
}

/* What nobody outside sees. Consumes `config` and `names` even on failure. */
static int init(struct broker *b, struct event_base *base, const char *config_path,
	struct config *config, struct name_table *names)
{
	int r;

	b->base = base;
	names_init(b, names);
	b->uid = geteuid();
	b->handover.fd = -1;
	TAILQ_INIT(&b->oauth_clients);
	TAILQ_INIT(&b->endpoints);
	TAILQ_INIT(&b->revocations);
	clock_read(&b->started);
	server_clocks_init(&b->clocks, &b->started);
	b->config = config;
	b->config_path = strdup(config_path);
	b->state_dir = strdup(config->broker.state_dir);
	if (!b->config_path || !b->state_dir) {
		log_line(LOG_ERR, "out of memory");
		return -ENOMEM;
	}
	if (RAND_bytes((unsigned char *)&b->random.state, sizeof(b->random.state)) != 1) {
		log_line(LOG_ERR, "the system gives no random numbers");
		return -EIO;
	}
	r = read_clock_id(b);
	if (r) {
		log_line(LOG_ERR, "/proc/sys/kernel/random/boot_id cannot be read");
		return r;
	}
	r = start_events(b);
	if (r)
		log_line(LOG_ERR, "timers and signals: %s", strerror(-r));
	return r;
}

/* Consumes `closer_fd`. */
static int start(struct broker *b, int closer_fd)
{
	char problem[512];
	/* The socket first: a second daemon on the same path must end before it asks for tokens. */
	int r = sockets_open(b, closer_fd);

	if (r)
		return r;
	r = open_state(b);
	if (r)
		return r;
	oauth_clients_read_generations(b);
	handover_init(b, &b->started);
	r = fetcher_new(&b->fetcher, b->base, clock_read);
	if (r) {
		log_line(LOG_ERR, "libcurl cannot be set up: %s", strerror(-r));
		return r;
	}
	r = broker_adopt(b, b->config, problem, sizeof(problem));
	if (r) {
		log_line(LOG_ERR, "%s", problem);
		return r;
	}
	handover_restore(b, &b->started);
	names_started(b);
	pages_adopt(b);
	systemd_drop_fds();
	return 0;
}

int broker_new(struct broker **ret, struct event_base *base, const char *config_path,
	struct config *config, struct name_table *names, int closer_fd, const char *version)
{
	struct broker *b = calloc(1, sizeof(*b));
	int r;

	if (!b) {
		log_line(LOG_ERR, "out of memory");
		config_free(config);
		name_table_free(names);
		closer_stop(closer_fd);
		return -ENOMEM;
	}
	b->version = version;
	r = init(b, base, config_path, config, names);
	if (r)
		closer_stop(closer_fd);
	else
		r = start(b, closer_fd);
	if (r) {
		broker_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

void broker_run(struct broker *b)
{
	log_line(LOG_NOTICE, "gctokend %s serves %zu profile%s at %s", b->version,
		b->profiles.count, b->profiles.count == 1 ? "" : "s", sockets_where(&b->sockets));
	service_started(b);
	/* Callers who are waiting already are served before anything begins that may take a moment.
	 */
	event_base_loop(b->base, EVLOOP_NONBLOCK);
	if (!event_base_got_break(b->base)) {
		turn_now(&b->turn);
		event_base_dispatch(b->base);
	}
	log_line(LOG_NOTICE, "stopping");
}

/* It includes what was rejected or revoked at the last moment. */
static void write_last_handover(struct broker *b)
{
	struct clock_reading now;

	clock_read(&now);
	if (b->profiles.count)
		b->handover.due = true;
	handover_write(b, &now);
	handover_fini(b);
}

void broker_free(struct broker *b)
{
	struct endpoint *e;
	struct oauth_client *c;

	b->stopping = true;
	service_stopping(b);
	reload_fini(b);
	renewal_fini(b);
	sockets_close(b);
	token_exchanges_finish(b);
	write_last_handover(b);
	revoke_free_all(b);
	for (size_t i = 0; i < b->profiles.count; i++)
		profile_free(b->profiles.items[i]);
	profile_set_fini(&b->profiles);
	fleet_link_free(b->fleet);
	while ((e = TAILQ_FIRST(&b->endpoints)) != NULL)
		endpoint_free(e);
	if (b->fetcher)
		fetcher_free(b->fetcher);
	if (b->writer) {
		oauth_clients_write_last(b);
		state_writer_free(b->writer);
	}
	while ((c = TAILQ_FIRST(&b->oauth_clients)) != NULL)
		oauth_client_free(c);
	turn_fini(&b->turn);
	for (size_t i = 0; i < 3; i++)
		if (event_initialized(&b->signals[i]))
			event_del(&b->signals[i]);
	waiters_fini(&b->waiters);
	names_fini(b);
	login_key_forget(b);
	config_free(b->config);
	free(b->state_dir);
	free(b->config_path);
	free(b);
}
