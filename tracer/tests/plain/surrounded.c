/* A program that makes the system calls of io_uring in line (a static liburing), in all the surroundings in which a
 * trap could change what it does: with a handler and a filter of its own, in threads that block all signals, in a
 * handler of another signal, with a small stack for signals, in a child, after vfork, and in programs that it starts
 * without its environment (itself, and `surrounded STATIC`, a static one). Prints what it saw; each ring operation is
 * counted. */
#define _GNU_SOURCE
#include <errno.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int operations, refused, rang;
static struct io_uring ring;

static void operate(struct io_uring *one, int count)
{
    for (int i = 0; i < count; i++) {
        struct io_uring_cqe *cqe;
        struct io_uring_sqe *sqe = io_uring_get_sqe(one);

        io_uring_prep_nop(sqe);
        io_uring_sqe_set_data64(sqe, 100 + i);
        errno = 4711;
        if (io_uring_submit_and_wait(one, 1) != 1 || io_uring_wait_cqe(one, &cqe) || errno != 4711)
            abort();
        if (cqe->user_data != 100 + (unsigned)i)
            abort();
        io_uring_cqe_seen(one, cqe);
        __atomic_fetch_add(&operations, 1, __ATOMIC_RELAXED);
    }
}

static void own_ring(int count)
{
    struct io_uring one;

    if (io_uring_queue_init(4, &one, 0))
        abort();
    operate(&one, count);
    io_uring_queue_exit(&one);
}

static void *deaf(void *unused)
{
    sigset_t all, now;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    own_ring(10);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    if (!sigismember(&now, SIGUSR1))
        abort();
    sigemptyset(&all);
    sigaddset(&all, SIGSYS);
    sigprocmask(SIG_BLOCK, &all, NULL);
    own_ring(10);
    return unused;
}

static void on_system_call(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (number != SIGSYS || info->si_syscall != SYS_getpriority)
        abort();
    refused++;
}

static void on_user(int number)
{
    (void)number;
    own_ring(3);
    rang++;
}

static void refuse_priority(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpriority, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { 4, steps };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        abort();
}

static int ended(pid_t child)
{
    int status;

    if (waitpid(child, &status, 0) != child)
        abort();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int start(const char *path, int bare)
{
    char *words[] = { (char *)path, "started", NULL };
    char *nothing[] = { NULL };
    pid_t child = vfork();

    if (child == 0) {
        execve(path, words, bare ? nothing : environ);
        _exit(99);
    }
    return ended(child);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "started")) {
        own_ring(5);
        return operations;
    }
    struct sigaction action = { .sa_sigaction = on_system_call, .sa_flags = SA_SIGINFO }, old;
    sigaction(SIGSYS, &action, NULL);
    sigaction(SIGSYS, NULL, &old);
    printf("its own handler: %d\n", old.sa_sigaction == on_system_call);

    if (io_uring_queue_init(4, &ring, 0))
        return 2;
    operate(&ring, 10);

    pthread_t thread;
    pthread_create(&thread, NULL, deaf, NULL);
    pthread_join(thread, NULL);

    struct sigaction user = { .sa_handler = on_user };
    sigfillset(&user.sa_mask);
    stack_t small = { .ss_sp = malloc(8192), .ss_size = 8192 };
    sigaltstack(&small, NULL);
    sigaction(SIGUSR1, &user, NULL);
    raise(SIGUSR1);
    printf("in a handler: %d\n", rang);

    refuse_priority();
    getpriority(PRIO_PROCESS, 0);
    operate(&ring, 1);
    printf("refused by its own filter: %d\n", refused);

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        own_ring(5);
        _exit(operations);
    }
    printf("in a child: %d\n", ended(child));
    printf("itself, without its environment: %d\n", start("/proc/self/exe", 1));
    printf("itself: %d\n", start("/proc/self/exe", 0));
    for (int i = 1; i < argc; i++)
        printf("started: %d %d\n", start(argv[i], 0), start(argv[i], 1));
    operate(&ring, 1);
    io_uring_queue_exit(&ring);
    printf("%d operations\n", operations);
    signal(SIGSYS, SIG_DFL);
    fflush(stdout);
    getpriority(PRIO_PROCESS, 0);
    return 0;
}
