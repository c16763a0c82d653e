/* What was asked on the connection for commands and is not answered yet: in the order in which it
 * was asked, each with a deadline. */
#ifndef GCTOKEND_STORE_REDIS_REQUESTS_H
#define GCTOKEND_STORE_REDIS_REQUESTS_H

#include "core/buffer.h"
#include "redis_scripts.h"
#include "store.h"

struct redis_link;
struct redis_request;

struct redis_requests_hooks {
	/* `who` as redis_requests_start was given it; not of one that was disowned. */
	void (*ended)(void *who, const struct store_result *result);
	/* Of a permit; `problem` NULL: there is an answer. */
	void (*permitted)(void *who, const char *problem, bool granted, uint32_t rank);
	/* So many hosts hear of a token. */
	void (*counted)(void *context, int64_t hosts);
};

/* Embedded by its owner; zeroed but for the first four before redis_requests_init. */
struct redis_requests {
	void (*clock_read)(struct clock_reading *ret);
	struct duration timeout;
	struct redis_requests_hooks hooks;
	void *context;
	struct redis_request *first, **end;
};

void redis_requests_init(struct redis_requests *q);
/* Forgets all, without a word. */
void redis_requests_fini(struct redis_requests *q);
/* Sends the command, which is taken over in any case. `script`: by which it is answered; NULL: it
 * is a READ. `permit`: in place of an operation. 0 or -ENOMEM. */
int redis_requests_start(struct redis_requests *q, struct redis_link *link, void *who, bool permit,
	enum fleet_operation operation, const struct redis_script *script, struct buffer *command);
/* The hooks are not called about it any more; its answers are still due. */
void redis_requests_disown(struct redis_requests *q, const void *who);
/* An answer came. False: it cannot be one, or means that the connection is of no more use, and
 * ret_why says why. */
bool redis_requests_answered(struct redis_requests *q, struct redis_link *link,
	const struct fleet_element *e, char ret_why[256]);

#endif
