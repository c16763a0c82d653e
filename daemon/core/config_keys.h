/* Every key of the configuration and every type of key, once. Parsing, defaults, freeing, the
 * check on reload, --help-config, the descriptions in gctokend.conf(5) and the test of the
 * commented example all go by them.
 *
 * A new key is a row of `keys` and a member of the model (config.h or fetch_settings.h). A new type
 * is a TYPE line with the function that judges a value; only a value that the model keeps in a new
 * way also needs a struct in config_storage.c. No type has to look for control characters:
 * config_text.c refuses them. */
#ifndef GCTOKEND_CORE_CONFIG_KEYS_H
#define GCTOKEND_CORE_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_key;
struct config_storage;

struct config_word {
	const char *word;
	int value;
};

/* What is wrong is a phrase that follows the value: "is not an absolute path". Either `check` or
 * `read` is set. */
struct config_type {
	/* What is allowed, as a phrase. NULL: the words. Where the key has limits they follow. */
	const char *allowed;
	/* NULL: nothing is wrong with `text`, which is not empty. */
	const char *(*check)(const char *text);
	/* The same, and the value to *ret, which is as large as the key's member. */
	const char *(*read)(const struct config_key *key, const char *text, void *ret);
	/* Some of these or nothing else; the last has no word. */
	const struct config_word *words;
	const char *not_a_word; /* what is wrong with everything else */
	/* How to write one of the key's limits; NULL: it has none. */
	void (*show_limit)(int64_t limit, char *text, size_t size);
	bool hidden;   /* the value may hold a secret: no message repeats it */
	bool sentence; /* what is wrong is a sentence: "it has no host" */
	/* How the model keeps it; NULL: as `read` gives it. */
	const struct config_storage *kept;
};

enum config_section {
	CONFIG_SECTION_BROKER,
	CONFIG_SECTION_PROFILE,
};

enum config_flag {
	CONFIG_NEEDED = 1,  /* an empty value is an error */
	CONFIG_RESTART = 2, /* a change waits for a restart */
};

struct config_key {
	const char *name;
	enum config_section section;
	size_t offset, size; /* of the member in broker_settings or profile_settings */
	const struct config_type *type;
	int64_t min, max;         /* where the type has limits; of durations: nanoseconds */
	const char *default_text; /* as a file would have it, whatever the type; "": none */
	unsigned flags;           /* enum config_flag */
	const char *help;         /* whole sentences */
};

#define CONFIG_KEYS_MAX 96

/* All of them, in the order people should read them: [broker] first. */
const struct config_key *config_keys(size_t *ret_count);
/* NULL: not in that section. */
const struct config_key *config_key_find(enum config_section section, const char *name);
/* The key of that section someone may have meant, NULL if none is near. */
const struct config_key *config_key_nearest(enum config_section section, const char *name);

/* What is wrong with a client's id, which a file may hold as well: a phrase that follows it; NULL:
 * nothing. */
const char *client_id_problem(const char *text);

#endif
