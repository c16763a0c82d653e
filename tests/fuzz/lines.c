/* Mutations for text that is made of lines: half the time a line is copied, moved, dropped, cut in
 * two or taken from another input, else the bytes (and the dictionary's words) are changed as usual
 * but inside one line. So keys, header fields and sections stay whole long enough to meet. */
#include "fuzz.h"
#include <stdbool.h>

struct lines {
	size_t at[256 + 1]; /* where each begins; the last entry is the end */
	size_t count;
};

static void lines_of(const uint8_t *data, size_t size, struct lines *ret)
{
	ret->count = 0;
	ret->at[0] = 0;
	for (size_t i = 0; i < size; i++)
		if ((data[i] == '\n' || i + 1 == size) && ret->count < 256)
			ret->at[++ret->count] = i + 1;
	ret->at[ret->count] = size;
}

/* What stands in [from, to) becomes `with`; the new size, or 0 where it does not fit. */
static size_t replace(uint8_t *data, size_t size, size_t max, size_t from, size_t to,
	const uint8_t *with, size_t with_size)
{
	if (size - (to - from) + with_size > max)
		return 0;
	memmove(data + from + with_size, data + to, size - to);
	if (with_size)
		memcpy(data + from, with, with_size);
	return size - (to - from) + with_size;
}

static size_t inside_one_line(
	uint8_t *data, size_t size, size_t max, const struct lines *lines, struct random *r)
{
	size_t line = fuzz_below(r, lines->count);
	size_t from = lines->at[line], length = lines->at[line + 1] - from;
	size_t room = max - size + length;
	uint8_t *copy = malloc(room ? room : 1);
	size_t result = 0;

	if (copy && length > 1) {
		bool ended = data[from + length - 1] == '\n';

		memcpy(copy, data + from, length);
		result = LLVMFuzzerMutate(copy, length - ended, room - ended);
		if (ended)
			copy[result++] = '\n';
		result = replace(data, size, max, from, from + length, copy, result);
	}
	free(copy);
	return result;
}

static size_t whole_lines(
	uint8_t *data, size_t size, size_t max, const struct lines *lines, struct random *r)
{
	size_t line = fuzz_below(r, lines->count), other = fuzz_below(r, lines->count);
	size_t from = lines->at[line], to = lines->at[line + 1];
	size_t there = lines->at[other];
	size_t result = 0;
	uint8_t *copy;

	switch (fuzz_below(r, 4)) {
	case 0: /* dropped */
		return replace(data, size, max, from, to, NULL, 0);
	case 1: /* cut in two */
		from += fuzz_below(r, to - from + 1);
		return replace(data, size, max, from, from, (const uint8_t *)"\n", 1);
	case 2: /* copied elsewhere */
		copy = (uint8_t *)fuzz_copy(data + from, to - from);
		result = replace(data, size, max, there, there, copy, to - from);
		break;
	default: /* over another */
		copy = (uint8_t *)fuzz_copy(data + from, to - from);
		result = replace(data, size, max, there, lines->at[other + 1], copy, to - from);
	}
	free(copy);
	return result;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	struct random r = {seed};
	struct lines lines;
	size_t result = 0;

	lines_of(data, size, &lines);
	if (size && max >= size && lines.count)
		switch (fuzz_below(&r, 4)) {
		case 0:
			result = whole_lines(data, size, max, &lines, &r);
			break;
		case 1:
			result = inside_one_line(data, size, max, &lines, &r);
			break;
		default:
			break;
		}
	return result ? result : LLVMFuzzerMutate(data, size, max);
}

/* Lines of one input among those of another. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
	uint8_t *out, size_t max, unsigned seed)
{
	struct random r = {seed};
	struct lines of_a, of_b;
	size_t cut, from, to, size;

	lines_of(a, a_size, &of_a);
	lines_of(b, b_size, &of_b);
	cut = of_a.at[fuzz_below(&r, of_a.count + 1)];
	from = fuzz_below(&r, of_b.count + 1);
	to = of_b.at[from + fuzz_below(&r, of_b.count - from + 1)];
	from = of_b.at[from];
	if (a_size > max)
		return 0;
	memcpy(out, a, a_size);
	size = replace(out, a_size, max, cut, cut, b + from, to - from);
	return size;
}
