#include "store_settings.h"

#include "core/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void store_settings_fini(struct store_settings *s)
{
	const char *const texts[] = {s->path, s->sentinel_name, s->user, s->ca_file, s->cert_file,
		s->cert_key_file, s->prefix, s->host};

	for (size_t i = 0; i < s->host_count; i++)
		free((void *)(uintptr_t)s->hosts[i].name);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		free((void *)(uintptr_t)texts[i]);
	secret_text_free((char *)(uintptr_t)s->password);
}

static const char *copy(const char *text, bool *failed)
{
	char *mine = text ? strdup(text) : NULL;

	*failed |= text && !mine;
	return mine;
}

int store_settings_copy(struct store_settings *to, const struct store_settings *from)
{
	bool failed = false;

	*to = *from;
	for (size_t i = 0; i < from->host_count; i++)
		to->hosts[i].name = copy(from->hosts[i].name, &failed);
	to->path = copy(from->path, &failed);
	to->sentinel_name = copy(from->sentinel_name, &failed);
	to->user = copy(from->user, &failed);
	to->ca_file = copy(from->ca_file, &failed);
	to->cert_file = copy(from->cert_file, &failed);
	to->cert_key_file = copy(from->cert_key_file, &failed);
	to->prefix = copy(from->prefix, &failed);
	to->host = copy(from->host, &failed);
	if (from->password)
		to->password = secret_copy(from->password, strlen(from->password));
	failed |= from->password && !to->password;
	return failed ? -ENOMEM : 0;
}
