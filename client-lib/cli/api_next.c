/* The path of the next page. */
#include "api_pages.h"

#include "core/text.h"

#include <stdio.h>
#include <string.h>

bool api_path_is_valid(const char *path)
{
	const char *c;

	for (c = path; *c; c++)
		if (*c <= 0x20 || *c >= 0x7f || *c == '#')
			return false;
	return path[0] == '/' && path[1] != '/' && c - path < API_PATH_MAX;
}

/* Where the parameter of that name stands in the path's query, with its name; NULL: nowhere. */
static const char *find_parameter(const char *path, const char *name)
{
	const char *at = strchr(path, '?');
	size_t n = strlen(name);

	while (at) {
		at++;
		if (!strncmp(at, name, n) && at[n] == '=')
			return at;
		at = strchr(at, '&');
	}
	return NULL;
}

/* The path with that parameter, instead of its former value or added. False if it gets too long. */
static bool set_parameter(const char *path, const char *name, const char *value, char *ret)
{
	const char *at = find_parameter(path, name);
	size_t before = at ? (size_t)(at - path) : strlen(path), n;
	const char *rest = at ? at + strcspn(at, "&") : "";
	const char *link = at ? "" : strchr(path, '?') ? "&" : "?";

	n = before + strlen(link) + strlen(name) + 1;
	if (n + percent_length(PERCENT_URL, value) + strlen(rest) >= API_PATH_MAX)
		return false;
	snprintf(ret, API_PATH_MAX, "%.*s%s%s=", (int)before, path, link, name);
	strcpy(percent_write(PERCENT_URL, ret + n, value), rest);
	return true;
}

/* nextUri is a path, or a whole URL of the same API. */
static enum api_next follow(const char *uri, const char *api_url, char *ret)
{
	size_t n = strlen(api_url);

	if (!strncmp(uri, api_url, n) && uri[n] == '/')
		uri += n;
	if (!api_path_is_valid(uri))
		return API_NEXT_ODD;
	strcpy(ret, uri);
	return API_NEXT_PAGE;
}

enum api_next api_page_next(
	const struct api_page *page, const char *api_url, const char *path, char *ret_path)
{
	bool uri_has_cursor =
		find_parameter(page->next_uri, "cursor") || find_parameter(page->next_uri, "after");
	char number[32];

	if (uri_has_cursor)
		return follow(page->next_uri, api_url, ret_path);
	if (*page->cursor)
		return set_parameter(path, "cursor", page->cursor, ret_path) ? API_NEXT_PAGE
									     : API_NEXT_ODD;
	if (*page->cursor_after)
		return set_parameter(path, "after", page->cursor_after, ret_path) ? API_NEXT_PAGE
										  : API_NEXT_ODD;
	if (page->page_number > 0 && page->page_number < 1e9 && page->page_count > 0) {
		if (!page->count || page->page_number >= page->page_count)
			return API_NEXT_NONE;
		snprintf(number, sizeof(number), "%.0f", page->page_number + 1);
		return set_parameter(path, "pageNumber", number, ret_path) ? API_NEXT_PAGE
									   : API_NEXT_ODD;
	}
	if (*page->next_uri)
		return follow(page->next_uri, api_url, ret_path);
	return API_NEXT_NONE;
}
