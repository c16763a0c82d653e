/* The daemon's reply with a token as JSON, taken apart for those who hand the token on. */
#ifndef GCTOKEN_CLI_TOKEN_JSON_H
#define GCTOKEN_CLI_TOKEN_JSON_H

#include "../gctoken.h"
#include <stdbool.h>
#include <stddef.h>

struct token_parts {
	char token[GCTOKEN_TOKEN_MAX + 1];
	char region[256];  /* "" where the profile has none */
	char api_url[512]; /* likewise */
	char fingerprint[24];
	char state[16];
	double generation, expires_in;
};

/* What goes into a header line or an environment must be a token and nothing else. */
bool is_token(const char *text, size_t length);

/* False if there is no token in it. The caller wipes *ret. */
bool token_json_read(const char *json, size_t length, struct token_parts *ret);

/* Sets GENESYSCLOUD_ACCESS_TOKEN and _REGION in this process's environment; -1: no memory. Another
 * environment's region would send this token to another environment's host: where the profile has
 * none, the variable is unset. */
int token_environment_set(const struct token_parts *t);

#endif
