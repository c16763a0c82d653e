#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define US_PER_MS 1000
#define US_PER_S 1000000
#define WINDOW_US (300 * (int64_t)US_PER_S)
#define STAMP_OLD_US (5 * (int64_t)US_PER_S)
#define RECORD_MORE_US (60 * (int64_t)US_PER_S)
#define BACKOFF_MOST_MS 60000
#define BACKOFF_MOST_COLD_MS 15000

void store_init(struct store *s, const struct sim *sim, uint64_t seed)
{
	*s = (struct store){
		.sim = sim,
		.random = {seed},
		.up = true,
		.mint_limit = 15,
		.reject_cooldown = duration_s(30),
	};
	s->offset_us = INT64_C(1795693523) * US_PER_S;
	s->ppm = (int64_t)(random_next(&s->random) % 101) - 50;
	s->data.lease.host = -1;
}

int64_t store_clock_us(const struct store *s)
{
	return s->offset_us + s->sim->now.ns / 1000 +
	       drift_of(duration_ns(s->sim->now.ns), s->ppm).ns / 1000;
}

static void forget_what_ended(struct store_data *d, int64_t now)
{
	if (now >= d->record.ends_us)
		d->record.generation = 0;
	if (now >= d->lease.ends_us)
		d->lease.host = -1;
	if (now >= d->hold.ends_us)
		d->hold.id = 0;
}

static void write_verdict(const struct store_data *d, struct fleet_answer *ret)
{
	ret->verdict =
		(struct fleet_verdict){.fence = d->record.accepted, .at_us = d->record.accepted_us};
}

static void write_record(
	const struct store_data *d, struct fleet_answer *ret, struct sealed *sealed)
{
	ret->record = (struct fleet_stored){
		.generation = d->record.generation,
		.t0_us = d->record.t0_us,
		.left_us = d->record.left_us,
		.issued_us = d->record.sealed.issued.ns / 1000,
		.rejected = d->record.rejected,
	};
	write_verdict(d, ret);
	*sealed = d->record.sealed;
}

static void lease_id(const struct store_lease *l, struct fleet_id *ret)
{
	snprintf(ret->text, sizeof(ret->text), "%llu:%llu", (unsigned long long)l->fence,
		(unsigned long long)l->kept);
}

static void hold_id(const struct store_hold *h, struct fleet_id *ret)
{
	snprintf(ret->text, sizeof(ret->text), "%llu", (unsigned long long)h->id);
}

static struct duration until(int64_t us, int64_t now)
{
	return us > now ? duration_ms((us - now) / US_PER_MS) : DURATION_ZERO;
}

/* Drops what has left the window, and what has not happened yet. */
static void window_clean(struct store_data *d, int64_t now)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->mint_count; i++)
		if (d->mints_us[i] <= now + US_PER_S && d->mints_us[i] > now - WINDOW_US)
			d->mints_us[kept++] = d->mints_us[i];
	d->mint_count = kept;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void grant(struct store *s, int host, const struct fleet_decision *d, int64_t now,
	struct fleet_answer *ret)
{
	struct store_data *data = &s->data;
	uint64_t fence =
		most(most(data->seq, data->record.generation), most(d->generation, d->floor));

	fence = most(fence, (uint64_t)(now / US_PER_MS)) + 1;
	data->seq = fence;
	data->lease = (struct store_lease){.host = host,
		.fence = fence,
		.forced = d->reject > 0,
		.ms = d->lease.ns / NS_PER_MS,
		.ends_us = now + d->lease.ns / 1000};
	ret->word = FLEET_SAYS_GRANTED;
	ret->fence = fence;
	if (d->check)
		return;
	data->hold.id = 0;
	if (data->mint_count == STORE_MINTS_MAX)
		abort(); /* far more than any limit */
	data->mints_us[data->mint_count++] = now;
}

static void acquire(struct store *s, int host, const struct fleet_decision *d, int64_t now,
	struct fleet_answer *ret, struct sealed *sealed)
{
	struct store_data *data = &s->data;
	struct store_record *r = &data->record;
	struct fleet_id id;

	if ((r->generation > d->generation && !r->rejected) ||
		(d->check && r->generation == d->reject && r->rejected)) {
		ret->word = FLEET_SAYS_NEWER;
		write_record(data, ret, sealed);
		return;
	}
	if (d->reject && r->generation == d->reject && !r->rejected) {
		int64_t over_us = r->t0_us + s->reject_cooldown.ns / 1000;

		if (r->forced && now < over_us) {
			ret->word = FLEET_SAYS_COOLDOWN;
			ret->wait = until(over_us, now);
			return;
		}
		if (d->check && r->accepted && r->accepted != d->doubted &&
			now - r->accepted_us < s->reject_cooldown.ns / 1000) {
			ret->word = FLEET_SAYS_ACCEPTED;
			write_verdict(data, ret);
			return;
		}
		r->rejected = !d->check;
	}
	hold_id(&data->hold, &id);
	if (!d->check && data->hold.id && strcmp(id.text, d->break_hold.text) != 0) {
		*ret = (struct fleet_answer){.word = FLEET_SAYS_HOLD,
			.stamp_us = now,
			.wait = until(data->hold.ends_us, now),
			.whole = duration_ms(data->hold.ms),
			.id = id,
			.class = data->hold.class};
		return;
	}
	lease_id(&data->lease, &id);
	if (data->lease.host >= 0 && data->lease.host != host &&
		strcmp(id.text, d->break_lease.text) != 0) {
		*ret = (struct fleet_answer){.word = FLEET_SAYS_HELD,
			.stamp_us = now,
			.wait = until(data->lease.ends_us, now),
			.whole = duration_ms(data->lease.ms),
			.id = id};
		return;
	}
	window_clean(data, now);
	if (!d->check && data->mint_count >= s->mint_limit) {
		ret->word = FLEET_SAYS_LIMIT;
		ret->wait = until(data->mints_us[0] + WINDOW_US + US_PER_S, now);
		return;
	}
	grant(s, host, d, now, ret);
}

static bool put(struct store *s, const struct fleet_decision *d, const struct sealed *sealed,
	int64_t now, struct fleet_answer *ret, struct sealed *ret_sealed)
{
	struct store_data *data = &s->data;
	struct store_record *r = &data->record;
	bool its_lease = data->lease.host >= 0 && data->lease.fence == d->generation;
	int64_t left = d->left_us - (now - d->stamp_us), there = r->left_us - (now - r->t0_us);

	if (its_lease)
		data->lease.host = -1;
	if (r->generation > d->generation || (r->generation == d->generation && r->rejected)) {
		ret->word = FLEET_SAYS_NEWER;
		write_record(data, ret, ret_sealed);
		return false;
	}
	ret->word = FLEET_SAYS_STALE;
	if (now < d->stamp_us || now - d->stamp_us > STAMP_OLD_US)
		return false;
	ret->word = FLEET_SAYS_DEAD;
	if (left <= 0)
		return false;
	ret->word = FLEET_SAYS_SAME;
	if (r->generation == d->generation && llabs(there - left) < US_PER_S / 2)
		return false;
	ret->word = FLEET_SAYS_PUT;
	*r = (struct store_record){.generation = d->generation,
		.t0_us = now,
		.left_us = left,
		.ends_us = now + left + RECORD_MORE_US,
		.forced = its_lease && data->lease.forced,
		.accepted = r->generation == d->generation ? r->accepted : 0,
		.accepted_us = r->accepted_us,
		.sealed = *sealed};
	data->seq = most(data->seq, d->generation);
	data->hold.id = 0;
	data->fails = 0;
	return true;
}

static bool fail(
	struct store *s, const struct fleet_decision *d, int64_t now, struct fleet_answer *ret)
{
	struct store_data *data = &s->data;
	int64_t most_ms = d->living ? BACKOFF_MOST_MS : BACKOFF_MOST_COLD_MS;
	int64_t ms = 500;

	ret->word = FLEET_SAYS_LATE;
	if (data->lease.host < 0 || data->lease.fence != d->fence)
		return false;
	ret->word = FLEET_SAYS_FAILED;
	data->lease.host = -1;
	data->fails++;
	for (unsigned i = 0; i < data->fails && i < 7; i++)
		ms *= 2;
	ms = ms < most_ms ? ms : most_ms;
	ms = ms / 2 + random_duration(&s->random, duration_ns(ms / 2)).ns;
	if (d->wait.ns / NS_PER_MS > ms)
		ms = d->wait.ns / NS_PER_MS;
	data->hold = (struct store_hold){
		.id = d->fence, .class = d->class, .ms = ms, .ends_us = now + ms * US_PER_MS};
	return true;
}

static void accept_token(
	struct store *s, const struct fleet_decision *d, int64_t now, struct fleet_answer *ret)
{
	struct store_data *data = &s->data;

	ret->word = FLEET_SAYS_LATE;
	if (data->lease.host < 0 || data->lease.fence != d->fence)
		return;
	data->lease.host = -1;
	if (data->record.generation != d->generation)
		return;
	ret->word = FLEET_SAYS_PUT;
	data->record.accepted = d->fence;
	data->record.accepted_us = now;
}

struct store_effect store_execute(struct store *s, int host, const struct fleet_decision *d,
	const struct sealed *sealed, struct fleet_answer *ret, struct sealed *ret_sealed)
{
	int64_t now = store_clock_us(s);
	struct store_effect effect = {.token = false};

	s->operations++;
	forget_what_ended(&s->data, now);
	*ret = (struct fleet_answer){.stamp_us = now};
	switch (d->operation) {
	case FLEET_READ:
		ret->word = FLEET_SAYS_RECORD;
		write_record(&s->data, ret, ret_sealed);
		break;
	case FLEET_ACQUIRE:
		acquire(s, host, d, now, ret, ret_sealed);
		break;
	case FLEET_RENEW:
		ret->word = FLEET_SAYS_LATE;
		if (s->data.lease.host >= 0 && s->data.lease.fence == d->fence) {
			ret->word = FLEET_SAYS_KEPT;
			s->data.lease.kept++;
			s->data.lease.ends_us = now + d->lease.ns / 1000;
		}
		break;
	case FLEET_PUT:
		effect.token = put(s, d, sealed, now, ret, ret_sealed);
		break;
	case FLEET_FAIL:
		effect.failure = fail(s, d, now, ret);
		break;
	case FLEET_ACCEPT:
		accept_token(s, d, now, ret);
		break;
	case FLEET_STOP:
		abort(); /* no admin stops anything here */
	}
	return effect;
}

struct fleet_message store_message(const struct store *s, struct store_effect effect)
{
	const struct store_data *d = &s->data;
	struct fleet_message m = {.failure = effect.failure};

	if (effect.failure) {
		m.hold = duration_ms(d->hold.ms);
		m.class = d->hold.class;
		return m;
	}
	m.record = (struct fleet_stored){.generation = d->record.generation,
		.t0_us = d->record.t0_us,
		.left_us = d->record.left_us,
		.issued_us = d->record.sealed.issued.ns / 1000};
	return m;
}
