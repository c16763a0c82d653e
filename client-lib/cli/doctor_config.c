/* The daemon's own program reads the configuration, so that only one program has to understand it.
 */
#include "doctor.h"
#include "doctor_program.h"
#include "helper.h"
#include "json_read.h"

#include <errno.h>
#include <limits.h>
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

/* One more of a list of rules; what does not fit is left out whole. */
static void take_name(const struct json_value *v, const char *path, char *ret, size_t size)
{
	char name[64];
	size_t n = strlen(ret);

	if (json_take_text(v, path, name, sizeof(name)) && n + 2 + strlen(name) < size)
		snprintf(ret + n, size - n, "%s%s", n ? ", " : "", name);
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
	take_name(v, "profiles[].allow_users[]", p->users, sizeof(p->users));
	take_name(v, "profiles[].allow_groups[]", p->groups, sizeof(p->groups));
	take_name(v, "profiles[].allow_units[]", p->units, sizeof(p->units));
	take_name(v, "profiles[].login_users[]", p->login_users, sizeof(p->login_users));
	take_name(v, "profiles[].login_groups[]", p->login_groups, sizeof(p->login_groups));
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
			"gctokend-add-profile writes one, or do it by hand: man gctokend.conf. If "
			"it is elsewhere: gctoken doctor --config FILE",
			"%s: %s", d->config_file, strerror(errno));
	return false;
}

/* "users a, b; groups c; units d"; "" where nobody is named. */
static void allowed_text(const struct doctor_profile *p, char *ret, size_t size)
{
	const char *const kinds[][2] = {
		{"users ", p->users}, {"groups ", p->groups}, {"units ", p->units}};
	size_t n = 0, i;

	*ret = '\0';
	for (i = 0; i < 3; i++)
		if (*kinds[i][1] && n < size)
			n += (size_t)snprintf(ret + n, size - n, "%s%s%s", n ? "; " : "",
				kinds[i][0], kinds[i][1]);
}

static void tell_allowed(struct doctor *d)
{
	char allowed[800];
	size_t i;

	for (i = 0; i < d->plan.count; i++) {
		const struct doctor_profile *p = &d->plan.profiles[i];

		allowed_text(p, allowed, sizeof(allowed));
		doctor_say(d, AREA, FOUND_OK, NULL, "profile %s (%s): for %s%s", p->name, p->grant,
			p->everybody              ? "whoever can connect"
			: *allowed                ? allowed
			: d->plan.root_needs_rule ? "the daemon's user only"
						  : "root and the daemon's user only",
			p->everybody && *allowed ? ", within the units named" : "");
	}
}

static bool is_absent(const char *path)
{
	return access(path, F_OK) && errno == ENOENT;
}

bool doctor_finds_something(struct doctor *d)
{
	char program[PATH_MAX];

	if (!is_absent(d->config_file) || !is_absent(d->s->socket))
		return true;
	helper_find("../daemon/gctokend", GCTOKEND_PATH, program);
	doctor_say(d, AREA, FOUND_PROBLEM,
		access(program, X_OK)
			? "Install the package gctokend, and add a profile: gctokend-add-profile "
			  "default region=us-west-2 client_id=ID. If it is elsewhere, name it with "
			  "--config and --socket"
			: "Add a profile, as root: gctokend-add-profile default region=us-west-2 "
			  "client_id=ID (it asks for the secret). If there is a daemon elsewhere, "
			  "name it with --config and --socket",
		"there is neither %s nor %s: gctokend is not set up here yet", d->config_file,
		d->s->socket);
	return false;
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
