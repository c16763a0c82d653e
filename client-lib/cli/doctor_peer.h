/* One host of the network, as the doctor checks it. */
#ifndef GCTOKEN_CLI_DOCTOR_PEER_H
#define GCTOKEN_CLI_DOCTOR_PEER_H

#include "doctor.h"

#include <time.h>

struct doctor_peer {
	char host[256], port[8], origin[300];
	const char *ca_file, *proxy; /* NULL: none */
	bool known, reached;
	/* Once it was reached. */
	time_t date;            /* -1: none came */
	double before, after;   /* this machine's clock around the response, seconds */
	time_t certificate_end; /* -1: not known */
};

/* False if the URL is none. */
bool doctor_peer_init(
	struct doctor_peer *p, const char *url, const char *ca_file, const char *proxy);
/* Each tells what it finds. The second only where the first found it (or a proxy does that), the
 * third only where the second reached it. */
void doctor_peer_look_up(struct doctor *d, struct doctor_peer *p);
void doctor_peer_reach(struct doctor *d, struct doctor_peer *p);
void doctor_peer_compare_clocks(struct doctor *d, const struct doctor_peer *p);

#endif
