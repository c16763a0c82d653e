/* Requests of people who log a profile in or out. */
#ifndef GCTOKEND_BROKER_CALLS_LOGIN_H
#define GCTOKEND_BROKER_CALLS_LOGIN_H

#include "call.h"

#define LOGIN_ROUTES(ROUTE) \
	ROUTE("/v1/login", HTTP_POST, API_PROFILE, RIGHT_LOGIN, call_login) \
	ROUTE("/v1/login/finish", HTTP_POST, API_PROFILE | API_LOGIN, RIGHT_LOGIN, \
		call_login_finish) \
	ROUTE("/v1/logout", HTTP_POST, API_PROFILE, RIGHT_LOGIN, call_logout)

LOGIN_ROUTES(ROUTE_FUNCTION)

#endif
