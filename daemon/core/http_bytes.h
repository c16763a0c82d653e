/* What each byte of a request may be part of: private to the request parser. */
#ifndef GCTOKEND_CORE_HTTP_BYTES_H
#define GCTOKEND_CORE_HTTP_BYTES_H

#include <stdbool.h>

#define BYTE_METHOD 1 /* a token: RFC 9110 section 5.6.2 */
#define BYTE_TARGET 2 /* path and query but for '%': RFC 3986 section 3.3 */
#define BYTE_NAME 4
#define BYTE_VALUE 8
#define BYTE_HEX 16
#define BYTE_AUTHORITY 32 /* of a URL, but for user names */
#define BYTE_EVERY (BYTE_METHOD | BYTE_TARGET | BYTE_NAME | BYTE_VALUE | BYTE_AUTHORITY)

static const unsigned char byte_classes[256] = {
	['\t'] = BYTE_VALUE,
	[' '] = BYTE_VALUE,
	['!'] = BYTE_METHOD | BYTE_TARGET | BYTE_VALUE | BYTE_AUTHORITY,
	['"'] = BYTE_VALUE,
	['#'] = BYTE_METHOD | BYTE_VALUE,
	['$'] = BYTE_METHOD | BYTE_TARGET | BYTE_VALUE | BYTE_AUTHORITY,
	['%'] = BYTE_METHOD | BYTE_VALUE | BYTE_AUTHORITY,
	['&' ... '\''] = BYTE_METHOD | BYTE_TARGET | BYTE_VALUE | BYTE_AUTHORITY,
	['(' ... ')'] = BYTE_TARGET | BYTE_VALUE | BYTE_AUTHORITY,
	['*' ... '+'] = BYTE_METHOD | BYTE_TARGET | BYTE_VALUE | BYTE_AUTHORITY,
	[','] = BYTE_TARGET | BYTE_VALUE | BYTE_AUTHORITY,
	['-' ... '.'] = BYTE_EVERY,
	['/'] = BYTE_TARGET | BYTE_VALUE,
	['0' ... '9'] = BYTE_EVERY | BYTE_HEX,
	[':' ... ';'] = BYTE_TARGET | BYTE_VALUE | BYTE_AUTHORITY,
	['<'] = BYTE_VALUE,
	['='] = BYTE_TARGET | BYTE_VALUE | BYTE_AUTHORITY,
	['>'] = BYTE_VALUE,
	['?' ... '@'] = BYTE_TARGET | BYTE_VALUE,
	['A' ... 'F'] = BYTE_EVERY | BYTE_HEX,
	['G' ... 'Z'] = BYTE_EVERY,
	['['] = BYTE_VALUE | BYTE_AUTHORITY,
	['\\'] = BYTE_VALUE,
	[']'] = BYTE_VALUE | BYTE_AUTHORITY,
	['^'] = BYTE_METHOD | BYTE_VALUE,
	['_'] = BYTE_EVERY,
	['`'] = BYTE_METHOD | BYTE_VALUE,
	['a' ... 'f'] = BYTE_EVERY | BYTE_HEX,
	['g' ... 'z'] = BYTE_EVERY,
	['{'] = BYTE_VALUE,
	['|'] = BYTE_METHOD | BYTE_VALUE,
	['}'] = BYTE_VALUE,
	['~'] = BYTE_METHOD | BYTE_TARGET | BYTE_VALUE | BYTE_AUTHORITY,
	[0x80 ... 0xFF] = BYTE_VALUE, /* obs-text, opaque */
};

static inline bool byte_is(char c, unsigned char class)
{
	return byte_classes[(unsigned char)c] & class;
}

#endif
