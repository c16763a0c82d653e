/* One host of the network, as the doctor checks it. */
#ifndef GCTOKEN_CLI_DOCTOR_PEER_H
#define GCTOKEN_CLI_DOCTOR_PEER_H

#include "doctor.h"

#include <time.h>

#define DOCTOR_ADDRESSES_MAX 8

/* How a profile's requests get there. Texts are lent; NULL: none. */
struct doctor_path {
	const char *profile; /* whose; NULL: nobody's */
	const char *ca_file, *proxy, *proxy_user, *proxy_password_file, *proxy_ca_file;
	long timeout_ms;
};

struct doctor_peer {
	char host[256], port[8], origin[300];
	struct doctor_path path;
	bool among_others; /* another profile goes there in another way */
	char addresses[DOCTOR_ADDRESSES_MAX][46];
	size_t address_count; /* 0: a proxy looks it up */
	bool known, reached;
	/* Once it was reached. */
	time_t date;            /* -1: none came */
	double before, after;   /* this machine's clock around the response, seconds */
	time_t certificate_end; /* -1: not known */
};

/* False if the URL is none. */
bool doctor_peer_init(struct doctor_peer *p, const char *url, const struct doctor_path *path);
/* Each tells what it finds. The second only where the first found it (or a proxy does that), the
 * third only where the second reached it. */
void doctor_peer_look_up(struct doctor *d, struct doctor_peer *p);
void doctor_peer_reach(struct doctor *d, struct doctor_peer *p);
void doctor_peer_compare_clocks(struct doctor *d, const struct doctor_peer *p);

#endif
