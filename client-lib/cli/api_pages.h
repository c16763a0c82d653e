/* Lists in pages, as Genesys Cloud has them. Pure: bytes in, spans and the next path out.
 *
 * Three styles are in use: pages with numbers (pageNumber, pageCount), cursors (`cursor`,
 * `cursors.after`, or a nextUri that has one in its query), and a bare nextUri. Where there are
 * numbers they are counted up in the path that was asked, as the official command does it: nextUri
 * does not always keep the query's other parameters. */
#ifndef GCTOKEN_CLI_API_PAGES_H
#define GCTOKEN_CLI_API_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#define API_PATH_MAX 8192

struct api_span {
	const char *at; /* into the page's JSON */
	size_t length;
};

struct api_page {
	struct api_span
		*items; /* of entities, resources, conversations or results, as they stand */
	size_t count, capacity;
	bool has_list;
	double page_number, page_count; /* 0: not told */
	char next_uri[API_PATH_MAX];    /* "" likewise */
	char cursor[2048], cursor_after[2048];
};

/* 0; -EBADMSG: not one JSON object; -ENOMEM. *ret is to be ended with api_page_fini in any case. */
int api_page_read(const char *json, size_t length, struct api_page *ret);
void api_page_fini(struct api_page *p);

/* Whether it may be put behind an API's origin: begins with one '/', printable ASCII, no blank,
 * no '#'. */
bool api_path_is_valid(const char *path);

enum api_next {
	API_NEXT_NONE,
	API_NEXT_PAGE, /* *ret_path is what to ask for */
	API_NEXT_ODD,  /* the page points to what is no path of this API */
};

/* The page after `page`, which was asked for with `path`, at an API of the origin `api_url`. */
enum api_next api_page_next(
	const struct api_page *page, const char *api_url, const char *path, char *ret_path);

#endif
