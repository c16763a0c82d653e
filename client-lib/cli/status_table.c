/* Columns that do not fit are left out, the least telling first. */
#include "status_table.h"

#include <stdio.h>
#include <string.h>

static void count_text(double n, char *ret)
{
	if (n == STATUS_ABSENT)
		strcpy(ret, "-");
	else
		snprintf(ret, STATUS_CELL_SIZE, "%.0f", n);
}

void status_time_text(double seconds, const char *past, char *ret)
{
	if (seconds == STATUS_ABSENT)
		strcpy(ret, "-");
	else if (seconds <= 0)
		strcpy(ret, past);
	else
		duration_text(seconds, ret);
}

static void cell_profile(const struct status_row *r, char *ret)
{
	strcpy(ret, r->name);
}

static void cell_state(const struct status_row *r, char *ret)
{
	strcpy(ret, *r->state ? r->state : "unknown");
}

static void cell_expires(const struct status_row *r, char *ret)
{
	status_time_text(r->expires_in, "-", ret);
}

static void cell_refresh(const struct status_row *r, char *ret)
{
	status_time_text(r->refresh_in, "due", ret);
}

static void cell_generation(const struct status_row *r, char *ret)
{
	count_text(r->generation > 0 ? r->generation : STATUS_ABSENT, ret);
}

static void cell_region(const struct status_row *r, char *ret)
{
	strcpy(ret, *r->region ? r->region : "-");
}

static void cell_skew(const struct status_row *r, char *ret)
{
	if (r->skew == STATUS_ABSENT)
		strcpy(ret, "-");
	else
		offset_text(r->skew, ret);
}

static void cell_served(const struct status_row *r, char *ret)
{
	count_text(r->served, ret);
}

static void cell_fetches(const struct status_row *r, char *ret)
{
	count_text(r->fetches, ret);
}

static void cell_failures(const struct status_row *r, char *ret)
{
	count_text(r->failures, ret);
}

static void cell_rejections(const struct status_row *r, char *ret)
{
	count_text(r->rejections, ret);
}

static void cell_fingerprint(const struct status_row *r, char *ret)
{
	strcpy(ret, *r->fingerprint ? r->fingerprint : "-");
}

struct column {
	const char *title;
	void (*cell)(
		const struct status_row *r, char *ret); /* ret: STATUS_CELL_SIZE bytes, ASCII */
	bool right;
	int rank; /* the highest goes first where not all fit; 0 always stays */
};

#define RANK_OF_TIMES 2
#define NAME_MIN 12

static const struct column columns[] = {
	{"PROFILE", cell_profile, false, 0},
	{"STATE", cell_state, false, 0},
	{"EXPIRES", cell_expires, true, 1},
	{"REFRESH", cell_refresh, true, 2},
	{"GEN", cell_generation, true, 4},
	{"REGION", cell_region, false, 5},
	{"SKEW", cell_skew, true, 3},
	{"SERVED", cell_served, true, 6},
	{"FETCHES", cell_fetches, true, 8},
	{"FAILED", cell_failures, true, 7},
	{"REJECTED", cell_rejections, true, 9},
	{"FINGERPRINT", cell_fingerprint, false, 10},
};

#define COLUMN_COUNT (sizeof(columns) / sizeof(columns[0]))

_Static_assert(COLUMN_COUNT <= STATUS_COLUMNS_MAX, "a layout has room for each");

static int total_width(const struct status_layout *l)
{
	int total = -2;
	size_t i;

	for (i = 0; i < COLUMN_COUNT; i++)
		if (l->shown[i])
			total += l->width[i] + 2;
	return total;
}

/* Leaves out columns by rank. Before the times go that the table is read for, a long name is cut;
 * it stays long enough to be told apart. */
static void fit(const struct terminal *t, struct status_layout *l)
{
	int name = l->width[0], least = name < NAME_MIN ? name : NAME_MIN, room;

	while (t->width && total_width(l) > t->width) {
		size_t worst = 0, c;

		for (c = 1; c < COLUMN_COUNT; c++)
			if (l->shown[c] && columns[c].rank > columns[worst].rank)
				worst = c;
		if (columns[worst].rank <= RANK_OF_TIMES)
			l->width[0] = least;
		if (!columns[worst].rank || total_width(l) <= t->width)
			break;
		l->shown[worst] = false;
	}
	room = t->width - total_width(l);
	if (l->width[0] < name && room > 0)
		l->width[0] += name - l->width[0] < room ? name - l->width[0] : room;
}

void status_table_lay_out(
	const struct status_report *r, const struct terminal *t, struct status_layout *l)
{
	char cell[STATUS_CELL_SIZE];
	size_t c, i;

	for (c = 0; c < COLUMN_COUNT; c++) {
		l->shown[c] = true;
		l->width[c] = (int)strlen(columns[c].title);
		for (i = 0; i < r->count; i++) {
			int width;

			columns[c].cell(&r->rows[i], cell);
			width = (int)strlen(cell);
			if (width > l->width[c])
				l->width[c] = width;
		}
	}
	fit(t, l);
}

static enum style state_style(const char *state)
{
	if (!strcmp(state, "fresh"))
		return STYLE_GOOD;
	if (!strcmp(state, "stale") || !strcmp(state, "waiting"))
		return STYLE_WARN;
	return STYLE_BAD;
}

static void print_cell(const struct terminal *t, const char *text, int width, bool right, bool last)
{
	int length = (int)strlen(text);

	if (length > width)
		printf("%.*s%s", t->utf8 ? width - 1 : width - 2, text,
			t->utf8 ? "\xe2\x80\xa6" : "..");
	else if (right)
		printf("%*s", width, text);
	else
		printf("%-*s", last ? 0 : width, text);
}

void status_table_print_row(
	const struct status_layout *l, const struct terminal *t, const struct status_row *row)
{
	char cell[STATUS_CELL_SIZE];
	size_t c, last = 0;

	for (c = 0; c < COLUMN_COUNT; c++)
		if (l->shown[c])
			last = c;
	for (c = 0; c <= last; c++) {
		enum style style = STYLE_PLAIN;

		if (!l->shown[c])
			continue;
		if (!row)
			style = STYLE_DIM;
		else if (columns[c].cell == cell_state)
			style = state_style(row->state);
		else if (!c)
			style = STYLE_BOLD;
		if (row)
			columns[c].cell(row, cell);
		else
			strcpy(cell, columns[c].title);
		if (c)
			fputs("  ", stdout);
		if (style != STYLE_PLAIN)
			terminal_style(t, style);
		print_cell(t, cell, l->width[c], columns[c].right, c == last);
		if (style != STYLE_PLAIN)
			terminal_style(t, STYLE_PLAIN);
	}
	putchar('\n');
}
