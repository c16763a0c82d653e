/* The real broker with its real front, on an event loop that the test turns: configuration, state
 * files and socket are in a temporary directory. Replaced at link time are
 *
 *   the login server  fetch_start and the like: a request is there for the test to look at, and
 *                     ends when the test answers it
 *   the disk          state_write and the like: done when the loop is turned, or, while the disk
 *                     hangs, one by one as the test says
 *   the clocks        they stand still but for rig_pass
 *   the log           kept for the test to search
 *
 * so that what happens between two calls of the fixture is exactly known. */
#ifndef GCTOKEND_TESTS_BROKER_BROKER_FIXTURE_H
#define GCTOKEND_TESTS_BROKER_BROKER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/broker.h"
#include "upstream/fetch.h"
#include <stdbool.h>
#include <sys/queue.h>

struct fetch {
	TAILQ_ENTRY(fetch) link;
	enum fetch_method method;
	bool fresh;
	struct duration timeout;
	char *url, *authorization, *body;
	char *ca_file;
	fetch_done *done;
	void *context;
	struct clock_reading sent;
};

struct disk_job;
struct profile;

struct rig {
	struct event_base *base;
	struct broker *broker;
	char directory[48];
	char config[80], socket[80], state[80];
	struct clock_reading now;
	TAILQ_HEAD(, fetch) fetches;
	unsigned fetches_begun;
	int fetch_error; /* while not 0, what fetch_start says */
	unsigned ca_forgotten;
	int64_t server_ahead_s;  /* the login servers' clocks, of our wall clock */
	const char *retry_after; /* their Retry-After; NULL: there is none */
	TAILQ_HEAD(, disk_job) disk;
	bool disk_hangs;
	int disk_refuses; /* while not 0, what begins to be written is refused with it */
	int no_room;      /* while not 0, what setting room aside on it ends with */
	char *log;
	size_t log_length;
	const char *awaited; /* in the log; NULL: nothing is */
	void (*then)(struct rig *r);
	bool inside; /* of a loop that is turned by the broker */
};

/* One broker at a time. `sections`: keys of [broker], then the profiles. Where they do not say
 * otherwise, the files are in the rig's directory, and a profile is of the client "client" with the
 * secret "secret", asks https://login.test/oauth/token, and sends no HEADs. */
struct rig *rig_new(const char *sections);
void rig_free(struct rig *r);
/* The broker alone ends, as at a stop, and another starts with the same files. */
void rig_stop(struct rig *r);
void rig_start(struct rig *r);
/* Another configuration; rig_reload takes it over. */
void rig_configure(struct rig *r, const char *sections);
void rig_secret(struct rig *r, const char *profile, const char *secret);
void rig_reload(struct rig *r);

/* Turns the loop until there is nothing left to do. */
void rig_run(struct rig *r);
/* Time passes, and what is due by then happens. */
void rig_pass(struct rig *r, int64_t seconds);
void rig_pass_ms(struct rig *r, int64_t ms);

/* The profile; NULL: there is none of that name. */
struct profile *rig_profile(struct rig *r, const char *name);
/* Its token as a caller gets it now, its fingerprint's stand-in; "": none. */
const char *rig_token(struct rig *r, const char *name);

/* ---- the login server ---- */

/* The only token request under way; NULL: none. More than one is an error of the test. */
struct fetch *rig_post(struct rig *r);
unsigned rig_posts(struct rig *r);
unsigned rig_heads(struct rig *r);
/* The request under way with that in its body. */
struct fetch *rig_post_with(struct rig *r, const char *in_body);
struct fetch *rig_delete(struct rig *r);
/* Ends it, and turns the loop. */
void rig_answer(struct rig *r, struct fetch *f, long status, const char *body);
/* As an access token for an hour; `refresh_token` may be NULL. */
void rig_answer_token(struct rig *r, struct fetch *f, const char *token, const char *refresh_token);
/* No answer at all. */
void rig_answer_failure(struct rig *r, struct fetch *f, const char *failure);
/* The same before anything of it had left. */
void rig_answer_unsent(struct rig *r, struct fetch *f, const char *failure);

/* ---- the disk ---- */

/* How much it has to do. */
unsigned rig_disk_jobs(struct rig *r);
/* The oldest job ends: 0, and it is done; or with this error, and it is not. */
void rig_disk_end(struct rig *r, int error);
/* From here on the disk is well again; does all there is to do. */
void rig_disk_heal(struct rig *r);
/* All files are gone, and the writer finds another directory where they were. */
void rig_state_replaced(struct rig *r);
/* Is there a file whose name ends so? */
bool rig_file_exists(struct rig *r, const char *suffix);
/* Its bytes, to be freed; and others in their place. */
char *rig_file_read(struct rig *r, const char *suffix, size_t *ret_length);
void rig_file_write(struct rig *r, const char *suffix, const char *bytes, size_t length);
void rig_file_remove(struct rig *r, const char *suffix);

/* ---- callers ---- */

struct caller {
	int fd;
	bool closed;
	size_t length;
	char bytes[16384];
};

/* Sends a request on a connection of its own, and turns the loop. */
struct caller *caller_ask(struct rig *r, const char *method, const char *path);
/* Turns the loop. The status of the reply; 0: none yet. */
int caller_status(struct rig *r, struct caller *c);
/* The reply's body. */
const char *caller_body(const struct caller *c);
/* The text of a member of it, good until the next call. */
const char *caller_member(const struct caller *c, const char *name);
/* Closes the connection. */
void caller_gone(struct rig *r, struct caller *c);

/* ---- people ---- */

/* Somebody begins a login, the browser brings `code` back, and this is who waits for the end. */
struct caller *rig_log_in(struct rig *r, const char *profile, const char *code);

/* ---- the log ---- */

bool rig_logged(const struct rig *r, const char *text);
/* What was logged so far is not found any more. */
void rig_forget_log(struct rig *r);
/* Calls `then` from the loop, once, after a line that has this text: for what happens while the
 * broker itself turns the loop. */
void rig_when_logged(struct rig *r, const char *text, void (*then)(struct rig *r));

#endif
