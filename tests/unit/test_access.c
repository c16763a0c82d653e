/* Who may have what: every rule alone and with units, and that nothing unknown ever matches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/access.h"
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define SELF 990
#define UNKNOWN ((uid_t)-1)

static uid_t alice_and_bob[] = {1001, 1002};
static char alice_name[] = "alice", bob_name[] = "bob";
static char *alice_and_bob_names[] = {alice_name, bob_name};
static gid_t web_and_ops[] = {2001, 2002};
static char web_name[] = "web", ops_name[] = "ops";
static char *web_and_ops_names[] = {web_name, ops_name};
static char shop_unit[] = "shop.service", cart_unit[] = "cart.service";
static char *two_units[] = {shop_unit, cart_unit};
static uid_t no_user[] = {UNKNOWN};
static gid_t no_group[] = {UNKNOWN};
static char unknown_name[] = "-1";
static char *no_names[] = {unknown_name};

static const gid_t in_ops[] = {5, 2002, 7};
static const gid_t in_nothing[] = {5, 6, 7};
static const gid_t in_unknown[] = {UNKNOWN};

static const struct access_rules empty = {0};
static const struct access_rules everybody = {.everybody = true};
static const struct access_rules users = {
	.users = alice_and_bob, .user_names = alice_and_bob_names, .user_count = 2};
static const struct access_rules groups = {
	.groups = web_and_ops, .group_names = web_and_ops_names, .group_count = 2};
static const struct access_rules both = {.users = alice_and_bob,
	.user_names = alice_and_bob_names,
	.user_count = 2,
	.groups = web_and_ops,
	.group_names = web_and_ops_names,
	.group_count = 2};
static const struct access_rules everybody_in_units = {
	.everybody = true, .units = two_units, .unit_count = 2};
static const struct access_rules both_in_units = {.users = alice_and_bob,
	.user_names = alice_and_bob_names,
	.user_count = 2,
	.groups = web_and_ops,
	.group_names = web_and_ops_names,
	.group_count = 2,
	.units = two_units,
	.unit_count = 2};
static const struct access_rules units_alone = {.units = two_units, .unit_count = 2};
static const struct access_rules unknowns = {.users = no_user,
	.user_names = no_names,
	.user_count = 1,
	.groups = no_group,
	.group_names = no_names,
	.group_count = 1};

static const struct peer root = {.uid = 0, .gid = 0, .pid = 1};
static const struct peer self = {.uid = SELF, .gid = SELF, .pid = 2};
static const struct peer alice = {.uid = 1001, .gid = 100, .pid = 3};
static const struct peer bob = {.uid = 1002, .gid = 2001, .pid = 3};
static const struct peer carol = {
	.uid = 1003, .gid = 100, .pid = 3, .groups = in_nothing, .group_count = 3};
static const struct peer web = {.uid = 1004, .gid = 2001, .pid = 3};
static const struct peer ops = {
	.uid = 1005, .gid = 100, .pid = 3, .groups = in_ops, .group_count = 3};
static const struct peer stranger = {.uid = UNKNOWN, .gid = UNKNOWN};
/* what a half-failed look-up might leave behind */
static const struct peer stranger_in_ops = {
	.uid = UNKNOWN, .gid = 2001, .pid = 3, .groups = in_ops, .group_count = 3};
static const struct peer no_groups = {
	.uid = 1006, .gid = UNKNOWN, .pid = 3, .groups = in_unknown, .group_count = 1};

static const struct {
	const struct access_rules *rules;
	const struct peer *peer;
	const char *unit;
	bool granted;
	const char *rule;
} cases[] = {
	{&empty, &root, NULL, true, "root"},
	{&empty, &self, NULL, true, "the daemon's own user"},
	{&empty, &alice, NULL, false, "no rule names uid 1001 or its groups"},
	{&empty, &ops, "shop.service", false, "no rule names uid 1005 or its groups"},
	{&empty, &stranger, NULL, false, "the peer's user is not known"},

	{&everybody, &root, NULL, true, "root"},
	{&everybody, &carol, NULL, true, "allow_users: *"},
	{&everybody, &stranger, NULL, false, "the peer's user is not known"},
	{&everybody, &stranger_in_ops, "shop.service", false, "the peer's user is not known"},

	{&users, &alice, NULL, true, "allow_users: alice"},
	{&users, &bob, NULL, true, "allow_users: bob"},
	{&users, &carol, NULL, false, "no rule names uid 1003 or its groups"},
	{&users, &self, NULL, true, "the daemon's own user"},

	{&groups, &web, NULL, true, "allow_groups: web"},
	{&groups, &ops, NULL, true, "allow_groups: ops"},
	{&groups, &bob, NULL, true, "allow_groups: web"},
	{&groups, &alice, NULL, false, "no rule names uid 1001 or its groups"},
	{&groups, &stranger_in_ops, NULL, false, "the peer's user is not known"},

	{&both, &bob, NULL, true, "allow_users: bob"},
	{&both, &ops, "any.service", true, "allow_groups: ops"},
	{&both, &carol, NULL, false, "no rule names uid 1003 or its groups"},

	{&everybody_in_units, &root, NULL, true, "root"},
	{&everybody_in_units, &self, NULL, true, "the daemon's own user"},
	{&everybody_in_units, &carol, "cart.service", true,
		"allow_users: * and allow_units: cart.service"},
	{&everybody_in_units, &carol, "evil.service", false,
		"the unit evil.service is in no allow_units"},
	{&everybody_in_units, &carol, "", false, "the unit  is in no allow_units"},
	{&everybody_in_units, &carol, NULL, false, "the peer's unit is not known"},
	{&everybody_in_units, &stranger, "cart.service", false, "the peer's user is not known"},

	{&both_in_units, &alice, "shop.service", true,
		"allow_users: alice and allow_units: shop.service"},
	{&both_in_units, &ops, "cart.service", true,
		"allow_groups: ops and allow_units: cart.service"},
	{&both_in_units, &alice, "shop.servic", false, "the unit shop.servic is in no allow_units"},
	{&both_in_units, &alice, NULL, false, "the peer's unit is not known"},
	{&both_in_units, &carol, "shop.service", false, "no rule names uid 1003 or its groups"},

	/* a unit narrows and never grants */
	{&units_alone, &carol, "shop.service", false, "no rule names uid 1003 or its groups"},

	/* -1 is nobody, in the rules too */
	{&unknowns, &stranger, NULL, false, "the peer's user is not known"},
	{&unknowns, &no_groups, NULL, false, "no rule names uid 1006 or its groups"},
};

static void rules_decide(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct access_decision decision;

		memset(&decision, 0x5a, sizeof(decision));
		access_decide(cases[i].rules, cases[i].peer, cases[i].unit, SELF, &decision);
		assert_string_equal(decision.rule, cases[i].rule);
		assert_int_equal(decision.granted, cases[i].granted);
		assert_int_equal(access_granted(cases[i].rules, cases[i].peer, cases[i].unit, SELF),
			cases[i].granted);
	}
}

static void unknown_is_not_the_daemon(void **state)
{
	struct access_decision decision;

	(void)state;
	access_decide(&everybody, &stranger, NULL, UNKNOWN, &decision);
	assert_false(decision.granted);
	assert_false(access_granted(&everybody, &stranger, NULL, UNKNOWN));
}

static void long_names_are_cut(void **state)
{
	struct access_decision decision;
	char unit[400];

	(void)state;
	memset(unit, 'u', sizeof(unit) - 1);
	unit[sizeof(unit) - 1] = '\0';
	access_decide(&everybody_in_units, &carol, unit, SELF, &decision);
	assert_false(decision.granted);
	assert_int_equal(strlen(decision.rule), sizeof(decision.rule) - 1);
}

static char **strings(const char *a, const char *b)
{
	char **list = calloc(2, sizeof(*list));

	assert_non_null(list);
	list[0] = strdup(a);
	list[1] = strdup(b);
	return list;
}

/* the address sanitizer sees what is forgotten */
static void rules_are_freed(void **state)
{
	static const struct access_rules zero;
	struct access_rules rules = {.user_count = 2, .group_count = 2, .unit_count = 2};

	(void)state;
	rules.users = calloc(2, sizeof(*rules.users));
	rules.groups = calloc(2, sizeof(*rules.groups));
	rules.user_names = strings("a", "b");
	rules.group_names = strings("c", "d");
	rules.units = strings("e", "f");
	access_rules_fini(&rules);
	assert_memory_equal(&rules, &zero, sizeof(rules));
	access_rules_fini(&rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_decide),
		cmocka_unit_test(unknown_is_not_the_daemon),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(rules_are_freed),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
