/* What operations need beside their cookie, each used in a wrong way and in a right one: descriptors (`lost`, `closed`,
 * `named`, `reused`, `open`), provided buffers (`dry`, `twice`), borrows (`borrow`), bytes that nobody wrote (`unwritten`); a
 * completion that somebody wrote over in the queue (`forged`). With
 * `-fixed` behind the name it is right. `direct` is right always. As C and as C++. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "tracer_liburing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "must.h"

enum { GROUP = 7, BUFFERS = 4, BYTES = 64 };

static struct io_uring ring;
static int is_fixed;

static struct io_uring_sqe *entry(uint64_t cookie)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	MUST(sqe);
	io_uring_prep_nop(sqe);
	sqe->user_data = cookie;
	return sqe;
}

/* Prepared after its cookie was set: older prep functions clear it. */
static void keep(struct io_uring_sqe *sqe, uint64_t cookie)
{
	sqe->user_data = cookie;
}

struct came {
	int res;
	unsigned flags;
};

/* Submits, and waits for a completion: to be seen by the caller. */
static struct came wait_for_one(void)
{
	struct io_uring_cqe *cqe;
	struct came came;

	MUST(io_uring_submit_and_wait(&ring, 1) >= 0);
	MUST(!io_uring_wait_cqe(&ring, &cqe));
	came.res = cqe->res;
	came.flags = cqe->flags;
	return came;
}

static struct came turn(void)
{
	struct came came = wait_for_one();

	io_uring_cq_advance(&ring, 1);
	return came;
}

/* The ring goes on, so that what was left behind is left behind. */
static void go_on(void)
{
	for (int i = 0; i < 3; i++) {
		entry(0x9000);
		turn();
	}
}

/* An open whose coroutine is gone when it completes. */
static void lost(void)
{
	tracer_coroutine coroutine = TRACER_SPAWN("opener");
	struct io_uring_sqe *sqe = entry(0x1000);
	int fd;

	io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY, 0);
	keep(sqe, 0x1000);
	TRACER_SUSPEND(coroutine, 0x1000);
	MUST(io_uring_submit(&ring) == 1);
	TRACER_DROP(coroutine);
	fd = turn().res;
	MUST(fd >= 0);
	if (is_fixed)
		close(TRACER_FD_CLOSING(fd));
	/* Another one says that this program tells of its descriptors. */
	fd = TRACER_FD_OPENED(open("/dev/null", O_RDONLY));
	close(TRACER_FD_CLOSING(fd));
	go_on();
}

/* A descriptor that is closed before the kernel takes the read that names it: in a ring that is driven by hand, where
 * entries may wait for the enter. */
static void closed(void)
{
	static char buffer[BYTES];
	struct tracer_ring *own = TRACER_RING_CREATED(TRACER_RING_COPIED, -1, 8, 16, 0, 0);
	int fd = TRACER_FD_OPENED(open("/dev/zero", O_RDONLY));
	struct io_uring_sqe sqe;

	memset(&sqe, 0, sizeof(sqe));
	io_uring_prep_read(&sqe, fd, buffer, BYTES, 0);
	keep(&sqe, 0x1000);
	TRACER_RING_PUSHED(own, &sqe);
	if (!is_fixed)
		close(TRACER_FD_CLOSING(fd));
	TRACER_RING_ENTERED(own, 1, 0, 1);
	TRACER_RING_REAPED(own, 0x1000, is_fixed ? BYTES : -EBADF, 0);
	if (is_fixed)
		close(TRACER_FD_CLOSING(fd));
	TRACER_RING_DROPPED(own);
}

/* A descriptor that was closed when the entry that names it was filled. */
static void named(void)
{
	static char buffer[BYTES];
	int fd = TRACER_FD_OPENED(open("/dev/zero", O_RDONLY));
	struct io_uring_sqe *sqe = entry(0x1000);

	if (!is_fixed)
		close(TRACER_FD_CLOSING(fd));
	io_uring_prep_read(sqe, fd, buffer, BYTES, 0);
	keep(sqe, 0x1000);
	MUST(turn().res == (is_fixed ? BYTES : -EBADF));
	if (is_fixed)
		close(TRACER_FD_CLOSING(fd));
}

/* A number that is given out again while a read of its old owner is in flight. */
static void reused(void)
{
	static char buffer[BYTES];
	struct io_uring_sqe *sqe = entry(0x1000);
	int pipes[2], fd;

	MUST(!pipe(pipes));
	TRACER_FD_OPENED(pipes[0]), TRACER_FD_OPENED(pipes[1]);
	io_uring_prep_read(sqe, pipes[0], buffer, BYTES, 0);
	keep(sqe, 0x1000);
	MUST(io_uring_submit(&ring) == 1);
	if (is_fixed) {
		MUST(write(pipes[1], "x", 1) == 1);
		MUST(turn().res == 1);
	}
	close(TRACER_FD_CLOSING(pipes[0]));
	fd = TRACER_FD_OPENED(open("/dev/null", O_RDONLY));
	MUST(fd == pipes[0]);
	if (!is_fixed) {
		MUST(write(pipes[1], "x", 1) == 1);
		MUST(turn().res == 1);
	}
	close(TRACER_FD_CLOSING(pipes[1]));
	close(TRACER_FD_CLOSING(fd));
}

/* Still open at the end. */
static void open_at_end(void)
{
	int fd = TRACER_FD_OPENED(open("/dev/null", O_RDONLY)), copy;

	copy = TRACER_FD_OPENED(dup(fd));
	TRACER_FD_CLOSING(-1);
	close(TRACER_FD_CLOSING(fd));
	if (is_fixed)
		close(TRACER_FD_CLOSING(copy));
}

/* Direct descriptors: into a table, read through it, and out of it. */
static void direct(void)
{
	static char buffer[BYTES];
	int table[2] = {-1, -1};
	struct io_uring_sqe *sqe = entry(0x1000);

	MUST(!io_uring_register_files(&ring, table, 2));
	io_uring_prep_openat_direct(sqe, AT_FDCWD, "/dev/zero", O_RDONLY, 0, 1);
	keep(sqe, 0x1000);
	MUST(turn().res == 0);
	sqe = entry(0x2000);
	io_uring_prep_read(sqe, 1, buffer, BYTES, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	keep(sqe, 0x2000);
	MUST(turn().res == BYTES);
	sqe = entry(0x3000);
	io_uring_prep_close_direct(sqe, 1);
	keep(sqe, 0x3000);
	MUST(turn().res == 0);
	MUST(!io_uring_unregister_files(&ring));
	go_on();
}

/* Buffers, in a ring of them that is registered by hand; ids do not count up with their places. */
static void dry(int is_twice)
{
	static char memory[BUFFERS][BYTES];
	struct io_uring_buf_reg reg;
	struct io_uring_buf_ring *buffers;
	int ends[2], mask = BUFFERS - 1;
	void *pages = NULL;

	memset(&reg, 0, sizeof(reg));
	MUST(!posix_memalign(&pages, 4096, 4096));
	buffers = (struct io_uring_buf_ring *)pages;
	reg.ring_addr = (uint64_t)(uintptr_t)buffers;
	reg.ring_entries = BUFFERS;
	reg.bgid = GROUP;
	MUST(!io_uring_register_buf_ring(&ring, &reg, 0));
	io_uring_buf_ring_init(buffers);
	io_uring_buf_ring_add(buffers, memory[2], BYTES, 2, mask, 0);
	io_uring_buf_ring_add(buffers, memory[0], BYTES, 0, mask, 1);
	io_uring_buf_ring_add(buffers, memory[1], BYTES, 1, mask, 2);
	io_uring_buf_ring_advance(buffers, 3);
	if (is_twice && !is_fixed) {
		io_uring_buf_ring_add(buffers, memory[1], BYTES, 1, mask, 0);
		io_uring_buf_ring_advance(buffers, 1);
	}
	MUST(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	for (int i = 0, failed = 0; i < 7 && failed < 2; i++) {
		struct io_uring_sqe *sqe = entry(0x1000);
		struct came came;
		unsigned short id;

		io_uring_prep_recv(sqe, ends[0], NULL, BYTES, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = GROUP;
		keep(sqe, 0x1000);
		MUST(write(ends[1], "hello", 5) == 5);
		came = wait_for_one();
		/* It tries once more. */
		if (came.res == -ENOBUFS) {
			io_uring_cq_advance(&ring, 1);
			failed++;
			continue;
		}
		MUST(came.res == 5 && (came.flags & IORING_CQE_F_BUFFER));
		id = (unsigned short)(came.flags >> IORING_CQE_BUFFER_SHIFT);
		/* The first two come back, and the others as well where it is right. */
		if (i < 2 || is_fixed) {
			io_uring_buf_ring_add(buffers, memory[id % BUFFERS], BYTES, id, mask, 0);
			io_uring_buf_ring_cq_advance(&ring, buffers, 1);
		} else {
			io_uring_cq_advance(&ring, 1);
		}
		if (is_twice)
			break;
	}
	go_on();
	MUST(!io_uring_unregister_buf_ring(&ring, GROUP));
	/* The same memory, and number, once more. */
	MUST(!io_uring_register_buf_ring(&ring, &reg, 0));
	TRACER_URING_BUFFERS(&ring, buffers, BUFFERS, GROUP);
	io_uring_buf_ring_init(buffers);
	io_uring_buf_ring_add(buffers, memory[2], BYTES, 2, mask, 0);
	io_uring_buf_ring_advance(buffers, 1);
	close(ends[0]);
	close(ends[1]);
}

struct state {
	int numbers[4];
};

/* One coroutine keeps what it borrowed while another one runs. */
static void borrow(void)
{
	static struct state state;
	tracer_coroutine first = TRACER_SPAWN("first"), second = TRACER_SPAWN("second");
	struct state *one, *other;

	TRACER_RESUME(first, 0, 0);
	one = TRACER_BORROW(&state, struct state);
	one->numbers[0]++;
	if (is_fixed)
		TRACER_BORROW_ENDS(one, struct state);
	TRACER_SUSPEND(first, 0x1000);
	TRACER_RESUME(second, 0, 0);
	other = TRACER_BORROW_SHARED(&state, struct state);
	MUST(other->numbers[0] == 1);
	TRACER_BORROW_SHARED_ENDS(other, struct state);
	TRACER_DONE(second);
	TRACER_RESUME(first, 0, 0);
	if (!is_fixed)
		TRACER_BORROW_ENDS(one, struct state);
	TRACER_DONE(first);
}

/* A write of more than what is there. */
static void unwritten(void)
{
	int fd = open("/dev/null", O_WRONLY), zero = open("/dev/zero", O_RDONLY);
	char *buffer = (char *)malloc(BYTES);
	struct io_uring_sqe *sqe = entry(0x1000);

	TRACER_BUFFER_INITIALISED(buffer, BYTES, 0);
	io_uring_prep_read(sqe, zero, buffer, 40, 0);
	keep(sqe, 0x1000);
	MUST(turn().res == 40);
	sqe = entry(0x1000);
	io_uring_prep_write(sqe, fd, buffer, is_fixed ? 40 : BYTES, 0);
	keep(sqe, 0x1000);
	turn();
	TRACER_BUFFER_GONE(buffer);
	/* Whose bytes these are now is not known. */
	sqe = entry(0x1000);
	io_uring_prep_write(sqe, fd, buffer, BYTES, 0);
	keep(sqe, 0x1000);
	turn();
	free(buffer);
	close(fd);
	close(zero);
}

static void forged(void)
{
	struct io_uring_cqe *cqe;

	for (unsigned i = 1; i <= 4; i++)
		entry(i * 0x1000);
	MUST(io_uring_submit_and_wait(&ring, 4) == 4);
	/* A stray store into what the kernel has written. */
	if (!is_fixed)
		ring.cq.cqes[1].user_data = 0x3000;
	for (int i = 0; i < 4; i++) {
		MUST(!io_uring_wait_cqe(&ring, &cqe));
		io_uring_cqe_seen(&ring, cqe);
	}
}

int main(int argc, char **argv)
{
	char *what = argc > 1 ? argv[1] : (char *)"";
	char *fixed = strstr(what, "-fixed");

	is_fixed = fixed != NULL;
	if (fixed)
		*fixed = 0;
	MUST(!io_uring_queue_init(8, &ring, 0));
	if (!strcmp(what, "lost"))
		lost();
	else if (!strcmp(what, "closed"))
		closed();
	else if (!strcmp(what, "named"))
		named();
	else if (!strcmp(what, "reused"))
		reused();
	else if (!strcmp(what, "open"))
		open_at_end();
	else if (!strcmp(what, "direct"))
		direct();
	else if (!strcmp(what, "dry") || !strcmp(what, "twice"))
		dry(!strcmp(what, "twice"));
	else if (!strcmp(what, "borrow"))
		borrow();
	else if (!strcmp(what, "unwritten"))
		unwritten();
	else if (!strcmp(what, "forged"))
		forged();
	else
		return 2;
	io_uring_queue_exit(&ring);
	return 0;
}
