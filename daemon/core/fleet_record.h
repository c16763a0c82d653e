/* A token as the store of a fleet holds it: encrypted and authenticated, bound to the client, to
 * what is asked for, and to its generation. The store can neither read nor make one, and nobody who
 * changes a bit of it is believed.
 *
 *     at  length
 *      0   8  "gctfleet"
 *      8   1  version, 1
 *      9   1  flags: 1 stopped, there is no token
 *     10   2  zero
 *     12  16  whose it is: front of SHA-256 over token URL, client id, grant, scope, extra_params
 *     28   8  the key: front of SHA-256 over a label and the fleet's key
 *     36   8  generation
 *     44   8  the life that it was issued with, ms
 *     52   8  its end by the login server's clock, at the earliest, ms since 1970; 0: not known
 *     60   8  not to be used before so many ms after it was put
 *     68  16  the host that minted it, random for each process
 *     84   4  n
 *     88  12  nonce
 *    100   n  token, encrypted; all before the nonce is authenticated with it
 *  100+n  16  GCM's tag
 *
 * Numbers have their most significant byte first. How much is left of its life stands beside it, in
 * the clear, as the store's script counts it; so whoever writes to the store can make hosts believe
 * in a longer one, but not past the end at 52, which is authenticated. */
#ifndef GCTOKEND_CORE_FLEET_RECORD_H
#define GCTOKEND_CORE_FLEET_RECORD_H

#include "buffer.h"
#include "fleet_key.h"
#include "sealed_state.h"
#include "times.h"
#include "token.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLEET_HOST_LENGTH 16
#define FLEET_SEALED_MAX (100 + TOKEN_MAX + 16)
#define FLEET_GENERATION_MAX ((UINT64_C(1) << 53) - 1) /* a script counts in doubles */
#define FLEET_ISSUED_MAX_S (INT64_C(450) * 86400)

struct fleet_record {
	uint64_t generation;    /* 1 .. FLEET_GENERATION_MAX */
	bool stopped;           /* an admin's revoke: no token */
	struct duration issued; /* whole ms, above 0 */
	struct wall_time end;   /* by the login server's clock, at the earliest; ns 0: unknown */
	struct duration not_before; /* after it was put; whole ms, not below 0 */
	unsigned char host[FLEET_HOST_LENGTH];
	struct token token; /* TOKEN_NONE where stopped */
};

#define FLEET_RECORD_NONE ((struct fleet_record){0})

void fleet_record_fini(struct fleet_record *r);
/* `nonce`: fresh from a generator fit for secrets. Appends to `out`. 0; -EINVAL: it contradicts
 * what is said above; -ENOMEM. */
int fleet_record_seal(const struct fleet_record *r, const struct fleet_key *key,
	const struct fleet_subject *subject, const unsigned char nonce[GCM_NONCE_LENGTH],
	struct buffer *out);
/* Opens it with whichever of the keys it names. `generation` is what stands beside it in the clear.
 * SEALED_GOOD: *ret is ended with fleet_record_fini; else it is untouched. SEALED_DAMAGED: not as
 * any host wrote it, or of another generation. */
enum sealed_verdict fleet_record_open(const struct fleet_key *keys, size_t key_count,
	const struct fleet_subject *subject, uint64_t generation, const char *bytes, size_t length,
	struct fleet_record *ret);

#endif
