/* The daemon's state as everything that is reported of it is read from. All lent. */
#ifndef GCTOKEND_CORE_VIEWS_H
#define GCTOKEND_CORE_VIEWS_H

#include "times.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fleet_counters;
struct history;
struct probe_plan;
struct profile_settings;
struct skew;
struct token_source;

/* The login of a profile that people log in to, besides what the token source knows of it. */
struct login_view {
	bool stored;         /* what there is of it is on the disk */
	const char *problem; /* with its file; "": none */
	int64_t logged_in_s; /* wall clock; 0: not known */
};

/* How it is with the fleet. */
enum fleet_state {
	FLEET_STATE_NONE, /* the profile is in none */
	FLEET_STATE_UP,
	FLEET_STATE_DOWN,      /* the store cannot be reached */
	FLEET_STATE_ALONE,     /* it cannot, or refuses, and this host has fetched for itself */
	FLEET_STATE_OTHER_KEY, /* the token in the store is sealed with an unknown key */
	FLEET_STATE_STOPPED,   /* an admin has revoked it for all */
};

struct fleet_view {
	enum fleet_state state; /* NONE: nothing else is set */
	struct duration lasts;  /* since the store was reached, or was of no help any more */
	bool up;                /* it is reached */
	struct duration linked; /* since it was reached, or was not any more */
	const char *problem;    /* why it cannot be reached; NULL: it can, or nobody knows */
	bool follows;           /* this host has no secret */
	bool own;               /* it fetched the current token */
	uint64_t generation;    /* the fleet's number of that; 0: there is none */
	uint64_t hosts;         /* 0: not known */
	const char *host;       /* this one */
	const struct fleet_counters *counters;
};

/* One profile. */
struct profile_view {
	const struct profile_settings *settings;
	const struct token_source *source;
	const struct history *history;
	const struct skew *skew;
	const struct probe_plan *probe;
	uint64_t waiting; /* requests held */
	uint64_t denied;  /* requests refused by the rules */
	uint64_t pages_given, pages_retired;
	uint64_t wall_steps; /* of our wall clock since the start */
	bool has_login;
	struct login_view login;
	struct fleet_view fleet;
};

/* The daemon itself. */
struct broker_view {
	const char *version;
	struct duration uptime;
	uint32_t connections;
	uint32_t waiting;
	const uint64_t *requests; /* replied to, by HTTP status, 600 of them */
	uint64_t accepted, refused_total_limit, refused_user_limit, refused_user_rate,
		accept_failures, deadline_cut, descriptors_refused, closes_stuck, users_held_off,
		gave_way, kept_cut;
	bool reload_failed;         /* the latest reload was refused */
	const char *reload_problem; /* its first problem; NULL: none */
	size_t unknown_count;       /* users and groups of rules that the system does not know */
	const char *unknown_names;  /* they, as text */
};

#endif
