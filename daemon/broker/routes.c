#include "routes.h"

#include "broker.h"
#include "call.h"

#include "core/reply.h"
#include "host/clock.h"

#define ROUTE_ROW(...) {__VA_ARGS__},
static const struct api_route routes[] = {ROUTES(ROUTE_ROW){0}};

/* What is asked for is known: may the caller ask for it? */
static int handle(struct call *c)
{
	int status;

	clock_read_recent(&c->broker->recent, &c->now);
	status = call_admit(c, c->api->route->right);
	return status ? status : c->api->route->handle(c);
}

/* Apart, so that whoever asks for the same again does not pay for the room this needs. */
static __attribute__((noinline)) int read_and_handle(struct broker *broker,
	struct connection *connection, const struct http_request *http, struct reply *reply)
{
	struct api_call api;
	struct call c = {.broker = broker, .connection = connection, .reply = reply, .api = &api};

	switch (api_parse_noting(routes, http, &api)) {
	case 0:
		return handle(&c);
	case 204:
		return reply_options(reply, api.allowed);
	case 404:
		return call_refuse(&c, 404, "not_found", "no such route");
	case 405:
		return reply_wrong_method(reply, api.allowed);
	default:
		return call_refuse(&c, 400, "invalid_request", api.problem);
	}
}

int routes_request(void *broker, struct connection *connection, const struct http_request *http,
	struct reply *reply)
{
	struct call c = {
		.broker = broker, .connection = connection, .reply = reply, .api = api_noted(http)};

	return c.api ? handle(&c) : read_and_handle(broker, connection, http, reply);
}
