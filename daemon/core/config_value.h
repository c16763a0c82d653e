/* One value of the configuration: text -> what it means, or what is wrong with it. */
#ifndef GCTOKEND_CORE_CONFIG_VALUE_H
#define GCTOKEND_CORE_CONFIG_VALUE_H

#include "config.h"
#include "config_keys.h"

/* Whichever member the key's type calls for; texts and names stay in the text itself. */
struct config_value {
	bool automatic; /* CONFIG_DURATION_OR_AUTO: "auto" */
	bool flag;
	uint32_t count;
	struct duration duration;
	mode_t mode;
	int log_level;
	enum grant grant;
};

/* True and *ret where `text`, which is not empty, is a good value. Else false and `problem`: what
 * is wrong and what is allowed. No value that could hold a secret is repeated in it. */
bool config_value_read(const struct config_key *key, const char *text, struct config_value *ret,
	char *problem, size_t problem_size);

/* Takes the next name off a list (commas, white space). False at its end, or where a name does not
 * fit `size` (config_value_read refuses those). */
bool config_list_next(const char **list, char *name, size_t size);
#define CONFIG_NAME_MAX 255

/* From the largest down; ends with a NULL name. */
struct duration_unit {
	const char *name;
	int64_t ns;
};
extern const struct duration_unit duration_units[];
/* "10min": in the largest unit that gives a whole number. */
void duration_text(struct duration d, char *text, size_t size);

#endif
