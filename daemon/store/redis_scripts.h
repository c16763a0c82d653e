/* The scripts of this folder, made part of the program by embed.py. */
#ifndef GCTOKEND_STORE_REDIS_SCRIPTS_H
#define GCTOKEND_STORE_REDIS_SCRIPTS_H

#include <stddef.h>

struct redis_script {
	const char *sha1; /* by which the server knows it, 40 hex digits */
	const char *text;
	size_t length;
};

extern const struct redis_script redis_script_acquire, redis_script_renew, redis_script_put,
	redis_script_fail, redis_script_accept, redis_script_stop, redis_script_permit;

#endif
