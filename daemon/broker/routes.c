#include "routes.h"

#include "broker.h"
#include "call.h"
#include "calls_login.h"
#include "calls_token.h"
#include "calls_view.h"

#include "core/reply.h"
#include "host/clock.h"

/* Which right each route needs, and what it does then. */
static const struct {
	enum right right;
	int (*handle)(struct call *c);
} routes[] = {
	[API_TOKEN] = {RIGHT_TOKEN, call_token},
	[API_REJECT] = {RIGHT_TOKEN, call_reject},
	[API_SKEW] = {RIGHT_SEE, call_skew},
	[API_PROBE] = {RIGHT_TOKEN, call_probe},
	[API_STATUS] = {RIGHT_NONE, call_status},
	[API_HISTORY] = {RIGHT_ADMIN, call_history},
	[API_REFRESH] = {RIGHT_ADMIN, call_refresh},
	[API_REVOKE] = {RIGHT_ADMIN, call_revoke},
	[API_LOGIN] = {RIGHT_LOGIN, call_login},
	[API_LOGIN_FINISH] = {RIGHT_LOGIN, call_login_finish},
	[API_LOGOUT] = {RIGHT_LOGIN, call_logout},
	[API_METRICS] = {RIGHT_NONE, call_metrics},
	[API_HEALTHZ] = {RIGHT_NONE, call_healthz},
	[API_READYZ] = {RIGHT_NONE, call_readyz},
};

int routes_request(void *broker, struct connection *connection, const struct http_request *http,
	struct reply *reply)
{
	struct call c = {
		.broker = broker,
		.connection = connection,
		.reply = reply,
	};
	int status;

	switch (api_parse(http, &c.api)) {
	case 0:
		break;
	case 404:
		return call_refuse(&c, 404, "not_found", "no such route");
	case 405:
		return reply_wrong_method(reply, c.api.allowed);
	default:
		return call_refuse(&c, 400, "invalid_request", c.api.problem);
	}
	clock_read_recent(&c.broker->recent, &c.now);
	status = call_admit(&c, routes[c.api.route].right);
	return status ? status : routes[c.api.route].handle(&c);
}
