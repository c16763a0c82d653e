/* Who waits for a login. */
#ifndef GCTOKEND_BROKER_LOGIN_WAITERS_H
#define GCTOKEND_BROKER_LOGIN_WAITERS_H

#include "waiter.h"

#include "core/token_response.h"

#include <stdbool.h>
#include <stdint.h>

struct login;

/* How a code fared. */
struct login_result {
	bool ended;
	bool stopped; /* it came, but an admin revoked or a person logged out meanwhile */
	enum response_class class;
	int64_t expires_in_s;
	bool refreshes;
	char words[320];
};

/* Who brought a code. */
struct login_finisher {
	struct waiter waiter;
	struct login *login;
	struct login_result result;
};

/* Who logged out: waits for the login's file to be removed. */
struct login_eraser {
	struct waiter waiter;
	bool erasing;       /* it still has to go */
	int error;          /* negative errno of that */
	uint64_t erased_by; /* the write of the login that removes it */
};

#endif
