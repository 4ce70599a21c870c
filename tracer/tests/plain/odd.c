/* Odd uses of a ring, over the C library's syscall(2), without the probe. All but `beyond` are right:
 *
 *   copied   re-arms an operation with a copy of the entry that it went in with before, user_data and all, as it lies in
 *            the slot still (`*new_sqe = *old_sqe`)
 *   carried  copies such an entry into another ring
 *   kept     does so with a copy that it put by, while others went through the slot
 *   again    fills its slots once, and hands the same entries over again and again
 *   beside   fills two of its slots once, and the others each time
 *   forked   lets a forked child submit, and takes what comes of it itself
 *   posted   sends messages to a ring of its own that it never enters
 *   late     is a daemon: the program ends at once, and a child makes its ring when the recording is over
 *   beyond   gives up one completion more than there is
 *
 * Prints the cookies that came back. */
#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct ring {
    struct io_uring_params params;
    unsigned char *words;
    struct io_uring_sqe *sqes;
    unsigned tail, head;
    int fd;
};

#define WORD(ring, offset) ((unsigned *)((ring)->words + (offset)))

static void make(struct ring *ring)
{
    memset(ring, 0, sizeof(*ring));
    ring->fd = syscall(__NR_io_uring_setup, 4, &ring->params);
    if (ring->fd < 0)
        exit(2);
    size_t bytes = ring->params.cq_off.cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe);
    ring->words = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
    ring->sqes = mmap(NULL, 4 * sizeof(*ring->sqes), PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
    if (ring->words == MAP_FAILED || ring->sqes == MAP_FAILED)
        exit(3);
    for (unsigned index = 0; index < 4; index++)
        WORD(ring, ring->params.sq_off.array)[index] = index;
}

static struct io_uring_sqe *slot(struct ring *ring)
{
    return &ring->sqes[ring->tail++ & 3];
}

static void enter(struct ring *ring, unsigned count)
{
    __atomic_store_n(WORD(ring, ring->params.sq_off.tail), ring->tail, __ATOMIC_RELEASE);
    if (syscall(__NR_io_uring_enter, ring->fd, count, 0, 0, NULL, 0) != (long)count)
        abort();
}

/* Takes a completion without a system call. */
static unsigned long take(struct ring *ring)
{
    if (__atomic_load_n(WORD(ring, ring->params.cq_off.tail), __ATOMIC_ACQUIRE) == ring->head)
        abort();
    struct io_uring_cqe *cqes = (void *)(ring->words + ring->params.cq_off.cqes);
    unsigned long cookie = cqes[ring->head & (ring->params.cq_entries - 1)].user_data;
    ring->head++;
    __atomic_store_n(WORD(ring, ring->params.cq_off.head), ring->head, __ATOMIC_RELEASE);
    return cookie;
}

static struct io_uring_sqe *nop(struct ring *ring, unsigned long cookie)
{
    struct io_uring_sqe *sqe = slot(ring);
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = IORING_OP_NOP;
    sqe->user_data = cookie;
    return sqe;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    struct ring ring, other;
    if (!strcmp(mode, "late")) {
        if (fork() != 0)
            _exit(5);
        const char *folder = getenv("TRACER_DIR");
        while (folder && access(folder, F_OK) == 0)
            usleep(1000);
    }
    make(&ring);
    if (!strcmp(mode, "copied")) {
        struct io_uring_sqe *old[2] = { nop(&ring, 0x1001), nop(&ring, 0x1002) };
        enter(&ring, 2);
        for (int round = 0; round < 10; round++) {
            unsigned long cookie = take(&ring);
            if (cookie != 0x1001 && cookie != 0x1002)
                return 9;
            printf(" %lx", cookie);
            struct io_uring_sqe **from = &old[cookie - 0x1001], *next = slot(&ring);
            *next = **from;
            *from = next;
            enter(&ring, 1);
        }
    } else if (!strcmp(mode, "carried")) {
        make(&other);
        for (unsigned index = 0; index < 9; index++) {
            struct io_uring_sqe *old = nop(&ring, 0x1000 + index);
            enter(&ring, 1);
            printf(" %lx", take(&ring));
            *slot(&other) = *old;
            enter(&other, 1);
            printf(" %lx", take(&other));
        }
    } else if (!strcmp(mode, "kept")) {
        nop(&ring, 0x1001);
        enter(&ring, 1);
        take(&ring);
        struct io_uring_sqe put_by = ring.sqes[0];
        for (unsigned index = 0; index < 9; index++) {
            nop(&ring, 0x2000 + index);
            enter(&ring, 1);
            printf(" %lx", take(&ring));
        }
        /* As often as it likes, and with others in between. */
        for (unsigned index = 0; index < 9; index++) {
            *slot(&ring) = put_by;
            enter(&ring, 1);
            printf(" %lx", take(&ring));
            nop(&ring, 0x3000 + index);
            enter(&ring, 1);
            printf(" %lx", take(&ring));
        }
    } else if (!strcmp(mode, "again")) {
        for (unsigned index = 0; index < 4; index++)
            nop(&ring, 0x1000 + index);
        ring.tail = 0;
        for (int lap = 0; lap < 5; lap++) {
            ring.tail += 4;
            enter(&ring, 4);
            for (int index = 0; index < 4; index++)
                printf(" %lx", take(&ring));
        }
    } else if (!strcmp(mode, "beside")) {
        for (int lap = 0; lap < 5; lap++) {
            for (unsigned index = 0; index < 4; index++) {
                if (lap == 0 || index % 2)
                    nop(&ring, 0x1000 + 0x10 * lap + index);
                else
                    slot(&ring);
            }
            enter(&ring, 4);
            for (int index = 0; index < 4; index++)
                printf(" %lx", take(&ring));
        }
    } else if (!strcmp(mode, "forked")) {
        nop(&ring, 0x1000);
        enter(&ring, 1);
        take(&ring);
        pid_t child = fork();
        if (child == 0) {
            for (unsigned index = 1; index < 4; index++)
                nop(&ring, 0x1000 + index);
            enter(&ring, 3);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        for (int index = 0; index < 3; index++)
            printf(" %lx", take(&ring));
    } else if (!strcmp(mode, "posted")) {
        make(&other);
        for (unsigned round = 0; round < 20; round++) {
            struct io_uring_sqe *sqe = slot(&ring);
            memset(sqe, 0, sizeof(*sqe));
            sqe->opcode = IORING_OP_MSG_RING;
            sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
            sqe->fd = other.fd;
            sqe->off = 0x1000 + round;
            enter(&ring, 1);
            printf(" %lx", take(&other));
        }
        close(other.fd);
    } else if (!strcmp(mode, "beyond")) {
        nop(&ring, 0x1000);
        enter(&ring, 1);
        printf(" %lx", take(&ring));
        __atomic_store_n(WORD(&ring, ring.params.cq_off.head), ++ring.head, __ATOMIC_RELEASE);
        nop(&ring, 0x1001);
        enter(&ring, 1);
    }
    printf("\n");
    close(ring.fd);
    return 5;
}
