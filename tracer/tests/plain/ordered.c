/* A program that has liburing make its ring, and fills the queue itself: the slots of a lap go in backwards, handed over by
 * the C library's syscall(2) in two parts. Each completion must carry a cookie that went in: it ends with 3 where one does
 * not. `ordered forget` forgets the cookie of one slot in one lap, so that the one of its last lap goes in again. Prints the
 * sum of the cookies that came back, and exits with 7. */
#define _GNU_SOURCE
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SLOTS = 8, PART = 4, LAPS = 12, FORGOTTEN = 5 };

static struct io_uring ring;
static __u64 went_in[SLOTS];

static void fill(unsigned slot, __u64 cookie)
{
    struct io_uring_sqe *sqe = &ring.sq.sqes[slot];

    /* The word that is forgotten is left alone. */
    sqe->opcode = IORING_OP_NOP;
    sqe->fd = -1;
    if (cookie)
        went_in[slot] = sqe->user_data = cookie;
}

static int came_back(__u64 cookie)
{
    for (unsigned slot = 0; slot < SLOTS; slot++)
        if (went_in[slot] == cookie)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    int forget = argc > 1 && !strcmp(argv[1], "forget");
    __u64 sum = 0;

    if (io_uring_queue_init(SLOTS, &ring, 0))
        return 2;
    for (unsigned lap = 0; lap < LAPS; lap++) {
        unsigned tail = *ring.sq.ktail, head;
        struct io_uring_cqe *cqe;

        for (unsigned slot = 0; slot < SLOTS; slot++)
            fill(slot, forget && lap == 6 && slot == FORGOTTEN ? 0 : 0x2000 + 0x10 * lap + slot);
        for (unsigned i = 0; i < SLOTS; i++)
            ring.sq.array[(tail + i) % SLOTS] = SLOTS - 1 - i;
        for (unsigned part = 0; part < SLOTS; part += PART) {
            __atomic_store_n(ring.sq.ktail, tail += PART, __ATOMIC_RELEASE);
            if (syscall(__NR_io_uring_enter, ring.ring_fd, PART, PART, IORING_ENTER_GETEVENTS, NULL, 0) != PART)
                return 4;
            io_uring_for_each_cqe(&ring, head, cqe) {
                if (!came_back(cqe->user_data))
                    return 3;
                sum += cqe->user_data;
            }
            io_uring_cq_advance(&ring, PART);
        }
    }
    printf("%llu\n", (unsigned long long)sum);
    return 7;
}
