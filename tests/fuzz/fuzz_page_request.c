/* The page socket's line: what is taken is what writing it again gives, every beginning of it could
 * go on, nothing longer is waited for than a line can be, and what is refused stays refused. */
#include "core/page_request.h"
#include "fuzz.h"
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct page_request r = {.version = 0x5ca1ab1e};
	const char *bytes = (const char *)data;
	char again[PAGE_REQUEST_MAX + 1];
	int result = page_request_read(bytes, size, &r);

	CHECK(result == 0 || result == -EAGAIN || result == -EBADMSG);
	if (result) {
		CHECK(r.version == 0x5ca1ab1e);
		CHECK(result != -EAGAIN || size < PAGE_REQUEST_MAX);
	} else {
		CHECK(r.version >= 1 && r.version <= 999);
		CHECK(snprintf(again, sizeof(again), "page %u %s\n", r.version, r.profile) ==
			(int)size);
		CHECK(!memcmp(again, bytes, size));
	}
	for (size_t n = 0; n < size && n < PAGE_REQUEST_MAX; n++) {
		int before = page_request_read(bytes, n, &r);

		CHECK(before != -EBADMSG || result == -EBADMSG);
		CHECK(result == -EBADMSG || before == -EAGAIN);
	}
	return 0;
}
