#include "redis_sentinel.h"

#include "redis_codec.h"
#include "redis_dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct redis_sentinel {
	struct event_base *base;
	const struct store_settings *settings;
	struct ssl_ctx_st *tls;
	redis_sentinel_done *done;
	void *context;
	size_t first, asked;
	bool with_password;
	struct redis_dial *dial;
	struct redis_link *link;
	char why[REDIS_WHY_MAX];
};

static int dial(struct redis_sentinel *s);

static const struct store_host *host_of(const struct redis_sentinel *s)
{
	return &s->settings->hosts[(s->first + s->asked) % s->settings->host_count];
}

static void end(struct redis_sentinel *s, const char *name, uint16_t port)
{
	redis_sentinel_done *done = s->done;
	void *context = s->context;
	char why[REDIS_WHY_MAX], copy[REDIS_NAME_MAX + 1] = "";

	snprintf(why, sizeof(why), "%s", s->why);
	if (name)
		snprintf(copy, sizeof(copy), "%s", name);
	redis_sentinel_cancel(s);
	done(context, name ? copy : NULL, port, why);
}

static void next(struct redis_sentinel *s)
{
	redis_link_free(s->link);
	s->link = NULL;
	s->with_password = false;
	while (++s->asked < s->settings->host_count)
		if (dial(s) == 0)
			return;
	end(s, NULL, 0);
}

static void failed(struct redis_sentinel *s, const char *why)
{
	snprintf(s->why, sizeof(s->why), "Sentinel %s: %s", host_of(s)->name, why);
	next(s);
}

static void on_down(void *context, const char *why)
{
	struct redis_sentinel *s = context;

	snprintf(s->why, sizeof(s->why), "Sentinel %s", why);
	next(s);
}

/* A name that can be resolved or verified: it goes into messages, too. */
static bool read_name(const struct fleet_element *e, char ret[REDIS_NAME_MAX + 1])
{
	if (e->type != FLEET_ELEMENT_TEXT || e->length == 0 || e->length > REDIS_NAME_MAX)
		return false;
	for (size_t i = 0; i < e->length; i++) {
		char c = e->bytes[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    c == '.' || c == '-' || c == '_' || c == ':'))
			return false;
		ret[i] = c;
	}
	ret[e->length] = '\0';
	return true;
}

static bool read_port(const struct fleet_element *e, uint16_t *ret)
{
	unsigned value = 0;

	if (e->type != FLEET_ELEMENT_TEXT || e->length == 0 || e->length > 5)
		return false;
	for (size_t i = 0; i < e->length; i++) {
		if (e->bytes[i] < '0' || e->bytes[i] > '9')
			return false;
		value = value * 10 + (unsigned)(e->bytes[i] - '0');
	}
	if (value == 0 || value > UINT16_MAX)
		return false;
	*ret = (uint16_t)value;
	return true;
}

static void on_answer(void *context, const struct fleet_element *e)
{
	struct redis_sentinel *s = context;
	char name[REDIS_NAME_MAX + 1];
	uint16_t port;

	if (e->type == FLEET_ELEMENT_ERROR) {
		enum redis_error kind = redis_error_kind(e);

		if (kind == REDIS_ERROR_NOAUTH && s->settings->password && !s->with_password) {
			redis_link_free(s->link);
			s->link = NULL;
			s->with_password = true;
			if (dial(s))
				next(s);
			return;
		}
		failed(s, redis_error_words(kind));
	} else if (e->type == FLEET_ELEMENT_NIL) {
		failed(s, "it knows no primary by the name that fleet_store has");
	} else if (e->type != FLEET_ELEMENT_ARRAY || e->count != 2 ||
		   !read_name(&e->items[0], name) || !read_port(&e->items[1], &port)) {
		failed(s, "it does not answer as a Sentinel does");
	} else {
		end(s, name, port);
	}
}

static void on_dialled(void *context, struct redis_link *link, const char *why)
{
	static const struct redis_link_hooks hooks = {.answered = on_answer, .down = on_down};
	struct redis_sentinel *s = context;
	struct redis_word words[] = {{"SENTINEL", 8}, {"get-master-addr-by-name", 23},
		{s->settings->sentinel_name, strlen(s->settings->sentinel_name)}};
	struct buffer command;
	int r = -ENOMEM;

	s->dial = NULL;
	if (!link) {
		on_down(s, why);
		return;
	}
	s->link = link;
	redis_link_set_hooks(link, &hooks, s);
	buffer_init(&command, NULL, 0);
	redis_command_write(&command, words, 3);
	if (!buffer_failed(&command))
		r = redis_link_send(link, command.data, command.length);
	buffer_fini(&command);
	if (r)
		failed(s, "out of memory");
	else
		redis_link_expect(link, duration_s(REDIS_SENTINEL_S));
}

static int dial(struct redis_sentinel *s)
{
	struct redis_link_settings settings = {.name = host_of(s)->name,
		.tls = s->tls,
		.user = s->with_password ? s->settings->user : NULL,
		.password = s->with_password ? s->settings->password : NULL,
		.connect = duration_s(REDIS_SENTINEL_S)};

	return redis_dial_start(
		&s->dial, s->base, NULL, host_of(s)->port, &settings, on_dialled, s);
}

int redis_sentinel_start(struct redis_sentinel **ret, struct event_base *base,
	const struct store_settings *settings, struct ssl_ctx_st *tls, size_t first,
	redis_sentinel_done *done, void *context)
{
	struct redis_sentinel *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct redis_sentinel){.base = base,
		.settings = settings,
		.tls = tls,
		.done = done,
		.context = context,
		.first = first};
	if (dial(s)) {
		free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

void redis_sentinel_cancel(struct redis_sentinel *s)
{
	if (!s)
		return;
	redis_dial_cancel(s->dial);
	redis_link_free(s->link);
	free(s);
}
