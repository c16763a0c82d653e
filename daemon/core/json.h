/* A strict reader of one flat JSON object, for bytes that come from elsewhere. */
#ifndef GCTOKEND_CORE_JSON_H
#define GCTOKEND_CORE_JSON_H

#include <stddef.h>

#define JSON_DEPTH_MAX 8
#define JSON_MEMBERS_MAX 256 /* of an object and of those it stands in, together */

enum json_kind {
	JSON_STRING, /* text is decoded UTF-8, without NUL bytes */
	JSON_NUMBER, /* text is the number as it was written */
	JSON_OTHER,  /* true, false, null, an array or an object; no text */
};

/* One member of the outermost object; the spans end with the call. 0, or negative errno to stop. */
typedef int json_member(void *context, const char *key, size_t key_length, enum json_kind kind,
	const char *text, size_t text_length);

/* Calls `member` for each member of the outermost object, in order; what is nested deeper is
 * checked and passed over. Members may have been reported before the text turns out to be bad.
 *
 * 0. -EBADMSG: not one JSON object in UTF-8 and nothing else (no byte order mark, nothing behind
 * it), nested too deep, too many members, a key given twice in one object, \u0000 or half a
 * surrogate pair in a string; *ret_problem then says which, as a plain phrase. -ENOMEM. Or what
 * `member` returned. Memory that may have held strings is wiped. Takes nine times `length` of
 * memory while it runs: the caller bounds it. */
int json_read_object(const char *bytes, size_t length, json_member *member, void *context,
	const char **ret_problem);

#endif
