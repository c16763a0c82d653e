#include "token_json.h"

#include "json_read.h"

#include <stdlib.h>
#include <string.h>

bool is_token(const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (text[i] < 0x21 || text[i] > 0x7e)
			return false;
	return length && length <= GCTOKEN_TOKEN_MAX;
}

static void see_value(void *context, const struct json_value *v)
{
	struct token_parts *t = context;

	/* A token that was cut or altered on the way is useless: it is taken whole or not at all.
	 */
	if (v->type == JSON_TEXT && !strcmp(v->path, "access_token") &&
		is_token(v->text, v->length)) {
		memcpy(t->token, v->text, v->length);
		t->token[v->length] = '\0';
	}
	json_take_text(v, "region", t->region, sizeof(t->region));
	json_take_text(v, "api_url", t->api_url, sizeof(t->api_url));
	json_take_text(v, "fingerprint", t->fingerprint, sizeof(t->fingerprint));
	json_take_text(v, "state", t->state, sizeof(t->state));
	json_take_number(v, "generation", &t->generation);
	json_take_number(v, "expires_in", &t->expires_in);
}

bool token_json_read(const char *json, size_t length, struct token_parts *ret)
{
	*ret = (struct token_parts){.token = ""};
	return json_read(json, length, see_value, ret) && *ret->token;
}

int token_environment_set(const struct token_parts *t)
{
	if (setenv("GENESYSCLOUD_ACCESS_TOKEN", t->token, 1))
		return -1;
	return *t->region ? setenv("GENESYSCLOUD_REGION", t->region, 1)
			  : unsetenv("GENESYSCLOUD_REGION");
}
