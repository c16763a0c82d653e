/* The daemon tells users by their numbers, since it asks nobody for a name while it serves. */
#ifndef GCTOKEN_CLI_USER_NAMES_H
#define GCTOKEN_CLI_USER_NAMES_H

#include <stddef.h>

/* Copies `text`, cut to fit, with the name of each "uid 1000" that has one behind it: "uid 1000
 * (alice)", or "(uid 1000, alice)" where it is in brackets. Names are printable ASCII. */
void user_names_put(const char *text, char *ret, size_t size);

#endif
