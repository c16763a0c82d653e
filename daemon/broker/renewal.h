/* What people and their tools renew on the disk without telling the daemon: the client's secret,
 * the password for a proxy, and the authorities to trust. It is looked at when it may be the reason
 * why token requests fail. All files are small, and looked at and read in the loop, so that they
 * have to be on a local disk (operations.md). */
#ifndef GCTOKEND_BROKER_RENEWAL_H
#define GCTOKEND_BROKER_RENEWAL_H

struct broker;
struct profile;

void renewal_init(struct broker *b);
void renewal_fini(struct broker *b);
/* Reads the profile's secret and its proxy's password again. If one of them is another, both are
 * used from now on, and what failed with the previous ones need not wait. */
void renewal_read_secrets(struct profile *p);
/* A token request of it failed. As long as its files may be the reason they are looked at every
 * few seconds; if they change, the next request need not wait. */
void renewal_watch(struct profile *p);

#endif
