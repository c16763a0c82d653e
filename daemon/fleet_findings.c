#include "fleet_findings.h"

#include <stdarg.h>
#include <stdio.h>

void findings_begin(struct findings *f)
{
	f->count = 0;
	buffer_init(&f->json, NULL, 0);
	buffer_put_text(&f->json, "{\"checks\":[");
}

void findings_say(struct findings *f, enum found found, const char *todo, const char *format, ...)
{
	static const char *const names[] = {"ok", "problem", "unknown"};
	char words[2048];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(words, sizeof(words), format, arguments);
	va_end(arguments);
	buffer_printf(
		&f->json, "%s{\"result\":\"%s\",\"words\":", f->count++ ? "," : "", names[found]);
	buffer_put_json(&f->json, words);
	buffer_put_text(&f->json, ",\"todo\":");
	buffer_put_json(&f->json, todo);
	buffer_put_char(&f->json, '}');
}

void findings_end(struct findings *f)
{
	buffer_put_text(&f->json, "]}\n");
}
