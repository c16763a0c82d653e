/* What a profile is, for those who look into one; profile.h has what is done with it. */
#ifndef GCTOKEND_BROKER_PROFILE_TYPE_H
#define GCTOKEND_BROKER_PROFILE_TYPE_H

#include "pages.h"
#include "waiter_list.h"

#include "core/config.h"
#include "core/history.h"
#include "core/login_attempt.h"
#include "core/reply_token.h"
#include "core/times.h"
#include "core/token_source.h"
#include "host/credential.h"

#include <stdint.h>

struct broker;
struct endpoint;
struct fetch;
struct fleet_member;
struct oauth_client;
struct token_exchange;

struct profile {
	struct broker *broker;
	const struct profile_settings *settings; /* in broker->config */
	struct credential credential;
	uint64_t files_failed_with; /* what its files were like at the latest failure; 0: none */
	char secrets_problem[HISTORY_WORDS]; /* why its secrets were of no use when they were last
						read again; "": they were */
	struct oauth_client *client;
	struct endpoint *endpoint;
	struct token_source source;
	struct history history;
	const void *resumed_from; /* while restoring: the record it was restored from */
	uint64_t logged;          /* history.log_order as of the latest line in the log */
	uint64_t denied;
	struct token_reply_cache reply_cache;
	struct boot_time wake_at;
	struct profile_page page;
	struct token_exchange *exchange;
	struct fetch *verification; /* of the current token at the API; NULL: none */
	uint64_t verifies_generation;
	struct login_attempts attempts; /* where people log in */
	struct fleet_member *fleet;     /* NULL: its token is this host's alone */
	struct waiter_list asking;      /* who wait for a token */
	uint32_t waiting_count;         /* those, and whoever waits for anything else of it */
};

/* How its requests are made. */
static inline struct fetch_settings profile_fetch_settings(const struct profile *p)
{
	struct fetch_settings s = p->settings->fetch;

	s.proxy_password = p->credential.proxy_password;
	return s;
}

#endif
