#include "login_attempt.h"

#include "config_url.h"
#include "secret.h"
#include "text.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#define HALF (LOGIN_RANDOM / 2)

/* 32 bytes -> 43 characters, without padding (RFC 4648 section 5). */
static void base64url(const unsigned char bytes[HALF], char ret[LOGIN_TEXT + 1])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned bits = 0, count = 0;
	size_t n = 0;

	for (size_t i = 0; i < HALF; i++) {
		bits = bits << 8 | bytes[i];
		for (count += 8; count >= 6; count -= 6)
			ret[n++] = digits[bits >> (count - 6) & 63];
	}
	ret[n++] = digits[bits << (6 - count) & 63];
	ret[n] = '\0';
}

static void end(struct login_attempt *p)
{
	secret_wipe(p, sizeof(*p));
	p->state[0] = '\0';
}

/* A free place, else one that has ended, else this user's own oldest when they have as many as they
 * may. NULL: none. */
static struct login_attempt *place_for(struct login_attempts *t, struct boot_time now, uid_t uid)
{
	struct login_attempt *own = NULL, *other = NULL;
	unsigned owned = 0;

	for (size_t i = 0; i < LOGINS_PENDING; i++) {
		struct login_attempt *p = &t->pending[i];

		if (!p->state[0] || !boot_before(now, p->ends)) {
			/* those that have ended are kept where there is room: who comes late shall
			 * be told so */
			if (!other || !p->state[0])
				other = p;
			continue;
		}
		if (p->uid != uid)
			continue;
		owned++;
		if (!own || boot_before(p->ends, own->ends))
			own = p;
	}
	return owned >= LOGINS_OF_USER ? own : other;
}

static struct duration first_end(const struct login_attempts *t, struct boot_time now)
{
	struct boot_time first = BOOT_TIME_NEVER;

	for (size_t i = 0; i < LOGINS_PENDING; i++)
		first = boot_min(first, t->pending[i].ends);
	return boot_since(first, now);
}

int login_attempt_begin(struct login_attempts *t, struct boot_time now, uid_t uid,
	const unsigned char random[LOGIN_RANDOM], const struct login_attempt **ret,
	struct duration *ret_wait)
{
	struct login_attempt *p = place_for(t, now, uid);

	if (!p) {
		*ret_wait = first_end(t, now);
		return -EAGAIN;
	}
	base64url(random, p->state);
	base64url(random + HALF, p->verifier);
	p->uid = uid;
	p->ends = boot_add(now, duration_s(LOGIN_LASTS_S));
	*ret = p;
	return 0;
}

enum login_verdict login_attempt_take(struct login_attempts *t, struct boot_time now, uid_t uid,
	const char *state, char ret_verifier[LOGIN_TEXT + 1])
{
	enum login_verdict verdict = LOGIN_UNKNOWN;

	if (strlen(state) != LOGIN_TEXT)
		return LOGIN_UNKNOWN;
	for (size_t i = 0; i < LOGINS_PENDING; i++) {
		struct login_attempt *p = &t->pending[i];

		if (!p->state[0] || CRYPTO_memcmp(p->state, state, LOGIN_TEXT) || p->uid != uid)
			continue;
		verdict = boot_before(now, p->ends) ? LOGIN_GOOD : LOGIN_LATE;
		if (verdict == LOGIN_GOOD)
			memcpy(ret_verifier, p->verifier, sizeof(p->verifier));
		end(p);
	}
	return verdict;
}

void login_attempts_forget(struct login_attempts *t)
{
	for (size_t i = 0; i < LOGINS_PENDING; i++)
		end(&t->pending[i]);
}

static void put_parameter(struct buffer *out, const char *name, const char *value)
{
	char *to;

	buffer_put_char(out, '&');
	buffer_put_text(out, name);
	buffer_put_char(out, '=');
	to = buffer_claim(out, percent_length(PERCENT_URL, value));
	if (to)
		percent_write(PERCENT_URL, to, value);
}

void login_attempt_put_url(struct buffer *out, const char *authorize_url, const char *client_id,
	const char *redirect_uri, const char *scope, const struct login_attempt *login)
{
	const char *query = strchr(authorize_url, '?');
	unsigned char hash[SHA256_DIGEST_LENGTH];
	char challenge[LOGIN_TEXT + 1];

	SHA256((const unsigned char *)login->verifier, LOGIN_TEXT, hash);
	base64url(hash, challenge);
	buffer_put_text(out, authorize_url);
	if (!query)
		buffer_put_char(out, '?');
	else if (query[1] && query[strlen(query) - 1] != '&')
		buffer_put_char(out, '&');
	buffer_put_text(out, "response_type=code");
	put_parameter(out, "client_id", client_id);
	put_parameter(out, "redirect_uri", redirect_uri);
	if (scope)
		put_parameter(out, "scope", scope);
	put_parameter(out, "state", login->state);
	put_parameter(out, "code_challenge", challenge);
	put_parameter(out, "code_challenge_method", "S256");
}

const char *login_url_clash(const char *authorize_url)
{
	static const char *const ours[] = {"response_type", "client_id", "redirect_uri", "scope",
		"state", "code_challenge", "code_challenge_method"};
	const char *at = strchr(authorize_url, '?');

	for (; at; at = strchr(at, '&')) {
		size_t length = strcspn(++at, "=&");

		for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
			if (strlen(ours[i]) == length && !strncmp(at, ours[i], length))
				return ours[i];
	}
	return NULL;
}

/* Both have been normalised, or are as a server wrote them: then case counts, as RFC 9207 has it.
 * The port that https has anyway may be named or not. */
bool login_issuer_fits(const char *authorize_url, const char *iss)
{
	static const char usual_port[] = ":443";
	size_t ours = url_origin_length(authorize_url), theirs;

	if (base_url_problem(iss))
		return false;
	theirs = url_origin_length(iss);
	if (ours > 4 && !memcmp(authorize_url + ours - 4, usual_port, 4))
		ours -= 4;
	if (theirs > 4 && !memcmp(iss + theirs - 4, usual_port, 4))
		theirs -= 4;
	return ours == theirs && !memcmp(authorize_url, iss, ours);
}
