#include "regions.h"
#include <stdbool.h>
#include <strings.h>

static const struct region regions[] = {
	{"us-east-1", "mypurecloud.com"},
	{"us-east-2", "use2.us-gov-pure.cloud"}, /* FedRAMP */
	{"us-west-2", "usw2.pure.cloud"},
	{"ca-central-1", "cac1.pure.cloud"},
	{"mx-central-1", "mxc1.pure.cloud"},
	{"sa-east-1", "sae1.pure.cloud"},
	{"eu-west-1", "mypurecloud.ie"},
	{"eu-west-2", "euw2.pure.cloud"},
	{"eu-central-1", "mypurecloud.de"},
	{"eu-central-2", "euc2.pure.cloud"},
	{"eusc-de-east-1", "edee1.eusc-pure.cloud"},
	{"me-central-1", "mec1.pure.cloud"},
	{"ap-northeast-1", "mypurecloud.jp"},
	{"ap-northeast-2", "apne2.pure.cloud"},
	{"ap-northeast-3", "apne3.pure.cloud"},
	{"ap-south-1", "aps1.pure.cloud"},
	{"ap-southeast-1", "apse1.pure.cloud"},
	{"ap-southeast-2", "mypurecloud.com.au"},
};

#define REGION_COUNT (sizeof(regions) / sizeof(regions[0]))

const struct region *region_table(size_t *ret_count)
{
	*ret_count = REGION_COUNT;
	return regions;
}

static int folded(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A' + 'a';
	return c == '_' ? '-' : c;
}

/* The environment variables of other Genesys tools are written both as us-west-2 and us_west_2. */
static bool same_name(const char *a, const char *b)
{
	while (*a && folded(*a) == folded(*b)) {
		a++;
		b++;
	}
	return *a == *b;
}

const struct region *region_find(const char *text)
{
	for (size_t i = 0; i < REGION_COUNT; i++) {
		if (same_name(regions[i].name, text) || same_name(regions[i].environment, text))
			return &regions[i];
	}
	return NULL;
}

const struct region *region_find_environment(const char *domain)
{
	for (size_t i = 0; i < REGION_COUNT; i++) {
		if (strcasecmp(regions[i].environment, domain) == 0)
			return &regions[i];
	}
	return NULL;
}
