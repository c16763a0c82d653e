/* A list of waiters, for those whom they wait for. */
#ifndef GCTOKEND_BROKER_WAITER_LIST_H
#define GCTOKEND_BROKER_WAITER_LIST_H

#include <sys/queue.h>

struct waiter;

TAILQ_HEAD(waiter_list, waiter);

#endif
