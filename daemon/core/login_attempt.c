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

static bool under_way(const struct login_attempt *p, struct boot_time now)
{
	return p->state[0] && boot_before(now, p->ends);
}

/* How many the user has, and the oldest of those. */
static unsigned count_of(struct login_attempts *t, struct boot_time now, uid_t uid,
	struct login_attempt **ret_oldest)
{
	struct login_attempt *oldest = NULL;
	unsigned count = 0;

	for (size_t i = 0; i < LOGINS_PENDING; i++) {
		struct login_attempt *p = &t->pending[i];

		if (!under_way(p, now) || p->uid != uid)
			continue;
		count++;
		if (!oldest || boot_before(p->ends, oldest->ends))
			oldest = p;
	}
	*ret_oldest = oldest;
	return count;
}

/* A free place, else one that has ended: those are kept where there is room, since who comes late
 * shall be told so. NULL: none. */
static struct login_attempt *free_place(struct login_attempts *t, struct boot_time now)
{
	struct login_attempt *ended = NULL;

	for (size_t i = 0; i < LOGINS_PENDING; i++) {
		struct login_attempt *p = &t->pending[i];

		if (!p->state[0])
			return p;
		if (!under_way(p, now))
			ended = p;
	}
	return ended;
}

/* NULL: none. */
static struct login_attempt *place_for(
	struct login_attempts *t, struct boot_time now, uid_t uid, bool privileged)
{
	struct login_attempt *own, *oldest, *place;
	unsigned owned = count_of(t, now, uid, &own), most = privileged ? 0 : owned + 1;

	if (owned >= LOGINS_OF_USER)
		return own;
	place = free_place(t, now);
	if (place)
		return place;
	for (size_t i = 0; i < LOGINS_PENDING; i++) {
		unsigned count = count_of(t, now, t->pending[i].uid, &oldest);

		if (count > most) {
			most = count;
			place = oldest;
		}
	}
	return place;
}

static struct duration first_end(const struct login_attempts *t, struct boot_time now)
{
	struct boot_time first = BOOT_TIME_NEVER;

	for (size_t i = 0; i < LOGINS_PENDING; i++)
		first = boot_min(first, t->pending[i].ends);
	return boot_since(first, now);
}

int login_attempt_begin(struct login_attempts *t, struct boot_time now, uid_t uid, bool privileged,
	const unsigned char random[LOGIN_RANDOM], const struct login_attempt **ret,
	struct duration *ret_wait)
{
	struct login_attempt *p = place_for(t, now, uid, privileged);

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

unsigned login_attempts_end(struct login_attempts *t, struct boot_time now, uid_t uid, bool all)
{
	unsigned count = 0;

	for (size_t i = 0; i < LOGINS_PENDING; i++) {
		struct login_attempt *p = &t->pending[i];

		if (!all && p->uid != uid)
			continue;
		count += under_way(p, now);
		end(p);
	}
	return count;
}

void login_code_refused(struct login_attempts *t, struct boot_time now, uid_t uid)
{
	struct codes_refused *of = &t->refused[0];

	for (size_t i = 0; i < sizeof(t->refused) / sizeof(*t->refused); i++) {
		struct codes_refused *r = &t->refused[i];

		if (r->count && r->uid == uid) {
			of = r;
			break;
		}
		if (!r->count || (of->count && boot_before(r->ends, of->ends)))
			of = r;
	}
	if (!of->count || of->uid != uid || !boot_before(now, of->ends))
		*of = (struct codes_refused){
			.uid = uid, .ends = boot_add(now, duration_s(CODES_REFUSED_S))};
	of->count++;
}

struct duration login_code_wait(const struct login_attempts *t, struct boot_time now, uid_t uid)
{
	for (size_t i = 0; i < sizeof(t->refused) / sizeof(*t->refused); i++)
		if (t->refused[i].uid == uid && t->refused[i].count >= CODES_REFUSED)
			return boot_since(t->refused[i].ends, now);
	return DURATION_ZERO;
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
