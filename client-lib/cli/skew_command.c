/* skew: what is known of the difference between this machine's clock and the login server's, drawn
 * as an interval on a line with a scale. */
#include "command.h"
#include "daemon_call.h"
#include "json_read.h"
#include "options.h"
#include "output.h"
#include "skew_drawing.h"
#include "terminal.h"

#include <stdio.h>
#include <string.h>

#define ABSENT (-1e300)
/* A Date is of a second, so one response cannot tell more than this. */
#define AGREE_S 1.5

struct skew_report {
	double point, low, high, tight_low, tight_high;
	double clocks_seen, samples, rtt_min_ms, wall_steps, valid_in, dead_in;
	bool consistent;
	char evidence[128];
	char advice[512];
};

static void see_value(void *context, const struct json_value *v)
{
	struct skew_report *r = context;
	const struct {
		const char *path;
		double *to;
	} numbers[] = {
		{"skew_seconds", &r->point},
		{"low", &r->low},
		{"high", &r->high},
		{"tight.low", &r->tight_low},
		{"tight.high", &r->tight_high},
		{"clocks_seen", &r->clocks_seen},
		{"samples", &r->samples},
		{"rtt_min_ms", &r->rtt_min_ms},
		{"wall_steps", &r->wall_steps},
		{"token.valid_in", &r->valid_in},
		{"token.dead_in", &r->dead_in},
	};
	char evidence[32];
	size_t i, n;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (json_take_number(v, numbers[i].path, numbers[i].to))
			return;
	if (v->type == JSON_BOOL && !strcmp(v->path, "consistent"))
		r->consistent = v->text[0] == 't';
	json_take_text(v, "advice", r->advice, sizeof(r->advice));
	if (json_take_text(v, "token.evidence[]", evidence, sizeof(evidence))) {
		n = strlen(r->evidence);
		snprintf(r->evidence + n, sizeof(r->evidence) - n, "%s%s", n ? ", " : "", evidence);
	}
}

static void print_headline(
	const struct settings *s, const struct terminal *t, const struct skew_report *r)
{
	char text[256], point[DURATION_TEXT_SIZE], low[DURATION_TEXT_SIZE],
		high[DURATION_TEXT_SIZE];
	bool apart = r->low > 0 || r->high < 0;
	bool close = r->low >= -AGREE_S && r->high <= AGREE_S;

	offset_text(r->point, point);
	offset_text_fine(r->low, (r->high - r->low) / 4, low);
	offset_text_fine(r->high, (r->high - r->low) / 4, high);
	if (!apart && close)
		snprintf(text, sizeof(text),
			"%s: this clock and the login server's agree as far as can be told (%s)",
			s->profile, point);
	else if (!apart)
		snprintf(text, sizeof(text),
			"%s: how far this clock is from the login server's is not known well: "
			"between %s and %s",
			s->profile, low, high);
	else
		snprintf(text, sizeof(text), "%s: this clock is %s the login server's by %s",
			s->profile, r->point > 0 ? "ahead of" : "behind",
			point + (*point == '+' || *point == '-'));
	terminal_style(t, STYLE_BOLD);
	terminal_wrap(t, 0, text);
	terminal_style(t, STYLE_PLAIN);
}

static void print_fact(const struct terminal *t, const char *name, const char *text)
{
	terminal_style(t, STYLE_DIM);
	printf("%-12s", name);
	terminal_style(t, STYLE_PLAIN);
	terminal_wrap(t, 12, text);
}

static void print_facts(const struct terminal *t, const struct skew_report *r)
{
	char text[256], low[DURATION_TEXT_SIZE], high[DURATION_TEXT_SIZE], time[DURATION_TEXT_SIZE];
	size_t n;

	if (r->low != ABSENT && r->high != ABSENT) {
		offset_text_fine(r->low, (r->high - r->low) / 4, low);
		offset_text_fine(r->high, (r->high - r->low) / 4, high);
		snprintf(text, sizeof(text), "%s and %s", low, high);
		print_fact(t, "between", text);
	}
	if (r->tight_low != ABSENT && r->tight_high != ABSENT) {
		offset_text_fine(r->tight_low, (r->tight_high - r->tight_low) / 4, low);
		offset_text_fine(r->tight_high, (r->tight_high - r->tight_low) / 4, high);
		snprintf(text, sizeof(text), "%s to %s, if the server's Date is live", low, high);
		print_fact(t, "likely", text);
	}
	if (r->samples != ABSENT) {
		n = (size_t)snprintf(text, sizeof(text), "%.0f exchange%s", r->samples,
			r->samples == 1 ? "" : "s");
		if (r->rtt_min_ms != ABSENT)
			n += (size_t)snprintf(text + n, sizeof(text) - n,
				", shortest round trip %.*f ms", r->rtt_min_ms < 10 ? 1 : 0,
				r->rtt_min_ms);
		if (r->clocks_seen > 1)
			n += (size_t)snprintf(
				text + n, sizeof(text) - n, ", %.0f clocks seen", r->clocks_seen);
		if (!r->consistent)
			snprintf(text + n, sizeof(text) - n, ", not consistent");
		print_fact(t, "measured", text);
	}
	if (r->wall_steps > 0) {
		snprintf(text, sizeof(text), "was stepped %.0f time%s", r->wall_steps,
			r->wall_steps == 1 ? "" : "s");
		print_fact(t, "this clock", text);
	}
	if (r->dead_in != ABSENT) {
		if (r->dead_in <= 0)
			strcpy(time, "ended");
		else
			duration_text(r->dead_in, time);
		n = (size_t)snprintf(
			text, sizeof(text), "%s%s", r->dead_in > 0 ? "good for " : "", time);
		if (r->valid_in != ABSENT && r->valid_in > 0) {
			duration_text(r->valid_in, time);
			n += (size_t)snprintf(text + n, sizeof(text) - n, ", from %s on", time);
		}
		if (*r->evidence)
			snprintf(text + n, sizeof(text) - n, " (by %s)", r->evidence);
		print_fact(t, "token", text);
	}
}

static void print_report(const struct settings *s, const struct skew_report *r)
{
	struct terminal t;

	terminal_look(s, &t);
	if (r->point == ABSENT || r->low == ABSENT || r->high == ABSENT || r->low > r->high) {
		printf("%s: not measured yet\n", s->profile);
	} else {
		struct skew_drawing drawing = {
			.point = r->point,
			.low = r->low,
			.high = r->high,
			.has_tight = r->tight_low != ABSENT && r->tight_high != ABSENT &&
				     r->tight_low <= r->tight_high,
			.tight_low = r->tight_low,
			.tight_high = r->tight_high,
		};

		print_headline(s, &t, r);
		putchar('\n');
		skew_drawing_print(&t, &drawing);
		putchar('\n');
	}
	print_facts(&t, r);
	if (*r->advice) {
		putchar('\n');
		terminal_wrap(&t, 0, r->advice);
	}
}

static int show(const struct settings *s, const struct daemon_reply *reply, const void *context)
{
	struct skew_report r = {ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT,
		ABSENT, ABSENT, ABSENT, .consistent = true};

	(void)context;
	if (!json_read(reply->body, reply->length, see_value, &r))
		return daemon_reply_odd(s);
	print_report(s, &r);
	return EXIT_OK;
}

int command_skew(const struct command *self, struct settings *s, int argc, char **argv)
{
	bool probe = false;
	const struct option_spec own[] = {
		{"probe", OPTION_FLAG, &probe, NULL, "measure now, at most once in 10 s", 0},
	};
	struct daemon_request request = {
		.method = "POST",
		.path = "/v1/skew/probe",
		.of_profile = true,
		.wait_s = -1,
		.timeout_s = 20,
	};
	int code = options_read_of_profile(self, s, own, 1, argc, argv);

	if (code == GO_ON && probe) {
		struct daemon_reply reply = DAEMON_REPLY_NONE;

		code = daemon_call(s, &request, &reply);
		daemon_reply_fini(&reply);
		code = code == EXIT_OK ? GO_ON : code;
	}
	if (code != GO_ON)
		return code;
	request.method = "GET";
	request.path = "/v1/skew";
	request.repeatable = true;
	return daemon_show(s, &request, show, NULL);
}
