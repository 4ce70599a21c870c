/* Rings that are closed in every way there is, each while it reads from a socket that nothing else holds: once a ring is
 * gone, and only then, the other side sees the end. Prints the ways and what the other side saw.
 *
 * Calls come by the C library's syscall(2), or in line with -DINLINE. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef INLINE
static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#else
static long call(long number, long a, long b, long c, long d, long e, long f)
{
    return syscall(number, a, b, c, d, e, f);
}
#endif

/* The numbers of those of io_uring have to stand beside the instruction that makes the call. */
#define SETUP(entries, params) call(425, entries, (long)(params), 0, 0, 0, 0)
#define ENTER(fd, count) call(426, fd, count, 0, 0, 0, 0)

static char buffer[64];

static int ring(int reads)
{
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    int fd = SETUP(4, &params);
    if (fd < 0)
        exit(2);
    size_t bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    unsigned char *queues = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
    size_t slots = params.sq_entries * sizeof(struct io_uring_sqe);
    struct io_uring_sqe *sqes = mmap(NULL, slots, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
    if (queues == MAP_FAILED || sqes == MAP_FAILED)
        exit(3);
    sqes[0].opcode = IORING_OP_RECV;
    sqes[0].fd = reads;
    sqes[0].addr = (unsigned long)buffer;
    sqes[0].len = sizeof buffer;
    sqes[0].user_data = 7;
    ((unsigned *)(queues + params.sq_off.array))[0] = 0;
    __atomic_store_n((unsigned *)(queues + params.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (ENTER(fd, 1) != 1)
        exit(4);
    munmap(sqes, slots);
    munmap(queues, bytes);
    return fd;
}

int main(void)
{
    static const char *const ways[] = {"close",       "close_range",  "dup2",  "dup3",       "number close",
                                       "number range", "number dup2", "number dup3", "replaced by nothing", "closefrom",
                                       "fclose",       "freopen",     "freopen64"};
    int other = open("/dev/null", O_RDONLY);
    for (unsigned way = 0; way < sizeof ways / sizeof *ways; way++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
            return 5;
        int peer = pair[1];
        int fd = ring(pair[0]);
        FILE *file;
        close(pair[0]);
        switch (way) {
        case 0: close(fd); break;
        case 1: close_range(fd, fd, 0); break;
        case 2: dup2(other, fd); break;
        case 3: dup3(other, fd, O_CLOEXEC); break;
        case 4: call(SYS_close, fd, 0, 0, 0, 0, 0); break;
        case 5: call(SYS_close_range, fd, fd, 0, 0, 0, 0); break;
#ifdef SYS_dup2
        case 6: call(SYS_dup2, other, fd, 0, 0, 0, 0); break;
#else
        case 6: call(SYS_dup3, other, fd, 0, 0, 0, 0); break;
#endif
        case 7: call(SYS_dup3, other, fd, O_CLOEXEC, 0, 0, 0); break;
        /* None of these closes it; then it is closed. */
        case 8:
            dup2(-1, fd);
            dup2(fd, fd);
            dup3(fd, fd, 0);
            close_range(fd, fd, CLOSE_RANGE_CLOEXEC);
            if (ENTER(fd, 0) != 0)
                return 6;
            close(fd);
            break;
        case 9: closefrom(fd); break;
        case 10:
        case 11:
        case 12: file = fdopen(fd, "r");
            if (!file)
                return 7;
            if (way == 11 && freopen("/dev/null", "r", file) != file)
                return 8;
            if (way == 12 && freopen64("/there/is/no/such/file", "r", file))
                return 9;
            if (way == 10 && fclose(file))
                return 10;
            break;
        }
        struct pollfd end = {.fd = peer, .events = POLLIN};
        int seen = poll(&end, 1, 5000);
        printf("%s: %s\n", ways[way], seen == 1 && read(peer, buffer, 1) == 0 ? "the end" : "nothing");
        close(peer);
    }
    return 0;
}
