/* The metrics as Prometheus reads them: families that are whole, figures that belong to their
 * profile, and nothing of a profile that was not asked for. */
#include "source_fixture.h"

#include "core/config.h"
#include "core/fleet.h"
#include "core/probe.h"
#include "core/reply.h"
#include "core/reply_metrics.h"
#include "core/skew.h"
#include "core/text.h"
#include "core/views.h"

#define FAMILIES_MAX 64

static char names[2][PROFILE_NAME_MAX + 1] = {"default", "reports"};

struct world {
	struct rig *rig[2];
	struct profile_settings settings[2];
	struct skew skew;
	struct probe_plan probe;
	struct profile_view profiles[2];
	uint64_t requests[600];
	struct broker_view broker;
	bool for_user;    /* who may not see the broker as a whole */
	char text[32768]; /* the body alone */
};

static void world_init(struct world *w)
{
	*w = (struct world){
		.broker = {.version = "1.2.3", .uptime = {90 * S + 999 * MS}, .accepted = 41},
	};
	w->broker.requests = w->requests;
	w->requests[200] = 17;
	w->requests[599] = 1;
	probe_init(&w->probe, true);
	w->probe.sent_count = 5;
	for (size_t i = 0; i < 2; i++) {
		w->rig[i] = rig_new(NULL, i);
		w->settings[i] = (struct profile_settings){.name = names[i]};
		w->profiles[i] = (struct profile_view){
			.settings = &w->settings[i],
			.source = &w->rig[i]->s,
			.history = &w->rig[i]->history,
			.skew = &w->skew,
			.probe = &w->probe,
		};
	}
}

static void world_fini(struct world *w)
{
	rig_free(w->rig[0]);
	rig_free(w->rig[1]);
}

/* Writes the metrics of the first `count` profiles. */
static const char *metrics(struct world *w, size_t count)
{
	struct buffer out;
	struct reply reply = {.out = &out};
	const char *body;

	buffer_init(&out, NULL, 0);
	reply_metrics(&reply, &w->rig[0]->now, w->profiles, count, w->for_user ? NULL : &w->broker);
	buffer_put_char(&out, '\0');
	assert_false(buffer_failed(&out));
	body = strstr(out.data, "\r\n\r\n");
	assert_non_null(body);
	assert_non_null(strstr(out.data, "Content-Type: " REPLY_METRICS "\r\n"));
	assert_true(strlen(body + 4) < sizeof(w->text));
	strcpy(w->text, body + 4);
	buffer_fini(&out);
	return w->text;
}

static bool has_line(const char *text, const char *line)
{
	size_t length = strlen(line);

	for (const char *at = text; (at = strstr(at, line)); at++)
		if ((at == text || at[-1] == '\n') && at[length] == '\n')
			return true;
	return false;
}

#define assert_line(text, line) \
	do { \
		if (!has_line(text, line)) \
			fail_msg("no line '%s' in:\n%s", line, text); \
	} while (0)

/* NAME{label="value",...} or NAME, a space, a number. A value needs no escapes. */
static void sample_read(const char *line, const char *family)
{
	size_t length = strlen(family);
	const char *at = line + length;
	char *end;

	if (strncmp(line, family, length) != 0)
		fail_msg("'%s' stands below the family %s", line, family);
	if (*at == '{')
		do {
			at++;
			length = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
			assert_true(length > 0);
			assert_memory_equal(at + length, "=\"", 2);
			at += length + 2;
			at += strcspn(at, "\"\\");
			assert_int_equal(*at, '"');
			at++;
		} while (*at == ',');
	if (at[-1] == '"') {
		assert_int_equal(*at, '}');
		at++;
	}
	assert_int_equal(*at, ' ');
	(void)strtod(at + 1, &end);
	assert_true(end > at + 1);
	assert_int_equal(*end, '\0');
}

static struct fleet_view some_fleet(void)
{
	static const struct fleet_counters counters = {
		.adopted = 3,
		.missed = 1,
		.pushed = 2,
		.push_delay = {25 * MS},
		.operations = {[FLEET_READ] = {[FLEET_SAYS_RECORD] = 4,
				       [FLEET_RESULT_EMPTY] = 5,
				       [FLEET_RESULT_LOST] = 6},
			[FLEET_ACQUIRE] = {[FLEET_SAYS_LIMIT] = 7},
			[FLEET_STOP] = {[FLEET_RESULT_REFUSED] = 8}},
	};

	return (struct fleet_view){.state = FLEET_STATE_UP,
		.lasts = {700 * MS},
		.up = true,
		.linked = {1500 * MS},
		.generation = 9,
		.hosts = 3,
		.counters = &counters};
}

/* Of a profile that is in none, nothing is said of one. */
static void a_fleets_figures(void **state)
{
	struct world w;
	const char *text;

	(void)state;
	world_init(&w);
	w.profiles[1].fleet = some_fleet();
	text = metrics(&w, 2);
	assert_null(strstr(text, "gctokend_fleet_up{profile=\"default\"}"));
	assert_null(strstr(text, "gctokend_fleet_operations_total{profile=\"default\""));
#define LINE(name, labels, value) "gctokend_fleet_" name "{profile=\"reports\"" labels "} " value
#define OF(op, result) ",op=\"" op "\",result=\"" result "\""
	assert_line(text, LINE("up", "", "1"));
	assert_line(text, LINE("alone", "", "0"));
	assert_line(text, LINE("link_seconds", "", "1.500"));
	assert_line(text, LINE("generation", "", "9"));
	assert_line(text, LINE("hosts", "", "3"));
	assert_line(text, LINE("events_total", ",event=\"adopted\"", "3"));
	assert_line(text, LINE("events_total", ",event=\"missed\"", "1"));
	assert_line(text, LINE("operations_total", OF("read", "record"), "4"));
	assert_line(text, LINE("operations_total", OF("read", "empty"), "5"));
	assert_line(text, LINE("operations_total", OF("read", "lost"), "6"));
	assert_line(text, LINE("operations_total", OF("read", "refused"), "0"));
	assert_line(text, LINE("operations_total", OF("acquire", "limit"), "7"));
	assert_line(text, LINE("operations_total", OF("stop", "refused"), "8"));
	assert_line(text, LINE("pushes_total", "", "2"));
	assert_line(text, LINE("push_delay_seconds_total", "", "0.025"));
	/* reached, and of no help */
	w.profiles[1].fleet.state = FLEET_STATE_ALONE;
	text = metrics(&w, 2);
	assert_line(text, LINE("up", "", "1"));
	assert_line(text, LINE("alone", "", "1"));
	assert_line(text, LINE("link_seconds", "", "1.500"));
#undef LINE
#undef OF
	world_fini(&w);
}

/* One HELP, one TYPE, then the samples of that family, and no family twice. */
static void families_are_whole(void **state)
{
	static char seen[FAMILIES_MAX][80];
	size_t families = 0;
	struct world w;
	char family[80] = "", type[80], kind[16];
	bool typed = false;

	(void)state;
	world_init(&w);
	w.profiles[1].has_login = true;
	w.profiles[1].fleet = some_fleet();
	rig_decide(w.rig[0]);
	rig_answer_token(w.rig[0], "one", 3600);
	(void)metrics(&w, 2);
	assert_int_equal(w.text[strlen(w.text) - 1], '\n');
	for (char *line = strtok(w.text, "\n"); line; line = strtok(NULL, "\n")) {
		if (strncmp(line, "# HELP ", 7) == 0) {
			assert_true(!*family || typed);
			assert_int_equal(sscanf(line, "# HELP %79s", family), 1);
			assert_true(strlen(line) > strlen("# HELP ") + strlen(family) + 1);
			assert_null(strchr(line, '\\'));
			for (size_t i = 0; i < families; i++)
				assert_string_not_equal(seen[i], family);
			assert_true(families < FAMILIES_MAX);
			strcpy(seen[families++], family);
			typed = false;
		} else if (*line == '#') {
			assert_false(typed);
			assert_int_equal(sscanf(line, "# TYPE %79s %15s", type, kind), 2);
			assert_string_equal(type, family);
			/* by the convention of Prometheus */
			assert_string_equal(kind, strstr(family, "_total") ? "counter" : "gauge");
			typed = true;
		} else {
			assert_true(typed);
			sample_read(line, family);
		}
	}
	assert_true(typed);
	assert_true(families > 20);
	world_fini(&w);
}

static void figures_belong_to_their_profile(void **state)
{
	struct world w;
	const char *text;

	(void)state;
	world_init(&w);
	rig_decide(w.rig[0]);
	rig_answer_token(w.rig[0], "one", 3600);
	rig_decide(w.rig[1]);
	rig_answer_failure(w.rig[1], RESPONSE_THROTTLED, -1);
	w.rig[0]->s.counters.served = 12;
	w.rig[0]->s.counters.served_stale = 5;
	w.rig[0]->s.counters.rejected = 3;
	w.rig[1]->s.counters.cooled_down = 4;
	w.profiles[0].waiting = 6;
	w.profiles[1].denied = 7;
	w.profiles[0].pages_given = 8;
	w.profiles[1].pages_retired = 9;
	w.profiles[1].has_login = true;
	w.broker.descriptors_refused = 10;
	w.broker.closes_stuck = 11;
	w.broker.users_held_off = 17;
	text = metrics(&w, 2);
	assert_line(text, "gctokend_token_valid{profile=\"default\"} 1");
	assert_line(text, "gctokend_token_valid{profile=\"reports\"} 0");
	assert_line(text, "gctokend_token_state{profile=\"default\",state=\"fresh\"} 1");
	assert_line(text, "gctokend_token_state{profile=\"default\",state=\"unavailable\"} 0");
	assert_line(text, "gctokend_token_state{profile=\"reports\",state=\"fresh\"} 0");
	assert_line(text, "gctokend_token_state{profile=\"reports\",state=\"unavailable\"} 1");
	assert_line(text, "gctokend_token_generation{profile=\"default\"} 1");
	assert_line(text, "gctokend_token_expires_in_seconds{profile=\"reports\"} 0.000");
	assert_line(text, "gctokend_fetches_total{profile=\"default\",result=\"token\"} 1");
	assert_line(text, "gctokend_fetches_total{profile=\"default\",result=\"throttled\"} 0");
	assert_line(text, "gctokend_fetches_total{profile=\"reports\",result=\"throttled\"} 1");
	assert_line(text, "gctokend_latest_fetch_failed{profile=\"default\"} 0");
	assert_line(text, "gctokend_latest_fetch_failed{profile=\"reports\"} 1");
	assert_line(text, "gctokend_client_rejected{profile=\"reports\"} 0");
	assert_line(text, "gctokend_tokens_served_total{profile=\"default\",state=\"fresh\"} 7");
	assert_line(text, "gctokend_tokens_served_total{profile=\"default\",state=\"stale\"} 5");
	assert_line(text, "gctokend_rejections_total{profile=\"default\",result=\"replaced\"} 3");
	assert_line(text, "gctokend_rejections_total{profile=\"reports\",result=\"cooldown\"} 4");
	assert_line(text, "gctokend_waiting_requests{profile=\"default\"} 6");
	assert_line(text, "gctokend_denied_requests_total{profile=\"reports\"} 7");
	assert_line(text, "gctokend_pages_given_total{profile=\"default\"} 8");
	assert_line(text, "gctokend_pages_retired_total{profile=\"reports\"} 9");
	assert_line(text, "gctokend_login_stored{profile=\"reports\"} 0");
	assert_null(strstr(text, "gctokend_login_stored{profile=\"default\"}"));
	assert_line(text, "gctokend_clock_probes_total{profile=\"default\"} 5");
	/* not measured: absent, and not 0 */
	assert_null(strstr(text, "gctokend_clock_skew_seconds{"));
	assert_line(text, "gctokend_build_info{version=\"1.2.3\"} 1");
	assert_line(text, "gctokend_uptime_seconds 90");
	assert_line(text, "gctokend_connections_accepted_total 41");
	assert_line(text, "gctokend_descriptors_refused_total 10");
	assert_line(text, "gctokend_closes_stuck_total 11");
	assert_line(text, "gctokend_users_held_off_total 17");
	assert_line(text, "gctokend_requests_total{code=\"200\"} 17");
	assert_line(text, "gctokend_requests_total{code=\"599\"} 1");
	assert_null(strstr(text, "gctokend_requests_total{code=\"404\"}"));
	world_fini(&w);
}

/* What is given is what the caller may see. */
static void tells_no_more_than_the_caller_may_see(void **state)
{
	struct world w;
	const char *text;

	(void)state;
	world_init(&w);
	text = metrics(&w, 1);
	assert_non_null(strstr(text, "profile=\"default\""));
	assert_null(strstr(text, names[1]));
	text = metrics(&w, 0);
	assert_null(strstr(text, "profile"));
	assert_line(text, "gctokend_uptime_seconds 90");
	w.for_user = true;
	text = metrics(&w, 1);
	assert_non_null(strstr(text, "profile=\"default\""));
	for (const char *at = text; (at = strchr(at, '\n')) && at[1]; at++)
		assert_true(at[1] == '#' || at[1 + strcspn(at + 1, "{ \n")] == '{');
	assert_null(strstr(text, "gctokend_uptime_seconds"));
	assert_string_equal(metrics(&w, 0), "");
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_are_whole),
		cmocka_unit_test(a_fleets_figures),
		cmocka_unit_test(figures_belong_to_their_profile),
		cmocka_unit_test(tells_no_more_than_the_caller_may_see),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
