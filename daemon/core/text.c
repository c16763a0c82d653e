#include "text.h"
#include <string.h>

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool profile_name_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool profile_name_valid(const char *name)
{
	size_t length = 0;

	while (profile_name_letter(name[length]))
		length++;
	return length > 0 && length <= PROFILE_NAME_MAX && !name[length] && *name != '_' &&
	       *name != '-';
}

uint32_t profile_name_hash(const char *name)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619U;
	return (hash ^ hash >> 15) | 1U << 31;
}

void hex_write(const void *bytes, size_t length, char *ret)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *byte = bytes;

	for (size_t i = 0; i < length; i++) {
		*ret++ = digits[byte[i] >> 4];
		*ret++ = digits[byte[i] & 15];
	}
	*ret = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hex_read(const char *digits, size_t length, void *ret)
{
	unsigned char *byte = ret;

	for (size_t i = 0; i < length; i++) {
		int high = hex_value(digits[2 * i]);
		int low = high < 0 ? -1 : hex_value(digits[2 * i + 1]);

		if (low < 0)
			return false;
		byte[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

static bool percent_plain(enum percent_style style, char c)
{
	return is_letter_or_digit(c) || c == '-' || c == '.' || c == '_' ||
	       c == (style == PERCENT_FORM ? '*' : '~');
}

static bool percent_plus(enum percent_style style, char c)
{
	return style == PERCENT_FORM && c == ' ';
}

size_t percent_length(enum percent_style style, const char *text)
{
	size_t length = 0;

	for (; *text; text++)
		length += percent_plain(style, *text) || percent_plus(style, *text) ? 1 : 3;
	return length;
}

char *percent_write(enum percent_style style, char *to, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (percent_plain(style, *text)) {
			*to++ = *text;
		} else if (percent_plus(style, *text)) {
			*to++ = '+';
		} else {
			*to++ = '%';
			*to++ = digits[c >> 4];
			*to++ = digits[c & 15];
		}
	}
	return to;
}

bool percent_read(const char *at, size_t length, char *ret, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		char c = at[i] == '+' ? ' ' : at[i];

		if (c == '%') {
			if (length - i < 3 || !hex_read(at + i + 1, 1, &c))
				return false;
			i += 2;
		}
		if (!c || used + 1 >= size)
			return false;
		ret[used++] = c;
	}
	if (used >= size)
		return false;
	ret[used] = '\0';
	return true;
}

size_t utf8_length(const char *text, size_t length, uint32_t *ret_code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char lead = (unsigned char)*text;
	size_t n = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	uint32_t code = n > 1 ? lead & (0x7fU >> n) : lead;

	if (n == 0 || n > length || lead > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | ((unsigned char)text[i] & 0x3f);
	}
	if (code < smallest[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	if (ret_code)
		*ret_code = code;
	return n;
}

/* A row at a time. */
unsigned text_distance(const char *a, const char *b)
{
	unsigned row[64];
	size_t b_length = strlen(b);

	if (b_length >= sizeof(row) / sizeof(row[0]))
		return (unsigned)b_length;
	for (size_t j = 0; j <= b_length; j++)
		row[j] = (unsigned)j;
	for (size_t i = 0; a[i]; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < b_length; j++) {
			unsigned best = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j + 1] + 1 < best)
				best = row[j + 1] + 1;
			row[j + 1] = best;
		}
	}
	return row[b_length];
}
