/* One request being answered: what the files of calls share. */
#ifndef GCTOKEND_BROKER_CALL_H
#define GCTOKEND_BROKER_CALL_H

#include "core/api.h"
#include "core/times.h"

struct broker;
struct connection;
struct profile;
struct reply;

struct call {
	struct broker *broker;
	struct connection *connection;
	struct reply *reply;
	struct api_call api;
	struct clock_reading now;
	struct profile *profile; /* set where the route is about one */
};

/* A route is a row of path, method, parameters, right and function, in the header of the file that
 * has the function. That writes its reply and returns the HTTP status, or holds the connection and
 * returns FRONT_HELD. Whoever has called has the right, and the parameters are good. */
#define ROUTE_FUNCTION(path, method, parameters, right, handle) int handle(struct call *c);

/* Sets the profile named, if the caller has the right to it; then the parameters are judged too.
 * RIGHT_NONE: those alone. 0, or the status already answered. */
int call_admit(struct call *c, enum right right);
/* Answers an error and returns its status. */
int call_refuse(const struct call *c, int status, const char *code, const char *words);

#endif
