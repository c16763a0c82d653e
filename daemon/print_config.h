/* The configuration as it is understood, for programs that look for what is wrong around it. */
#ifndef GCTOKEND_PRINT_CONFIG_H
#define GCTOKEND_PRINT_CONFIG_H

struct buffer;
struct config;

/* One line of JSON: where things are and who may have what. No secret is read for it. */
void config_print_json(const struct config *config, struct buffer *to);

#endif
