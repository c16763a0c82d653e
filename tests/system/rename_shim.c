/* Preloaded into a program under test: the signal that GCTOKEN_TEST_SIGNAL names comes just before
 * a file gets its name. */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int rename(const char *from, const char *to)
{
	static int (*real)(const char *, const char *);
	const char *number = getenv("GCTOKEN_TEST_SIGNAL");

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "rename");
	if (number)
		raise(atoi(number));
	return real(from, to);
}
