/* Genesys Cloud's regions: the AWS name people use and the domain the hosts are under. */
#ifndef GCTOKEND_CORE_REGIONS_H
#define GCTOKEND_CORE_REGIONS_H

#include <stddef.h>

struct region {
	const char *name;        /* AWS: "us-west-2" */
	const char *environment; /* domain: "usw2.pure.cloud" */
};

/* All of them, in the order people expect to read them. */
const struct region *region_table(size_t *ret_count);

/* By AWS name or domain, in any case, with hyphens or underscores. NULL: not in the table. There is
 * no guessing from a suffix: a domain that looks right but is not known must be asked for by
 * `environment`. */
const struct region *region_find(const char *text);
/* By domain alone, in any case. */
const struct region *region_find_environment(const char *domain);

#endif
