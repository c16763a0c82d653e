/* What somebody who asks may have to be. */
#ifndef GCTOKEND_CORE_RIGHT_H
#define GCTOKEND_CORE_RIGHT_H

enum right {
	RIGHT_NONE,    /* nobody in particular */
	RIGHT_TOKEN,   /* who may have a profile's token */
	RIGHT_SEE,     /* those, or an admin: a profile's clock, status and metrics */
	RIGHT_LOGIN,   /* who may log a profile in, or an admin */
	RIGHT_METRICS, /* who may read the metrics of every profile, or an admin */
	RIGHT_ADMIN,
};

#endif
