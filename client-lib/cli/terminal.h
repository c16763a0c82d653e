/* What the output for people needs to know of the terminal, and how it writes times. */
#ifndef GCTOKEN_CLI_TERMINAL_H
#define GCTOKEN_CLI_TERMINAL_H

#include "cli.h"
#include <stdio.h>

struct terminal {
	int width; /* columns; 0: no terminal, as wide as it gets */
	bool color;
	bool utf8;
};

/* Looks at standard output, COLUMNS (where that is no terminal), NO_COLOR, TERM, the locale. */
void terminal_look(const struct settings *s, struct terminal *ret);

enum style {
	STYLE_PLAIN,
	STYLE_DIM,
	STYLE_BOLD,
	STYLE_GOOD,
	STYLE_WARN,
	STYLE_BAD,
	STYLE_POINT,
};

/* Nothing where the terminal has no colours. STYLE_PLAIN ends what was begun. */
void terminal_style(const struct terminal *t, enum style style);

/* ASCII text wrapped at words to the terminal's width (not at all where there is none), each line
 * indented by `indent`; the first is taken to be at that column already. Ends the last line. */
void terminal_wrap(const struct terminal *t, int indent, const char *text);

#define DURATION_TEXT_SIZE 32

/* Seconds as 45s, 58m, 3h05m, 27h, 4d. Negative is 0s. */
void duration_text(double seconds, char *ret);

/* Signed seconds with a unit that suits: +12.3 ms, -1.25 s, +10m02s, -2h30m, +3d. */
void offset_text(double seconds, char *ret);

/* The same, but never coarser than `resolution`: offsets that differ by that much or more read
 * differently. */
void offset_text_fine(double seconds, double resolution, char *ret);

#endif
