/* What a handle of libgctoken takes of the program around it: descriptors, and stack. */
#ifndef HANDLE_PROBE_H
#define HANDLE_PROBE_H

#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PROBE_DESCRIPTORS_MAX 512
#define PROBE_STACK (256 * 1024)
#define PROBE_PAINT 0xA5

/* The lowest descriptor of this process that is connected to that socket; -1: there is none. */
static inline int descriptor_to(const char *path)
{
	for (int fd = 3; fd < PROBE_DESCRIPTORS_MAX; fd++) {
		struct sockaddr_un peer = {0};
		socklen_t length = sizeof(peer);

		if (!getpeername(fd, (struct sockaddr *)&peer, &length) &&
			peer.sun_family == AF_UNIX && !strcmp(peer.sun_path, path))
			return fd;
	}
	return -1;
}

/* How many bytes of its stack a thread that calls this comes to use; 0: it cannot be told. */
static inline size_t stack_used(void *(*call)(void *), void *context)
{
	unsigned char *stack = mmap(NULL, PROBE_STACK, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	size_t untouched = PROBE_STACK;
	pthread_attr_t attributes;
	pthread_t thread;

	if (stack == MAP_FAILED)
		return 0;
	memset(stack, PROBE_PAINT, PROBE_STACK);
	pthread_attr_init(&attributes);
	if (!pthread_attr_setstack(&attributes, stack, PROBE_STACK) &&
		!pthread_create(&thread, &attributes, call, context)) {
		pthread_join(thread, NULL);
		for (untouched = 0; untouched < PROBE_STACK && stack[untouched] == PROBE_PAINT;)
			untouched++;
	}
	pthread_attr_destroy(&attributes);
	munmap(stack, PROBE_STACK);
	return PROBE_STACK - untouched;
}

#endif
