/* The users and groups that the daemon knows: it has the system's name service asked by helper
 * threads, and keeps what that said last. The table is the loop's alone. */
#ifndef GCTOKEND_HOST_NAME_TABLE_H
#define GCTOKEND_HOST_NAME_TABLE_H

#include "core/times.h"
#include "name_lookup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct name_table;

/* In the loop of `base`: answers have come, and of those that name_table_look asked for some that
 * are other than before. */
typedef void name_answered(void *context);

/* 0 or negative errno. */
int name_table_new(struct name_table **ret, struct event_base *base);
/* Waits for nobody: a thread that is still asking ends when it has its answer. */
void name_table_free(struct name_table *t);
void name_table_set_hook(struct name_table *t, name_answered *answered, void *context);

/* What the service said last, as name_look_up. A failure does not undo an earlier answer.
 * -EINPROGRESS: it has not said anything yet. A name that is new here is asked for. -ENOMEM. */
int name_table_get(struct name_table *t, enum name_kind kind, const char *name, uint32_t *ret);
/* Asks for all of them again; who is being asked for already is asked for once more after that. */
void name_table_refresh(struct name_table *t);
/* The same, but where the service says again what it said the last time, nobody is woken to hear
 * it: that name is pending until the next call of either. */
void name_table_look(struct name_table *t);
bool name_table_empty(const struct name_table *t);
/* The second forgets the names that name_table_get has not been asked for since the first. */
void name_table_unmark(struct name_table *t);
void name_table_sweep(struct name_table *t);
/* How many answers are missing, of those asked for by the two above. */
size_t name_table_pending(const struct name_table *t);
/* Blocks, for a start: until no answer is missing, or `patience` is over. The hook is not called.
 */
void name_table_wait(struct name_table *t, struct duration patience);

#endif
