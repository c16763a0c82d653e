/* One value of the configuration: what is wrong with its text, what is allowed, and how numbers are
 * read. */
#ifndef GCTOKEND_CORE_CONFIG_VALUE_H
#define GCTOKEND_CORE_CONFIG_VALUE_H

#include "times.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_key;

#define COUNT_ALL UINT32_MAX

/* Room for whatever a type reads, which begins where it does. */
union config_value {
	max_align_t any;
	char bytes[sizeof(max_align_t)];
};

/* True where `text`, which is not empty, is a good value; where its type reads values, *ret is
 * that value. Else false and `problem`: what is wrong and what is allowed. No value that could hold
 * a secret is repeated in it. */
bool config_value_read(const struct config_key *key, const char *text, union config_value *ret,
	char *problem, size_t problem_size);
/* What is allowed as the key's value, as a phrase. */
void config_value_allowed(const struct config_key *key, char *text, size_t size);

/* For the table of types (config_keys.h tells what they return). */
const char *count_read(const struct config_key *key, const char *text, void *ret);
const char *duration_read(const struct config_key *key, const char *text, void *ret);
const char *duration_or_auto_read(const struct config_key *key, const char *text, void *ret);
/* "auto" is 0. */
const char *count_or_auto_read(const struct config_key *key, const char *text, void *ret);
/* "all" is COUNT_ALL. */
const char *count_or_all_read(const struct config_key *key, const char *text, void *ret);
const char *word_read(const struct config_key *key, const char *text, void *ret);
void count_show(int64_t count, char *text, size_t size);
/* "10min": in the largest unit that gives a whole number. */
void duration_show(int64_t ns, char *text, size_t size);

#endif
