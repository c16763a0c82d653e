/* Whatever a store sends, in pieces of whatever size: what is read stays within its limits, and is
 * the same however the bytes came. hiredis is not ours, but is where they go first. */
#include "fuzz.h"

#include "store/redis_codec.h"

#include <errno.h>

static void show(const struct fleet_element *e, unsigned depth, size_t *count, struct buffer *out)
{
	CHECK(++*count <= REDIS_ELEMENTS_MAX);
	buffer_put_unsigned(out, e->type);
	switch (e->type) {
	case FLEET_ELEMENT_NIL:
		break;
	case FLEET_ELEMENT_INTEGER:
		buffer_put_signed(out, e->integer);
		break;
	case FLEET_ELEMENT_ERROR:
		CHECK(*redis_error_words(redis_error_kind(e)));
		/* fall through */
	case FLEET_ELEMENT_TEXT:
		CHECK(e->length <= FLEET_TEXT_MAX);
		buffer_put(out, e->bytes, e->length);
		break;
	case FLEET_ELEMENT_ARRAY:
		CHECK(depth < REDIS_DEPTH_MAX && e->count <= REDIS_ITEMS_MAX);
		for (size_t i = 0; i < e->count; i++)
			show(&e->items[i], depth + 1, count, out);
		break;
	}
	buffer_put_char(out, ';');
}

/* Up to the end, or to what cannot be. */
static void read_all(const char *bytes, size_t length, size_t piece, struct buffer *out)
{
	const struct fleet_element *e;
	struct redis_reader *r;
	int n = 0;

	CHECK(redis_reader_new(&r) == 0);
	for (size_t at = 0; at < length && n == 0; at += piece) {
		CHECK(redis_reader_feed(r, bytes + at, length - at < piece ? length - at : piece) ==
			0);
		while ((n = redis_reader_next(r, &e)) == 1) {
			struct fleet_element *copy = redis_element_copy(e);
			size_t count = 0, copied = 0, before = out->length;

			show(e, 0, &count, out);
			if (copy) {
				size_t shown = out->length - before;

				show(copy, 0, &copied, out);
				CHECK(copied == count && out->length - before == 2 * shown);
				CHECK(!memcmp(
					out->data + before, out->data + before + shown, shown));
			}
			free(copy);
		}
		CHECK(n == 0 || n == -EPROTO);
	}
	buffer_put_signed(out, n);
	redis_reader_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole, pieces;
	char *copy;

	if (!size)
		return 0;
	copy = fuzz_copy(data + 1, size - 1);
	buffer_init(&whole, NULL, 0);
	buffer_init(&pieces, NULL, 0);
	read_all(copy, size - 1, REDIS_FEED_MAX, &whole);
	read_all(copy, size - 1, 1 + data[0] % 16, &pieces);
	CHECK(whole.length == pieces.length);
	CHECK(!whole.length || !memcmp(whole.data, pieces.data, whole.length));
	buffer_fini(&whole);
	buffer_fini(&pieces);
	free(copy);
	return 0;
}
