#include "config_value.h"
#include <stdio.h>

const struct duration_unit duration_units[] = {
	{"d", INT64_C(86400) * NS_PER_S},
	{"h", INT64_C(3600) * NS_PER_S},
	{"min", INT64_C(60) * NS_PER_S},
	{"s", NS_PER_S},
	{"ms", NS_PER_MS},
	{NULL, 0},
};

void duration_text(struct duration d, char *text, size_t size)
{
	for (const struct duration_unit *unit = duration_units; unit->name; unit++) {
		if (d.ns >= unit->ns && d.ns % unit->ns == 0) {
			snprintf(text, size, "%lld%s", (long long)(d.ns / unit->ns), unit->name);
			return;
		}
	}
	snprintf(text, size, d.ns == 0 ? "0s" : "%lldns", (long long)d.ns);
}

void config_key_allowed(const struct config_key *key, char *text, size_t size)
{
	char min[32], max[32];

	duration_text(duration_ns(key->min), min, sizeof(min));
	duration_text(duration_ns(key->max), max, sizeof(max));
	switch (key->type) {
	case CONFIG_PATH:
		snprintf(text, size, "an absolute path");
		break;
	case CONFIG_SOCKET_PATH:
		snprintf(
			text, size, "an absolute path of at most %d bytes", CONFIG_SOCKET_PATH_MAX);
		break;
	case CONFIG_MODE:
		snprintf(text, size, "an octal mode from 0600 to 0777");
		break;
	case CONFIG_GROUP:
		snprintf(text, size, "the name of a group, or nothing");
		break;
	case CONFIG_USERS:
		snprintf(text, size,
			"names of users, separated by commas or spaces, or * for whoever can "
			"connect");
		break;
	case CONFIG_GROUPS:
		snprintf(text, size, "names of groups, separated by commas or spaces");
		break;
	case CONFIG_UNITS:
		snprintf(text, size,
			"full names of systemd units (backup.service), separated by commas or "
			"spaces");
		break;
	case CONFIG_COUNT:
		snprintf(text, size, "a whole number from %lld to %lld", (long long)key->min,
			(long long)key->max);
		break;
	case CONFIG_DURATION:
		snprintf(text, size, "a whole number with ms, s, min, h or d, from %s to %s", min,
			max);
		break;
	case CONFIG_DURATION_OR_AUTO:
		snprintf(text, size,
			"auto, or a whole number with ms, s, min, h or d, from %s to %s", min, max);
		break;
	case CONFIG_YES_NO:
		snprintf(text, size, "yes or no");
		break;
	case CONFIG_LOG_LEVEL:
		snprintf(text, size, "err, warning, notice, info or debug");
		break;
	case CONFIG_GRANT:
		snprintf(text, size, "client_credentials or authorization_code");
		break;
	case CONFIG_REGION:
		snprintf(text, size,
			"a Genesys Cloud region such as us-west-2 or usw2.pure.cloud (all: "
			"--help-config)");
		break;
	case CONFIG_ENVIRONMENT:
		snprintf(text, size, "a domain such as usw2.pure.cloud");
		break;
	case CONFIG_URL:
		snprintf(text, size, "https://HOST[:PORT]/PATH without user, password or fragment");
		break;
	case CONFIG_BASE_URL:
		snprintf(text, size,
			"https://HOST[:PORT][/PATH] without user, password, query or fragment");
		break;
	case CONFIG_PROXY:
		snprintf(text, size,
			"SCHEME://HOST:PORT with http, https, socks5 or socks5h, without user or "
			"password");
		break;
	case CONFIG_REDIRECT_URI:
		snprintf(text, size,
			"https://HOST..., or http:// with 127.0.0.1, [::1] or localhost, without "
			"fragment");
		break;
	case CONFIG_CLIENT_ID:
		snprintf(text, size, "printable ASCII without spaces, at most %d bytes",
			CONFIG_NAME_MAX);
		break;
	case CONFIG_CREDENTIAL:
		snprintf(text, size, "a name of letters, digits, '.', '_' and '-'");
		break;
	case CONFIG_SCOPE:
		snprintf(text, size, "scope names with one space between them");
		break;
	case CONFIG_PARAMETERS:
		snprintf(text, size, "form-encoded NAME=VALUE pairs joined by '&', no secrets");
		break;
	}
}
