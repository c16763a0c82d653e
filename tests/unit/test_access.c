/* Who may have what: every rule alone and with units, and that nothing unknown ever matches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/access.h"
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define SELF 990
#define UNKNOWN ((uid_t)-1)

static uint32_t user_ids[] = {1001, 1002}, group_ids[] = {2001, 2002}, unknown_id[] = {UNKNOWN};
static char alice_name[] = "alice", bob_name[] = "bob", web_name[] = "web", ops_name[] = "ops";
static char shop_unit[] = "shop.service", cart_unit[] = "cart.service", unknown_name[] = "-1";
static char *user_names[] = {alice_name, bob_name}, *group_names[] = {web_name, ops_name};
static char *unit_names[] = {shop_unit, cart_unit}, *unknown_names[] = {unknown_name};

#define ALICE_AND_BOB [ACCESS_USERS] = {.ids = user_ids, .names = user_names, .count = 2}
#define WEB_AND_OPS [ACCESS_GROUPS] = {.ids = group_ids, .names = group_names, .count = 2}
#define TWO_UNITS [ACCESS_UNITS] = {.names = unit_names, .count = 2}
#define EVERYBODY [ACCESS_USERS] = {.everybody = true}
#define NOBODY_KNOWN \
	{ \
		.ids = unknown_id, .names = unknown_names, .count = 1 \
	}

static const gid_t in_ops[] = {5, 2002, 7};
static const gid_t in_ops_first[] = {2002, 5};
static const gid_t in_nothing[] = {5, 6, 7};
static const gid_t in_unknown[] = {UNKNOWN};

static const struct access_rules empty = {0};
static const struct access_rules everybody = {.lists = {EVERYBODY}};
static const struct access_rules users = {.lists = {ALICE_AND_BOB}};
static const struct access_rules groups = {.lists = {WEB_AND_OPS}};
static const struct access_rules both = {.lists = {ALICE_AND_BOB, WEB_AND_OPS}};
static const struct access_rules everybody_in_units = {.lists = {EVERYBODY, TWO_UNITS}};
static const struct access_rules both_in_units = {.lists = {ALICE_AND_BOB, WEB_AND_OPS, TWO_UNITS}};
static const struct access_rules units_alone = {.lists = {TWO_UNITS}};
static const struct access_rules unknowns = {
	.lists = {[ACCESS_USERS] = NOBODY_KNOWN, [ACCESS_GROUPS] = NOBODY_KNOWN}};
static const struct access_rules not_root = {.root_needs_rule = true};
static const struct access_rules everybody_and_root = {
	.lists = {EVERYBODY}, .root_needs_rule = true};
static const struct access_rules users_not_root = {
	.lists = {ALICE_AND_BOB, WEB_AND_OPS}, .root_needs_rule = true};

static const struct peer root = {.uid = 0, .gid = 0, .pid = 1};
static const struct peer self = {.uid = SELF, .gid = SELF, .pid = 2};
static const struct peer alice = {.uid = 1001, .gid = 100, .pid = 3};
static const struct peer bob = {.uid = 1002, .gid = 2001, .pid = 3};
static const struct peer carol = {
	.uid = 1003, .gid = 100, .pid = 3, .groups = in_nothing, .group_count = 3};
static const struct peer web = {.uid = 1004, .gid = 2001, .pid = 3};
static const struct peer ops = {
	.uid = 1005, .gid = 100, .pid = 3, .groups = in_ops, .group_count = 3};
static const struct peer ops_first = {
	.uid = 1007, .gid = 100, .pid = 3, .groups = in_ops_first, .group_count = 2};
static const struct peer stranger = {.uid = UNKNOWN, .gid = UNKNOWN};
/* what a half-failed look-up might leave behind */
static const struct peer stranger_in_ops = {
	.uid = UNKNOWN, .gid = 2001, .pid = 3, .groups = in_ops, .group_count = 3};
static const struct peer no_groups = {
	.uid = 1006, .gid = UNKNOWN, .pid = 3, .groups = in_unknown, .group_count = 1};

static const struct peer root_in_ops = {
	.uid = 0, .gid = 0, .pid = 1, .groups = in_ops, .group_count = 3};
/* users without a number here: the kernel calls all of them by one */
static const struct peer unmapped_alice = {.uid = 1001, .gid = 100, .pid = 3, .unmapped = true};
static const struct peer unmapped_self = {.uid = SELF, .gid = SELF, .pid = 3, .unmapped = true};
static const struct peer unmapped_in_web = {.uid = 65534, .gid = 2001, .pid = 3, .unmapped = true};

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
	{&groups, &ops_first, NULL, true, "allow_groups: ops"},
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

	/* root as a user like others */
	{&not_root, &root, NULL, false, "no rule names uid 0 or its groups"},
	{&not_root, &self, NULL, true, "the daemon's own user"},
	{&everybody_and_root, &root, NULL, true, "allow_users: *"},
	{&users_not_root, &root, NULL, false, "no rule names uid 0 or its groups"},
	{&users_not_root, &root_in_ops, NULL, true, "allow_groups: ops"},
	{&users_not_root, &alice, NULL, true, "allow_users: alice"},

	/* a number that stands for many is in no rule and is not the daemon; it can connect, and
	 * its group may be a real one */
	{&users, &unmapped_alice, NULL, false, "no rule names uid 1001 or its groups"},
	{&users, &unmapped_self, NULL, false, "no rule names uid 990 or its groups"},
	{&both, &unmapped_in_web, NULL, true, "allow_groups: web"},
	{&everybody, &unmapped_alice, NULL, true, "allow_users: *"},

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

static void digest(const struct access_rules *rules, uint64_t ret[2])
{
	assert_int_equal(access_rules_digest(rules, "salt", ret), 0);
}

static void must_differ(const struct access_rules *a, const struct access_rules *b)
{
	uint64_t digests[2][2];

	digest(a, digests[0]);
	digest(b, digests[1]);
	assert_memory_not_equal(digests[0], digests[1], sizeof(digests[0]));
}

/* A page is handed out under the rules of the day: a list that the digest forgets is a page that
 * outlives them. */
static void every_list_is_in_the_digest(void **state)
{
	const uint32_t id = 1, other_id = 2;

	(void)state;
	for (size_t i = 0; i < ACCESS_LISTS; i++) {
		struct access_rules all = {0}, one = {0}, another = {0}, more = {0};
		struct id_list *more_names = &more.lists[i];
		const bool by_name = i == ACCESS_UNITS;

		all.lists[i].everybody = true;
		assert_int_equal(id_list_add(&one.lists[i], "a", by_name ? NULL : &id), 0);
		assert_int_equal(
			id_list_add(&another.lists[i], "b", by_name ? NULL : &other_id), 0);
		assert_int_equal(id_list_add(more_names, "a", by_name ? NULL : &id), 0);
		assert_int_equal(id_list_add(more_names, "b", by_name ? NULL : &other_id), 0);
		must_differ(&all, &empty);
		must_differ(&one, &empty);
		must_differ(&one, &another);
		must_differ(&one, &more);
		/* what stands in one list is not what stands in the next */
		for (size_t k = 0; k < i; k++) {
			struct access_rules moved = {0};

			moved.lists[k] = one.lists[i];
			must_differ(&one, &moved);
		}
		id_list_fini(&one.lists[i]);
		id_list_fini(&another.lists[i]);
		id_list_fini(more_names);
	}
}

static void that_root_needs_a_rule_is_in_the_digest(void **state)
{
	(void)state;
	must_differ(&empty, &not_root);
	must_differ(&everybody, &everybody_and_root);
}

/* Numbers whose bytes look like the border between two lists. */
static void lists_do_not_run_together(void **state)
{
	static char name[] = "x";
	static char *names[] = {name, name};
	static uint32_t ids[2];
	struct access_rules in_users = {
		.lists = {[ACCESS_USERS] = {.ids = ids, .names = names, .count = 2}}};
	struct access_rules in_groups = {
		.lists = {[ACCESS_USERS] = {.ids = ids, .names = names, .count = 1},
			[ACCESS_GROUPS] = {.ids = ids + 1, .names = names, .count = 1}}};

	(void)state;
	memcpy(&ids[1], "-:-:", 4);
	must_differ(&in_users, &in_groups);
}

static void the_digest_is_the_same_for_the_same_rules(void **state)
{
	uint64_t digests[3][2];

	(void)state;
	digest(&both_in_units, digests[0]);
	digest(&both_in_units, digests[1]);
	assert_memory_equal(digests[0], digests[1], sizeof(digests[0]));
	assert_int_equal(access_rules_digest(&both_in_units, "another salt", digests[2]), 0);
	assert_memory_not_equal(digests[0], digests[2], sizeof(digests[0]));
}

/* the address sanitizer sees what is forgotten */
static void lists_grow_and_are_freed(void **state)
{
	static const struct id_list zero;
	struct id_list list = {.everybody = true};
	char name[16];

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "name %u", (unsigned)i);
		assert_int_equal(id_list_add(&list, name, &i), 0);
	}
	assert_int_equal(list.count, 100);
	assert_int_equal(list.ids[99], 99);
	assert_string_equal(list.names[99], "name 99");
	id_list_fini(&list);
	assert_memory_equal(&list, &zero, sizeof(list));
	id_list_fini(&list);
}

/* The same rules, to be looked through from the first to the last. */
static void must_decide_as_unsorted(const struct access_rules *rules)
{
	struct access_rules unsorted = *rules;
	const gid_t in[] = {41, 7, UNKNOWN, 90};
	struct access_decision decision, other;

	for (size_t i = 0; i < ACCESS_LISTS; i++)
		unsorted.lists[i].sorted = NULL;
	for (uint32_t id = 0; id < 100; id++) {
		const struct peer peers[] = {
			{.uid = id + 1, .gid = 3000, .pid = 1},
			{.uid = 5000, .gid = id, .pid = 1},
			{.uid = 5000, .gid = id, .groups = in, .group_count = id % 2 ? 4 : 2},
			{.uid = id + 1, .gid = id, .unmapped = true, .pid = 1},
		};

		for (size_t i = 0; i < COUNT(peers); i++) {
			access_decide(rules, &peers[i], NULL, SELF, &decision);
			access_decide(&unsorted, &peers[i], NULL, SELF, &other);
			assert_string_equal(decision.rule, other.rule);
			assert_int_equal(decision.granted, other.granted);
			assert_int_equal(
				access_granted(rules, &peers[i], NULL, SELF), other.granted);
		}
	}
}

static void long_lists_decide_like_short_ones(void **state)
{
	struct access_rules rules = {0};
	uint32_t number = 12345;
	char name[16];

	(void)state;
	for (uint32_t i = 0; i < 60; i++) {
		struct id_list *list = &rules.lists[i % 2 ? ACCESS_USERS : ACCESS_GROUPS];
		uint32_t id;

		number = number * 1103515245 + 12345;
		id = i % 11 ? number / 65536 % 100 : ID_NOBODY;
		snprintf(name, sizeof(name), "name %u", (unsigned)i);
		assert_int_equal(id_list_add(list, name, &id), 0);
		must_decide_as_unsorted(&rules);
	}
	assert_non_null(rules.lists[ACCESS_USERS].sorted);
	assert_non_null(rules.lists[ACCESS_GROUPS].sorted);
	for (uint32_t i = 0; i < 60; i++) {
		number = number * 1103515245 + 12345;
		id_list_set(&rules.lists[i % 2 ? ACCESS_USERS : ACCESS_GROUPS], i / 2,
			i % 7 ? number / 65536 % 100 : ID_NOBODY);
		must_decide_as_unsorted(&rules);
	}
	for (size_t i = 0; i < ACCESS_LISTS; i++)
		id_list_fini(&rules.lists[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_decide),
		cmocka_unit_test(long_lists_decide_like_short_ones),
		cmocka_unit_test(unknown_is_not_the_daemon),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(every_list_is_in_the_digest),
		cmocka_unit_test(that_root_needs_a_rule_is_in_the_digest),
		cmocka_unit_test(lists_do_not_run_together),
		cmocka_unit_test(the_digest_is_the_same_for_the_same_rules),
		cmocka_unit_test(lists_grow_and_are_freed),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
