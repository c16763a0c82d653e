/* An interval on a line with a scale, in the width there is. */
#ifndef GCTOKEN_CLI_SKEW_DRAWING_H
#define GCTOKEN_CLI_SKEW_DRAWING_H

#include <stdbool.h>

struct terminal;

/* Seconds; low <= high, tight_low <= tight_high. The point may lie outside of a tight interval. */
struct skew_drawing {
	double point, low, high;
	bool has_tight;
	double tight_low, tight_high;
};

void skew_drawing_print(const struct terminal *t, const struct skew_drawing *d);

#endif
