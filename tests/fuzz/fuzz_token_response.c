/* What the login server answers. The input looks like an answer: a status line, fields, an empty
 * line, the body. Judged by what must hold of any answer: what a token may be, what each class
 * needs, and that no token the body names and no secret of the request gets into anything that is
 * shown. */
#include "core/json.h"
#include "core/token_response.h"
#include "fuzz.h"
#include <stdbool.h>
#include <strings.h>

#define TELLING 16 /* shorter ones may stand in a phrase by chance */

/* What the request had in it; the seeds and the dictionary know it too. */
static const char *const sent_secrets[] = {
	"S3cr3t:+/%x", "S3cr3t%3A%2B%2F%25x", "Zm9vOlMzY3IzdDolMkI", NULL};

struct secrets {
	char *text[2]; /* access_token, refresh_token */
};

static int secret_member(void *context, const char *key, size_t key_length, enum json_kind kind,
	const char *text, size_t length)
{
	struct secrets *s = context;
	size_t i = key_length == strlen("refresh_token");
	struct token token = TOKEN_NONE;

	if (kind != JSON_STRING || length < TELLING ||
		(!(key_length == 12 && !memcmp(key, "access_token", 12)) &&
			!(key_length == 13 && !memcmp(key, "refresh_token", 13))))
		return 0;
	/* Only what is a token is kept out of the words; digits alone also stand for expires_in. */
	if (token_init(&token, text, length) == 0 &&
		strspn(token.text, "0123456789") < token.length) {
		free(s->text[i]);
		s->text[i] = strdup(token.text);
	}
	token_fini(&token);
	return 0;
}

static void check_not_told(const struct token_response *a, const char *secret)
{
	CHECK(!strstr(a->words, secret));
	CHECK(!strstr(a->error, secret));
	CHECK(!strstr(a->correlation_id, secret));
}

static void check_secrets(const struct exchange *x, const struct token_response *a)
{
	struct secrets s = {{NULL, NULL}};
	const char *problem;
	bool whole = x->body_length && x->body_length <= TOKEN_RESPONSE_BODY_MAX &&
		     json_read_object(x->body, x->body_length, secret_member, &s, &problem) == 0;

	for (const char *const *secret = sent_secrets; *secret; secret++)
		check_not_told(a, *secret);
	for (size_t i = 0; i < 2; i++) {
		if (s.text[i] && whole)
			check_not_told(a, s.text[i]);
		free(s.text[i]);
	}
}

static void check_token(const struct exchange *x, const struct token_response *a)
{
	struct jwt_claims claims;

	CHECK(x->status == 200 && !x->failure);
	CHECK(a->token.text && a->token.length >= 1 && a->token.length <= TOKEN_MAX);
	CHECK(strlen(a->token.text) == a->token.length);
	for (size_t i = 0; i < a->token.length; i++)
		CHECK(a->token.text[i] >= 0x21 && a->token.text[i] <= 0x7e);
	CHECK(strspn(a->token.fingerprint, "0123456789abcdef") == FINGERPRINT_LENGTH);
	CHECK(!a->token.fingerprint[FINGERPRINT_LENGTH]);
	CHECK(a->expires_in.ns >= RESPONSE_EXPIRES_IN_MIN_S * NS_PER_S);
	CHECK(a->expires_in.ns <= RESPONSE_EXPIRES_IN_MAX_S * NS_PER_S);
	CHECK(a->expires_in.ns % NS_PER_S == 0);
	CHECK(!a->has_retry_after && !a->error[0] && !a->words[0]);
	/* The answer's bytes have the token, or its escapes. */
	CHECK(memchr(x->body, '\\', x->body_length) ||
		memmem(x->body, x->body_length, a->token.text, a->token.length));
	jwt_claims_read(a->token.text, a->token.length, &claims);
	CHECK(claims.has_iat == a->claims.has_iat && claims.iat == a->claims.iat);
	CHECK(claims.has_nbf == a->claims.has_nbf && claims.nbf == a->claims.nbf);
	CHECK(claims.has_exp == a->claims.has_exp && claims.exp == a->claims.exp);
}

static void check_failure(const struct exchange *x, const struct token_response *a)
{
	/* Some say no with a 200. */
	bool refused = x->status == 200 || (x->status >= 400 && x->status <= 499);

	CHECK(!a->token.text && !a->token.length && !a->expires_in.ns);
	CHECK(!a->claims.has_iat && !a->claims.has_nbf && !a->claims.has_exp);
	CHECK(memchr(a->words, '\0', sizeof(a->words)) && a->words[0]);
	CHECK(fuzz_printable(a->words));
	CHECK(memchr(a->error, '\0', sizeof(a->error)));
	CHECK(strspn(a->error, "abcdefghijklmnopqrstuvwxyz0123456789_-.:/") == strlen(a->error));
	CHECK(!a->has_retry_after || a->retry_after.ns >= 0);
	CHECK(!a->has_retry_after || x->retry_after[0]);
	/* Only what says so itself stops a client for good; the rest heals. */
	if (a->class == RESPONSE_CLIENT_REJECTED || a->class == RESPONSE_LOGIN_REQUIRED)
		CHECK(refused && x->status != 408 && x->status != 425 && x->status != 429 &&
			!x->failure && !a->has_retry_after);
	if (x->status == 429)
		CHECK(a->class == RESPONSE_THROTTLED);
	if (!refused)
		CHECK(a->class == RESPONSE_UNAVAILABLE);
	CHECK(!a->unfit || (a->minted && x->status >= 200 && x->status <= 299));
	CHECK(!a->unfit_fingerprint[0] || a->unfit);
}

static void check_same(const struct token_response *a, const struct token_response *b)
{
	CHECK(a->class == b->class && a->status == b->status);
	CHECK(a->expires_in.ns == b->expires_in.ns);
	CHECK(a->token.length == b->token.length);
	CHECK(!a->token.length || !memcmp(a->token.text, b->token.text, a->token.length));
	CHECK(!strcmp(a->error, b->error) && !strcmp(a->words, b->words));
	CHECK(a->has_retry_after == b->has_retry_after && a->retry_after.ns == b->retry_after.ns);
}

/* An answer that ends early is no token, whatever came of it; blanks around a whole one are. */
static void check_cut(struct exchange x, const struct token_response *whole)
{
	struct token_response a;
	char *body;

	while (x.body_length && memchr(" \t\r\n", x.body[x.body_length - 1], 4))
		x.body_length--;
	body = malloc(x.body_length + 2);
	CHECK(body);
	memcpy(body, x.body, x.body_length);
	body[x.body_length] = body[x.body_length + 1] = '\n';
	x.body = body;
	x.body_length += 2;
	if (x.body_length <= TOKEN_RESPONSE_BODY_MAX) {
		token_response_read(&x, &a);
		check_same(whole, &a);
		token_response_fini(&a);
	}
	x.body_length -= 3;
	token_response_read(&x, &a);
	CHECK(a.class != RESPONSE_TOKEN);
	token_response_fini(&a);
	free(body);
}

static void take_field(struct exchange *x, const char *line, size_t length)
{
	const struct {
		const char *name;
		char *to;
		size_t size;
	} fields[] = {
		{"date: ", x->date, sizeof(x->date)},
		{"age: ", x->age, sizeof(x->age)},
		{"retry-after: ", x->retry_after, sizeof(x->retry_after)},
		{"correlation-id: ", x->correlation_id, sizeof(x->correlation_id)},
	};

	if (length == 6 && !memcmp(line, "broken", 6))
		x->failure = "the connection ended too early";
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		size_t name = strlen(fields[i].name);

		/* As upstream/http_response has it: what does not fit counts as absent. */
		if (length < name || memcmp(line, fields[i].name, name) ||
			length - name >= fields[i].size || memchr(line, '\0', length))
			continue;
		memset(fields[i].to, 0, fields[i].size);
		memcpy(fields[i].to, line + name, length - name);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size;
	struct exchange x = {
		.received = {.wall = {784111777 * NS_PER_S}},
		.secrets = sent_secrets,
	};
	struct token_response a;
	bool first = true;
	char *body;

	while (at < end) {
		const char *line = at;
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((newline ? newline : end) - line);

		at = newline ? newline + 1 : end;
		if (!length)
			break;
		if (!first)
			take_field(&x, line, length);
		for (size_t i = 0; first && i < length && i < 3 && line[i] >= '0' && line[i] <= '9';
			i++)
			x.status = x.status * 10 + (line[i] - '0');
		first = false;
	}
	body = fuzz_copy(at, (size_t)(end - at));
	x.body = body;
	x.body_length = (size_t)(end - at);

	token_response_read(&x, &a);
	CHECK(a.status == x.status);
	CHECK(!*a.correlation_id || !strcmp(a.correlation_id, x.correlation_id));
	if (a.class == RESPONSE_TOKEN) {
		check_token(&x, &a);
		check_cut(x, &a);
	} else {
		check_failure(&x, &a);
	}
	check_secrets(&x, &a);
	token_response_fini(&a);
	CHECK(!a.token.text);
	free(body);
	return 0;
}
