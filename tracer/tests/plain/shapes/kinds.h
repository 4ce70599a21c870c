/* Kinds of operations that end by themselves, or when something is done about it: a function each.
 *
 * Each starts one on a ring, with what it points at in heap blocks of its own, and says which results are right. What
 * the kernel needs until the last completion is freed behind that; what it copies, once it took the entry. */
#ifndef SHAPES_KINDS_H
#define SHAPES_KINDS_H

#include "rings.h"

#define FILE_BYTES 65536
static int file_fd;
static int listener_fd, sink_fd, pair_fd;
static struct sockaddr_in listener_address, sink_address, pair_address;

static char pattern(off_t at)
{
	return (char)(at * 131 + 7);
}

static void fill(char *buffer, size_t length, off_t at)
{
	for (size_t i = 0; i < length; i++)
		buffer[i] = pattern(at + (off_t)i);
}

static void compare(const char *buffer, size_t length, off_t at)
{
	for (size_t i = 0; i < length; i++)
		if (buffer[i] != pattern(at + (off_t)i))
			surprise("bytes that are not the right ones", (long long)i);
}

/* Gives the entry its operation's cookie; from here on it is on its way. */
static void go(struct op *op, struct io_uring_sqe *sqe)
{
	op_own(op);
	io_uring_sqe_set_data64(sqe, op->cookie);
}

/* The same for what nobody waits for. */
static void go_for_nobody(struct op *op, struct io_uring_sqe *sqe)
{
	op->cookie = NOBODY;
	op->is_nobodys = true;
	io_uring_sqe_set_data64(sqe, NOBODY);
}

static void results(struct op *op, int least, int most)
{
	op->least = least;
	op->most = most;
}

static void fails(struct op *op, int error)
{
	unsigned at = 0;

	while (op->errors[at])
		if (++at == 3)
			surprise("too many errors", error);
	op->errors[at] = error;
}

static void never_succeeds(struct op *op)
{
	results(op, 1, 0);
}

static void waits(struct op *op, void (*poke)(struct op *))
{
	op->waits = true;
	op->poke = poke;
	op->ring->waiting++;
}

static void maybe_elsewhere(struct io_uring_sqe *sqe)
{
	if (one_in(6))
		sqe->flags |= IOSQE_ASYNC;
}

static void start_nop(struct ring *ring)
{
	struct op *op = op_new(ring, "nop");
	struct io_uring_sqe *sqe;

	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_nop(sqe);
	maybe_elsewhere(sqe);
	if (one_in(5))
		go_for_nobody(op, sqe);
	else
		go(op, sqe);
}

/* Files ---------------------------------------------------------------------------------------------------- */

static void finish_read(struct op *op, int res)
{
	if (res > 0)
		compare(op->buffer, (size_t)res, op->offset);
	free(op->buffer);
}

static void finish_buffer(struct op *op, int res)
{
	(void)res;
	free(op->buffer);
}

static struct op *file_op(struct ring *ring, const char *what)
{
	struct op *op = op_new(ring, what);
	int there;

	op->length = 1 + pick(2000);
	op->offset = pick(FILE_BYTES);
	there = (int)(FILE_BYTES - op->offset);
	if ((size_t)there > op->length)
		there = (int)op->length;
	results(op, there, there);
	op->buffer = block_of(op->length);
	return op;
}

static struct iovec *vector_of(struct op *op, size_t length)
{
	struct iovec *vector = block_of(2 * sizeof(*vector));

	vector[0] = (struct iovec){ op->buffer, length / 2 };
	vector[1] = (struct iovec){ op->buffer + length / 2, length - length / 2 };
	until_taken(op->ring, vector);
	return vector;
}

/* The file is known to a ring with a table by this place, too. */
#define SLOTS 16
#define FILE_SLOT 15
/* Places that accepts choose from; chains choose from those before. */
#define FIRST_CHOSEN 8

static void table_open(struct ring *ring)
{
	if (ring->has_slots)
		return;
	ring->has_slots = true;
	must("register_files_sparse", io_uring_register_files_sparse(&ring->uring, SLOTS));
	must("register_files_update", io_uring_register_files_update(&ring->uring, FILE_SLOT, &file_fd, 1));
	must("alloc_range", io_uring_register_file_alloc_range(&ring->uring, FIRST_CHOSEN, FILE_SLOT - FIRST_CHOSEN));
}

static void start_read(struct ring *ring)
{
	struct op *op = file_op(ring, "read");
	struct io_uring_sqe *sqe;

	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	if (one_in(3))
		io_uring_prep_readv(sqe, file_fd, vector_of(op, op->length), 2, (__u64)op->offset);
	else
		io_uring_prep_read(sqe, file_fd, op->buffer, (unsigned)op->length, (__u64)op->offset);
	if (ring->has_slots && one_in(2)) {
		sqe->fd = FILE_SLOT;
		sqe->flags |= IOSQE_FIXED_FILE;
	}
	op->finish = finish_read;
	maybe_elsewhere(sqe);
	go(op, sqe);
}

static void start_write(struct ring *ring)
{
	struct op *op = file_op(ring, "write");
	size_t length = (size_t)op->most;
	struct io_uring_sqe *sqe;

	fill(op->buffer, length, op->offset);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	if (one_in(3))
		io_uring_prep_writev(sqe, file_fd, vector_of(op, length), 2, (__u64)op->offset);
	else
		io_uring_prep_write(sqe, file_fd, op->buffer, (unsigned)length, (__u64)op->offset);
	op->finish = finish_buffer;
	maybe_elsewhere(sqe);
	go(op, sqe);
}

#define FIXED_BYTES 4096
#define FIXED_COUNT 4
static unsigned fixed_busy[RINGS + 2];

static void finish_fixed(struct op *op, int res)
{
	if (res > 0)
		compare(op->buffer, (size_t)res, op->offset);
	fixed_busy[op->ring->number] &= ~(1u << op->number);
}

/* Reads and writes at buffers that were registered. */
static void start_fixed(struct ring *ring)
{
	unsigned index = pick(FIXED_COUNT), length = 1 + pick(FIXED_BYTES);
	struct io_uring_sqe *sqe;
	struct op *op;

	if (!ring->fixed) {
		struct iovec vectors[FIXED_COUNT];

		ring->fixed = mmap(NULL, FIXED_COUNT * FIXED_BYTES, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (ring->fixed == MAP_FAILED)
			surprise("mmap", errno);
		for (unsigned i = 0; i < FIXED_COUNT; i++)
			vectors[i] = (struct iovec){ ring->fixed + i * FIXED_BYTES, FIXED_BYTES };
		must("register_buffers", io_uring_register_buffers(&ring->uring, vectors, FIXED_COUNT));
		fixed_busy[ring->number] = 0;
	}
	if (fixed_busy[ring->number] & 1u << index)
		return;
	fixed_busy[ring->number] |= 1u << index;
	op = op_new(ring, "fixed");
	op->number = index;
	op->buffer = ring->fixed + index * FIXED_BYTES;
	op->offset = pick(FILE_BYTES - FIXED_BYTES);
	op->finish = finish_fixed;
	results(op, (int)length, (int)length);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	if (one_in(2)) {
		fill(op->buffer, length, op->offset);
		io_uring_prep_write_fixed(sqe, file_fd, op->buffer, length, (__u64)op->offset, (int)index);
	} else {
		io_uring_prep_read_fixed(sqe, file_fd, op->buffer, length, (__u64)op->offset, (int)index);
	}
	go(op, sqe);
}

static void start_fsync(struct ring *ring)
{
	struct op *op = op_new(ring, "fsync");
	struct io_uring_sqe *sqe;

	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_fsync(sqe, file_fd, one_in(2) ? IORING_FSYNC_DATASYNC : 0);
	go(op, sqe);
}

static void start_statx(struct ring *ring)
{
	struct op *op = op_new(ring, "statx");
	char *path = block_of(16);
	struct io_uring_sqe *sqe;

	op->buffer = block_of(sizeof(struct statx));
	op->finish = finish_buffer;
	strcpy(path, "/dev/null");
	ring_reserve(ring, 1);
	until_taken(ring, path);
	sqe = ring_entry(ring);
	io_uring_prep_statx(sqe, AT_FDCWD, path, 0, STATX_SIZE, (struct statx *)op->buffer);
	go(op, sqe);
}

/* Descriptors that completions brought, and that operations close. */
static int opened[256];
static unsigned opened_count;

static void finish_open(struct op *op, int res)
{
	(void)op;
	if (res < 0)
		return;
	if (opened_count == 256)
		close_now(TRACER_FD_OPENED(res));
	else
		opened[opened_count++] = TRACER_FD_OPENED(res);
}

static void start_open(struct ring *ring)
{
	struct op *op = op_new(ring, "openat");
	char *path = block_of(16);
	struct io_uring_sqe *sqe;

	strcpy(path, one_in(9) ? "/dev/nul" : "/dev/null");
	if (strlen(path) == 9)
		results(op, 0, 1 << 20);
	else
		never_succeeds(op), fails(op, ENOENT);
	op->finish = finish_open;
	ring_reserve(ring, 1);
	until_taken(ring, path);
	sqe = ring_entry(ring);
	io_uring_prep_openat(sqe, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	go(op, sqe);
}

/* Nobody waits for a close; half of them are not even told of. */
static void start_close(struct ring *ring)
{
	struct io_uring_sqe *sqe;

	if (!opened_count) {
		start_open(ring);
		return;
	}
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_close(sqe, opened[--opened_count]);
	if (one_in(2)) {
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		io_uring_sqe_set_data64(sqe, NOBODY);
	} else {
		go_for_nobody(op_new(ring, "close"), sqe);
	}
}

/* Owned by nobody, and without a completion unless it fails. */
static void start_quiet(struct ring *ring)
{
	static char same[64];
	struct io_uring_sqe *sqe;

	fill(same, sizeof(same), 4096);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	if (one_in(2))
		io_uring_prep_nop(sqe);
	else
		io_uring_prep_write(sqe, file_fd, same, sizeof(same), 4096);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	io_uring_sqe_set_data64(sqe, NOBODY);
}

/* An entry that the kernel does not accept. */
static void start_bad(struct ring *ring)
{
	struct op *op = op_new(ring, "bad");
	struct io_uring_sqe *sqe;

	never_succeeds(op);
	fails(op, EINVAL);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_rw(IORING_OP_FSYNC, sqe, file_fd, NULL, 0, 0);
	sqe->fsync_flags = 1u << 30;
	go(op, sqe);
	ring_submit(ring);
}

/* Pipes and sockets ---------------------------------------------------------------------------------------- */

static void pair_open(struct op *op, bool sockets)
{
	int ends[2];

	if (sockets)
		must("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	else
		must("pipe", pipe2(ends, O_CLOEXEC));
	op->fd = TRACER_FD_OPENED(ends[0]);
	op->other = TRACER_FD_OPENED(ends[1]);
}

static void pair_close(struct op *op)
{
	close_now(op->fd);
	close_now(op->other);
}

/* Two ends of a connection over loopback. */
static void connection_open(struct op *op)
{
	op->fd = TRACER_FD_OPENED(must("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
	must("connect", connect(op->fd, (struct sockaddr *)&pair_address, sizeof(pair_address)));
	op->other = TRACER_FD_OPENED(must("accept", accept4(pair_fd, NULL, NULL, SOCK_CLOEXEC)));
}

static void poke_byte(struct op *op)
{
	if (write(op->other, "x", 1) != 1)
		surprise("write", errno);
}

static void drain(int fd)
{
	char bytes[256];

	must("fcntl", fcntl(fd, F_SETFL, O_NONBLOCK));
	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

static void arrive_poll(struct op *op, int res, unsigned flags)
{
	if (res > 0 && flags & IORING_CQE_F_MORE)
		drain(op->fd);
}

static void finish_pair(struct op *op, int res)
{
	(void)res;
	pair_close(op);
	free(op->buffer);
}

static struct op *start_poll_as(struct ring *ring, bool many)
{
	struct op *op = op_new(ring, many ? "poll multishot" : "poll");
	struct io_uring_sqe *sqe;

	/* Reading a pipe until it is empty wakes who polls it, for ever. */
	pair_open(op, many || one_in(2));
	results(op, 1, 0x7fff);
	op->many = many;
	op->arrive = arrive_poll;
	op->finish = finish_pair;
	waits(op, poke_byte);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	if (many)
		io_uring_prep_poll_multishot(sqe, op->fd, POLLIN);
	else
		io_uring_prep_poll_add(sqe, op->fd, POLLIN);
	go(op, sqe);
	return op;
}

static void start_poll(struct ring *ring)
{
	start_poll_as(ring, one_in(3));
}

/* Sends on where the last bytes ended. */
static void poke_stream(struct op *op)
{
	char bytes[300];
	unsigned length = 1 + pick(300);

	fill(bytes, length, op->offset);
	op->offset += length;
	if (send(op->other, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length)
		surprise("send", errno);
}

static void finish_recv(struct op *op, int res)
{
	if (res > 0)
		compare(op->buffer, (size_t)res, 0);
	finish_pair(op, res);
}

static struct op *start_recv_into(struct ring *ring, char *buffer, size_t length)
{
	struct op *op = op_new(ring, "recv");
	struct io_uring_sqe *sqe;

	pair_open(op, true);
	op->buffer = buffer;
	op->length = length;
	op->finish = finish_recv;
	results(op, 1, (int)length);
	waits(op, poke_stream);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_recv(sqe, op->fd, buffer, length, 0);
	go(op, sqe);
	return op;
}

static void start_recv(struct ring *ring)
{
	size_t length = 1 + pick(500);

	start_recv_into(ring, block_of(length), length);
}

/* What the kernel needs of a message until it has come: header, array and bytes in one block. */
struct message {
	struct msghdr header;
	struct iovec vector;
	char bytes[500];
};

static void finish_recvmsg(struct op *op, int res)
{
	if (res > 0)
		compare(((struct message *)op->buffer)->bytes, (size_t)res, 0);
	finish_pair(op, res);
}

static struct message *message_new(size_t length)
{
	struct message *message = block_of(sizeof(*message));

	memset(&message->header, 0, sizeof(message->header));
	message->vector = (struct iovec){ message->bytes, length };
	message->header.msg_iov = &message->vector;
	message->header.msg_iovlen = 1;
	return message;
}

static struct op *start_recvmsg_op(struct ring *ring)
{
	struct op *op = op_new(ring, "recvmsg");
	struct message *message = message_new(sizeof(message->bytes));
	struct io_uring_sqe *sqe;

	pair_open(op, true);
	op->buffer = (char *)message;
	op->finish = finish_recvmsg;
	results(op, 1, sizeof(message->bytes));
	waits(op, poke_stream);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_recvmsg(sqe, op->fd, &message->header, 0);
	go(op, sqe);
	return op;
}

static void start_recvmsg(struct ring *ring)
{
	start_recvmsg_op(ring);
}

static void start_send(struct ring *ring)
{
	struct op *op = op_new(ring, "send");
	struct message *message = message_new(1 + pick(500));
	int length = (int)message->vector.iov_len;
	struct io_uring_sqe *sqe;

	pair_open(op, true);
	op->buffer = (char *)message;
	op->finish = finish_pair;
	results(op, length, length);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	if (one_in(2))
		io_uring_prep_sendmsg(sqe, op->fd, &message->header, 0);
	else
		io_uring_prep_send(sqe, op->fd, message->bytes, (size_t)length, 0);
	go(op, sqe);
}

static void arrive_sent(struct op *op, int res, unsigned flags)
{
	if (res > 0 && !(flags & IORING_CQE_F_NOTIF))
		drain(op->other);
}

static void start_send_zc(struct ring *ring)
{
	struct op *op = op_new(ring, "send_zc");
	size_t length = 1 + pick(9000);
	struct io_uring_sqe *sqe;

	connection_open(op);
	op->buffer = block_of(length);
	fill(op->buffer, length, 0);
	op->zero_copy = true;
	op->arrive = arrive_sent;
	op->finish = finish_pair;
	results(op, 1, (int)length);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	io_uring_prep_send_zc(sqe, op->fd, op->buffer, length, 0, 0);
	go(op, sqe);
}

/* From one pipe to another; `fd` is read and `other` written. */
static void finish_splice(struct op *op, int res)
{
	(void)res;
	pair_close(op->target_pair);
	free(op->target_pair);
	pair_close(op);
}

static void start_splice(struct ring *ring)
{
	struct op *op = op_new(ring, "splice");
	unsigned length = 1 + pick(50);
	struct io_uring_sqe *sqe;

	op->target_pair = calloc(1, sizeof(*op));
	pair_open(op, false);
	pair_open(op->target_pair, false);
	for (unsigned i = 0; i < length; i++)
		poke_byte(op);
	op->finish = finish_splice;
	results(op, 1, (int)length);
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	if (one_in(2))
		io_uring_prep_splice(sqe, op->fd, -1, op->target_pair->other, -1, length, 0);
	else
		io_uring_prep_tee(sqe, op->fd, op->target_pair->other, length, 0);
	go(op, sqe);
}

/* Clients that connected, so that an accept would end. */
static int clients[64];
static unsigned clients_count;

static void poke_listener(struct op *op)
{
	int fd;

	(void)op;
	if (clients_count > 60)
		return;
	fd = TRACER_FD_OPENED(must("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
	must("connect", connect(fd, (struct sockaddr *)&listener_address, sizeof(listener_address)));
	clients[clients_count++] = fd;
}

static void arrive_accept(struct op *op, int res, unsigned flags)
{
	(void)op;
	(void)flags;
	if (res < 0)
		return;
	close_now(TRACER_FD_OPENED(res));
	if (clients_count)
		close_now(clients[--clients_count]);
}

static void start_accept(struct ring *ring)
{
	struct op *op = op_new(ring, "accept");
	struct sockaddr_in *address = NULL;
	socklen_t *length = NULL;
	struct io_uring_sqe *sqe;

	op->many = one_in(3);
	op->arrive = arrive_accept;
	op->finish = finish_buffer;
	results(op, 0, 1 << 20);
	waits(op, poke_listener);
	if (!op->many && one_in(2)) {
		op->buffer = block_of(sizeof(*address) + sizeof(*length));
		address = (struct sockaddr_in *)op->buffer;
		length = (socklen_t *)(op->buffer + sizeof(*address));
		*length = sizeof(*address);
	}
	ring_reserve(ring, 1);
	sqe = ring_entry(ring);
	if (op->many)
		io_uring_prep_multishot_accept(sqe, listener_fd, NULL, NULL, SOCK_CLOEXEC);
	else
		io_uring_prep_accept(sqe, listener_fd, (struct sockaddr *)address, length, SOCK_CLOEXEC);
	go(op, sqe);
}

static void finish_connect(struct op *op, int res)
{
	int fd = accept4(sink_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)res;
	if (fd >= 0)
		close_now(TRACER_FD_OPENED(fd));
	close_now(op->fd);
}

static void start_connect(struct ring *ring)
{
	struct op *op = op_new(ring, "connect");
	struct sockaddr_in *address = block_of(sizeof(*address));
	struct io_uring_sqe *sqe;

	*address = sink_address;
	op->fd = TRACER_FD_OPENED(must("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
	op->finish = finish_connect;
	ring_reserve(ring, 1);
	until_taken(ring, address);
	sqe = ring_entry(ring);
	io_uring_prep_connect(sqe, op->fd, (struct sockaddr *)address, sizeof(*address));
	go(op, sqe);
}

#endif
