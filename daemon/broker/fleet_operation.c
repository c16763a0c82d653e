#include "fleet_operation.h"

#include "broker.h"
#include "fleet_link.h"
#include "fleet_member.h"
#include "oauth_client.h"
#include "profile_type.h"

#include "core/config.h"
#include "core/retry.h"
#include "store/store.h"

#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

#define FAIL_MOST_S 60
#define FAIL_MOST_NEEDED_S 15 /* one host asks for all, and all are without a token */
#define STOPPED_FOR_S 86400

static int acquire(struct fleet_member *m, const struct fleet_decision *d)
{
	const struct profile *p = m->profile;
	const struct store_acquire a = {
		.known = d->generation,
		.reject = d->reject,
		.floor = d->floor,
		.lease = d->lease,
		.mint_limit = mint_window_limit(&p->client->state.mint, p->settings->mint_limit),
		.mint_window = duration_s(MINT_WINDOW_S),
		.cooldown = p->settings->reject_cooldown,
		.tag = m->tag,
		.break_lease = &d->break_lease,
		.break_hold = &d->break_hold,
		.check = d->check,
		.doubted = d->doubted,
	};

	return store_acquire(m->token, &a);
}

static int fail(struct fleet_member *m, const struct fleet_decision *d)
{
	const struct store_fail f = {
		.fence = d->fence,
		.class = d->class,
		.least = d->wait,
		.most = duration_s(d->living ? FAIL_MOST_S : FAIL_MOST_NEEDED_S),
		.tag = m->tag,
	};

	return store_fail(m->token, &f);
}

static int accept_token(struct fleet_member *m, const struct fleet_decision *d)
{
	char proof[FLEET_PROOF_DIGITS + 1];
	const struct store_accept a = {
		.fence = d->fence, .generation = d->generation, .proof = proof};
	int r = fleet_key_proof(
		m->link->secrets.keys[0], &m->subject, d->generation, d->fence, proof);

	return r ? r : store_accept(m->token, &a);
}

static int seal(struct fleet_member *m, const struct fleet_record *record, struct buffer *out)
{
	unsigned char nonce[GCM_NONCE_LENGTH];

	buffer_init(out, NULL, 0);
	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		return -EIO;
	return fleet_record_seal(record, m->keys, &m->subject, nonce, out);
}

/* A record knows no less. */
static int64_t whole_ms(int64_t ns)
{
	return ns / NS_PER_MS * NS_PER_MS;
}

static int put(struct fleet_member *m, const struct fleet_decision *d)
{
	const struct token_slot *c = &m->profile->source.current;
	struct fleet_record record = {
		.generation = d->generation,
		.issued = duration_ns(whole_ms(d->issued.ns)),
		.end = {whole_ms(m->server_end.ns)},
		.not_before = duration_ns(whole_ms(m->not_before.ns)),
		.token = c->token,
	};
	struct buffer sealed;
	int r;

	if (!c->token.text || c->fleet_generation != d->generation)
		return -ENOENT;
	memcpy(record.host, m->host, sizeof(record.host));
	r = seal(m, &record, &sealed);
	if (!r) {
		const struct store_put p = {
			.generation = d->generation,
			.stamp_us = d->stamp_us,
			.left_us = d->left_us,
			.issued = d->issued,
			.sealed = sealed.data,
			.sealed_length = sealed.length,
		};

		r = store_put(m->token, &p);
	}
	buffer_fini(&sealed);
	return r;
}

static int put_stop(struct fleet_member *m, const struct fleet_decision *d)
{
	struct fleet_record record = {
		.generation = d->generation,
		.stopped = true,
		.issued = duration_s(STOPPED_FOR_S),
	};
	struct buffer sealed;
	int r;

	memcpy(record.host, m->link->host_bytes, sizeof(record.host));
	r = seal(m, &record, &sealed);
	if (!r) {
		const struct store_stop s = {
			.generation = d->generation,
			.issued = record.issued,
			.sealed = sealed.data,
			.sealed_length = sealed.length,
		};

		r = store_stop(m->token, &s);
	}
	buffer_fini(&sealed);
	return r;
}

/* This host wakes anyhow. */
static void take_others_along(const struct fleet_member *m, const struct clock_reading *now)
{
	struct broker *b = m->profile->broker;

	for (size_t i = 0; i < b->profiles.count; i++) {
		struct profile *p = b->profiles.items[i];

		if (p->fleet && p->fleet != m && fleet_poll_along(&p->fleet->fleet, now->boot)) {
			p->wake_at = SOURCE_LONG_AGO;
			turn_soon(&b->turn);
		}
	}
}

void fleet_operation_begin(
	struct fleet_member *m, const struct clock_reading *now, const struct fleet_decision *d)
{
	int r = -EINVAL;

	switch (d->operation) {
	case FLEET_READ:
		r = store_read(m->token);
		if (d->poll)
			take_others_along(m, now);
		break;
	case FLEET_ACQUIRE:
		r = acquire(m, d);
		break;
	case FLEET_RENEW:
		r = store_renew(m->token, d->fence, d->lease);
		break;
	case FLEET_PUT:
		r = put(m, d);
		break;
	case FLEET_FAIL:
		r = fail(m, d);
		break;
	case FLEET_STOP:
		r = put_stop(m, d);
		break;
	case FLEET_ACCEPT:
		r = accept_token(m, d);
		break;
	}
	if (!r)
		return;
	if (r != -ENOTCONN && r != -EBUSY)
		history_add(&m->profile->history, now, EVENT_FLEET_TROUBLE, d->generation,
			"what the fleet's store was to be told could not be made: %s",
			strerror(-r));
	fleet_refused(&m->fleet, now->boot);
}
