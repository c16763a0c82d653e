#include "routes.h"

#include "broker.h"
#include "call.h"

#include "core/reply.h"
#include "host/clock.h"

#define ROUTE_ROW(...) {__VA_ARGS__},
static const struct api_route routes[] = {ROUTES(ROUTE_ROW){0}};

int routes_request(void *broker, struct connection *connection, const struct http_request *http,
	struct reply *reply)
{
	struct call c = {.broker = broker, .connection = connection, .reply = reply};
	struct api_call room;
	int status;

	switch (api_recall(routes, http, &room, &c.api)) {
	case 0:
		break;
	case 204:
		return reply_options(reply, c.api->allowed);
	case 404:
		return call_refuse(&c, 404, "not_found", "no such route");
	case 405:
		return reply_wrong_method(reply, c.api->allowed);
	default:
		return call_refuse(&c, 400, "invalid_request", c.api->problem);
	}
	clock_read_recent(&c.broker->recent, &c.now);
	status = call_admit(&c, c.api->route->right);
	return status ? status : c.api->route->handle(&c);
}
