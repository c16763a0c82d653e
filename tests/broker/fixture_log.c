#include "fixture_parts.h"
#include "host/log.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void __wrap_log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
void __wrap_log_event(int priority, const char *message_id, const char *profile,
	uint64_t generation, const char *message);

static const struct timeval at_once;

static void call_then(int fd, short events, void *context)
{
	struct rig *r = context;

	(void)fd;
	(void)events;
	r->inside = true;
	r->then(r);
	r->inside = false;
	while (fixture_disk_step())
		;
}

/* Not in the first pass of the loop: whoever turns it has to go on for more than that. */
static void call_soon(int fd, short events, void *context)
{
	(void)fd;
	(void)events;
	assert_int_equal(
		event_base_once(the_rig->base, -1, EV_TIMEOUT, call_then, context, &at_once), 0);
}

static void keep_line(const char *line)
{
	size_t length = strlen(line);

	the_rig->log = realloc(the_rig->log, the_rig->log_length + length + 2);
	assert_non_null(the_rig->log);
	memcpy(the_rig->log + the_rig->log_length, line, length);
	the_rig->log_length += length;
	memcpy(the_rig->log + the_rig->log_length++, "\n", 2);
	if (!the_rig->awaited || !strstr(line, the_rig->awaited))
		return;
	the_rig->awaited = NULL;
	assert_int_equal(
		event_base_once(the_rig->base, -1, EV_TIMEOUT, call_soon, the_rig, &at_once), 0);
}

void __wrap_log_line(int priority, const char *format, ...)
{
	char line[1024];
	va_list arguments;

	(void)priority;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	keep_line(line);
}

void __wrap_log_event(int priority, const char *message_id, const char *profile,
	uint64_t generation, const char *message)
{
	char line[1024];

	(void)priority;
	(void)message_id;
	(void)generation;
	snprintf(line, sizeof(line), "profile %s: %s", profile, message);
	keep_line(line);
}

void rig_when_logged(struct rig *r, const char *text, void (*then)(struct rig *r))
{
	r->awaited = text;
	r->then = then;
}

void rig_forget_log(struct rig *r)
{
	free(r->log);
	r->log = NULL;
	r->log_length = 0;
}

bool rig_logged(const struct rig *r, const char *text)
{
	return r->log && strstr(r->log, text);
}
