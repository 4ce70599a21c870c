/* What the shim is measured with: a program that knows nothing of it. Reads `WORKLOAD COUNT` from stdin, does it, and
 * says so, until stdin ends. Built on liburing's shared library, on its static one, and (-DSYSCALL) with its enters
 * through the C library's syscall(2), as the io-uring crate makes them; the last also (-DFLOOR) with what nothing that
 * records the operations can do without: the time before and after each enter, and what is new in each entry, enter and
 * completion, written to 64 MiB in turn. With -DPROBE it has the probe for C, which the shim tells of frees. */
#define _GNU_SOURCE
#ifdef PROBE
#include "tracer_liburing.h"
#else
#include <liburing.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ENTRIES = 128, BLOCKS = 64, IN_FLIGHT = 32 };

static struct io_uring ring;

#ifdef FLOOR
enum { WORDS = (64 << 20) / 8 };
static unsigned long room[WORDS], *next = room;

static unsigned long now(void)
{
#ifdef __x86_64__
    return __builtin_ia32_rdtsc();
#else
    unsigned long ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#endif
}

#define RECORD(time, ...)                                                                  \
    do {                                                                                   \
        unsigned long words[] = { __VA_ARGS__ };                                           \
        if (next + sizeof words / 8 + 1 > room + WORDS)                                    \
            next = room;                                                                   \
        for (unsigned word = 0; word < sizeof words / 8; word++)                           \
            next[word + 1] = words[word];                                                  \
        *(volatile unsigned long *)next = (time);                                          \
        next += sizeof words / 8 + 1;                                                      \
    } while (0)
#else
#define RECORD(time, ...) (void)0
#define now() 0
#endif

static void enter(unsigned count)
{
#ifdef SYSCALL
    __atomic_store_n(ring.sq.ktail, ring.sq.sqe_tail, __ATOMIC_RELEASE);
    ring.sq.sqe_head = ring.sq.sqe_tail;
    long taken = syscall(__NR_io_uring_enter, ring.ring_fd, count, count, IORING_ENTER_GETEVENTS, NULL, 0);
#else
    long taken = io_uring_submit_and_wait(&ring, count);
#endif
    if (taken != (long)count)
        abort();
}

static void nops(unsigned count, unsigned batch)
{
    for (unsigned left = count; left;) {
        unsigned part = left < batch ? left : batch, head, taken = 0;
        struct io_uring_cqe *cqe;

        for (unsigned i = 0; i < part; i++) {
            struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
            io_uring_prep_nop(sqe);
            io_uring_sqe_set_data64(sqe, i + 1);
        }
        unsigned long time = now();
        (void)time;
        for (unsigned i = 0; i < part; i++) {
            /* All are alike. */
            if (i == 0)
                RECORD(time, ring.sq.sqes[i].user_data, i, ring.sq.sqes[i].opcode);
            else
                RECORD(time, ring.sq.sqes[i].user_data);
        }
        enter(part);
        time = now();
        RECORD(time, part, part);
        io_uring_for_each_cqe(&ring, head, cqe) {
            if (!cqe->user_data)
                abort();
            if (cqe->res)
                RECORD(time, cqe->user_data, cqe->res);
            else
                RECORD(time, cqe->user_data);
            taken++;
        }
        if (taken != part)
            abort();
        io_uring_cq_advance(&ring, taken);
        left -= part;
    }
}

/* Blocks of the sizes that programs ask for, freed in another order. */
static void blocks(unsigned count)
{
    static void *held[BLOCKS];
    unsigned random = 1;

    for (unsigned i = 0; i < count; i++) {
        random = random * 1103515245 + 12345;
        unsigned place = (random >> 16) % BLOCKS;
        free(held[place]);
        held[place] = malloc(16 + (random >> 8) % 500);
        *(volatile char *)held[place] = 1;
    }
}

/* Reads that nothing comes for, into blocks like those that are freed meanwhile. */
static void hold(void)
{
    static int done;
    int ends[2];

    if (done++ || pipe(ends))
        return;
    for (int i = 0; i < IN_FLIGHT; i++) {
        char *buffer = malloc(200);
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        io_uring_prep_read(sqe, ends[0], buffer, 200, 0);
        io_uring_sqe_set_data(sqe, buffer);
    }
    if (io_uring_submit(&ring) != IN_FLIGHT)
        abort();
}

int main(void)
{
    char what[32];
    unsigned count;

    if (io_uring_queue_init(ENTRIES, &ring, 0))
        return 2;
    while (scanf("%31s %u", what, &count) == 2) {
        if (!strcmp(what, "nop-1"))
            nops(count, 1);
        else if (!strcmp(what, "nop-128"))
            nops(count, 128);
        else if (!strcmp(what, "free"))
            blocks(count);
        else if (!strcmp(what, "free-in-flight")) {
            hold();
            blocks(count);
        } else
            return 3;
        puts("done");
        fflush(stdout);
    }
    return 0;
}
