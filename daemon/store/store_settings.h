/* Settings of a store with texts of its own, whose password lies in secret memory. */
#ifndef GCTOKEND_STORE_STORE_SETTINGS_H
#define GCTOKEND_STORE_STORE_SETTINGS_H

#include "store.h"

/* 0 or -ENOMEM; *to is ended with store_settings_fini either way. */
int store_settings_copy(struct store_settings *to, const struct store_settings *from);
void store_settings_fini(struct store_settings *s);

#endif
