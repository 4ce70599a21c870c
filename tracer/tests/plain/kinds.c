/* Rings of every kind that a kernel may be asked for, by system calls through the C library: `kinds KIND [forget]` makes
 * one, does twelve NOPs, each entered alone, and prints the cookies that came back. `forget` leaves out the user_data of
 * the seventh. Exits with 77 where the kernel does not have the kind. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of newer kernels than the headers may be. */
enum {
    SQPOLL = 1 << 1, SQE128 = 1 << 10, CQE32 = 1 << 11, SINGLE_ISSUER = 1 << 12, DEFER_TASKRUN = 1 << 13,
    NO_MMAP = 1 << 14, REGISTERED_FD_ONLY = 1 << 15, NO_SQARRAY = 1 << 16, CQE_MIXED = 1 << 18,
    ENTER_REGISTERED = 1 << 4, REGISTER_RING_FDS = 20, RESIZE_RINGS = 33,
};

struct update {
    unsigned offset, reserved;
    unsigned long long data;
};

static unsigned char *rings;
static unsigned char *sqes;
static struct io_uring_params params;
static int fd;

#define WORD(offset) ((unsigned *)(rings + (offset)))

static void map(void)
{
    int shift = !!(params.flags & CQE32);
    size_t bytes = params.cq_off.cqes + (params.cq_entries * 16UL << shift) + 4 * params.sq_entries;

    if (params.flags & NO_MMAP)
        return;
    rings = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
    sqes = mmap(NULL, params.sq_entries * 64UL << !!(params.flags & SQE128), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                IORING_OFF_SQES);
    if (rings == MAP_FAILED || sqes == MAP_FAILED)
        exit(3);
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    int forget = argc > 2 && !strcmp(argv[2], "forget");
    int is = 0, registered = 0, resize = 0;
    unsigned flags = 0, named;

#define KIND(name, bits) if (!strcmp(kind, name)) is = 1, flags = (bits)
    KIND("plain", 0);
    KIND("no-mmap", NO_MMAP);
    KIND("no-sqarray", NO_SQARRAY);
    KIND("sqe128", SQE128);
    KIND("cqe32", CQE32);
    KIND("large", SQE128 | CQE32 | NO_SQARRAY | NO_MMAP);
    KIND("defer", SINGLE_ISSUER | DEFER_TASKRUN);
    KIND("registered", 0), registered = 1;
    KIND("resize", SINGLE_ISSUER | DEFER_TASKRUN), resize = 1;
    KIND("registered-only", NO_MMAP | REGISTERED_FD_ONLY);
    KIND("sqpoll", SQPOLL);
    KIND("cqe-mixed", CQE_MIXED);
    if (!is)
        return 2;
    params.flags = flags;
    if (flags & NO_MMAP) {
        rings = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        sqes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        /* The last word of the offsets is an address. */
        memcpy((char *)&params.cq_off + 32, &rings, 8);
        memcpy((char *)&params.sq_off + 32, &sqes, 8);
    }
    fd = syscall(__NR_io_uring_setup, 4, &params);
    if (fd < 0)
        return errno == EINVAL ? 77 : 4;
    map();
    named = fd;
    if (registered) {
        struct update update = { .offset = -1U, .data = fd };
        if (syscall(__NR_io_uring_register, fd, REGISTER_RING_FDS, &update, 1) != 1)
            return 77;
        named = update.offset;
    }
    if (registered || flags & REGISTERED_FD_ONLY)
        registered = ENTER_REGISTERED;
    for (int round = 0; round < 12; round++) {
        unsigned tail, index;

        if (resize && round == 4) {
            struct io_uring_params wanted = { .sq_entries = 8, .cq_entries = 16 };
            if (syscall(__NR_io_uring_register, fd, RESIZE_RINGS, &wanted, 1))
                return 77;
            wanted.flags = params.flags;
            params = wanted;
            map();
        }
        tail = *WORD(params.sq_off.tail);
        index = tail & (params.sq_entries - 1);
        struct io_uring_sqe *sqe = (void *)(sqes + ((size_t)index << (flags & SQE128 ? 7 : 6)));
        if (!(flags & NO_SQARRAY))
            WORD(params.sq_off.array)[index] = index;
        sqe->opcode = IORING_OP_NOP;
        if (!(forget && round == 6))
            sqe->user_data = 0x1000 + round;
        __atomic_store_n(WORD(params.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
        unsigned wake = flags & SQPOLL ? IORING_ENTER_SQ_WAKEUP : 0;
        if (syscall(__NR_io_uring_enter, named, 1, 1, IORING_ENTER_GETEVENTS | registered | wake, NULL, 0) != 1)
            return 5;
        unsigned head = *WORD(params.cq_off.head);
        struct io_uring_cqe *cqe = (void *)(rings + params.cq_off.cqes +
            ((size_t)(head & (params.cq_entries - 1)) << (flags & CQE32 ? 5 : 4)));
        printf(" %llx", (unsigned long long)cqe->user_data);
        __atomic_store_n(WORD(params.cq_off.head), head + 1, __ATOMIC_RELEASE);
    }
    printf("\n");
    /* Before the descriptor: from here on nobody may look at it. */
    munmap(rings, 4096);
    munmap(sqes, 4096);
    if (!(flags & REGISTERED_FD_ONLY))
        close(fd);
    return 0;
}
