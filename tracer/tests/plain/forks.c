/* NOPs in large batches, while a timer's handler forks into whatever the thread is doing; the child returns there, without
 * the ring, and ends. All children must end with 0. Prints how many operations and children there were. */
#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENTRIES = 4096, FORKS = 60 };

static volatile sig_atomic_t is_child, children;
static int fd;

static void handler(int signal)
{
    (void)signal;
    if (is_child || children >= FORKS)
        return;
    pid_t child = fork();
    if (child == 0) {
        is_child = 1;
        close(fd);
    } else if (child > 0) {
        children = children + 1;
    }
}

int main(void)
{
    struct io_uring_params p = { 0 };
    fd = syscall(SYS_io_uring_setup, ENTRIES, &p);
    if (fd < 0)
        return 2;
    size_t bytes = p.cq_off.cqes + p.cq_entries * 16;
    if (bytes < p.sq_off.array + p.sq_entries * 4)
        bytes = p.sq_off.array + p.sq_entries * 4;
    char *queues = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entries =
        mmap(0, p.sq_entries * 64, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
    if (queues == MAP_FAILED || entries == MAP_FAILED)
        return 2;
    _Atomic unsigned *tail = (void *)(queues + p.sq_off.tail), *head = (void *)(queues + p.cq_off.head);
    _Atomic unsigned *ready = (void *)(queues + p.cq_off.tail);
    unsigned *array = (void *)(queues + p.sq_off.array);
    struct itimerval often = { { 0, 700 }, { 0, 700 } };
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
    sigaction(SIGALRM, &action, 0);
    setitimer(ITIMER_REAL, &often, 0);
    long done = 0, cookie = 0;
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    while (children < FORKS && !is_child) {
        /* The queues are shared with all children: none is to be forked while they are written to. */
        sigprocmask(SIG_BLOCK, &alarm, 0);
        unsigned from = atomic_load(tail);
        for (unsigned i = 0; i < ENTRIES; i++) {
            unsigned slot = (from + i) & (ENTRIES - 1);
            array[slot] = slot;
            entries[slot] = (struct io_uring_sqe) { .opcode = IORING_OP_NOP, .user_data = ++cookie };
        }
        atomic_store(tail, from + ENTRIES);
        sigprocmask(SIG_UNBLOCK, &alarm, 0);
        if (is_child)
            _exit(0);
        long entered = syscall(SYS_io_uring_enter, fd, ENTRIES, ENTRIES, IORING_ENTER_GETEVENTS, 0, 0);
        if (is_child)
            _exit(0);
        if (entered != ENTRIES)
            return 3;
        sigprocmask(SIG_BLOCK, &alarm, 0);
        if (is_child)
            _exit(0);
        /* A signal may have ended the wait before all were there. */
        atomic_store(head, atomic_load(ready));
        done += entered;
        sigprocmask(SIG_UNBLOCK, &alarm, 0);
    }
    if (is_child)
        _exit(0);
    setitimer(ITIMER_REAL, &(struct itimerval) { 0 }, 0);
    int ended = 0, status, wrong = 0;
    for (; waitpid(-1, &status, 0) > 0; ended++)
        if (status != 0) {
            wrong++;
            fprintf(stderr, "a child ended with status %#x\n", status);
        }
    printf("%d children, %d of them ended badly\n", ended, wrong);
    fprintf(stderr, "%ld operations\n", done);
    return wrong != 0;
}
