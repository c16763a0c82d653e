#include "metric_lines.h"

#include "buffer.h"

void metric_family(struct buffer *out, const char *name, const char *type, const char *help)
{
	buffer_put_text(out, "# HELP ");
	buffer_put_text(out, name);
	buffer_put_char(out, ' ');
	buffer_put_text(out, help);
	buffer_put_text(out, "\n# TYPE ");
	buffer_put_text(out, name);
	buffer_put_char(out, ' ');
	buffer_put_text(out, type);
	buffer_put_char(out, '\n');
}

/* Profile names are [a-z0-9_-]: nothing to escape. */
static void put_name(struct buffer *out, const char *name, const char *profile, const char *label,
	const char *value)
{
	buffer_put_text(out, name);
	buffer_put_text(out, "{profile=\"");
	buffer_put_text(out, profile);
	if (label) {
		buffer_put_text(out, "\",");
		buffer_put_text(out, label);
		buffer_put_text(out, "=\"");
		buffer_put_text(out, value);
	}
	buffer_put_text(out, "\"} ");
}

void metric_count(struct buffer *out, const char *name, const char *profile, const char *label,
	const char *value, uint64_t count)
{
	put_name(out, name, profile, label, value);
	buffer_put_unsigned(out, count);
	buffer_put_char(out, '\n');
}

void metric_seconds(struct buffer *out, const char *name, const char *profile, struct duration d)
{
	put_name(out, name, profile, NULL, NULL);
	buffer_put_fixed(out, d.ns / NS_PER_MS, 3);
	buffer_put_char(out, '\n');
}
