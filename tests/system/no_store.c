/* Preloaded into a daemon, which ends at the first thing that it does to reach a fleet's store. */
#include <stdio.h>
#include <stdlib.h>

#define NEVER(name) \
	void *name(void); \
	void *name(void) \
	{ \
		fputs(#name " was called\n", stderr); \
		abort(); \
	}

NEVER(redisReaderCreateWithFunctions)
NEVER(bufferevent_openssl_socket_new)
NEVER(bufferevent_socket_new)
