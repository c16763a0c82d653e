/* Lines of NAME VALUE. What a later version adds is skipped by this one; what is in a line that
 * this one knows is held to its form, although nobody but the daemon can have written it. */
#include "login_record.h"

#include "secret.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int login_record_write(const struct login_record *r, const unsigned char key[SEALED_KEY_LENGTH],
	const unsigned char nonce[SEALED_NONCE_LENGTH], const struct sealed_client *client,
	struct buffer *out)
{
	size_t size = r->refresh_token.length + 256;
	char *storage = secret_alloc(size);
	struct buffer text;
	int error;

	if (!storage)
		return -ENOMEM;
	buffer_init(&text, storage, size);
	if (r->profile[0])
		buffer_printf(&text, "profile %s\n", r->profile);
	buffer_printf(&text, "logged_in %" PRId64 "\n", r->logged_in_s);
	if (r->refused)
		buffer_put_text(&text, "refused yes\n");
	buffer_put_text(&text, "refresh_token ");
	buffer_put(&text, r->refresh_token.text, r->refresh_token.length);
	buffer_put_char(&text, '\n');
	error = buffer_failed(&text)
			? -ENOMEM
			: sealed_state_write(key, nonce, client, text.data, text.length, out);
	buffer_fini(&text);
	secret_free(storage, size);
	return error;
}

static bool read_seconds(const char *text, size_t length, int64_t *ret)
{
	int64_t s = 0;

	if (length == 0 || length > 18)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		s = s * 10 + (text[i] - '0');
	}
	*ret = s;
	return true;
}

static bool name_is(const char *line, size_t length, const char *name)
{
	return length == strlen(name) && !memcmp(line, name, length);
}

/* False: damaged, or out of memory. */
static bool read_line(struct login_record *r, const char *line, size_t length, int *error)
{
	const char *blank = memchr(line, ' ', length);
	size_t name = blank ? (size_t)(blank - line) : 0, rest;
	const char *value;

	if (!name)
		return false;
	value = blank + 1;
	rest = length - name - 1;
	if (name_is(line, name, "refresh_token")) {
		if (r->refresh_token.text)
			return false;
		*error = token_init(&r->refresh_token, value, rest);
		return *error == 0;
	}
	if (name_is(line, name, "refused")) {
		r->refused = true;
		return name_is(value, rest, "yes");
	}
	if (name_is(line, name, "logged_in"))
		return read_seconds(value, rest, &r->logged_in_s);
	if (name_is(line, name, "profile")) {
		if (rest > PROFILE_NAME_MAX)
			return false;
		memcpy(r->profile, value, rest);
		r->profile[rest] = '\0';
		return profile_name_valid(r->profile);
	}
	return true;
}

enum sealed_verdict login_record_parse(const char *text, size_t length, struct login_record *ret)
{
	struct login_record r = LOGIN_RECORD_NONE;
	bool good = length > 0 && text[length - 1] == '\n';
	int error = 0;

	for (size_t at = 0; at < length && good;) {
		const char *end = memchr(text + at, '\n', length - at);

		good = read_line(&r, text + at, (size_t)(end - text) - at, &error);
		at = (size_t)(end - text) + 1;
	}
	if (!good || !r.refresh_token.text) {
		login_record_fini(&r);
		return error == -ENOMEM ? SEALED_NO_MEMORY : SEALED_DAMAGED;
	}
	*ret = r;
	return SEALED_GOOD;
}

enum sealed_verdict login_record_read(const unsigned char key[SEALED_KEY_LENGTH],
	const struct sealed_client *client, const char *bytes, size_t length,
	struct login_record *ret)
{
	size_t text_length;
	char *text;
	enum sealed_verdict verdict =
		sealed_state_read(key, client, bytes, length, &text, &text_length);

	if (verdict != SEALED_GOOD)
		return verdict;
	verdict = login_record_parse(text, text_length, ret);
	secret_free(text, text_length + 1);
	return verdict;
}

void login_record_fini(struct login_record *r)
{
	token_fini(&r->refresh_token);
	*r = LOGIN_RECORD_NONE;
}
