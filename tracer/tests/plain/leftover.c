/* A ring whose slots are filled in place, over the C library's syscall(2), without the probe: what an
 * unmodified program in C looks like. `leftover forget` forgets the user_data of its NOPs, so that they go in with
 * the pointer that an earlier operation left in their slot; `leftover` sets all; `leftover none` never sets any and
 * never looks at one. Prints the cookies that came back, as numbers of the objects. */
#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct object {
    int number;
};

static unsigned char *rings;
static struct io_uring_sqe *sqes;
static struct io_uring_params params;
static int fd;

#define WORD(offset) ((unsigned *)(rings + (offset)))

static struct io_uring_sqe *next_slot(unsigned *tail)
{
    unsigned index = *tail & (params.sq_entries - 1);
    WORD(params.sq_off.array)[index] = index;
    *tail += 1;
    return &sqes[index];
}

static void enter(unsigned tail, unsigned count)
{
    __atomic_store_n(WORD(params.sq_off.tail), tail, __ATOMIC_RELEASE);
    if (syscall(__NR_io_uring_enter, fd, count, count, IORING_ENTER_GETEVENTS, NULL, 0) != (long)count)
        abort();
}

int main(int argc, char **argv)
{
    int forget = argc > 1 && !strcmp(argv[1], "forget");
    int none = argc > 1 && !strcmp(argv[1], "none");
    unsigned tail = 0, head = 0;

    fd = syscall(__NR_io_uring_setup, 4, &params);
    if (fd < 0)
        return 2;
    size_t bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    rings = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
    sqes = mmap(NULL, params.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
    if (rings == MAP_FAILED || sqes == MAP_FAILED)
        return 3;

    struct object *objects[12];
    for (int round = 0; round < 12; round++) {
        struct io_uring_sqe *slot = next_slot(&tail);
        objects[round] = malloc(sizeof(struct object));
        objects[round]->number = round;
        slot->opcode = IORING_OP_NOP;
        /* The second lap forgets it once. */
        if (!none && !(forget && round == 6))
            slot->user_data = (unsigned long)objects[round];
        enter(tail, 1);
        struct io_uring_cqe *cqes = (void *)(rings + params.cq_off.cqes);
        struct io_uring_cqe *cqe = &cqes[head & (params.cq_entries - 1)];
        if (none)
            printf(" %d", round);
        else
            printf(" %d", ((struct object *)cqe->user_data)->number);
        head++;
        __atomic_store_n(WORD(params.cq_off.head), head, __ATOMIC_RELEASE);
    }
    printf("\n");
    for (int round = 0; round < 12; round++)
        free(objects[round]);
    close(fd);
    return 0;
}
