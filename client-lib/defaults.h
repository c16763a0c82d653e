/* What the library and the command know of the daemon beforehand, as its configuration has it
 * (daemon/core/config_keys.c, daemon/core/text.h). Not part of the public API. */
#ifndef GCTOKEN_DEFAULTS_H
#define GCTOKEN_DEFAULTS_H

#define GCTOKEN_DEFAULT_SOCKET "/run/gctokend/gctokend.sock"
#define GCTOKEN_DEFAULT_PROFILE "default"
#define GCTOKEN_PROFILE_NAME_MAX 48

#endif
