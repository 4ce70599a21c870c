/* Memory that an entry points at, freed between its preparation and its submission.
 *
 *     before freed      a buffer, a path and a timespec
 *     before again      each handed out again, to the same use
 *     before kept       freed once the completion was taken
 */
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **words)
{
	const char *how = count > 1 ? words[1] : "";
	int freed = !strcmp(how, "freed"), again = !strcmp(how, "again");
	struct io_uring ring;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct __kernel_timespec *patience = malloc(sizeof(*patience));
	char *buffer = malloc(512), *path = malloc(100);
	int ends[2], number;

	if (io_uring_queue_init(8, &ring, 0) || pipe(ends) || write(ends[1], "x", 1) != 1)
		return 2;
	for (number = 0; number < 3; number++) {
		strcpy(path, "/dev/null");
		memset(patience, 0, sizeof(*patience));
		if (again) {
			/* The same block comes back, or a larger one around it; or by realloc. */
			char *large = malloc(300), *small;

			free(buffer);
			buffer = malloc(512);
			free(path);
			path = strdup("/dev/null");
			free(patience);
			patience = calloc(1, sizeof(*patience));
			free(large);
			small = malloc(290);
			small = realloc(small, 8);
			free(small);
		}
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_read(sqe, ends[0], buffer, 512, 0);
		sqe->user_data = 1;
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_openat(sqe, AT_FDCWD, path, O_RDONLY, 0);
		sqe->user_data = 2;
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_timeout(sqe, patience, 0, 0);
		sqe->user_data = 3;
		if (freed) {
			free(buffer);
			free(path);
			free(patience);
		}
		if (freed) {
			/* What comes of it is anybody's guess. */
			io_uring_submit(&ring);
			_exit(0);
		}
		io_uring_submit_and_wait(&ring, 3);
		while (!io_uring_peek_cqe(&ring, &cqe)) {
			if (cqe->user_data == 2 && cqe->res >= 0)
				close(cqe->res);
			io_uring_cqe_seen(&ring, cqe);
		}
		if (write(ends[1], "x", 1) != 1)
			return 2;
	}
	puts("done");
	return 0;
}
