/* Who may what: every right for every sort of caller, and that asking changes nothing. */
#include "broker_fixture.h"

#include "broker/profile_type.h"
#include "broker/rights.h"
#include "core/access.h"
#include "front/connection_peer.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

/* Who connected, as the kernel and systemd would say. */
static struct peer peer;
static const char *unit;
static unsigned units_asked, groups_asked;

const struct peer *__wrap_connection_peer(const struct connection *c);
const struct peer *__wrap_connection_peer_in_groups(struct connection *c);
const char *__wrap_connection_unit(struct connection *c);

const struct peer *__wrap_connection_peer(const struct connection *c)
{
	(void)c;
	return &peer;
}

const struct peer *__wrap_connection_peer_in_groups(struct connection *c)
{
	static const gid_t groups[] = {8};

	(void)c;
	groups_asked++;
	peer.groups = groups;
	peer.group_count = 1;
	return &peer;
}

const char *__wrap_connection_unit(struct connection *c)
{
	(void)c;
	units_asked++;
	return unit;
}

static struct connection *somebody(const char *user)
{
	const struct passwd *entry = getpwnam(user);

	assert_non_null(entry);
	peer = (struct peer){.uid = entry->pw_uid, .gid = entry->pw_gid, .pid = 1};
	unit = NULL;
	units_asked = groups_asked = 0;
	return NULL; /* it is looked at by the calls above alone */
}

#define RULES \
	"admin_users = daemon\nmetrics_users = lp\n" \
	"[profile a]\nprefetch = no\nallow_users = games\nlogin_users = news\n" \
	"[profile b]\nprefetch = no\nallow_users = mail\n" \
	"[profile all]\nprefetch = no\nallow_users = *\n" \
	"[profile groups]\nprefetch = no\nallow_groups = mail\n" \
	"[profile units]\nprefetch = no\nallow_users = games\nallow_units = backup.service\n"

/* One word for each right that `user` has to `p`. */
static const char *may(struct rig *r, const char *user, struct profile *p)
{
	static const struct {
		enum right right;
		const char *word;
	} rights[] = {{RIGHT_NONE, "none"}, {RIGHT_TOKEN, "token"}, {RIGHT_SEE, "see"},
		{RIGHT_LOGIN, "login"}, {RIGHT_METRICS, "metrics"}, {RIGHT_ADMIN, "admin"}};
	struct connection *c = somebody(user);
	static char words[100];

	words[0] = '\0';
	for (size_t i = 0; i < sizeof(rights) / sizeof(*rights); i++)
		if (rights_may(r->broker, c, rights[i].right, p)) {
			strcat(words, words[0] ? " " : "");
			strcat(words, rights[i].word);
		}
	return words;
}

static void test_each_right_has_its_rule(void **state)
{
	struct rig *r = rig_new(RULES);
	struct profile *a = rig_profile(r, "a"), *b = rig_profile(r, "b");
	struct profile *all = rig_profile(r, "all");

	(void)state;
	assert_string_equal(may(r, "games", a), "none token see");
	assert_string_equal(may(r, "games", b), "none");
	assert_string_equal(may(r, "mail", a), "none");
	assert_string_equal(may(r, "mail", b), "none token see");
	/* who may log in may not have the token that comes of it */
	assert_string_equal(may(r, "news", a), "none login");
	assert_string_equal(may(r, "news", b), "none");
	assert_string_equal(may(r, "lp", a), "none metrics");
	assert_string_equal(may(r, "daemon", a), "none see login metrics admin");
	assert_string_equal(may(r, "news", all), "none token see");
	assert_string_equal(may(r, "root", a), "none token see login metrics admin");
	rig_free(r);
}

static void test_whoever_cannot_be_told_may_nothing(void **state)
{
	struct rig *r = rig_new(RULES);
	struct profile *all = rig_profile(r, "all");
	struct connection *c = somebody("games");

	(void)state;
	peer.uid = (uid_t)-1;
	for (enum right right = RIGHT_TOKEN; right <= RIGHT_ADMIN; right++)
		assert_false(rights_may(r->broker, c, right, all));
	assert_true(rights_may(r->broker, c, RIGHT_NONE, all));
	rig_free(r);
}

/* What is not about a profile needs none. */
static void test_rights_without_a_profile(void **state)
{
	struct rig *r = rig_new(RULES);
	struct connection *c = somebody("lp");

	(void)state;
	assert_true(rights_may(r->broker, c, RIGHT_METRICS, NULL));
	assert_false(rights_may(r->broker, c, RIGHT_ADMIN, NULL));
	c = somebody("daemon");
	assert_true(rights_may(r->broker, c, RIGHT_METRICS, NULL));
	assert_true(rights_may(r->broker, c, RIGHT_ADMIN, NULL));
	c = somebody("games");
	assert_false(rights_may(r->broker, c, RIGHT_METRICS, NULL));
	assert_true(rights_may(r->broker, c, RIGHT_NONE, NULL));
	rig_free(r);
}

/* Finding out the unit of a caller takes a look into /proc. */
static void test_the_unit_is_asked_for_by_rules_with_units_alone(void **state)
{
	struct rig *r = rig_new(RULES);
	struct profile *units = rig_profile(r, "units");
	struct connection *c = somebody("games");

	(void)state;
	assert_true(rights_may(r->broker, c, RIGHT_TOKEN, rig_profile(r, "a")));
	assert_int_equal(units_asked, 0);
	assert_false(rights_may(r->broker, c, RIGHT_TOKEN, units));
	assert_int_equal(units_asked, 1);
	unit = "backup.service";
	assert_true(rights_may(r->broker, c, RIGHT_TOKEN, units));
	unit = "other.service";
	assert_false(rights_may(r->broker, c, RIGHT_TOKEN, units));
	rig_free(r);
}

/* So does it to ask the kernel for all groups of a caller. */
static void test_groups_are_asked_for_by_rules_with_groups_alone(void **state)
{
	struct rig *r = rig_new(RULES);
	struct connection *c = somebody("games");

	(void)state;
	assert_true(rights_may(r->broker, c, RIGHT_TOKEN, rig_profile(r, "a")));
	assert_false(rights_may(r->broker, c, RIGHT_TOKEN, rig_profile(r, "b")));
	rights_refused(rig_profile(r, "b"), c, RIGHT_TOKEN);
	assert_int_equal(groups_asked, 0);
	assert_true(rights_may(r->broker, c, RIGHT_TOKEN, rig_profile(r, "groups")));
	assert_int_equal(groups_asked, 1);
	rig_free(r);
}

static const char *latest(const struct profile *p)
{
	const struct history_event *all[HISTORY_ALL];

	return all[history_all(&p->history, all) - 1]->words;
}

static void test_asking_changes_nothing(void **state)
{
	struct rig *r = rig_new(RULES);
	struct profile *p = rig_profile(r, "b");
	uint64_t events = p->history.order;

	(void)state;
	assert_string_equal(may(r, "games", p), "none");
	assert_int_equal(p->denied, 0);
	assert_int_equal(p->history.order, events);
	rig_free(r);
}

/* With the rule that was missed: an admin who reads it knows which key to look at. */
static void test_a_refusal_is_counted_and_remembered(void **state)
{
	static const struct {
		enum right right;
		const char *rule;
	} cases[] = {
		{RIGHT_TOKEN, "no rule names uid 5 or its groups"},
		{RIGHT_SEE, "no rule names uid 5 or its groups"},
		{RIGHT_LOGIN, "not an admin"},
		{RIGHT_ADMIN, "not an admin"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rig *r = rig_new(RULES);
		struct profile *p = rig_profile(r, "b");
		struct connection *c = somebody("games"); /* 5, on every Debian */
		uint64_t events = p->history.order;
		const struct history_event *all[HISTORY_ALL];
		uint64_t ring = p->history.count;
		size_t number;
		char words[100];

		rights_refused(p, c, cases[i].right);
		assert_int_equal(p->denied, 1);
		assert_int_equal(p->history.order, events + 1);
		number = history_all(&p->history, all);
		snprintf(words, sizeof(words), "denied: uid 5, %s", cases[i].rule);
		assert_string_equal(latest(p), words);
		assert_true(rig_logged(r, words));
		/* the same again is one event more often */
		rights_refused(p, c, cases[i].right);
		assert_int_equal(p->denied, 2);
		assert_int_equal(p->history.count, ring);
		assert_int_equal(history_all(&p->history, all), number);
		assert_int_equal(p->history.order, events + 2);
		rig_free(r);
	}
}

static void test_a_refusal_names_the_unit(void **state)
{
	struct rig *r = rig_new(RULES);
	struct profile *p = rig_profile(r, "units");
	struct connection *c = somebody("games");

	(void)state;
	unit = "other.service";
	rights_refused(p, c, RIGHT_TOKEN);
	assert_non_null(strstr(latest(p), "allow_units"));
	rig_free(r);
}

static void test_a_reload_changes_the_rights(void **state)
{
	struct rig *r = rig_new(RULES);

	(void)state;
	rig_configure(r, "[profile a]\nprefetch = no\nallow_users = mail\n");
	rig_reload(r);
	assert_string_equal(may(r, "games", rig_profile(r, "a")), "none");
	assert_string_equal(may(r, "mail", rig_profile(r, "a")), "none token see");
	assert_string_equal(may(r, "daemon", rig_profile(r, "a")), "none");
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_right_has_its_rule),
		cmocka_unit_test(test_whoever_cannot_be_told_may_nothing),
		cmocka_unit_test(test_rights_without_a_profile),
		cmocka_unit_test(test_the_unit_is_asked_for_by_rules_with_units_alone),
		cmocka_unit_test(test_groups_are_asked_for_by_rules_with_groups_alone),
		cmocka_unit_test(test_asking_changes_nothing),
		cmocka_unit_test(test_a_refusal_is_counted_and_remembered),
		cmocka_unit_test(test_a_refusal_names_the_unit),
		cmocka_unit_test(test_a_reload_changes_the_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
