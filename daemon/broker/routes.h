/* All routes. Their rows are in the headers of the files of calls, next to their functions. */
#ifndef GCTOKEND_BROKER_ROUTES_H
#define GCTOKEND_BROKER_ROUTES_H

#include "calls_login.h"
#include "calls_token.h"
#include "calls_view.h"

struct connection;
struct http_request;
struct reply;

/* What the two documents of the HTTP API say is compared with these by tests/unit/test_routes.c. */
#define ROUTES(ROUTE) TOKEN_ROUTES(ROUTE) LOGIN_ROUTES(ROUTE) VIEW_ROUTES(ROUTE)

/* As front_handler.request. */
int routes_request(void *broker, struct connection *connection, const struct http_request *http,
	struct reply *reply);

#endif
