#include "login.h"

#include <errno.h>

int login_load(struct login *l)
{
	(void)l;
	return 0;
}

void login_unload(struct login *l)
{
	(void)l;
}

uint64_t login_store(struct login *l)
{
	(void)l;
	return 0;
}

void login_erase(struct login *l, struct waiter *w)
{
	(void)l;
	(void)w;
}

int login_begin_reading(struct login *l)
{
	(void)l;
	return -ENOENT;
}
