/* Where callers come in, and how many may. */
#ifndef GCTOKEND_BROKER_SOCKETS_H
#define GCTOKEND_BROKER_SOCKETS_H

struct broker;

/* The front, and a socket for it to listen at. 0 or negative errno; what was wrong is in the log.
 */
int sockets_open(struct broker *b);
/* Limits and log level of b->config. */
void broker_apply_settings(struct broker *b);

#endif
