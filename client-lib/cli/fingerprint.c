/* SHA-256 by OpenSSL. Linking libcrypto would slow every start of the command down by more than the
 * command itself takes, for one subcommand that needs it in one of its two forms: so it is loaded
 * here, when it is needed. */
#include "fingerprint.h"

#include "cli.h"
#include "core/text.h"
#include "output.h"

#include <dlfcn.h>
#include <stdio.h>

typedef unsigned char *sha256_function(const unsigned char *data, size_t length, unsigned char *md);

int fingerprint_make(const char *token, size_t length, char *ret)
{
	unsigned char digest[32];
	sha256_function *sha256 = NULL;
	void *library = dlopen(GCTOKEN_LIBCRYPTO, RTLD_NOW | RTLD_LOCAL);

	if (library)
		*(void **)&sha256 = dlsym(library, "SHA256");
	if (!sha256 || !sha256((const unsigned char *)token, length, digest)) {
		complain("cannot make the token's fingerprint: %s. Install OpenSSL's library, or "
			 "name "
			 "the token with --generation",
			library ? "no SHA256 in " GCTOKEN_LIBCRYPTO : dlerror());
		return EXIT_FAILED;
	}
	hex_write(digest, FINGERPRINT_LENGTH / 2, ret);
	return EXIT_OK;
}
