#include "login_key.h"

#include "broker.h"

#include "core/config.h"
#include "core/sealed_state.h"
#include "core/secret.h"
#include "host/log.h"
#include "host/state_key.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

static bool is_configured(const struct broker_settings *s)
{
	return s->state_key_file || s->state_key_credential;
}

/* What is there is never made anew: whoever repairs it may have taken it away for a moment. */
static int read_or_make(struct broker *b, const struct broker_settings *s, unsigned char *ret_key,
	char *problem, size_t problem_size)
{
	int r = state_key_load(s, b->state_dir, ret_key, problem, problem_size);

	if (is_configured(s))
		return r;
	if (r != -ENOENT || b->state_key_seen) {
		b->state_key_seen = true;
		return r;
	}
	r = state_key_make(b->state_dir, ret_key, problem, problem_size);
	if (!r)
		log_line(LOG_NOTICE,
			"%s/" STATE_KEY_NAME
			" was created: it seals refresh tokens. state_key_file or "
			"state_key_credential can keep the key apart from what it seals",
			b->state_dir);
	return r;
}

static int get(
	struct broker *b, const struct broker_settings *s, char *problem, size_t problem_size)
{
	unsigned char *key;
	int r;

	if (b->state_key)
		return 0;
	key = secret_alloc(SEALED_KEY_LENGTH);
	if (!key) {
		snprintf(problem, problem_size, "the state key: out of memory");
		return -ENOMEM;
	}
	r = read_or_make(b, s, key, problem, problem_size);
	if (r) {
		secret_free(key, SEALED_KEY_LENGTH);
		return r;
	}
	b->state_key = key;
	return 0;
}

/* A key that is configured has to be there. If only the daemon's own cannot be had, that is no
 * reason to keep everybody else from their tokens. */
int login_key_get(
	struct broker *b, const struct broker_settings *s, char *problem, size_t problem_size)
{
	int r = get(b, s, problem, problem_size);

	if (!r || r == -ENOMEM || is_configured(s))
		return r;
	log_line(LOG_ERR, "%s", problem);
	return 0;
}

bool login_key_there(struct broker *b)
{
	char problem[512];

	return get(b, &b->config->broker, problem, sizeof(problem)) == 0;
}

void login_key_lost(struct broker *b)
{
	if (is_configured(&b->config->broker))
		return;
	login_key_forget(b);
	b->state_key_seen = false;
}

void login_key_forget(struct broker *b)
{
	secret_free(b->state_key, SEALED_KEY_LENGTH);
	b->state_key = NULL;
}
