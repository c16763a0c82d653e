#include "config_help.h"
#include "buffer.h"
#include "config_keys.h"
#include "config_value.h"
#include "regions.h"
#include "text.h"
#include <stdio.h>
#include <string.h>

#define HELP_WIDTH 79

/* Words of `text`, each line indented. */
static void put_paragraph(struct buffer *out, const char *text, size_t indent)
{
	size_t column = 0;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (column > 0 && column + 1 + word > HELP_WIDTH) {
			buffer_put_char(out, '\n');
			column = 0;
		}
		if (column == 0) {
			buffer_printf(out, "%*s", (int)indent, "");
			column = indent;
		} else {
			buffer_put_char(out, ' ');
			column++;
		}
		buffer_put(out, text, word);
		column += word;
		text += word;
		text += strspn(text, " ");
	}
	buffer_put_char(out, '\n');
}

void config_help_rules(const struct config_key *key, char ret[CONFIG_HELP_RULES_MAX])
{
	char allowed[256];

	config_value_allowed(key, allowed, sizeof(allowed));
	snprintf(ret, CONFIG_HELP_RULES_MAX, "Allowed: %s.%s", allowed,
		key->flags & CONFIG_RESTART ? " A change needs a restart." : "");
}

static void put_key(struct buffer *out, const struct config_key *key)
{
	char rules[CONFIG_HELP_RULES_MAX];

	config_help_rules(key, rules);
	buffer_printf(
		out, "\n  %s =%s%s\n", key->name, *key->default_text ? " " : "", key->default_text);
	put_paragraph(out, key->help, 6);
	put_paragraph(out, rules, 6);
}

static void put_section(struct buffer *out, enum config_section section)
{
	size_t count;
	const struct config_key *keys = config_keys(&count);

	for (size_t i = 0; i < count; i++) {
		if (keys[i].section == section)
			put_key(out, &keys[i]);
	}
}

void config_help_write(struct buffer *out)
{
	size_t count;
	const struct region *regions = region_table(&count);

	put_paragraph(out,
		"The configuration is one INI file, /etc/gctokend/gctokend.conf unless -c names "
		"another, and after it the files *.conf in the directory of the same name with .d "
		"behind it, in byte order. In one file a section or a key comes once; a later file "
		"may set a key again, which overrides it, and add profiles. An empty value means "
		"none.",
		0);
	buffer_put_char(out, '\n');
	put_paragraph(out,
		"Comments start with # or ; at a line's beginning, or with ; after white space. A "
		"duration is a whole number with its unit: ms, s, min, h or d. Each key is shown "
		"with its default. SIGHUP reloads; what needs a restart says so.",
		0);
	buffer_put_text(out, "\n[broker]\n");
	put_section(out, CONFIG_SECTION_BROKER);
	buffer_put_text(out, "\n[profile NAME]\n\n");
	put_paragraph(out,
		"One section for each profile; at least one is needed. NAME: " PROFILE_NAME_ALLOWED
		".",
		2);
	put_section(out, CONFIG_SECTION_PROFILE);
	buffer_put_text(out, "\nRegions (either name, hyphens or underscores)\n\n");
	for (size_t i = 0; i < count; i++)
		buffer_printf(out, "  %-16s %s\n", regions[i].name, regions[i].environment);
}
