#include "fleet_trial.h"

#include "core/buffer.h"
#include "core/fleet_reply.h"
#include "store/redis_dial.h"
#include "store/redis_tls.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fleet_trial {
	const struct store_settings *settings;
	struct event_base *base;
	SSL_CTX *tls;
	char name[REDIS_NAME_MAX + 1];
	struct redis_link *link;
	/* What is waited for. */
	bool over;
	char why[FLEET_TRIAL_WHY_MAX]; /* "": it went well */
	struct fleet_trial_primary primary;
	fleet_trial_seen *seen;
	void *context;
	size_t expected, number;
};

static int out_of_memory(char why[FLEET_TRIAL_WHY_MAX])
{
	snprintf(why, FLEET_TRIAL_WHY_MAX, "out of memory");
	return -EIO;
}

static void wait_begin(struct fleet_trial *t)
{
	t->over = false;
	t->why[0] = '\0';
}

static void wait_end(struct fleet_trial *t, const char *why)
{
	t->over = true;
	if (why)
		snprintf(t->why, sizeof(t->why), "%s", why);
}

static int wait_over(struct fleet_trial *t, char ret_why[FLEET_TRIAL_WHY_MAX])
{
	while (!t->over)
		if (event_base_loop(t->base, EVLOOP_ONCE))
			return out_of_memory(ret_why);
	if (!*t->why)
		return 0;
	memcpy(ret_why, t->why, sizeof(t->why));
	return -EIO;
}

/* ---- Sentinels ---- */

static void on_primary(void *context, const char *name, uint16_t port, const char *why)
{
	struct fleet_trial *t = context;

	if (name)
		snprintf(t->primary.name, sizeof(t->primary.name), "%s", name);
	t->primary.port = port;
	wait_end(t, name ? NULL : why);
}

int fleet_trial_sentinel(struct fleet_trial *t, size_t i, struct fleet_trial_primary *ret,
	char ret_why[FLEET_TRIAL_WHY_MAX])
{
	struct store_settings alone = *t->settings;
	struct redis_sentinel *sentinel;
	int r;

	alone.hosts[0] = alone.hosts[i];
	alone.host_count = 1;
	wait_begin(t);
	if (redis_sentinel_start(&sentinel, t->base, &alone, t->tls, 0, on_primary, t))
		return out_of_memory(ret_why);
	r = wait_over(t, ret_why);
	if (!r)
		*ret = t->primary;
	return r;
}

/* ---- the connection ---- */

static void on_answer(void *context, const struct fleet_element *answer)
{
	struct fleet_trial *t = context;

	if (t->over)
		return;
	t->seen(t->context, t->number++, answer);
	if (t->number == t->expected)
		wait_end(t, NULL);
	else
		redis_link_expect(t->link, t->settings->timeout);
}

static void on_down(void *context, const char *why)
{
	struct fleet_trial *t = context;

	redis_link_free(t->link);
	t->link = NULL;
	wait_end(t, why);
}

static void on_dialled(void *context, struct redis_link *link, const char *why)
{
	static const struct redis_link_hooks hooks = {.answered = on_answer, .down = on_down};
	struct fleet_trial *t = context;

	t->link = link;
	if (link)
		redis_link_set_hooks(link, &hooks, t);
	wait_end(t, link ? NULL : why);
}

int fleet_trial_connect(struct fleet_trial *t, const struct fleet_trial_primary *primary,
	char ret_why[FLEET_TRIAL_WHY_MAX])
{
	const struct store_settings *s = t->settings;
	const struct redis_link_settings settings = {.name = t->name,
		.tls = t->tls,
		.user = s->user,
		.password = s->password,
		.listener_fit = s->listener_fit,
		.database = s->database,
		.wants_primary = true,
		.connect = duration_s(FLEET_TRIAL_CONNECT_S)};
	uint16_t port = primary ? primary->port : s->path ? 0 : s->hosts[0].port;
	struct redis_dial *dial;

	snprintf(t->name, sizeof(t->name), "%s",
		primary   ? primary->name
		: s->path ? s->path
			  : s->hosts[0].name);
	wait_begin(t);
	if (redis_dial_start(&dial, t->base, s->path, port, &settings, on_dialled, t))
		return out_of_memory(ret_why);
	return wait_over(t, ret_why);
}

int64_t fleet_trial_certificate_end(const struct fleet_trial *t)
{
	return t->link ? redis_link_certificate_end(t->link) : 0;
}

int fleet_trial_ask(struct fleet_trial *t, struct buffer *commands, size_t answers,
	fleet_trial_seen *seen, void *context, char ret_why[FLEET_TRIAL_WHY_MAX])
{
	int r = -EIO;

	wait_begin(t);
	t->seen = seen;
	t->context = context;
	t->expected = answers;
	t->number = 0;
	if (!t->link)
		snprintf(ret_why, FLEET_TRIAL_WHY_MAX, "%s: the connection is gone", t->name);
	else if (buffer_failed(commands) ||
		 redis_link_send(t->link, commands->data, commands->length))
		out_of_memory(ret_why);
	else
		r = 0;
	buffer_fini(commands);
	if (r)
		return r;
	redis_link_expect(t->link, t->settings->timeout);
	r = wait_over(t, ret_why);
	if (t->link)
		redis_link_expect(t->link, DURATION_ZERO);
	return r;
}

/* ---- the whole ---- */

int fleet_trial_new(struct fleet_trial **ret, const struct store_settings *settings,
	char ret_why[FLEET_TRIAL_WHY_MAX])
{
	struct fleet_trial *t = calloc(1, sizeof(*t));
	int r = -ENOMEM;

	if (!t)
		return r;
	t->settings = settings;
	t->base = event_base_new();
	if (t->base)
		r = settings->tls ? redis_tls_new(&t->tls, settings->ca_file, settings->cert_file,
					    settings->cert_key_file, ret_why)
				  : 0;
	if (r) {
		fleet_trial_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void fleet_trial_free(struct fleet_trial *t)
{
	if (!t)
		return;
	redis_link_free(t->link);
	SSL_CTX_free(t->tls);
	if (t->base)
		event_base_free(t->base);
	free(t);
}
