#include "address_tries.h"

#include <string.h>

static bool same(const struct address *a, const struct address *b)
{
	return a->length && a->length == b->length && !memcmp(&a->bytes, &b->bytes, a->length);
}

static struct address address_of(const struct sockaddr *address, socklen_t length)
{
	struct address a = {.length = 0};

	if (length <= sizeof(a.bytes)) {
		memcpy(&a.bytes, address, length);
		a.length = length;
	}
	return a;
}

static void note(struct address_tries *t, const struct address *address, int fd)
{
	if (t->count == ADDRESS_TRIES_MAX)
		return;
	t->list[t->count].address = *address;
	t->list[t->count++].fd = fd;
}

bool address_tries_skip(struct address_tries *t, const struct sockaddr *address, socklen_t length,
	struct boot_time now)
{
	const struct address a = address_of(address, length);

	for (size_t i = 0; i < SILENT_ADDRESSES_MAX && !t->all; i++)
		if (same(&t->silent->list[i].address, &a) &&
			boot_since(now, t->silent->list[i].since).ns <
				SILENT_ADDRESS_S * NS_PER_S) {
			note(t, &a, -1);
			return true;
		}
	return false;
}

void address_tries_opened(
	struct address_tries *t, const struct sockaddr *address, socklen_t length, int fd)
{
	const struct address a = address_of(address, length);

	note(t, &a, fd);
}

/* libcurl may have closed it, and its number be another socket's by now. */
static bool connected(const struct address_tries *t, size_t i)
{
	struct address peer = {.length = sizeof(peer.bytes)};

	return t->list[i].fd >= 0 &&
	       !getpeername(t->list[i].fd, (struct sockaddr *)&peer.bytes, &peer.length) &&
	       same(&peer, &t->list[i].address);
}

bool address_tries_connected(const struct address_tries *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (connected(t, i))
			return true;
	return false;
}

static void forget(struct silent_addresses *silent, const struct address *address)
{
	for (size_t i = 0; i < SILENT_ADDRESSES_MAX; i++)
		if (same(&silent->list[i].address, address))
			silent->list[i].address.length = 0;
}

bool address_tries_silent(struct address_tries *t, struct boot_time now)
{
	struct silent_addresses *silent = t->silent;
	bool any_connected = address_tries_connected(t), any = false;

	for (size_t i = 0; i < t->count; i++) {
		if (t->list[i].fd < 0 || connected(t, i) != any_connected)
			continue;
		any = true;
		forget(silent, &t->list[i].address);
		silent->list[silent->next].address = t->list[i].address;
		silent->list[silent->next].since = now;
		silent->next = (silent->next + 1) % SILENT_ADDRESSES_MAX;
	}
	return any;
}

void address_tries_again(struct address_tries *t)
{
	t->count = 0;
}

bool address_tries_all(struct address_tries *t)
{
	bool any = false;

	for (size_t i = 0; i < t->count; i++) {
		if (t->list[i].fd >= 0)
			continue;
		any = true;
		forget(t->silent, &t->list[i].address);
	}
	t->all |= any;
	return any;
}
