/* Every route: a new one is a row here and its function. */
#ifndef GCTOKEND_BROKER_ROUTES_H
#define GCTOKEND_BROKER_ROUTES_H

#include "core/api.h"

struct connection;
struct http_request;
struct reply;

/* Path, method, parameters, right, function. What the two documents of the HTTP API say of these is
 * compared with them by tests/unit/test_routes.c. */
#define ROUTES(ROUTE) \
	ROUTE("/v1/token", HTTP_GET, API_PROFILE | API_MIN_TTL | API_WAIT | API_AFTER, \
		RIGHT_TOKEN, call_token) \
	ROUTE("/v1/token/reject", HTTP_POST, \
		API_PROFILE | API_GENERATION | API_FINGERPRINT | API_WAIT, RIGHT_TOKEN, \
		call_reject) \
	ROUTE("/v1/skew", HTTP_GET, API_PROFILE, RIGHT_SEE, call_skew) \
	ROUTE("/v1/skew/probe", HTTP_POST, API_PROFILE, RIGHT_TOKEN, call_probe) \
	ROUTE("/v1/status", HTTP_GET, 0, RIGHT_NONE, call_status) \
	ROUTE("/v1/history", HTTP_GET, API_PROFILE, RIGHT_ADMIN, call_history) \
	ROUTE("/v1/refresh", HTTP_POST, API_PROFILE, RIGHT_ADMIN, call_refresh) \
	ROUTE("/v1/revoke", HTTP_POST, API_PROFILE, RIGHT_ADMIN, call_revoke) \
	ROUTE("/v1/login", HTTP_POST, API_PROFILE, RIGHT_LOGIN, call_login) \
	ROUTE("/v1/login/finish", HTTP_POST, API_PROFILE | API_LOGIN, RIGHT_LOGIN, \
		call_login_finish) \
	ROUTE("/v1/logout", HTTP_POST, API_PROFILE, RIGHT_LOGIN, call_logout) \
	ROUTE("/metrics", HTTP_GET, 0, RIGHT_NONE, call_metrics) \
	ROUTE("/healthz", HTTP_GET, 0, RIGHT_NONE, call_healthz) \
	ROUTE("/readyz", HTTP_GET, API_MIN_TTL, RIGHT_NONE, call_readyz)

/* The functions: each writes its reply and returns the HTTP status, or holds the connection and
 * returns FRONT_HELD. Whoever has called has the right, and the parameters are good. */
#define ROUTE_FUNCTION(path, method, parameters, right, handle) int handle(struct call *c);
ROUTES(ROUTE_FUNCTION)
#undef ROUTE_FUNCTION

/* For the front's handler: see there. */
int routes_request(void *broker, struct connection *connection, const struct http_request *http,
	struct reply *reply);

#endif
