/* The table of profiles: which columns fit, and a row in them. */
#ifndef GCTOKEN_CLI_STATUS_TABLE_H
#define GCTOKEN_CLI_STATUS_TABLE_H

#include "status_report.h"
#include "terminal.h"

#define STATUS_COLUMNS_MAX 16

struct status_layout {
	int width[STATUS_COLUMNS_MAX];
	bool shown[STATUS_COLUMNS_MAX];
};

void status_table_lay_out(
	const struct status_report *r, const struct terminal *t, struct status_layout *l);
/* NULL: the titles. */
void status_table_print_row(
	const struct status_layout *l, const struct terminal *t, const struct status_row *row);

/* Seconds from now as a cell has them: "-" where absent, `past` where they are over. */
void status_time_text(double seconds, const char *past, char *ret);

#endif
