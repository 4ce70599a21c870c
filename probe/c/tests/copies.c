/* A program with a copy of the library, and a shared object with another one: each is told what is freed of its own.
 *
 *     copies OBJECT ARGUMENTS
 *
 * frees a buffer in flight, and runs the object's `freed_main` with the arguments. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "tracer_liburing.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static struct io_uring own;

int main(int argc, char **argv)
{
	void *object = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	void *found = object ? dlsym(object, "freed_main") : NULL;
	int (*run)(int, char **);
	struct io_uring_sqe *sqe;
	char *buffer = (char *)malloc(500);
	int ends[2];

	/* A pointer to data and one to a function have one size here; C has no cast between them. */
	*(void **)&run = found;
	if (!run || io_uring_queue_init(4, &own, 0) || pipe(ends))
		return 3;
	sqe = io_uring_get_sqe(&own);
	io_uring_prep_read(sqe, ends[0], buffer, 500, 0);
	sqe->user_data = 9;
	if (io_uring_submit(&own) != 1)
		return 3;
	free(buffer);
	return run(argc - 1, argv + 1);
}
