/* The one owner of everything. Events come in from the edges, the core decides, and the files of
 * this folder carry the decisions out:
 *
 *   broker.c    start, the turn after each event, stop
 *   reload.c    a new configuration, whole or not at all
 *   profile.c   one profile: its token requests
 *   names.c     which profile a request is about
 *   endpoint.c  one login server: its clock, its HEADs
 *   oauth_client.c  one OAuth client: what has to outlive the process
 *   calls*.c    requests of clients, answered or held
 *   waiter.c    held requests
 *   pages.c     what clients read without asking
 *   revoke.c    telling Genesys that a token is not wanted any more
 *   login.c     logins of people: codes and refresh tokens exchanged (login.h)
 *   handover.c  what the next run is to know
 *   sockets.c   where clients come in, and how many
 *   service.c   what the service manager is told */
#ifndef GCTOKEND_BROKER_BROKER_H
#define GCTOKEND_BROKER_BROKER_H

#include "handover.h"

#include "core/client_state.h"
#include "core/config.h"
#include "core/history.h"
#include "core/login_attempt.h"
#include "core/probe.h"
#include "core/random.h"
#include "core/reply_token.h"
#include "core/sealed_state.h"
#include "core/skew.h"
#include "core/token_request.h"
#include "core/token_source.h"
#include "front/page.h"
#include "upstream/credential.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/types.h>

struct boot_timer;
struct broker;
struct buffer;
struct connection;
struct fetch;
struct fetcher;
struct front;
struct front_handler;
struct http_request;
struct login;
struct profile;
struct state_writer;
struct wall_watch;

/* ---- one OAuth client: token URL + client id + grant. Lives as long as the daemon, so that
 * neither a reload nor a renamed profile forgets its mint window or repeats a generation. ---- */
struct oauth_client {
	TAILQ_ENTRY(oauth_client) link;
	struct broker *broker;
	char *token_url;
	char *client_id;
	enum grant grant;
	char file[40];
	struct client_state state;
	uint64_t writes_begun, writes_ended; /* of the state file; they end in order */
	bool write_failing;
	struct login *login; /* NULL unless it is people who log in */
};

/* ---- one login server, as seen through one set of connection settings. Lives as long as the
 * daemon; asked for its clock only while a profile uses it. ---- */
struct endpoint {
	TAILQ_ENTRY(endpoint) link;
	struct broker *broker;
	char *token_url;
	char *probe_url;
	char *ca_file;
	char *proxy;
	unsigned profiles; /* that use it now */
	struct skew skew;
	struct probe_plan plan;
	struct fetch *head;
	bool series_begun;         /* the HEADs after the first POST */
	struct boot_time asked_at; /* latest HEAD that a client asked for */
	bool was_asked;
	TAILQ_HEAD(, waiter) measuring; /* clients who wait for the HEAD under way */
};

/* ---- one profile ---- */
struct profile {
	struct broker *broker;
	const struct profile_settings *settings; /* in broker->config */
	struct credential credential;
	struct oauth_client *client;
	struct endpoint *endpoint;
	struct token_source source;
	struct history history;
	const void *resumed_from; /* while restoring: the record that is its */
	uint64_t logged;          /* number of the latest event that went to the log */
	uint64_t denied;
	struct token_reply_cache reply_cache;
	struct boot_time wake_at;
	/* the page that clients read; NULL: nobody has asked for one */
	struct page *page;
	uint64_t page_rules[PAGE_RULES_WORDS]; /* digest of the rules it was made under */
	bool page_is_current;                  /* it says the following */
	uint64_t page_generation;
	struct source_page page_content;
	bool page_failing;
	uint64_t pages_given, pages_retired;
	/* the token request under way */
	bool fetching;
	uint64_t after_write; /* it waits for this write of the client's state */
	struct event write_deadline;
	bool waits_for_room; /* too many exchanges are under way */
	struct fetch *fetch;
	struct token_request sent;
	/* of people, where they log in */
	struct login_attempts attempts;
	bool with_code; /* the token request under way exchanges a code */
	TAILQ_HEAD(, waiter) waiting;
	uint32_t waiting_count;
};

/* ---- one held request ---- */
enum waiter_kind {
	WAITER_TOKEN,
	WAITER_MEASURE, /* for a HEAD of the endpoint */
	WAITER_REVOKE,
	WAITER_LOGIN,  /* for the end of a login */
	WAITER_LOGOUT, /* as WAITER_REVOKE, and for the login to be erased */
};

struct waiter {
	TAILQ_ENTRY(waiter) link; /* profile->waiting, endpoint->measuring, or broker->ready */
	struct broker *broker;
	struct profile *profile; /* NULL: a reload took it away */
	struct endpoint *endpoint;
	struct connection *connection;
	enum waiter_kind kind;
	bool ready;
	bool text;
	/* WAITER_LOGOUT */
	bool erasing;        /* the login's file still has to go */
	int erase_error;     /* negative errno of that */
	uint64_t erased_by;  /* the write of the login that removes it */
	bool untold;         /* a revocation could not even begin */
	struct login *login; /* WAITER_LOGIN, WAITER_LOGOUT */
	struct token_ask ask;
	struct event deadline;
};

/* ---- the profiles by name ---- */
struct profile_names {
	struct profile **slots; /* lent; NULL: none yet */
	size_t mask;
};

/* ---- what the service manager was told ---- */
struct service {
	bool running; /* there is one, and we serve */
	bool ready;
	char status[512];
	struct event tick;
};

struct broker {
	struct event_base *base;
	char *config_path;
	struct config *config;
	struct clock_reading recent; /* of the latest request */
	const char *version;
	uid_t uid;
	char *state_dir;           /* where the files are, whatever a reload says later */
	uint64_t generation_floor; /* as high as any that earlier runs can have used */
	char boot_id[40];
	struct random random; /* seeds of the profiles' jitter */
	struct clock_reading started;
	struct duration wall_offset; /* at the latest look, to tell a step */
	uint64_t wall_steps;

	struct fetcher *fetcher;
	struct front *front;
	char *socket;      /* where it listens, whatever a reload says later */
	struct stat bound; /* the socket as it was made; st_ino 0: none of ours */
	char *page_socket; /* the same for pages; NULL: none */
	struct stat page_bound;
	struct service service;
	struct handover handover;
	struct state_writer *writer;
	unsigned char *state_key; /* of SEALED_KEY_LENGTH; NULL: none (yet) */
	struct boot_timer *timer;
	struct wall_watch *wall_watch;
	struct event signals[3];
	struct event pump;          /* answers of those who are ready, in chunks */
	struct event after_request; /* a turn, once the request that needs it is done with */

	struct profile **profiles; /* in the order of their names */
	size_t profile_count;
	struct profile_names names;
	TAILQ_HEAD(, oauth_client) oauth_clients;
	TAILQ_HEAD(, endpoint) endpoints;
	TAILQ_HEAD(, waiter) ready;
	TAILQ_HEAD(, revocation) revocations;
	uint32_t waiting_count;

	bool reload_failed;
	char reload_problem[512];
	bool stopping;
	struct boot_time accept_failure_told; /* when it was logged; 0: never */
};

/* ---- broker.c ---- */

/* Consumes `config` (already validated), whatever comes of it. 0 or negative errno; what was wrong
 * is in the log. */
int broker_new(struct broker **ret, struct event_base *base, const char *config_path,
	struct config *config, const char *version);
void broker_free(struct broker *b);
/* Serves until SIGTERM or SIGINT. */
void broker_run(struct broker *b);
/* After an event: takes everybody's decisions, carries them out, arms the timer. */
void broker_turn(struct broker *b);
/* The same, a moment later: for when the caller still holds pointers into what a turn may change.
 */
void broker_turn_soon(struct broker *b);
/* Sees to it that what is under way at login servers and would be lost with the process comes to
 * its end. */
void broker_finish_logins(struct broker *b);
/* Of the front's handler: logs that clients were kept waiting, once in a while. */
void broker_accept_failed(void *broker);

/* ---- names.c ---- */

/* Room for so many; 0 or -ENOMEM. Adding to it cannot fail. */
int profile_names_init(struct profile_names *ret, size_t count);
void profile_names_fini(struct profile_names *n);
void profile_names_add(struct profile_names *n, struct profile *p);
/* NULL: there is none of that name. */
struct profile *broker_find_profile(const struct broker *b, const char *name);

/* ---- sockets.c ---- */

/* The front, and a socket for it to listen at. 0 or negative errno; what was wrong is in the log.
 */
int sockets_open(struct broker *b);
/* Limits and log level of b->config. */
void broker_apply_settings(struct broker *b);

/* ---- reload.c ---- */

/* Reads the configuration anew; on any problem everything stays as it was. */
void broker_reload(struct broker *b);
/* The profiles of `config` out of those there are and new ones; takes over on success only. */
int broker_adopt(struct broker *b, struct config *config, char *problem, size_t problem_size);

/* ---- profile.c ---- */

/* `credential` is taken over on success. */
int profile_new(struct profile **ret, struct broker *b, const struct profile_settings *settings,
	struct credential *credential);
void profile_free(struct profile *p);
/* Another configuration for the same client. */
void profile_configure(struct profile *p, const struct profile_settings *settings,
	struct credential *credential, struct endpoint *endpoint);
struct token_source_settings profile_source_settings(const struct profile_settings *settings);
/* Decides and carries out. */
void profile_turn(struct profile *p, const struct clock_reading *now);
/* Sends the token request that had to wait for room, if there is one. False: there still is none.
 */
bool profile_send_waiting(struct profile *p);
/* The write that the token request waited for has ended. */
void profile_state_written(struct profile *p);
void profile_log(struct profile *p);
/* A token request ended: `x` with what was read of it as `answer`, whose token is taken. `sample`
 * as endpoint_learn gave it, NULL if it gave none. */
void profile_fetched(struct profile *p, const struct exchange *x, struct token_response *answer,
	const struct skew_sample *sample);
/* Sends it to the profile's token endpoint; as fetch_start. */
int profile_post(struct profile *p, const struct token_request *sent,
	void (*done)(void *context, const struct exchange *x), void *context, struct fetch **ret);
/* A token request that could not even begin ends like one that got no answer. */
struct exchange profile_no_exchange(const char *why);

/* ---- endpoint.c ---- */

int endpoint_get(struct endpoint **ret, struct broker *b, const struct profile_settings *settings);
void endpoint_free(struct endpoint *e);
/* An exchange ended: its sample goes to the estimator and to every profile of the endpoint. False:
 * its Date proves nothing (or is another clock's). *ret_sample is set where true. */
bool endpoint_learn(struct endpoint *e, const struct clock_reading *now, const struct exchange *x,
	bool is_post, struct skew_sample *ret_sample);
/* Sends the HEAD that is due; returns when the next one is. */
struct boot_time endpoint_turn(struct endpoint *e, const struct clock_reading *now);
struct duration endpoint_spread(const struct endpoint *e, const struct clock_reading *now);

/* ---- client.c ---- */

int oauth_client_get(struct oauth_client **ret, struct broker *b, const char *token_url,
	const char *client_id, enum grant grant);
void oauth_client_free(struct oauth_client *c);
/* At the start: which generations the state files have used, also those of clients that are not
 * configured now. */
void oauth_clients_read_generations(struct broker *b);
/* The number for a token that may come; kept once it was used. */
uint64_t oauth_client_next_generation(const struct oauth_client *c);
void oauth_client_use_generation(struct oauth_client *c, uint64_t generation);
/* A token of an earlier run has it: nothing up to it may be given again. */
void oauth_client_have_generation(struct oauth_client *c, uint64_t generation);
/* Remembers what the source must not forget and writes it. Returns the number of the write, 0 if
 * none could be started. */
uint64_t oauth_client_save(struct oauth_client *c, const struct profile *p);

/* ---- calls.c, calls_token.c, calls_view.c ---- */

extern const struct front_handler broker_front_handler;
/* Appends the answer to an ask that is not to be held; returns the HTTP status. */
int call_answer_outcome(struct profile *p, struct buffer *out, bool keep_alive, bool text,
	const struct token_ask *ask, const struct token_outcome *outcome);
int call_answer_skew(struct profile *p, struct buffer *out, bool keep_alive);
/* May the client on `c` have the profile's token? A refusal is counted and remembered. */
bool call_granted(struct profile *p, struct connection *c);

/* ---- pages.c ---- */

/* For the front's handler. */
int broker_page_asked(
	void *broker, struct connection *c, const char *profile, const struct page **ret_page);
/* Those that an earlier run left with the service manager. */
void broker_adopt_pages(struct broker *b);
/* What a plain ask gets may be another now: readers see it from here on. */
void profile_publish(struct profile *p, const struct clock_reading *now);
/* Retires the page unless it was made under the same rules. */
void profile_page_check_rules(struct profile *p, const struct access_rules *rules);
void profile_page_retire(struct profile *p);
void profile_page_free(struct profile *p);

/* ---- waiter.c ---- */

/* Holds `c`. `wait`: at its end the waiter becomes ready. 0 or -ENOMEM. */
int waiter_new(struct waiter **ret, struct profile *p, struct connection *c, enum waiter_kind kind,
	struct duration wait);
void waiter_free(struct waiter *w);
/* It is asked again, or answered, soon. */
void waiter_make_ready(struct waiter *w);
void waiters_make_ready(struct profile *p);
/* The profile goes away: whoever is held for it goes on waiting for `successor`, or, where that is
 * NULL, is told so, soon. */
void waiters_lose_profile(struct profile *p, struct profile *successor);
/* The pump's event. */
void waiters_answer(int fd, short events, void *broker);

/* ---- revoke.c ---- */

/* Tells Genesys, then answers `w` (may be NULL). Takes the token. 0, -ENOMEM or another error: then
 * the token is forgotten all the same. */
int revoke_token(struct profile *p, struct token *token, struct waiter *w);
/* Every token of `w` was given to revoke_token; it may have been none at all. */
void revoke_begun(struct waiter *w);
/* The waiter is gone; its revocations go on. */
void revoke_forget_waiter(struct broker *b, const struct waiter *w);
/* Appends the answer for a waiter whose revocations have ended. */
int revoke_answer(struct waiter *w, struct buffer *out, bool keep_alive);
/* Why Genesys did not agree to what `w` waits for; NULL: it did. */
const char *revoke_problem(const struct waiter *w);
void revoke_free_all(struct broker *b);

/* ---- service.c ---- */

void service_init(struct broker *b);
/* The sockets serve. */
void service_started(struct broker *b);
/* After a turn. */
void service_turn(struct broker *b, const struct clock_reading *now);
/* A reload begins; the turn after it tells that it has ended. */
void service_reloading(struct broker *b);
void service_stopping(struct broker *b);

#endif
