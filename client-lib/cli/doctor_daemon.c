/* What the daemon itself says. */
#include "doctor.h"
#include "status_report.h"
#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define AREA_DAEMON "Daemon"
#define AREA_TOKENS "Tokens"
#define AREA_FLEET "Fleet"

static void tell_silence(struct doctor *d, int error)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
		doctor_say(d, AREA_DAEMON, FOUND_UNKNOWN, NULL,
			"this user may not connect, so it cannot be asked");
		break;
	case -ETIMEDOUT:
		doctor_say(d, AREA_DAEMON, FOUND_PROBLEM,
			"See journalctl -u gctokend; systemctl restart gctokend keeps the tokens",
			"it accepts connections but does not reply");
		break;
	case -EBADMSG:
		doctor_say(d, AREA_DAEMON, FOUND_PROBLEM,
			"Name its socket with --socket or GCTOKEN_SOCKET",
			"the program at %s is not gctokend", d->s->socket);
		break;
	default:
		doctor_say(d, AREA_DAEMON, FOUND_PROBLEM,
			"See systemctl status gctokend and journalctl -u gctokend",
			"nobody answers at %s: %s", d->s->socket, strerror(-error));
	}
}

/* While a token lives, what the latest request failed with is what its end will bring. */
static void advice_for(const struct status_row *r, char *ret, size_t size)
{
	bool lives = !strcmp(r->state, "fresh") || !strcmp(r->state, "stale");
	const char *trouble = lives ? r->error_class : r->state;

	if (!strcmp(trouble, "client_rejected"))
		snprintf(ret, size,
			"Correct the profile's region, if the client is of another one (which is "
			"refused in the same words), or client_id and the client's secret. Then: "
			"systemctl reload gctokend");
	else if (!strcmp(trouble, "login_required"))
		snprintf(ret, size, "Somebody has to log it in: gctoken --profile %s login",
			r->name);
	else if (!strcmp(trouble, "revoked"))
		snprintf(ret, size, "An administrator brings it back: gctoken --profile %s refresh",
			r->name);
	else
		snprintf(ret, size,
			"The checks below may show the reason. For its history, an administrator "
			"can run: gctoken why --profile %s",
			r->name);
}

static void tell_profile(struct doctor *d, const struct status_row *r)
{
	char good_for[DURATION_TEXT_SIZE], status[32] = "", advice[256], left[64] = "";

	if (*r->login_problem)
		doctor_say(d, AREA_TOKENS, FOUND_PROBLEM,
			"Make room in state_dir, or repair it, before the daemon is restarted",
			"profile %s: %s", r->name, r->login_problem);
	duration_text(r->expires_in, good_for);
	if (!strcmp(r->state, "fresh") && !*r->error_class) {
		doctor_say(d, AREA_TOKENS, FOUND_OK, NULL, "profile %s: fresh, good for %s",
			r->name, good_for);
		return;
	}
	if (!strcmp(r->state, "waiting") && !*r->error_class) {
		doctor_say(d, AREA_TOKENS, FOUND_OK, NULL,
			"profile %s: nobody has asked for its token yet", r->name);
		return;
	}
	if (r->expires_in > 0)
		snprintf(left, sizeof(left), ", good for %s", good_for);
	if (r->error_status > 0)
		snprintf(status, sizeof(status), ", HTTP %.0f", r->error_status);
	advice_for(r, advice, sizeof(advice));
	doctor_say(d, AREA_TOKENS, FOUND_PROBLEM, advice, "profile %s: %s%s%s%s%s%s%s", r->name,
		r->state, left, *r->error_class ? "; latest failure: " : "", r->error_class, status,
		*r->error_words ? ": " : "", r->error_words);
}

/* What is wrong with the store, its own checks say. */
static void tell_fleet(struct doctor *d, const struct status_row *r)
{
	char lasts[DURATION_TEXT_SIZE];

	if (!*r->fleet_state)
		return;
	duration_text(r->fleet_for, lasts);
	if (!strcmp(r->fleet_state, "down") || !strcmp(r->fleet_state, "alone"))
		doctor_say(d, AREA_FLEET, FOUND_PROBLEM,
			"The checks below may show the reason, and the daemon tries again by "
			"itself. If they find nothing: has its user come into the store's group "
			"since "
			"it was started? Then: systemctl restart gctokend",
			"profile %s: the daemon has been without the store for %s%s%s%s", r->name,
			lasts,
			!strcmp(r->fleet_state, "alone") ? ", and has fetched a token for itself"
							 : "",
			*r->fleet_problem ? ": " : "", r->fleet_problem);
	else if (!strcmp(r->fleet_state, "other_key"))
		doctor_say(d, AREA_FLEET, FOUND_PROBLEM,
			"All hosts need the same fleet_key_file; see docs/fleet.md about changing "
			"it",
			"profile %s: the fleet's token is sealed with a key that the daemon does "
			"not have",
			r->name);
	else
		doctor_say(d, AREA_FLEET, FOUND_OK, NULL,
			"profile %s: the daemon has had the store for %s, and %s", r->name, lasts,
			!strcmp(r->fleet_role, "follower") ? "follows: it fetches no token itself"
							   : "may fetch tokens for all");
}

bool doctor_look_at_daemon(struct doctor *d)
{
	struct status_report report = STATUS_REPORT_NONE;
	int r = status_report_ask(d->s, 5, 1000, &report);
	size_t i;

	if (r < 0 && r != -EPROTO) {
		tell_silence(d, r);
		return false;
	}
	if (r)
		doctor_say(d, AREA_DAEMON, FOUND_PROBLEM, NULL,
			"its reply makes no sense (HTTP %d)", r > 0 ? r : 200);
	else if (*report.version && strcmp(report.version, GCTOKEN_VERSION))
		doctor_say(d, AREA_DAEMON, FOUND_PROBLEM,
			"Was it updated and not restarted? systemctl restart gctokend",
			"it has version %s, and this command version %s", report.version,
			GCTOKEN_VERSION);
	else
		doctor_say(d, AREA_DAEMON, FOUND_OK, NULL, "it answers%s%s",
			*report.version ? ", version " : "", report.version);
	if (*report.reload_problem)
		doctor_say(d, AREA_DAEMON, FOUND_PROBLEM,
			"Correct the configuration, then: systemctl reload gctokend",
			"the latest reload was refused: %s", report.reload_problem);
	if (*report.unknown_names)
		doctor_say(d, AREA_DAEMON, FOUND_PROBLEM,
			"Create them or take them out of the rules. Does the system's name service "
			"work? (getent passwd NAME)",
			"the rules name users or groups that this system does not know; nothing is "
			"granted to them: %s",
			report.unknown_names);
	for (i = 0; i < report.count; i++)
		tell_profile(d, &report.rows[i]);
	for (i = 0; i < report.count; i++)
		tell_fleet(d, &report.rows[i]);
	if (!r && !report.count)
		doctor_say(d, AREA_TOKENS, FOUND_PROBLEM,
			"allow_users and allow_groups of a profile in gctokend.conf say who may "
			"have its token",
			"there is no profile whose token this user may have");
	status_report_fini(&report);
	return !r;
}
