#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/config_url.h"
#include "core/regions.h"
#include <ctype.h>
#include <string.h>

static void known_names(void **state)
{
	static const char *const cases[][3] = {
		{"us-east-1", "us-east-1", "mypurecloud.com"},
		{"us_east_1", "us-east-1", "mypurecloud.com"},
		{"US-EAST-1", "us-east-1", "mypurecloud.com"},
		{"mypurecloud.com", "us-east-1", "mypurecloud.com"},
		{"us-east-2", "us-east-2", "use2.us-gov-pure.cloud"},
		{"use2.us_gov_pure.cloud", "us-east-2", "use2.us-gov-pure.cloud"},
		{"us-west-2", "us-west-2", "usw2.pure.cloud"},
		{"usw2.pure.cloud", "us-west-2", "usw2.pure.cloud"},
		{"ca-central-1", "ca-central-1", "cac1.pure.cloud"},
		{"mx-central-1", "mx-central-1", "mxc1.pure.cloud"},
		{"sa-east-1", "sa-east-1", "sae1.pure.cloud"},
		{"eu-west-1", "eu-west-1", "mypurecloud.ie"},
		{"eu-west-2", "eu-west-2", "euw2.pure.cloud"},
		{"eu-central-1", "eu-central-1", "mypurecloud.de"},
		{"eu-central-2", "eu-central-2", "euc2.pure.cloud"},
		{"eusc-de-east-1", "eusc-de-east-1", "edee1.eusc-pure.cloud"},
		{"me-central-1", "me-central-1", "mec1.pure.cloud"},
		{"ap-northeast-1", "ap-northeast-1", "mypurecloud.jp"},
		{"ap-northeast-2", "ap-northeast-2", "apne2.pure.cloud"},
		{"ap-northeast-3", "ap-northeast-3", "apne3.pure.cloud"},
		{"ap-south-1", "ap-south-1", "aps1.pure.cloud"},
		{"ap-southeast-1", "ap-southeast-1", "apse1.pure.cloud"},
		{"ap_southeast-2", "ap-southeast-2", "mypurecloud.com.au"},
		{"MyPureCloud.com.au", "ap-southeast-2", "mypurecloud.com.au"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct region *r = region_find(cases[i][0]);

		assert_non_null(r);
		assert_string_equal(r->name, cases[i][1]);
		assert_string_equal(r->environment, cases[i][2]);
	}
}

static void unknown_names(void **state)
{
	static const char *const cases[] = {"", "us-west-1", "us-west-2 ", " us-west-2",
		"us-west-22", "us-west", "uswest2", "pure.cloud", "evil.usw2.pure.cloud",
		"usw2.pure.cloud.evil", "xmypurecloud.com", "mypurecloud.co",
		"login.mypurecloud.com", "usw2-pure-cloud"};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_null(region_find(cases[i]));
	assert_null(region_find_environment("us-west-2"));
	assert_null(region_find_environment("use2.us_gov_pure.cloud"));
}

static void every_entry_is_found_by_both_names_in_any_spelling(void **state)
{
	size_t count;
	const struct region *table = region_table(&count);

	(void)state;
	assert_int_equal(count, 18);
	for (size_t i = 0; i < count; i++) {
		char name[64];

		assert_ptr_equal(region_find(table[i].name), &table[i]);
		assert_ptr_equal(region_find(table[i].environment), &table[i]);
		assert_ptr_equal(region_find_environment(table[i].environment), &table[i]);
		assert_true(domain_valid(table[i].environment));
		strcpy(name, table[i].name);
		for (char *c = name; *c; c++)
			*c = (char)(*c == '-' ? '_' : toupper((unsigned char)*c));
		assert_ptr_equal(region_find(name), &table[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_names),
		cmocka_unit_test(unknown_names),
		cmocka_unit_test(every_entry_is_found_by_both_names_in_any_spelling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
