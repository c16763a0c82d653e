/* The scale is chosen so that the whole interval is seen and, where that leaves it wide enough to
 * look at, zero too: how far the clocks are apart is what one wants to see. Where zero is too far
 * off, "0" and an arrow at the end of the scale point to it. Lines are drawn into rows of cells,
 * since a drawn character takes several bytes. */
#include "skew_drawing.h"

#include "terminal.h"

#include <stdio.h>
#include <string.h>

#define WIDTH_MIN 30
#define WIDTH_MAX 100
#define TICKS_MAX 24

struct glyphs {
	const char *line, *tick, *zero, *to_left, *to_right;
	const char *bar, *bar_left, *bar_right;
	const char *thin, *thin_left, *thin_right;
	const char *point;
};

static const struct glyphs utf8_glyphs = {
	"\xe2\x94\x80", "\xe2\x94\xb4", "\xe2\x94\xbc", "\xe2\x97\x80",
	"\xe2\x96\xb6",                                 /* ─ ┴ ┼ ◀ ▶ */
	"\xe2\x95\x90", "\xe2\x95\x9e", "\xe2\x95\xa1", /* ═ ╞ ╡ */
	"\xe2\x94\x80", "\xe2\x94\x9c", "\xe2\x94\xa4", /* ─ ├ ┤ */
	"\xe2\x97\x8f",                                 /* ● */
};

static const struct glyphs ascii_glyphs = {
	"-", "+", "0", "<", ">", "=", "[", "]", "-", "|", "|", "*"};

struct cell {
	const char *glyph; /* NULL: blank */
	enum style style;
};

struct row {
	struct cell cells[WIDTH_MAX];
};

struct scale {
	double from, to;
	int width;
};

static int column_of(const struct scale *s, double value)
{
	double at = (value - s->from) / (s->to - s->from) * (s->width - 1) + 0.5;

	return at < 0 ? 0 : at > s->width - 1 ? s->width - 1 : (int)at;
}

static void choose_scale(const struct skew_drawing *d, int width, struct scale *ret)
{
	double low = d->low, high = d->high, span;

	if (d->has_tight && d->tight_low < low)
		low = d->tight_low;
	if (d->has_tight && d->tight_high > high)
		high = d->tight_high;
	if (d->point < low)
		low = d->point;
	if (d->point > high)
		high = d->point;
	span = high - low;
	if (span < 0.001) {
		low -= (0.001 - span) / 2;
		span = 0.001;
		high = low + span;
	}
	/* Zero may cost the interval two thirds of the width, not more. */
	if (low > 0 && low < 2 * span)
		low = 0;
	if (high < 0 && -high < 2 * span)
		high = 0;
	span = high - low;
	ret->from = low - span * 0.06;
	ret->to = high + span * 0.06;
	ret->width = width;
}

struct step {
	double value;
	double resolution; /* what its multiples have to be told apart by */
};

/* 1, 2, 2.5 or 5 times a power of ten, so that at most `most` of them fit into `span`. */
static struct step tick_step(double span, int most)
{
	static const struct step steps[] = {{1, 1}, {2, 1}, {2.5, 0.5}, {5, 1}};
	double power = 1e-6;

	for (;;) {
		size_t i;

		for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
			if (span / (steps[i].value * power) <= most)
				return (struct step){
					steps[i].value * power, steps[i].resolution * power};
		power *= 10;
	}
}

struct tick {
	double value;
	int column;
	char label[DURATION_TEXT_SIZE];
};

/* Ticks whose labels do not touch, from left to right. The first multiple is found by division and
 * truncation: values are seconds, far from where that would lose digits. */
static int make_ticks(const struct scale *s, struct tick *ret)
{
	struct step step = tick_step(s->to - s->from, s->width / (s->width < 60 ? 8 : 11));
	long long multiple = (long long)(s->from / step.value) - 1;
	int count = 0, free_from = 0;

	for (; (double)multiple * step.value <= s->to && count < TICKS_MAX; multiple++) {
		struct tick *t = &ret[count];
		int length, start;

		t->value = (double)multiple * step.value;
		if (t->value < s->from)
			continue;
		t->column = column_of(s, t->value);
		if (multiple)
			offset_text_fine(t->value, step.resolution, t->label);
		else
			strcpy(t->label, "0");
		length = (int)strlen(t->label);
		start = t->column - length / 2;
		if (start < free_from || start + length > s->width)
			continue;
		free_from = start + length + 2;
		count++;
	}
	return count;
}

static void print_labels(const struct terminal *t, const struct tick *ticks, int count)
{
	int column = 0, i;

	terminal_style(t, STYLE_DIM);
	for (i = 0; i < count; i++) {
		int length = (int)strlen(ticks[i].label), start = ticks[i].column - length / 2;

		printf("%*s%s", start - column, "", ticks[i].label);
		column = start + length;
	}
	terminal_style(t, STYLE_PLAIN);
	putchar('\n');
}

static void print_row(const struct terminal *t, const struct row *row, int width)
{
	enum style style = STYLE_PLAIN;
	int i;

	while (width && !row->cells[width - 1].glyph)
		width--;
	for (i = 0; i < width; i++) {
		const struct cell *c = &row->cells[i];

		if (c->style != style) {
			terminal_style(t, STYLE_PLAIN);
			if (c->style != STYLE_PLAIN)
				terminal_style(t, c->style);
			style = c->style;
		}
		fputs(c->glyph ? c->glyph : " ", stdout);
	}
	if (style != STYLE_PLAIN)
		terminal_style(t, STYLE_PLAIN);
	putchar('\n');
}

static void print_axis(const struct terminal *t, const struct glyphs *g, const struct scale *s,
	const struct tick *ticks, int count)
{
	struct row row = {.cells = {{NULL, STYLE_PLAIN}}};
	int i;

	for (i = 0; i < s->width; i++)
		row.cells[i] = (struct cell){g->line, STYLE_DIM};
	for (i = 0; i < count; i++)
		row.cells[ticks[i].column].glyph = g->tick;
	if (s->from > 0) {
		row.cells[0] = (struct cell){g->to_left, STYLE_BOLD};
		row.cells[1] = (struct cell){"0", STYLE_BOLD};
	} else if (s->to < 0) {
		row.cells[s->width - 2] = (struct cell){"0", STYLE_BOLD};
		row.cells[s->width - 1] = (struct cell){g->to_right, STYLE_BOLD};
	} else {
		row.cells[column_of(s, 0)] = (struct cell){g->zero, STYLE_BOLD};
	}
	print_row(t, &row, s->width);
}

static void print_interval(const struct terminal *t, const struct glyphs *g, const struct scale *s,
	double low, double high, const double *point, bool thin)
{
	enum style style = thin ? STYLE_DIM : STYLE_PLAIN;
	struct row row = {.cells = {{NULL, STYLE_PLAIN}}};
	int from = column_of(s, low), to = column_of(s, high), i;

	for (i = from; i <= to; i++)
		row.cells[i] = (struct cell){thin ? g->thin : g->bar, style};
	row.cells[from].glyph = thin ? g->thin_left : g->bar_left;
	row.cells[to].glyph = thin ? g->thin_right : g->bar_right;
	if (point)
		row.cells[column_of(s, *point)] = (struct cell){g->point, STYLE_POINT};
	print_row(t, &row, s->width);
}

void skew_drawing_print(const struct terminal *t, const struct skew_drawing *d)
{
	const struct glyphs *g = t->utf8 ? &utf8_glyphs : &ascii_glyphs;
	int width = t->width ? t->width : 80;
	struct tick ticks[TICKS_MAX];
	struct scale scale;
	int count;

	width = width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : width;
	choose_scale(d, width, &scale);
	count = make_ticks(&scale, ticks);
	print_labels(t, ticks, count);
	print_axis(t, g, &scale, ticks, count);
	print_interval(t, g, &scale, d->low, d->high, &d->point, false);
	if (d->has_tight)
		print_interval(t, g, &scale, d->tight_low, d->tight_high, NULL, true);
}
