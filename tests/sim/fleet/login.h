/* The login server, as hosts of a fleet find it: it issues tokens, ends the oldest past a cap, and
 * knows the truth about each. */
#ifndef TESTS_SIM_FLEET_LOGIN_H
#define TESTS_SIM_FLEET_LOGIN_H

#include "sim/sim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGIN_LIVE_MAX 10

struct login_token {
	struct true_time issued_at;
	bool revoked;
};

struct login {
	const struct sim *sim;
	struct duration life; /* of its tokens, by its clock, which is true time */
	bool down;
	struct login_token *tokens;
	size_t count, room;
	size_t live_most;
};

void login_init(struct login *l, const struct sim *sim, struct duration life);
void login_fini(struct login *l);
/* Issues one now; its number. */
size_t login_issue(struct login *l);
bool login_over(const struct login *l, size_t token);
/* Its clock, since 1970. */
int64_t login_clock_ns(const struct login *l);

#endif
