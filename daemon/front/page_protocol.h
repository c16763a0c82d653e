/* The page socket: one line each way, see gctoken_page.h. */
#ifndef GCTOKEND_FRONT_PAGE_PROTOCOL_H
#define GCTOKEND_FRONT_PAGE_PROTOCOL_H

#include "protocol.h"

extern const struct protocol page_protocol;

#endif
