/* Rings and seccomp: a program that leaves itself few system calls once its ring is there, and one that is refused a
 * ring.
 *
 *     confined listed      the list has what a handler of a signal needs
 *     confined strict      it has not
 *     confined strict N    the same, after so many operations more
 *     confined direct N    the same, by the system call instead of the function
 *     confined refused     no ring at all
 */
#include <errno.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD_NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ANSWER(number, how) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, how)
#define ELSE(how) BPF_STMT(BPF_RET | BPF_K, how)

static int is_direct;

static int confine(struct sock_filter *steps, unsigned short count)
{
	struct sock_fprog program = {count, steps};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return 1;
	if (is_direct)
		return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int nop(struct io_uring *ring, int number)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;

	io_uring_prep_nop(sqe);
	sqe->user_data = number;
	if (io_uring_submit_and_wait(ring, 1) != 1 || io_uring_peek_cqe(ring, &cqe))
		_exit(4);
	number = (int)cqe->user_data;
	io_uring_cqe_seen(ring, cqe);
	return number;
}

int main(int count, char **words)
{
	struct sock_filter list[] = {
		LOAD_NUMBER,
		ANSWER(SYS_io_uring_enter, SECCOMP_RET_ALLOW),
		ANSWER(SYS_write, SECCOMP_RET_ALLOW),
		ANSWER(SYS_exit_group, SECCOMP_RET_ALLOW),
		/* Last but one. */
		ANSWER(SYS_rt_sigreturn, SECCOMP_RET_ALLOW),
		ELSE(SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_filter refusal[] = {
		LOAD_NUMBER,
		ANSWER(SYS_io_uring_setup, SECCOMP_RET_ERRNO | EPERM),
		ELSE(SECCOMP_RET_ALLOW),
	};
	const char *how = count > 1 ? words[1] : "";
	struct io_uring ring;
	char done[8];
	int number;

	if (!strcmp(how, "refused") && confine(refusal, sizeof(refusal) / sizeof(*refusal)))
		return 2;
	number = io_uring_queue_init(4, &ring, 0);
	if (number < 0) {
		printf("no ring: %d\n", number);
		return 3;
	}
	is_direct = !strcmp(how, "direct");
	if (is_direct || !strcmp(how, "strict"))
		list[sizeof(list) / sizeof(*list) - 2].k = SECCOMP_RET_KILL_PROCESS;
	if (confine(list, sizeof(list) / sizeof(*list)))
		return 2;
	for (number = count > 2 ? atoi(words[2]) : 0; number > 0; number--)
		nop(&ring, number);
	for (number = 0; number < 9; number++) {
		done[0] = (char)('0' + nop(&ring, number + 1));
		if (write(1, done, 1) != 1)
			_exit(5);
	}
	_exit(0);
}
