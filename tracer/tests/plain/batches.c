/* Batches of anything: operations of all lengths and in all orders, alike and not, from slots in order and out of it. Prints
 * each entry as the kernel gets it. What comes of them is looked at no further than that all of them complete. `many`: every
 * eighth is handed over by another thread. To be linked where addresses are the same each time. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ENTRIES = 16, ROUNDS = 1500 };

static char buffers[8][64];
static unsigned random_state = 1;

static unsigned below(unsigned end)
{
    random_state = random_state * 1103515245 + 12345;
    return (random_state >> 16) % end;
}

static void fill(struct io_uring_sqe *sqe, const int *files, unsigned long number)
{
    static unsigned kind;
    /* Mostly what the entry before was, with other words here and there. */
    if (below(3) == 0)
        kind = below(5);
    memset(sqe, 0, sizeof *sqe);
    sqe->fd = -1;
    sqe->user_data = number + 1;
    switch (kind) {
    case 0:
        sqe->opcode = IORING_OP_NOP;
        break;
    case 1:
        sqe->opcode = IORING_OP_READ;
        sqe->fd = files[below(2)];
        sqe->off = below(3) * 64;
        sqe->addr = (unsigned long)buffers[below(8)];
        sqe->len = 1 + below(2) * 63;
        break;
    case 2:
        sqe->opcode = IORING_OP_WRITE;
        sqe->fd = files[1];
        sqe->addr = (unsigned long)buffers[0];
        sqe->len = 64;
        sqe->ioprio = below(2) << 13;
        break;
    case 3:
        sqe->opcode = IORING_OP_ASYNC_CANCEL;
        sqe->addr = ~0ul - below(2);
        break;
    /* A group of buffers that there is none of, and a table that there is none of. */
    case 4:
        sqe->opcode = below(2) ? IORING_OP_READ : IORING_OP_OPENAT;
        sqe->fd = files[0];
        sqe->flags = sqe->opcode == IORING_OP_READ ? IOSQE_BUFFER_SELECT : 0;
        sqe->len = 8;
        sqe->buf_group = sqe->opcode == IORING_OP_READ ? 1 + below(2) : 0;
        sqe->file_index = sqe->opcode == IORING_OP_OPENAT ? 1 + below(2) : 0;
        break;
    }
}

struct entered {
    int fd;
    unsigned count;
    long result;
};

static void *enter(void *of)
{
    struct entered *it = of;
    it->result = syscall(SYS_io_uring_enter, it->fd, it->count, it->count, IORING_ENTER_GETEVENTS, NULL, 0);
    return NULL;
}

int main(int argc, char **argv)
{
    int many = argc > 1 && strcmp(argv[1], "many") == 0;
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    params.flags = IORING_SETUP_SUBMIT_ALL;
    int fd = syscall(SYS_io_uring_setup, ENTRIES, &params);
    if (fd < 0)
        return 2;
    size_t bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    unsigned char *queues = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
    struct io_uring_sqe *sqes =
        mmap(NULL, ENTRIES * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
    if (queues == MAP_FAILED || (void *)sqes == MAP_FAILED)
        return 3;
    unsigned *array = (unsigned *)(queues + params.sq_off.array);
    unsigned *tail = (unsigned *)(queues + params.sq_off.tail);
    unsigned *taken = (unsigned *)(queues + params.cq_off.head), *posted = (unsigned *)(queues + params.cq_off.tail);
    int files[] = {open("/dev/zero", O_RDONLY), open("/dev/null", O_RDWR)};
    unsigned long number = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned count = 1 + below(ENTRIES), step = round % 4 == 3 ? 5 : 1;
        for (unsigned i = 0; i < count; i++, number++) {
            unsigned slot = (unsigned)number * step % ENTRIES;
            struct io_uring_sqe *sqe = &sqes[slot];
            fill(sqe, files, number);
            array[number % ENTRIES] = slot;
            printf("%lu %u %u %u %u %d %llu %llx %u %u %u %u\n", number, slot, sqe->opcode, sqe->flags, sqe->ioprio, sqe->fd,
                   (unsigned long long)sqe->off, (unsigned long long)sqe->addr, sqe->len, sqe->rw_flags, sqe->buf_group,
                   sqe->file_index);
        }
        __atomic_store_n(tail, (unsigned)number, __ATOMIC_RELEASE);
        struct entered it = {fd, count, -1};
        pthread_t thread;
        if (many && round % 8 == 7) {
            if (pthread_create(&thread, NULL, enter, &it) != 0 || pthread_join(thread, NULL) != 0)
                return 6;
        } else {
            enter(&it);
        }
        if (it.result != count)
            return 4;
        unsigned head = *taken, end = __atomic_load_n(posted, __ATOMIC_ACQUIRE);
        if (end - head != count)
            return 5;
        __atomic_store_n(taken, end, __ATOMIC_RELEASE);
    }
    return 0;
}
