#include "page_request.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static const char word[] = "page ";

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int page_request_read(const char *bytes, size_t length, struct page_request *ret)
{
	struct page_request r = {0};
	size_t at = 0, begin;

	for (; at < sizeof(word) - 1; at++) {
		if (at == length)
			return -EAGAIN;
		if (bytes[at] != word[at])
			return -EBADMSG;
	}
	for (begin = at; at < length && is_digit(bytes[at]); at++) {
		if (at - begin == 3 || bytes[begin] == '0')
			return -EBADMSG;
		r.version = r.version * 10 + (unsigned)(bytes[at] - '0');
	}
	if (at == length)
		return -EAGAIN;
	if (at == begin || bytes[at++] != ' ')
		return -EBADMSG;
	for (begin = at; at < length && profile_name_letter(bytes[at]); at++) {
		if (at - begin == PROFILE_NAME_MAX)
			return -EBADMSG;
		r.profile[at - begin] = bytes[at];
	}
	if (at == length)
		return -EAGAIN;
	if (at == begin || bytes[at++] != '\n' || at != length)
		return -EBADMSG;
	*ret = r;
	return 0;
}
