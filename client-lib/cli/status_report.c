#include "status_report.h"

#include "daemon_call.h"
#include "json_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct status_row row_empty = {
	.generation = STATUS_ABSENT,
	.expires_in = STATUS_ABSENT,
	.refresh_in = STATUS_ABSENT,
	.skew = STATUS_ABSENT,
	.next_attempt_in = STATUS_ABSENT,
	.next_generation = STATUS_ABSENT,
	.fetches = STATUS_ABSENT,
	.failures = STATUS_ABSENT,
	.rejections = STATUS_ABSENT,
	.served = STATUS_ABSENT,
	.error_status = STATUS_ABSENT,
	.error_ago = STATUS_ABSENT,
	.login_ends_in = STATUS_ABSENT,
	.fleet_hosts = STATUS_ABSENT,
};

static struct status_row *row_at(struct status_report *r, size_t index)
{
	if (index >= r->capacity) {
		size_t capacity = r->capacity ? r->capacity * 2 : 16;
		struct status_row *rows;

		while (capacity <= index)
			capacity *= 2;
		rows = realloc(r->rows, capacity * sizeof(*rows));
		if (!rows) {
			r->out_of_memory = true;
			return NULL;
		}
		r->rows = rows;
		r->capacity = capacity;
	}
	while (r->count <= index)
		r->rows[r->count++] = row_empty;
	return &r->rows[index];
}

static void see_profile(struct status_row *row, const struct json_value *v)
{
	const struct {
		const char *path;
		char *to;
		size_t size;
	} texts[] = {
		{"profiles[].profile", row->name, sizeof(row->name)},
		{"profiles[].state", row->state, sizeof(row->state)},
		{"profiles[].region", row->region, sizeof(row->region)},
		{"profiles[].fingerprint", row->fingerprint, sizeof(row->fingerprint)},
		{"profiles[].last_error.class", row->error_class, sizeof(row->error_class)},
		{"profiles[].last_error.words", row->error_words, sizeof(row->error_words)},
		{"profiles[].last_error.correlation_id", row->correlation_id,
			sizeof(row->correlation_id)},
		{"profiles[].login.state", row->login_state, sizeof(row->login_state)},
		{"profiles[].login.problem", row->login_problem, sizeof(row->login_problem)},
		{"profiles[].fleet.state", row->fleet_state, sizeof(row->fleet_state)},
		{"profiles[].fleet.role", row->fleet_role, sizeof(row->fleet_role)},
		{"profiles[].fleet.problem", row->fleet_problem, sizeof(row->fleet_problem)},
	};
	const struct {
		const char *path;
		double *to;
	} numbers[] = {
		{"profiles[].generation", &row->generation},
		{"profiles[].expires_in", &row->expires_in},
		{"profiles[].refresh_in", &row->refresh_in},
		{"profiles[].skew_seconds", &row->skew},
		{"profiles[].next_attempt_in", &row->next_attempt_in},
		{"profiles[].next.generation", &row->next_generation},
		{"profiles[].next.serves_in", &row->next_serves_in},
		{"profiles[].counters.fetches", &row->fetches},
		{"profiles[].counters.failures", &row->failures},
		{"profiles[].counters.rejections", &row->rejections},
		{"profiles[].counters.served", &row->served},
		{"profiles[].last_error.status", &row->error_status},
		{"profiles[].last_error.ago", &row->error_ago},
		{"profiles[].login.ends_in", &row->login_ends_in},
		{"profiles[].fleet.hosts", &row->fleet_hosts},
		{"profiles[].fleet.for", &row->fleet_for},
	};
	size_t i;

	if (v->type == JSON_BOOL && !strcmp(v->path, "profiles[].fleet.fetched_here"))
		row->fetched_here = v->length == strlen("true");
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (json_take_text(v, texts[i].path, texts[i].to, texts[i].size))
			return;
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (json_take_number(v, numbers[i].path, numbers[i].to))
			return;
}

static void see_value(void *context, const struct json_value *v)
{
	struct status_report *r = context;

	if (!strncmp(v->path, "profiles[].", 11)) {
		struct status_row *row = row_at(r, v->index);

		if (row)
			see_profile(row, v);
		return;
	}
	json_take_text(v, "broker.version", r->version, sizeof(r->version));
	json_take_text(v, "broker.unknown_names", r->unknown_names, sizeof(r->unknown_names));
	json_take_text(v, "broker.reload_problem", r->reload_problem, sizeof(r->reload_problem));
	json_take_number(v, "broker.uptime", &r->uptime);
	json_take_number(v, "broker.connections", &r->connections);
	json_take_number(v, "broker.waiting", &r->waiting);
}

int status_report_read(const char *json, size_t length, struct status_report *ret)
{
	if (!json_read(json, length, see_value, ret))
		return -EBADMSG;
	return ret->out_of_memory ? -ENOMEM : 0;
}

void status_report_fini(struct status_report *r)
{
	free(r->rows);
	*r = STATUS_REPORT_NONE;
}

int status_report_ask(
	const struct settings *s, int64_t timeout_s, int64_t patience_ms, struct status_report *ret)
{
	const struct daemon_request request = {
		.method = "GET",
		.path = "/v1/status",
		.wait_s = -1,
		.timeout_s = timeout_s,
		.patience_ms = patience_ms,
		.repeatable = true,
	};
	struct daemon_reply reply = DAEMON_REPLY_NONE;
	int r = daemon_ask(s, &request, &reply);

	if (!r && reply.status != 200)
		r = reply.status;
	else if (!r && status_report_read(reply.body, reply.length, ret))
		r = -EPROTO;
	daemon_reply_fini(&reply);
	return r;
}

const struct status_row *status_report_find(const struct status_report *r, const char *profile)
{
	for (size_t i = 0; i < r->count; i++)
		if (!strcmp(r->rows[i].name, profile))
			return &r->rows[i];
	return NULL;
}
