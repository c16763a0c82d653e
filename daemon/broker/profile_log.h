#ifndef GCTOKEND_BROKER_PROFILE_LOG_H
#define GCTOKEND_BROKER_PROFILE_LOG_H

struct profile;

/* What is new in the profile's history goes to the log. */
void profile_log(struct profile *p);

#endif
