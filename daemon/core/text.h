/* What several files need to know about text, once. Nothing here asks the locale, allocates, or
 * calls more than libc: the gctoken command is built with it as well. */
#ifndef GCTOKEND_CORE_TEXT_H
#define GCTOKEND_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- names of profiles ---- */

#define PROFILE_NAME_MAX 48
/* The rule for people, as a phrase. */
#define PROFILE_NAME_ALLOWED \
	"a-z, 0-9, '_' and '-', at most 48 of them, the first a letter or a digit"

bool profile_name_valid(const char *name);
/* For tables of names: never 0. */
uint32_t profile_name_hash(const char *name);
/* Whether names have that letter at all, in whatever place. */
bool profile_name_letter(char c);

/* ---- hexadecimal ---- */

/* Two lower-case digits a byte, and a NUL: 2 * length + 1 bytes to `ret`. */
void hex_write(const void *bytes, size_t length, char *ret);
/* 2 * length digits of either case. False at the first that is none, which may be the NUL of a text
 * too short; *ret is then undefined. */
bool hex_read(const char *digits, size_t length, void *ret);

/* ---- percent-encoding ---- */

enum percent_style {
	PERCENT_URL,  /* RFC 3986: letters, digits and -._~ stay. A space is %20, so that the value
			 reads the same whether or not '+' is taken for a space */
	PERCENT_FORM, /* application/x-www-form-urlencoded: *-._ stay, a space is '+' */
};

/* How long `text` gets, the NUL not counted. */
size_t percent_length(enum percent_style style, const char *text);
/* Writes that many characters, no NUL. Returns the place behind them. */
char *percent_write(enum percent_style style, char *to, const char *text);
/* Takes either style: '+' is a space. To `ret` with a NUL. False where an escape is malformed, a
 * NUL comes, escaped or not, or `size` is too small; *ret is then undefined. */
bool percent_read(const char *at, size_t length, char *ret, size_t size);

/* ---- UTF-8 ---- */

/* How many bytes the first character of `text` has, of which there are `length`, more than 0; 0 if
 * it is none by RFC 3629: shortest form, no surrogates, nothing above U+10FFFF. *ret_code, where
 * not NULL: its code point. */
size_t utf8_length(const char *text, size_t length, uint32_t *ret_code);

/* ---- likeness ---- */

/* How many letters to change, add or leave out to make one of the other (Levenshtein), for
 * suggestions. Where `b` has 64 letters or more: its length. */
unsigned text_distance(const char *a, const char *b);

#endif
