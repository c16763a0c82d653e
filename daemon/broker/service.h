/* What the service manager is told. */
#ifndef GCTOKEND_BROKER_SERVICE_H
#define GCTOKEND_BROKER_SERVICE_H

#include <event2/event_struct.h>
#include <stdbool.h>

struct broker;
struct clock_reading;

struct service {
	bool running; /* there is a service manager, and we serve */
	bool ready;
	char status[512];
	struct event tick;
};

void service_init(struct broker *b);
/* The sockets are open. */
void service_started(struct broker *b);
/* After a turn. */
void service_turn(struct broker *b, const struct clock_reading *now);
/* A reload begins; service_turn tells that it has ended. */
void service_reloading(struct broker *b);
void service_stopping(struct broker *b);

#endif
