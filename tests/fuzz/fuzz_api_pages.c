/* A page of a list as the API sends it: the items lie in it one behind the other and are each a
 * JSON value, and the page after it is a path of this API or none at all. */
#include "cli/api_pages.h"
#include "fuzz.h"

#include <errno.h>
#include <yajl/yajl_parse.h>

#define HOST "https://api.example.invalid"

static bool is_json(const char *bytes, size_t length)
{
	yajl_handle parser = yajl_alloc(NULL, NULL, NULL);
	bool good;

	CHECK(parser);
	/* A number alone is whole only when something follows it. */
	good = yajl_parse(parser, (const unsigned char *)bytes, length) == yajl_status_ok &&
	       yajl_parse(parser, (const unsigned char *)" ", 1) == yajl_status_ok &&
	       yajl_complete_parse(parser) == yajl_status_ok;
	yajl_free(parser);
	return good;
}

static void check_items(const struct api_page *page, const char *json, size_t length)
{
	const char *behind = json;

	CHECK(page->has_list || !page->count);
	for (size_t i = 0; i < page->count; i++) {
		const struct api_span *item = &page->items[i];

		CHECK(item->length && item->at > behind);
		CHECK(item->at + item->length < json + length);
		CHECK(is_json(item->at, item->length));
		behind = item->at + item->length;
	}
}

static void check_next(const struct api_page *page)
{
	static const char *const paths[] = {"/", "/q?after=x&pageNumber=3", "/q?pageNumber=1"};
	char next[API_PATH_MAX];

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		memset(next, 'n', sizeof(next));
		if (api_page_next(page, HOST, paths[i], next) != API_NEXT_PAGE)
			continue;
		CHECK(memchr(next, '\0', sizeof(next)));
		CHECK(api_path_is_valid(next));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *json = fuzz_copy(data, size);
	struct api_page *page = malloc(sizeof(*page));
	int error;

	CHECK(page);
	error = api_page_read(json, size, page);
	CHECK(!error || error == -EBADMSG);
	if (!error) {
		CHECK(is_json(json, size));
		check_items(page, json, size);
		check_next(page);
	}
	api_page_fini(page);
	free(page);
	free(json);
	return 0;
}
