#include "routes.h"

#include "broker.h"
#include "call.h"
#include "calls_login.h"
#include "calls_token.h"
#include "calls_view.h"

#include "core/reply.h"
#include "host/clock.h"

static int answer_request(struct call *c)
{
	switch (c->api.route) {
	case API_TOKEN:
		return call_token(c);
	case API_REJECT:
		return call_reject(c);
	case API_SKEW:
		return call_skew(c);
	case API_PROBE:
		return call_probe(c);
	case API_STATUS:
	case API_METRICS:
		return call_status_or_metrics(c);
	case API_HISTORY:
		return call_history(c);
	case API_REFRESH:
		return call_refresh(c);
	case API_REVOKE:
		return call_revoke(c);
	case API_LOGIN:
		return call_login(c);
	case API_LOGIN_FINISH:
		return call_login_finish(c);
	case API_LOGOUT:
		return call_logout(c);
	case API_HEALTHZ:
		return c->api.problem[0] ? call_refuse(c, 400, "invalid_request", c->api.problem)
					 : call_healthz(c);
	case API_READYZ:
		return call_readyz(c);
	}
	return call_refuse(c, 404, "not_found", "no such route");
}

int routes_request(void *broker, struct connection *connection, const struct http_request *http,
	struct buffer *out)
{
	struct call c = {
		.broker = broker,
		.connection = connection,
		.out = out,
		.keep_alive = http->keep_alive,
		.text = http->wants_text,
	};

	switch (api_parse(http, &c.api)) {
	case 0:
		break;
	case 404:
		return call_refuse(&c, 404, "not_found", "no such route");
	case 405:
		return reply_wrong_method(out, c.keep_alive, c.api.allowed);
	default:
		return call_refuse(&c, 400, "invalid_request", c.api.problem);
	}
	clock_read_recent(&c.broker->recent, &c.now);
	return answer_request(&c);
}
