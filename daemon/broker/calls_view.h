/* Requests that look at clock, status, history, metrics and health. */
#ifndef GCTOKEND_BROKER_CALLS_VIEW_H
#define GCTOKEND_BROKER_CALLS_VIEW_H

#include "call.h"

#define VIEW_ROUTES(ROUTE) \
	ROUTE("/v1/skew", HTTP_GET, API_PROFILE, RIGHT_SEE, call_skew) \
	ROUTE("/v1/skew/probe", HTTP_POST, API_PROFILE, RIGHT_TOKEN, call_probe) \
	ROUTE("/v1/status", HTTP_GET, 0, RIGHT_NONE, call_status) \
	ROUTE("/v1/history", HTTP_GET, API_PROFILE, RIGHT_ADMIN, call_history) \
	ROUTE("/metrics", HTTP_GET, 0, RIGHT_NONE, call_metrics) \
	ROUTE("/healthz", HTTP_GET, 0, RIGHT_NONE, call_healthz) \
	ROUTE("/readyz", HTTP_GET, API_MIN_TTL, RIGHT_NONE, call_readyz)

VIEW_ROUTES(ROUTE_FUNCTION)

#endif
