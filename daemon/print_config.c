#include "print_config.h"

#include "core/buffer.h"
#include "core/config.h"

static void put_member(struct buffer *to, const char *name, const char *text)
{
	buffer_printf(to, "\"%s\":", name);
	buffer_put_json(to, text);
	buffer_put_char(to, ',');
}

static void put_names(struct buffer *to, const char *name, const struct id_list *list)
{
	buffer_printf(to, ",\"%s\":[", name);
	for (size_t i = 0; i < list->count; i++) {
		if (i)
			buffer_put_char(to, ',');
		buffer_put_json(to, list->names[i]);
	}
	buffer_put_char(to, ']');
}

static void put_profile(struct buffer *to, const struct profile_settings *p)
{
	buffer_put_char(to, '{');
	put_member(to, "profile", p->name);
	put_member(to, "grant", grant_name(p->grant));
	put_member(to, "token_url", p->token_url);
	put_member(to, "api_url", *p->api_url ? p->api_url : NULL);
	put_member(to, "ca_file", p->fetch.ca_file);
	put_member(to, "proxy", p->fetch.proxy);
	put_member(to, "proxy_user", p->fetch.proxy_user);
	put_member(to, "proxy_password_file", p->proxy_password_file);
	put_member(to, "proxy_ca_file", p->fetch.proxy_ca_file);
	buffer_printf(
		to, "\"fetch_timeout_ms\":%lld,", (long long)(p->fetch.timeout.ns / NS_PER_MS));
	put_member(to, "client_secret_file", p->client_secret_file);
	put_member(to, "client_secret_credential", p->client_secret_credential);
	buffer_printf(
		to, "\"everybody\":%s", p->allow.lists[ACCESS_USERS].everybody ? "true" : "false");
	for (enum access_list i = 0; i < ACCESS_LISTS; i++)
		put_names(to, access_list_name(i), &p->allow.lists[i]);
	put_names(to, "login_users", &p->login.lists[ACCESS_USERS]);
	put_names(to, "login_groups", &p->login.lists[ACCESS_GROUPS]);
	buffer_put_char(to, '}');
}

void config_print_json(const struct config *config, struct buffer *to)
{
	const struct broker_settings *b = &config->broker;

	buffer_put_text(to, "{\"broker\":{");
	put_member(to, "socket", b->socket);
	put_member(to, "page_socket", b->page_socket);
	buffer_put_text(to, "\"state_dir\":");
	buffer_put_json(to, b->state_dir);
	buffer_printf(to, ",\"root_needs_rule\":%s", b->root_needs_rule ? "true" : "false");
	buffer_put_text(to, "},\"profiles\":[");
	for (size_t i = 0; i < config->profile_count; i++) {
		if (i)
			buffer_put_char(to, ',');
		put_profile(to, &config->profiles[i]);
	}
	buffer_put_text(to, "]}\n");
}
