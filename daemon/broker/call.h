/* A request being answered: what the files of calls share. */
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
	const struct api_call *api; /* lives as long as the request */
	struct clock_reading now;
	struct profile *profile; /* set where the route is about one */
};

/* A route is a row of path, method, parameters, right and function, in the header of the file that
 * has the function. The function writes its reply and returns the HTTP status, or holds the
 * connection and returns FRONT_HELD. It is called only if the caller has the right and the
 * parameters are good. */
#define ROUTE_FUNCTION(path, method, parameters, right, handle) int handle(struct call *c);

/* Finds the profile that is named, if the caller has the right to it, and then checks the
 * parameters. RIGHT_NONE: only checks the parameters. 0, or the status of the refusal it has
 * written. */
int call_admit(struct call *c, enum right right);
/* Writes an error as the reply and returns its status. */
int call_refuse(const struct call *c, int status, const char *code, const char *words);
/* 503, to be tried again soon. */
int call_out_of_memory(const struct call *c);

#endif
