/* The sealed file of a login. If what is in it cannot be read it is never overwritten: the log and
 * the status name it, and it stays where it is until it can be read, or until somebody logs in
 * again, and then it is renamed. */
#ifndef GCTOKEND_BROKER_LOGIN_FILE_H
#define GCTOKEND_BROKER_LOGIN_FILE_H

#include "waiter_list.h"

#include "core/sealed_state.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

struct login;
struct login_eraser;
struct profile_view;
struct token;

struct login_file {
	char name[40];
	struct sealed_client binding;
	uint64_t writes_begun, writes_ended; /* they end in order */
	uint64_t writes_lost;                /* up to this one: with a key that is lost */
	uint64_t reads_begun, reads_ended;   /* as the writes */
	bool stored;                         /* the disk has what the login has */
	size_t length;                       /* of the latest content, in bytes */
	bool failing;                        /* the latest write failed */
	bool no_room;                        /* none could be set aside for the next one */
	bool keep_aside;                     /* its content could not be read: it is to be renamed,
						not overwritten */
	char problem[200];                   /* with it; "": none */
	struct event again;                  /* what failed is tried again */
	struct waiter_list erasers;          /* who wait for it to be removed: login_eraser */
	/* Hooks of the login: a write has ended; what was read, whose token is taken, TOKEN_NONE if
	 * there was none; and the login has what a file holds that could not be read before. */
	void (*written)(struct login *l);
	void (*read)(struct login *l, struct token *found);
	void (*mended)(struct login *l);
};

/* Names the file, and takes what an earlier run left in it. 0; -ENOMEM. */
int login_load(struct login *l);
void login_unload(struct login *l);
/* Begins to store what the login has: its refresh token, or that it has none. `written` follows.
 * Returns the number of the write; 0: it could not begin. */
uint64_t login_store(struct login *l);
/* Begins to remove the file; until it is gone, that is one more thing pending for `e`. */
void login_erase(struct login *l, struct login_eraser *e);
/* Neither is there a file, nor does one come by what is under way. */
bool login_file_absent(const struct login *l);
/* Begins to read the file again; `read` follows. Returns the number of the read; 0: it could not
 * begin. */
uint64_t login_begin_reading(struct login *l);
/* What is told about it. NULL is a client that nobody logs in to. */
void login_view_fill(const struct login *l, struct profile_view *ret);

#endif
