/* The daemon's own program reads the configuration, so that only one program has to understand it.
 */
#include "doctor.h"
#include "doctor_program.h"
#include "json_read.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AREA "Configuration"
#define PROFILES_MAX 1000
#define AS_ROOT "Run it as root to check that: sudo gctoken doctor"

/* A path or URL is used, so it is taken as it is; one that does not fit is left out. */
static bool take_raw(const struct json_value *v, const char *path, char *ret, size_t size)
{
	if (v->type != JSON_TEXT || strcmp(v->path, path))
		return false;
	if (v->length < size && !memchr(v->text, 0, v->length)) {
		memcpy(ret, v->text, v->length);
		ret[v->length] = '\0';
	}
	return true;
}

/* Each name of a list of rules, behind the word for what it names. */
static void take_name(
	const struct json_value *v, const char *path, const char *kind, char *ret, size_t size)
{
	char name[64];
	size_t n = strlen(ret);
	const char *last;

	if (!json_take_text(v, path, name, sizeof(name)))
		return;
	last = strrchr(ret, ';');
	if (strstr(last ? last : ret, kind))
		snprintf(ret + n, size - n, ", %s", name);
	else
		snprintf(ret + n, size - n, "%s%s %s", n ? "; " : "", kind, name);
}

static void see_profile(struct doctor_profile *p, const struct json_value *v)
{
	json_take_text(v, "profiles[].profile", p->name, sizeof(p->name));
	json_take_text(v, "profiles[].grant", p->grant, sizeof(p->grant));
	take_raw(v, "profiles[].token_url", p->token_url, sizeof(p->token_url));
	take_raw(v, "profiles[].api_url", p->api_url, sizeof(p->api_url));
	take_raw(v, "profiles[].ca_file", p->ca_file, sizeof(p->ca_file));
	take_raw(v, "profiles[].proxy", p->proxy, sizeof(p->proxy));
	take_raw(v, "profiles[].proxy_user", p->proxy_user, sizeof(p->proxy_user));
	take_raw(v, "profiles[].proxy_password_file", p->proxy_password_file,
		sizeof(p->proxy_password_file));
	take_raw(v, "profiles[].proxy_ca_file", p->proxy_ca_file, sizeof(p->proxy_ca_file));
	json_take_number(v, "profiles[].fetch_timeout_ms", &p->fetch_timeout_ms);
	take_raw(v, "profiles[].client_secret_file", p->secret_file, sizeof(p->secret_file));
	take_raw(v, "profiles[].client_secret_credential", p->secret_credential,
		sizeof(p->secret_credential));
	if (v->type == JSON_BOOL && !strcmp(v->path, "profiles[].everybody"))
		p->everybody = v->text[0] == 't';
	take_name(v, "profiles[].allow_users[]", "users", p->allowed, sizeof(p->allowed));
	take_name(v, "profiles[].allow_groups[]", "groups", p->allowed, sizeof(p->allowed));
	take_name(v, "profiles[].allow_units[]", "units", p->allowed, sizeof(p->allowed));
}

static void see_value(void *context, const struct json_value *v)
{
	struct doctor_plan *plan = context;

	if (!strncmp(v->path, "profiles[].", 11)) {
		if (v->index >= PROFILES_MAX || !plan->profiles)
			return;
		if (plan->count <= v->index)
			plan->count = v->index + 1;
		see_profile(&plan->profiles[v->index], v);
		return;
	}
	take_raw(v, "broker.socket", plan->socket, sizeof(plan->socket));
	take_raw(v, "broker.page_socket", plan->page_socket, sizeof(plan->page_socket));
	take_raw(v, "broker.state_dir", plan->state_dir, sizeof(plan->state_dir));
	if (v->type == JSON_BOOL && !strcmp(v->path, "broker.root_needs_rule"))
		plan->root_needs_rule = v->text[0] == 't';
}

void doctor_plan_fini(struct doctor_plan *p)
{
	free(p->profiles);
	p->profiles = NULL;
	p->count = 0;
}

static void read_plan(struct doctor *d)
{
	char *text = NULL;

	if (!doctor_run_daemon(d->config_file, "--print-config", false, &text)) {
		d->plan.profiles = calloc(PROFILES_MAX, sizeof(*d->plan.profiles));
		if (!json_read(text, strlen(text), see_value, &d->plan))
			doctor_plan_fini(&d->plan);
	}
	free(text);
}

static bool may_read(struct doctor *d)
{
	if (!access(d->config_file, R_OK))
		return true;
	if (errno == EACCES)
		doctor_say(d, AREA, FOUND_UNKNOWN, AS_ROOT, "%s may not be read by this user",
			d->config_file);
	else
		doctor_say(d, AREA, FOUND_PROBLEM,
			"Write one: man gctokend.conf and the commented example show how. If it is "
			"elsewhere: gctoken doctor --config FILE",
			"%s: %s", d->config_file, strerror(errno));
	return false;
}

static void tell_allowed(struct doctor *d)
{
	size_t i;

	for (i = 0; i < d->plan.count; i++) {
		const struct doctor_profile *p = &d->plan.profiles[i];

		doctor_say(d, AREA, FOUND_OK, NULL, "profile %s (%s): for %s%s", p->name, p->grant,
			p->everybody              ? "whoever can connect"
			: *p->allowed             ? p->allowed
			: d->plan.root_needs_rule ? "only the daemon's user"
						  : "only root and the daemon's user",
			p->everybody && *p->allowed ? ", within the units named" : "");
	}
}

void doctor_look_at_config(struct doctor *d)
{
	char *text = NULL;
	int code;

	if (!may_read(d))
		return;
	code = doctor_run_daemon(d->config_file, "--check-config", true, &text);
	if (code < 0)
		doctor_say(d, AREA, FOUND_UNKNOWN, "Is gctokend installed on this machine?",
			"gctokend cannot be run to check %s", d->config_file);
	else if (!code)
		doctor_say(d, AREA, FOUND_OK, NULL, "%s", text);
	else if (geteuid())
		doctor_say(d, AREA, FOUND_UNKNOWN, AS_ROOT,
			"as this user sees it; the daemon may see it differently:\n%s", text);
	else
		doctor_say(d, AREA, FOUND_PROBLEM,
			"Correct it, then: systemctl reload gctokend (or start it)", "%s", text);
	free(text);
	if (!code) {
		read_plan(d);
		tell_allowed(d);
	}
}
