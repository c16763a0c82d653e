/* iat, nbf and exp of a token that happens to be a JWT. Nothing is verified: the claims are extra
 * evidence about a token that came over TLS from the login server, not a reason to trust it. */
#ifndef GCTOKEND_CORE_JWT_CLAIMS_H
#define GCTOKEND_CORE_JWT_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Seconds since 1970 by the issuer's clock; fractions are floored for exp, raised for iat and nbf,
 * so that rounding never makes a token look longer valid than it is. */
struct jwt_claims {
	bool has_iat, has_nbf, has_exp;
	int64_t iat, nbf, exp;
};

/* True and *ret set when the token has the shape of a signed JWT with a JSON object as payload and
 * at least one of the claims; false, *ret all absent, for anything else. A claim that is not a
 * number between 0 and 2^53 counts as absent. */
bool jwt_claims_read(const char *token, size_t length, struct jwt_claims *ret);

#endif
