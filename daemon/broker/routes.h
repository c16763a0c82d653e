/* Which function a request goes to. */
#ifndef GCTOKEND_BROKER_ROUTES_H
#define GCTOKEND_BROKER_ROUTES_H

struct connection;
struct http_request;
struct reply;

/* For the front's handler: see there. */
int routes_request(void *broker, struct connection *connection, const struct http_request *http,
	struct reply *reply);

#endif
