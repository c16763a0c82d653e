/* A profile whose token the hosts of a fleet share: it joins and leaves, and is between its token
 * source and core/fleet. fleet_operation.h goes from here to the store, fleet_news.h comes from it.
 */
#ifndef GCTOKEND_BROKER_FLEET_MEMBER_H
#define GCTOKEND_BROKER_FLEET_MEMBER_H

#include "core/fleet.h"
#include "core/fleet_key.h"
#include "core/fleet_record.h"
#include "core/times.h"
#include "core/token_fetch.h"

#include <stdbool.h>
#include <stddef.h>

struct broker;
struct config;
struct fleet_link;
struct fleet_view;
struct handover_fleet;
struct profile;
struct store_token;
struct token_exchange;

/* A server that gives the same token again is not asked for so long. */
#define FLEET_SAME_WAIT_S 10

struct fleet_member {
	struct profile *profile;
	struct fleet fleet;
	struct fleet_subject subject;
	struct fleet_link *link;   /* its keys and its store; NULL: none yet */
	struct fleet_key *keys;    /* of the link's, for this client */
	struct store_token *token; /* at the link's store */
	struct boot_time wake_at;
	struct boot_time clock_at;      /* it asks for the login server's clock then */
	struct boot_time permit_at;     /* it asks then whether it may mint alone */
	char tag[FLEET_TAG_DIGITS + 1]; /* of the credential it asks with */
	bool posting;                   /* a token request is under way */
	char held_by[FLEET_ID_MAX + 1]; /* who was said to fetch; "": nobody */
	/* Of the current token, for the record. */
	struct wall_time server_end;
	struct duration not_before;
	unsigned char host[FLEET_HOST_LENGTH];
};

/* In the turn of a profile that is to be in the fleet, before it decides. False: no memory. */
bool fleet_member_join(struct profile *p, const struct clock_reading *now);
/* What the next run is to know of it. `profile` in *ret is left as it is. */
void fleet_member_hand_over(const struct fleet_member *m, struct handover_fleet *ret);
/* It has joined only just, and this is what the previous run knew, besides the token itself, which
 * its token source has again. */
void fleet_member_resume(struct fleet_member *m, const struct handover_fleet *past);
/* It is not in the fleet any more, or goes away. Nothing is done where it is not. */
void fleet_member_leave(struct profile *p);
/* The link goes away, or gives way to another one. */
void fleet_members_unlink(struct broker *b);

/* Its profile has its turn soon. */
void fleet_member_ask_for_turn(struct fleet_member *m);
/* The token source wants a token. `forced`: an admin does. */
void fleet_member_want(struct fleet_member *m, const struct clock_reading *now, bool forced);
/* A caller rejects the current token, and the API is to be asked whether it takes it: once for the
 * fleet; the token source gets the verdict. False: it is not the fleet's token. */
bool fleet_member_check(struct fleet_member *m, const struct clock_reading *now);
/* Decides and carries out. True: a token request is to be sent; fleet_member_outdone, and
 * fleet_member_fetched if that says no, follow when it ends. */
bool fleet_member_turn(struct fleet_member *m, const struct clock_reading *now);
/* Its request brought a token, but meanwhile the fleet has a newer one: the fetch has ended, and
 * that token counts for nothing. */
bool fleet_member_outdone(struct fleet_member *m, const struct clock_reading *now);
/* The token source judged what the request brought. */
void fleet_member_fetched(struct fleet_member *m, const struct clock_reading *now,
	enum fetched fetched, const struct token_exchange *x);
/* An admin revokes the token. */
void fleet_member_stop(struct fleet_member *m, const struct clock_reading *now);

/* For reports. */
void fleet_member_view(
	const struct profile *p, const struct clock_reading *now, struct fleet_view *ret);

#endif
