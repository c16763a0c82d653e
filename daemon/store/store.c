#include "store.h"

#include "core/random.h"
#include "core/secret.h"
#include "redis_codec.h"
#include "redis_commands.h"
#include "redis_pair.h"
#include "redis_tls.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* What is asked by the commands whose answers are due, in their order. */
struct request {
	struct request *next;
	struct store_token *token; /* NULL: it was freed meanwhile */
	bool permit;               /* or else `operation` */
	enum fleet_operation operation;
	const struct redis_script *script; /* NULL: READ */
	struct buffer command;
	unsigned answers; /* that came */
	bool loading;     /* its script was unknown: SCRIPT LOAD, and then the same again */
	bool has_answer;
	struct boot_time due, sent, received;
	struct fleet_element *fields; /* READ: what HMGET answered */
	struct fleet_answer answer;   /* READ */
	char problem[256];            /* "": none */
};

struct store_token {
	struct store_token *next;
	struct store *store;
	void *context;
	struct redis_keys keys;
	bool busy, asking_permit;
	bool subscribing;
};

struct store {
	struct event_base *base;
	void (*clock_read)(struct clock_reading *ret);
	struct store_settings settings; /* with texts of its own */
	struct store_hooks hooks;
	void *context;
	struct random random;
	SSL_CTX *tls;
	struct redis_pair *pair;
	struct event *ping;
	bool up;
	int64_t hosts;
	struct store_token *tokens;
	struct request *first, **end;
	/* on the connection of messages */
	unsigned subscribing, unsubscribing;
	bool pinging;
	struct boot_time pinged_at;
};

static struct boot_time now(const struct store *s)
{
	struct clock_reading r;

	s->clock_read(&r);
	return r.boot;
}

/* ---- requests ---- */

static void request_free(struct request *r)
{
	buffer_fini(&r->command);
	free(r->fields);
	free(r);
}

static void append(struct store *s, struct request *r)
{
	r->next = NULL;
	*s->end = r;
	s->end = &r->next;
}

static void take_first(struct store *s)
{
	s->first = s->first->next;
	if (!s->first)
		s->end = &s->first;
}

static void forget_requests(struct store *s)
{
	struct request *r;

	while ((r = s->first)) {
		take_first(s);
		request_free(r);
	}
	for (struct store_token *t = s->tokens; t; t = t->next)
		t->busy = t->asking_permit = t->subscribing = false;
	s->subscribing = s->unsubscribing = 0;
	s->pinging = false;
}

/* The one that is due first has the connection's deadline; one whose script had to be loaded may
 * stand behind others that are due later. */
static void expect_first(struct store *s)
{
	struct boot_time due = BOOT_TIME_NEVER;
	struct duration left;

	for (const struct request *r = s->first; r; r = r->next)
		due = boot_min(due, r->due);
	if (!s->first) {
		redis_link_expect(redis_pair_commands(s->pair), DURATION_ZERO);
		return;
	}
	left = duration_max(boot_since(due, now(s)), duration_ms(1));
	redis_link_expect(redis_pair_commands(s->pair), duration_min(left, s->settings.timeout));
}

static const char *name_of(const struct request *r)
{
	static const char *const names[] = {
		[FLEET_READ] = "READ",
		[FLEET_ACQUIRE] = "ACQUIRE",
		[FLEET_RENEW] = "RENEW",
		[FLEET_PUT] = "PUT",
		[FLEET_FAIL] = "FAIL",
		[FLEET_STOP] = "STOP",
	};

	return r->permit ? "PERMIT" : names[r->operation];
}

static void drop(struct store *s, const char *what, const char *why)
{
	char words[256];

	snprintf(words, sizeof(words), "%s: %s", what, why);
	redis_pair_drop(s->pair, words);
}

static void drop_nonsense(struct store *s, const char *what)
{
	drop(s, what, "what it answers is no answer to that");
}

/* ---- answers ---- */

static void note_problem(struct request *r, const char *words)
{
	if (!*r->problem)
		snprintf(r->problem, sizeof(r->problem), "%s: %s", name_of(r), words);
}

static void end_request(struct store *s, struct request *r, const struct fleet_answer *answer,
	bool granted, uint32_t rank)
{
	struct store_token *t = r->token;
	const struct store_result result = {.operation = r->operation,
		.sent = r->sent,
		.received = r->received,
		.answer = answer,
		.problem = answer ? NULL : r->problem};

	take_first(s);
	expect_first(s);
	if (t && r->permit) {
		t->asking_permit = false;
		if (!*r->problem)
			s->hooks.permitted(t->context, granted, rank);
	} else if (t) {
		t->busy = false;
		s->hooks.ended(t->context, &result);
	}
	request_free(r);
}

static void take_hosts(struct store *s, const struct fleet_element *e)
{
	if (e->type == FLEET_ELEMENT_ERROR)
		return; /* the right to ask is no must */
	if (e->type != FLEET_ELEMENT_ARRAY || e->count != 2 ||
		e->items[1].type != FLEET_ELEMENT_INTEGER || e->items[1].integer < 0) {
		drop_nonsense(s, "PUBSUB");
		return;
	}
	s->hosts = e->items[1].integer;
	redis_pair_set_hosts(s->pair, s->hosts);
}

static void take_read(struct store *s, struct request *r, const struct fleet_element *e)
{
	bool fine = true;

	if (++r->answers == REDIS_READ_ANSWERS) {
		take_hosts(s, e);
		if (s->first) /* else it was dropped */
			end_request(s, r, r->has_answer ? &r->answer : NULL, false, 0);
		return;
	}
	if (e->type == FLEET_ELEMENT_ERROR) {
		note_problem(r, redis_error_words(redis_error_kind(e)));
	} else if (r->answers == 1) {
		r->fields = redis_element_copy(e);
		fine = r->fields != NULL;
	} else if (r->fields) {
		r->received = now(s);
		fine = fleet_reply_read(r->fields, e, &r->answer) == 0;
		r->has_answer = fine;
	}
	if (!fine)
		drop_nonsense(s, name_of(r));
}

/* The server lost the script, or never had it: 10,000 hosts that connect do not all send it. */
static void load_script(struct store *s, struct request *r)
{
	struct redis_link *link = redis_pair_commands(s->pair);
	struct buffer load;
	int error;

	take_first(s);
	append(s, r);
	r->loading = true;
	r->answers = 0;
	buffer_init(&load, NULL, 0);
	redis_write_load(&load, r->script);
	error = buffer_failed(&load) ? -ENOMEM : redis_link_send(link, load.data, load.length);
	buffer_fini(&load);
	r->sent = now(s);
	if (error || redis_link_send(link, r->command.data, r->command.length))
		redis_pair_drop(s->pair, "out of memory");
	else
		expect_first(s);
}

static void take_script(struct store *s, struct request *r, const struct fleet_element *e)
{
	bool is_error = e->type == FLEET_ELEMENT_ERROR, granted = false;
	enum redis_error kind = is_error ? redis_error_kind(e) : REDIS_ERROR_OTHER;
	struct fleet_answer answer;
	uint32_t rank = 0;
	int error = 0;

	r->answers++;
	if (r->loading && r->answers == 1) {
		if (is_error)
			note_problem(r, redis_error_words(kind));
		else if (!redis_element_is(e, r->script->sha1))
			drop_nonsense(s, "SCRIPT LOAD");
		return;
	}
	r->received = now(s);
	if (is_error) {
		if (kind == REDIS_ERROR_NOSCRIPT && !r->loading) {
			load_script(s, r);
			return;
		}
		note_problem(r, redis_error_words(kind));
	} else if (r->permit) {
		error = fleet_reply_permit(e, &granted, &rank);
	} else {
		error = fleet_reply_script(r->operation, e, &answer);
	}
	if (error)
		drop_nonsense(s, name_of(r));
	else
		end_request(s, r, is_error || r->permit ? NULL : &answer, granted, rank);
}

static void on_answer(void *context, const struct fleet_element *e)
{
	struct store *s = context;
	struct request *r = s->first;

	if (!r)
		redis_pair_drop(s->pair, "it answered what was not asked");
	else if (e->type == FLEET_ELEMENT_ERROR && redis_error_leaves(redis_error_kind(e)))
		drop(s, name_of(r), redis_error_words(redis_error_kind(e)));
	else if (r->script)
		take_script(s, r, e);
	else
		take_read(s, r, e);
}

/* ---- messages ---- */

static struct store_token *token_of_channel(const struct store *s, const struct fleet_element *e)
{
	struct store_token *t = s->tokens;

	while (t && !redis_element_is(e, t->keys.channel))
		t = t->next;
	return t;
}

static int send_message_command(struct store *s, const char *command, const char *channel)
{
	struct redis_link *link = redis_pair_messages(s->pair);
	struct buffer b;
	int r = -ENOMEM;

	buffer_init(&b, NULL, 0);
	redis_write_plain(&b, command, channel);
	if (!buffer_failed(&b))
		r = redis_link_send(link, b.data, b.length);
	buffer_fini(&b);
	if (!r)
		redis_link_expect(link, s->up ? s->settings.timeout : duration_s(STORE_CONNECT_S));
	return r;
}

static int subscribe(struct store *s, struct store_token *t)
{
	int r = send_message_command(s, "SUBSCRIBE", t->keys.channel);

	if (r)
		return r;
	t->subscribing = true;
	s->subscribing++;
	return 0;
}

static void answered_one(struct store *s)
{
	bool more = s->subscribing || s->unsubscribing || s->pinging;

	redis_link_expect(redis_pair_messages(s->pair), more ? s->settings.timeout : DURATION_ZERO);
}

static void go_up(struct store *s)
{
	const int64_t set = s->settings.ping.ns, ns = set ? set : STORE_PING_S * NS_PER_S;
	const struct timeval every = {.tv_sec = ns / NS_PER_S, .tv_usec = ns % NS_PER_S / 1000};

	s->up = true;
	redis_pair_settled(s->pair);
	redis_link_expect(redis_pair_messages(s->pair), DURATION_ZERO);
	event_add(s->ping, &every);
	s->hooks.up(s->context, now(s));
}

static bool take_subscribed(struct store *s, struct store_token *t)
{
	/* Or it was freed just now. */
	if (t ? !t->subscribing : !s->unsubscribing || !s->subscribing)
		return false;
	if (t)
		t->subscribing = false;
	s->subscribing--;
	answered_one(s);
	if (!s->up && !s->subscribing)
		go_up(s);
	return true;
}

static bool take_message(struct store *s, struct store_token *t, const struct fleet_element *text)
{
	struct fleet_message m;

	if (text->type != FLEET_ELEMENT_TEXT || (!t && !s->unsubscribing))
		return false;
	if (!t)
		return true; /* of one that was freed just now */
	if (fleet_reply_message(text->bytes, text->length, &m))
		return false;
	if (s->up)
		s->hooks.message(t->context, now(s), &m);
	return true;
}

static bool take_pong(struct store *s)
{
	if (!s->pinging)
		return false;
	s->pinging = false;
	answered_one(s);
	s->hooks.anchored(s->context, s->pinged_at);
	return true;
}

static bool take_told(struct store *s, const struct fleet_element *e)
{
	const struct fleet_element *items = e->items;

	if (redis_element_is(e, "PONG")) /* while nothing is subscribed to */
		return take_pong(s);
	if (e->type != FLEET_ELEMENT_ARRAY || e->count < 2)
		return false;
	if (e->count == 2)
		return redis_element_is(&items[0], "pong") && take_pong(s);
	if (e->count != 3)
		return false;
	if (redis_element_is(&items[0], "message"))
		return take_message(s, token_of_channel(s, &items[1]), &items[2]);
	if (items[2].type != FLEET_ELEMENT_INTEGER)
		return false;
	if (redis_element_is(&items[0], "subscribe"))
		return take_subscribed(s, token_of_channel(s, &items[1]));
	if (!redis_element_is(&items[0], "unsubscribe") || !s->unsubscribing)
		return false;
	s->unsubscribing--;
	answered_one(s);
	return true;
}

static void on_told(void *context, const struct fleet_element *e)
{
	struct store *s = context;

	if (e->type == FLEET_ELEMENT_ERROR)
		drop(s, "SUBSCRIBE", redis_error_words(redis_error_kind(e)));
	else if (!take_told(s, e))
		redis_pair_drop(s->pair, "what came on the connection of messages is no message");
}

static void on_ping(evutil_socket_t fd, short what, void *context)
{
	struct store *s = context;

	(void)fd, (void)what;
	if (s->pinging)
		return;
	s->pinged_at = now(s);
	s->pinging = true;
	if (send_message_command(s, "PING", NULL))
		redis_pair_drop(s->pair, "out of memory");
}

/* ---- up and down ---- */

static void on_ready(void *context)
{
	struct store *s = context;

	for (struct store_token *t = s->tokens; t; t = t->next)
		if (subscribe(s, t)) {
			redis_pair_drop(s->pair, "out of memory");
			return;
		}
	if (!s->subscribing)
		go_up(s);
}

static void on_down(void *context, const char *why)
{
	struct store *s = context;
	bool was_up = s->up;

	s->up = false;
	event_del(s->ping);
	forget_requests(s);
	s->hooks.down(s->context, was_up, why);
}

/* ---- operations ---- */

static int start(struct store_token *t, bool permit, enum fleet_operation operation,
	const struct redis_script *script, struct buffer *command)
{
	struct store *s = t->store;
	struct request *r = buffer_failed(command) ? NULL : calloc(1, sizeof(*r));

	if (!r || redis_link_send(redis_pair_commands(s->pair), command->data, command->length)) {
		buffer_fini(command);
		free(r);
		return -ENOMEM;
	}
	r->token = t;
	r->permit = permit;
	r->operation = operation;
	r->script = script;
	r->command = *command;
	r->sent = now(s);
	r->due = boot_add(r->sent, s->settings.timeout);
	append(s, r);
	*(permit ? &t->asking_permit : &t->busy) = true;
	expect_first(s);
	return 0;
}

static int may_start(const struct store_token *t)
{
	if (!t->store->up)
		return -ENOTCONN;
	return t->busy ? -EBUSY : 0;
}

int store_read(struct store_token *t)
{
	struct buffer b;
	int r = may_start(t);

	if (r)
		return r;
	buffer_init(&b, NULL, 0);
	redis_write_read(&b, &t->keys);
	return start(t, false, FLEET_READ, NULL, &b);
}

int store_acquire(struct store_token *t, const struct store_acquire *a)
{
	struct buffer b;
	int r = may_start(t);

	if (r)
		return r;
	buffer_init(&b, NULL, 0);
	redis_write_acquire(&b, &t->keys, t->store->settings.host, a);
	return start(t, false, FLEET_ACQUIRE, &redis_script_acquire, &b);
}

int store_renew(struct store_token *t, uint64_t fence, struct duration lease)
{
	struct buffer b;
	int r = may_start(t);

	if (r)
		return r;
	buffer_init(&b, NULL, 0);
	redis_write_renew(&b, &t->keys, fence, lease);
	return start(t, false, FLEET_RENEW, &redis_script_renew, &b);
}

int store_put(struct store_token *t, const struct store_put *p)
{
	struct buffer b;
	int r = may_start(t);

	if (r)
		return r;
	buffer_init(&b, NULL, 0);
	redis_write_put(&b, &t->keys, p);
	return start(t, false, FLEET_PUT, &redis_script_put, &b);
}

int store_fail(struct store_token *t, const struct store_fail *f)
{
	struct buffer b;
	int r = may_start(t);

	if (r)
		return r;
	buffer_init(&b, NULL, 0);
	redis_write_fail(&b, &t->keys, f, (unsigned)(random_next(&t->store->random) % 1001));
	return start(t, false, FLEET_FAIL, &redis_script_fail, &b);
}

int store_stop(struct store_token *t, const struct store_stop *o)
{
	struct buffer b;
	int r = may_start(t);

	if (r)
		return r;
	buffer_init(&b, NULL, 0);
	redis_write_stop(&b, &t->keys, o);
	return start(t, false, FLEET_STOP, &redis_script_stop, &b);
}

int store_permit(struct store_token *t, uint32_t most, struct duration keep)
{
	struct buffer b;

	if (!t->store->up)
		return -ENOTCONN;
	if (t->asking_permit)
		return -EBUSY;
	buffer_init(&b, NULL, 0);
	redis_write_permit(&b, &t->keys, t->store->settings.host, most, keep);
	return start(t, true, FLEET_READ, &redis_script_permit, &b);
}

/* ---- tokens ---- */

int store_token_new(struct store_token **ret, struct store *s, const struct fleet_subject *subject,
	unsigned slot, void *context)
{
	struct store_token *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->store = s;
	t->context = context;
	redis_keys_init(&t->keys, s->settings.prefix, subject, slot);
	if (redis_pair_messages(s->pair) && subscribe(s, t)) {
		free(t);
		return -ENOMEM;
	}
	t->next = s->tokens;
	s->tokens = t;
	*ret = t;
	return 0;
}

void store_token_free(struct store_token *t)
{
	struct store *s;
	struct store_token **at;

	if (!t)
		return;
	s = t->store;
	for (at = &s->tokens; *at != t; at = &(*at)->next)
		;
	*at = t->next;
	for (struct request *r = s->first; r; r = r->next)
		if (r->token == t)
			r->token = NULL;
	if (redis_pair_messages(s->pair) &&
		send_message_command(s, "UNSUBSCRIBE", t->keys.channel) == 0)
		s->unsubscribing++;
	free(t);
}

/* ---- the store ---- */

static void settings_fini(struct store_settings *s)
{
	const char *const texts[] = {s->path, s->sentinel_name, s->user, s->ca_file, s->cert_file,
		s->cert_key_file, s->prefix, s->host};

	for (size_t i = 0; i < s->host_count; i++)
		free((void *)(uintptr_t)s->hosts[i].name);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		free((void *)(uintptr_t)texts[i]);
	secret_text_free((char *)(uintptr_t)s->password);
}

static const char *copy(const char *text, bool *failed)
{
	char *mine = text ? strdup(text) : NULL;

	*failed |= text && !mine;
	return mine;
}

static int settings_copy(struct store_settings *to, const struct store_settings *from)
{
	bool failed = false;

	*to = *from;
	for (size_t i = 0; i < from->host_count; i++)
		to->hosts[i].name = copy(from->hosts[i].name, &failed);
	to->path = copy(from->path, &failed);
	to->sentinel_name = copy(from->sentinel_name, &failed);
	to->user = copy(from->user, &failed);
	to->ca_file = copy(from->ca_file, &failed);
	to->cert_file = copy(from->cert_file, &failed);
	to->cert_key_file = copy(from->cert_key_file, &failed);
	to->prefix = copy(from->prefix, &failed);
	to->host = copy(from->host, &failed);
	if (from->password)
		to->password = secret_copy(from->password, strlen(from->password));
	failed |= from->password && !to->password;
	return failed ? -ENOMEM : 0;
}

static int begin(struct store *s, const struct store_settings *settings, char why[256])
{
	static const struct redis_pair_hooks hooks = {
		.ready = on_ready, .answered = on_answer, .told = on_told, .down = on_down};
	int r = settings_copy(&s->settings, settings);

	if (r)
		return r;
	if (settings->path &&
		strlen(settings->path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		snprintf(why, 256, "the path of fleet_store is too long for a Unix socket");
		return -EINVAL;
	}
	if (settings->tls) {
		r = redis_tls_new(&s->tls, settings->ca_file, settings->cert_file,
			settings->cert_key_file, why);
		if (r)
			return r;
	}
	s->ping = event_new(s->base, -1, EV_PERSIST, on_ping, s);
	if (!s->ping)
		return -ENOMEM;
	return redis_pair_new(&s->pair, s->base, &s->settings, s->tls, &hooks, s);
}

int store_new(struct store **ret, struct event_base *base,
	void (*clock_read)(struct clock_reading *ret), const struct store_settings *settings,
	const struct store_hooks *hooks, void *context, char ret_why[256])
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->base = base;
	s->clock_read = clock_read;
	s->hooks = *hooks;
	s->context = context;
	s->random.state = ~settings->seed;
	s->end = &s->first;
	r = begin(s, settings, ret_why);
	if (r) {
		store_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	redis_pair_free(s->pair);
	forget_requests(s);
	if (s->ping)
		event_free(s->ping);
	SSL_CTX_free(s->tls);
	settings_fini(&s->settings);
	free(s);
}

bool store_is_up(const struct store *s)
{
	return s->up;
}

int64_t store_hosts(const struct store *s)
{
	return s->hosts;
}
