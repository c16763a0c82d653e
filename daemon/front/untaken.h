/* Pages that were sent and are not taken. The kernel counts each one's descriptor against this
 * process's user, whatever becomes of our end of the connection, and nobody can call it back: so
 * the connection stays with its user until then, and there are so many of them at most. */
#ifndef GCTOKEND_FRONT_UNTAKEN_H
#define GCTOKEND_FRONT_UNTAKEN_H

#include <stdbool.h>

struct connection;

/* A page may be sent over `c`: neither its user nor all together have left too many lying. */
bool untaken_may_grow(struct connection *c);
/* One was. */
void untaken_add(struct connection *c);
/* It is not taken yet. */
bool untaken_still(struct connection *c);
/* `c` is to be closed, or its page is taken. */
void untaken_forget(struct connection *c);

#endif
