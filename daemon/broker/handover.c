/* The memory that one run hands to the next by way of systemd's store; core/handover.h says what is
 * in it. One memfd, stored once and written in place. Nothing here may keep the daemon from
 * serving: what fails is logged once and done without. */
#include "handover.h"

#include "broker.h"
#include "endpoint.h"
#include "fleet_member.h"
#include "oauth_client.h"
#include "profile_type.h"

#include "core/digest.h"
#include "core/handover_fleet.h"
#include "core/handover_read.h"
#include "core/handover_write.h"
#include "core/secret.h"
#include "core/token_past.h"
#include "host/clock.h"
#include "host/log.h"
#include "host/memfd.h"
#include "host/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "handover"
/* Of one place: 100 profiles with the longest tokens, or more than a thousand with ordinary ones,
 * and still within the 8 MiB that systemd lets anybody lock. Only what is written takes up memory.
 */
#define PLACE_SIZE ((size_t)2 * 1024 * 1024)
#define PLACE_MAX ((size_t)128 * 1024 * 1024)
static unsigned char *place(const struct handover *h, unsigned number)
{
	return h->map + number * h->place_size;
}

static int map(struct handover *h, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	h->map = at;
	h->place_size = size / 2;
	madvise(at, size, MADV_DONTDUMP);
	/* Locked page by page as they are written: the whole is many times what is used. */
	if (mlock2(at, size, MLOCK_ONFAULT))
		log_line(LOG_WARNING,
			"tokens kept across restarts may reach swap (%s): raise LimitMEMLOCK",
			strerror(errno));
	return 0;
}

static void unmap(struct handover *h)
{
	if (h->map)
		munmap(h->map, 2 * h->place_size);
	if (h->fd >= 0)
		close(h->fd);
	h->map = NULL;
	h->fd = -1;
}

static int make(struct handover *h)
{
	int r;

	h->fd = memfd_new("gctokend-" NAME, 2 * PLACE_SIZE, 0600);
	if (h->fd < 0)
		return h->fd;
	r = map(h, 2 * PLACE_SIZE);
	if (r)
		unmap(h);
	return r;
}

/* Ours, and sealed, so that nobody can take the memory away under the mapping. */
static bool is_handover(int fd, size_t *ret_size)
{
	struct stat s;

	if (memfd_examine(fd, &s) || (s.st_uid != geteuid() && s.st_uid != 0) || s.st_size < 8192 ||
		(uintmax_t)s.st_size > 2 * PLACE_MAX || s.st_size % 8192)
		return false;
	*ret_size = (size_t)s.st_size;
	return true;
}

/* A crash leaves half a copy beside a whole one, and there may be a token in it. */
static void wipe_whole(struct handover *h, unsigned number)
{
	if (fallocate(h->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		    (off_t)(number * h->place_size), (off_t)h->place_size))
		secret_wipe(place(h, number), h->place_size);
}

/* The better of the two places. False: neither holds. */
static bool choose(struct broker *b, const struct handover_place *here, struct boot_time now)
{
	enum handover_verdict verdicts[2], worst = HANDOVER_EMPTY;
	struct handover *h = &b->handover;
	struct handover_reader readers[2];
	bool found = false;

	for (unsigned i = 0; i < 2; i++) {
		verdicts[i] = handover_open(place(h, i), h->place_size, here, now, &readers[i]);
		if (verdicts[i] == HANDOVER_GOOD &&
			(!found || readers[i].sequence > h->reader.sequence)) {
			h->reader = readers[i];
			h->latest = i;
			found = true;
		}
		if (verdicts[i] > worst)
			worst = verdicts[i];
	}
	if (found) {
		h->lengths[h->latest] = (size_t)(h->reader.end - place(h, h->latest));
		wipe_whole(h, !h->latest);
	}
	if (!found && worst != HANDOVER_EMPTY)
		log_line(LOG_WARNING,
			"what the previous run handed over was dropped: %s. Tokens are fetched "
			"again",
			handover_verdict_words(worst));
	return found;
}

/* What systemd kept for us. There is more than one only if some version stored it twice. */
static bool take_kept(struct broker *b, struct boot_time now)
{
	struct handover *h = &b->handover;
	bool found = false;
	size_t size;
	int fd;

	while ((fd = systemd_take_fd(NAME)) >= 0) {
		if (found || !is_handover(fd, &size)) {
			if (!found)
				log_line(LOG_WARNING,
					"what systemd kept as \"" NAME "\" is not ours: dropped");
			close(fd);
			h->stale = true;
			continue;
		}
		h->fd = fd;
		if (map(h, size) || !choose(b, &h->place, now)) {
			unmap(h);
			h->stale = true;
		} else {
			found = true;
		}
	}
	return found;
}

void handover_init(struct broker *b, const struct clock_reading *now)
{
	struct handover *h = &b->handover;
	int r;

	h->fd = -1;
	memcpy(h->place.boot_id, b->boot_id, sizeof(h->place.boot_id));
	if (clock_time_namespace(&h->place.time_namespace))
		h->place.time_namespace = 0;
	h->restoring = take_kept(b, now->boot);
	if (h->restoring || !systemd_is_there())
		return;
	r = make(h);
	if (r)
		log_line(LOG_WARNING,
			"tokens cannot be kept across a restart (%s): they will be fetched again",
			strerror(-r));
}

/* ---- keys ---- */

static void profile_key(const struct profile *p, struct handover_profile *ret)
{
	const char *request[] = {p->settings->scope ? p->settings->scope : "",
		p->settings->extra_params ? p->settings->extra_params : ""};

	*ret = (struct handover_profile){0};
	memcpy(ret->name, p->settings->name, strlen(p->settings->name));
	memcpy(ret->client, p->client->file, sizeof(p->client->file));
	digest_hex(request, 2, ret->request, HANDOVER_KEY_DIGITS);
}

static void endpoint_key(const struct endpoint *e, char ret[HANDOVER_KEY_DIGITS + 1])
{
	const char *parts[] = {e->token_url, e->probe_url ? e->probe_url : "",
		e->ca_file ? e->ca_file : "", e->proxy ? e->proxy : ""};

	digest_hex(parts, 4, ret, HANDOVER_KEY_DIGITS);
}

/* ---- restoring ---- */

/* False: nothing was handed over of that profile's part in a fleet. */
static bool find_fleet(
	const struct broker *b, const struct handover_profile *whose, struct handover_fleet *ret)
{
	struct handover_reader r = b->handover.reader;
	struct handover_record record;

	while (handover_next(&r, &record))
		if (!handover_read_fleet(&b->handover.reader, &record, ret) &&
			!strcmp(ret->profile.name, whose->name) &&
			!strcmp(ret->profile.client, whose->client) &&
			!strcmp(ret->profile.request, whose->request))
			return true;
	return false;
}

/* `there`: whose it was. A token that other requests asked for is none of the fleet's. */
static void resume(struct broker *b, struct profile *p, const struct handover_record *record,
	const struct handover_profile *there, bool request_changed, const struct clock_reading *now)
{
	bool shared = p->settings->fleet && !request_changed;
	struct token_source_past past;
	struct handover_fleet fleet;
	int r = handover_read_source(&b->handover.reader, record, &past);

	if (r) {
		log_line(LOG_WARNING,
			"profile %s: what the previous run handed over was dropped: %s",
			p->settings->name,
			r == -EINVAL ? "what it says of the token is impossible" : strerror(-r));
		return;
	}
	oauth_client_have_generation(p->client, past.current.generation);
	oauth_client_have_generation(p->client, past.previous.generation);
	shared = shared && find_fleet(b, there, &fleet);
	if (shared && !fleet.token.stopped) {
		past.current.fleet_generation = fleet.token.generation;
		past.current.own = fleet.token.own;
	}
	token_source_resume(&p->source, now, &past, request_changed);
	if (shared && fleet_member_join(p, now))
		fleet_member_resume(p->fleet, &fleet);
	token_source_past_fini(&past);
	p->resumed_from = record->at;
}

/* First by the profile's name and client; then for profiles that were renamed: a record of the same
 * client and request that no other profile has taken. */
static bool fits(const struct broker *b, const struct handover_profile *wanted,
	const struct handover_record *record, const struct handover_profile *there, bool renamed)
{
	if (strcmp(there->client, wanted->client))
		return false;
	if (!renamed)
		return !strcmp(there->name, wanted->name);
	for (size_t i = 0; i < b->profiles.count; i++)
		if (b->profiles.items[i]->resumed_from == record->at)
			return false;
	return !strcmp(there->request, wanted->request);
}

static void restore_profiles(struct broker *b, bool renamed, const struct clock_reading *now)
{
	struct handover_profile wanted, there;
	struct handover_record record;
	struct handover_reader r;

	for (size_t i = 0; i < b->profiles.count; i++) {
		struct profile *p = b->profiles.items[i];

		if (p->resumed_from)
			continue;
		profile_key(p, &wanted);
		r = b->handover.reader;
		while (!p->resumed_from && handover_next(&r, &record))
			if (handover_read_profile(&record, &there) &&
				fits(b, &wanted, &record, &there, renamed)) {
				resume(b, p, &record, &there,
					strcmp(there.request, wanted.request) != 0, now);
				break;
			}
	}
}

static void restore_endpoints(struct broker *b)
{
	char key[HANDOVER_KEY_DIGITS + 1];
	struct handover_endpoint past;
	struct handover_record record;
	struct handover_reader r;
	struct endpoint *e;

	TAILQ_FOREACH(e, &b->endpoints, link)
	{
		endpoint_key(e, key);
		r = b->handover.reader;
		while (handover_next(&r, &record)) {
			if (handover_read_endpoint(&b->handover.reader, &record, &past) ||
				strcmp(past.key, key))
				continue;
			server_clock_resume(&e->clock, &past.clock);
			break;
		}
	}
}

void handover_restore(struct broker *b, const struct clock_reading *now)
{
	struct handover *h = &b->handover;

	if (h->restoring) {
		restore_endpoints(b);
		restore_profiles(b, false, now);
		restore_profiles(b, true, now);
		for (size_t i = 0; i < b->profiles.count; i++)
			b->profiles.items[i]->resumed_from = NULL;
		h->sequence = h->reader.sequence;
		h->restoring = false;
	}
	h->due = true;
}

/* ---- writing ---- */

/* If systemd had no time to store it, the next write tries again. */
static void keep(struct handover *h)
{
	if (h->stale && systemd_forget_fd(NAME))
		return;
	h->stale = false;
	/* systemd recognizes what it has already, and does not hold it twice. */
	h->kept = !systemd_store_fd(NAME, h->fd);
}

static void put_fleet(struct handover_writer *w, const struct handover_profile *profile,
	const struct fleet_member *m)
{
	struct handover_fleet f = {.profile = *profile};

	if (!m)
		return;
	fleet_member_hand_over(m, &f);
	handover_put_fleet(w, &f);
}

void handover_write(struct broker *b, const struct clock_reading *now)
{
	struct handover *h = &b->handover;
	unsigned next = !h->latest;
	char key[HANDOVER_KEY_DIGITS + 1];
	struct handover_profile profile;
	struct handover_writer w;
	const struct endpoint *e;
	size_t left_out = 0;

	if (!h->map || !h->due)
		return;
	handover_begin(&w, place(h, next), h->place_size, &h->place, now);
	for (size_t i = 0; i < b->profiles.count; i++) {
		profile_key(b->profiles.items[i], &profile);
		left_out += !handover_put_source(&w, &profile, &b->profiles.items[i]->source);
		put_fleet(&w, &profile, b->profiles.items[i]->fleet);
	}
	TAILQ_FOREACH(e, &b->endpoints, link)
	{
		endpoint_key(e, key);
		handover_put_endpoint(&w, key, &e->clock);
	}
	if (!handover_end(&w, h->sequence + 1))
		return; /* the other place is good until the next try */
	h->sequence++;
	/* The other place may have a token that was revoked or replaced since. */
	secret_wipe(place(h, h->latest), h->lengths[h->latest]);
	h->lengths[h->latest] = 0;
	h->lengths[next] = (size_t)(w.at - w.start);
	h->latest = next;
	h->due = false;
	if (left_out && !h->left_out)
		log_line(LOG_WARNING,
			"the tokens of %zu profiles do not fit into what is kept across a restart: "
			"they will be fetched again",
			left_out);
	h->left_out = left_out != 0;
	if (!h->kept)
		keep(h);
}

void handover_fini(struct broker *b)
{
	unmap(&b->handover);
}
