#include "terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int width_of_output(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	int n;

	if (isatty(STDOUT_FILENO) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		return size.ws_col;
	n = columns ? atoi(columns) : 0;
	return n > 0 && n <= 10000 ? n : 0;
}

static bool wants_color(const char *when)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (strcmp(when, "auto"))
		return !strcmp(when, "always");
	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && strcmp(term, "dumb");
}

void terminal_look(const struct settings *s, struct terminal *ret)
{
	/* The character set alone: numbers are read and written the same way everywhere. */
	setlocale(LC_CTYPE, "");
	ret->width = width_of_output();
	ret->color = wants_color(s->color);
	ret->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
}

void terminal_style(const struct terminal *t, enum style style)
{
	static const char *const codes[] = {
		[STYLE_PLAIN] = "0",
		[STYLE_DIM] = "2",
		[STYLE_BOLD] = "1",
		[STYLE_GOOD] = "32",
		[STYLE_WARN] = "33",
		[STYLE_BAD] = "1;31",
		[STYLE_POINT] = "1;36",
	};

	if (t->color)
		printf("\033[%sm", codes[style]);
}

void terminal_wrap(const struct terminal *t, int indent, const char *text)
{
	int width = t->width, column = indent;

	if (!width) {
		puts(text); /* a line that a program reads stays one line */
		return;
	}
	if (width < indent + 20)
		width = indent + 20;
	while (*text) {
		int length = (int)strcspn(text, " ");

		if (column > indent && column + 1 + length > width) {
			printf("\n%*s", indent, "");
			column = indent;
		}
		if (column > indent) {
			putchar(' ');
			column++;
		}
		printf("%.*s", length, text);
		column += length;
		text += length;
		text += strspn(text, " ");
	}
	putchar('\n');
}

void duration_text(double seconds, char *ret)
{
	long long s = seconds > 0 ? (long long)(seconds < 1e15 ? seconds : 1e15) : 0;

	if (s < 100)
		snprintf(ret, DURATION_TEXT_SIZE, "%llds", s);
	else if (s < 100 * 60)
		snprintf(ret, DURATION_TEXT_SIZE, "%lldm", s / 60);
	else if (s < 10 * 3600)
		snprintf(ret, DURATION_TEXT_SIZE, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else if (s < 100 * 3600)
		snprintf(ret, DURATION_TEXT_SIZE, "%lldh", s / 3600);
	else
		snprintf(ret, DURATION_TEXT_SIZE, "%lldd", s / 86400);
}

void offset_text(double seconds, char *ret)
{
	double size = fabs(seconds);
	char sign = seconds < 0 ? '-' : '+';
	long long whole = (long long)(size < 1e15 ? size + 0.5 : 1e15);

	if (size < 0.00005)
		snprintf(ret, DURATION_TEXT_SIZE, "0 ms");
	else if (size < 0.01)
		snprintf(ret, DURATION_TEXT_SIZE, "%c%.1f ms", sign, size * 1e3);
	else if (size < 0.9995)
		snprintf(ret, DURATION_TEXT_SIZE, "%c%.0f ms", sign, size * 1e3);
	else if (size < 9.995)
		snprintf(ret, DURATION_TEXT_SIZE, "%c%.2f s", sign, size);
	else if (size < 99.95)
		snprintf(ret, DURATION_TEXT_SIZE, "%c%.1f s", sign, size);
	else if (whole < 3600)
		snprintf(ret, DURATION_TEXT_SIZE, "%c%lldm%02llds", sign, whole / 60, whole % 60);
	else if (whole < 48 * 3600)
		snprintf(ret, DURATION_TEXT_SIZE, "%c%lldh%02lldm", sign, whole / 3600,
			whole / 60 % 60);
	else
		snprintf(ret, DURATION_TEXT_SIZE, "%c%lldd", sign, whole / 86400);
}

/* How many digits behind the point `resolution` needs, up to 4. */
static int digits_for(double resolution)
{
	int digits = 0;

	while (resolution < 0.9999 && digits < 4) {
		resolution *= 10;
		digits++;
	}
	return digits;
}

void offset_text_fine(double seconds, double resolution, char *ret)
{
	if (resolution >= 60 || seconds > 1e9 || seconds < -1e9)
		offset_text(seconds, ret);
	else if (fabs(seconds) < 0.9995)
		snprintf(ret, DURATION_TEXT_SIZE, "%+.*f ms", digits_for(resolution * 1e3),
			seconds * 1e3);
	else
		snprintf(ret, DURATION_TEXT_SIZE, "%+.*f s", digits_for(resolution), seconds);
}
