#include "config_draft.h"
#include "config_storage.h"
#include "config_value.h"
#include <stdarg.h>

struct draft_setting *draft_setting(struct draft_section *section, const char *name)
{
	size_t count;
	const struct config_key *keys = config_keys(&count);

	return &section->settings[config_key_find(section->section, name) - keys];
}

bool draft_has(struct draft_section *section, const char *name)
{
	const struct draft_setting *setting = draft_setting(section, name);
	const char *text = setting->text;

	if (!text)
		text = config_key_find(section->section, name)->default_text;
	return *text != '\0';
}

static struct config_place place_of(const struct config_draft *d,
	const struct draft_section *section, const struct draft_setting *setting, const char *key)
{
	struct draft_place at = setting->text ? setting->place : section->first;

	return (struct config_place){at.file, d->files[at.file], at.line, key};
}

void draft_problem(struct config_draft *d, enum config_severity severity,
	struct draft_section *section, const char *key, const char *format, ...)
{
	const struct config_place place = place_of(d, section, draft_setting(section, key), key);
	va_list arguments;

	va_start(arguments, format);
	config_problems_add_list(&d->problems, severity, &place, format, arguments);
	va_end(arguments);
}

/* Settings were read as they came in; a default is good in any case. */
static int fill_one(struct config_draft *d, struct draft_section *section,
	const struct config_key *key, const struct draft_setting *setting, void *base)
{
	const char *text = setting->text ? setting->text : key->default_text;
	const struct config_origin from = {
		d->lookup, &d->problems, place_of(d, section, setting, key->name)};
	union config_value value = {0};
	char problem[512];

	if (*text)
		config_value_read(key, text, &value, problem, sizeof(problem));
	return config_member_store(key, &from, text, &value, base);
}

int draft_fill(struct config_draft *d, struct draft_section *section, void *base)
{
	size_t count;
	const struct config_key *keys = config_keys(&count);

	for (size_t i = 0; i < count; i++) {
		const struct draft_setting *setting = &section->settings[i];
		int error;

		if (keys[i].section != section->section || setting->bad)
			continue;
		error = fill_one(d, section, &keys[i], setting, base);
		if (error < 0)
			return error;
	}
	return 0;
}
