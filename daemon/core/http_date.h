/* Dates of RFC 9110 section 5.6.7 (all three formats) and Retry-After (section 10.2.3). */
#ifndef GCTOKEND_CORE_HTTP_DATE_H
#define GCTOKEND_CORE_HTTP_DATE_H

#include "times.h"
#include <stddef.h>

/* 0 and seconds since 1970; -EINVAL. The weekday's name is checked for form only. Two-digit years
 * (RFC 850) 70-99 are 19xx, 00-69 are 20xx. */
int http_date_parse(const char *text, size_t length, int64_t *ret_s);

/* Whole seconds or an HTTP date, which is taken relative to `server_now_s` (the response's own
 * Date, seconds since 1970). A date in the past gives zero; digits too many to count saturate. 0 or
 * -EINVAL. */
int retry_after_parse(const char *text, size_t length, int64_t server_now_s, struct duration *ret);

#endif
