/* Requests for tokens, and about them. */
#ifndef GCTOKEND_BROKER_CALLS_TOKEN_H
#define GCTOKEND_BROKER_CALLS_TOKEN_H

#include "call.h"

#define TOKEN_ROUTES(ROUTE) \
	ROUTE("/v1/token", HTTP_GET, API_PROFILE | API_MIN_TTL | API_WAIT | API_AFTER, \
		RIGHT_TOKEN, call_token) \
	ROUTE("/v1/token/reject", HTTP_POST, \
		API_PROFILE | API_GENERATION | API_FINGERPRINT | API_WAIT, RIGHT_TOKEN, \
		call_reject) \
	ROUTE("/v1/authorization", HTTP_ANY, API_IN_PATH | API_MIN_TTL | API_WAIT, RIGHT_TOKEN, \
		call_authorization) \
	ROUTE("/v1/refresh", HTTP_POST, API_PROFILE, RIGHT_ADMIN, call_refresh) \
	ROUTE("/v1/revoke", HTTP_POST, API_PROFILE, RIGHT_ADMIN, call_revoke)

TOKEN_ROUTES(ROUTE_FUNCTION)

#endif
