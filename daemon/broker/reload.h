/* A new configuration, whole or not at all. */
#ifndef GCTOKEND_BROKER_RELOAD_H
#define GCTOKEND_BROKER_RELOAD_H

#include <stddef.h>

struct broker;
struct config;

void reload_init(struct broker *b);
void reload_fini(struct broker *b);
/* Reads the configuration again; on any problem everything stays as it was. The users and groups it
 * names are looked up without holding up the loop, so it may end in a later turn. */
void broker_reload(struct broker *b);
/* The profiles of `config` out of those there are and new ones; takes over on success only. 0 or
 * negative errno with the problem. */
int broker_adopt(struct broker *b, struct config *config, char *problem, size_t problem_size);

#endif
