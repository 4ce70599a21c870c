/* Rings by the bare system calls, for what the kernel says of them: link it statically, and nothing else can see them.
 *
 * Operations carry one and the same user_data where that is possible: only the kernel knows which one a completion
 * belongs to. Prints what it did.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAME 0x4242

struct ring {
    int fd;
    unsigned setup, ready;
    _Atomic unsigned *sq_tail, *sq_flags, *cq_head, *cq_tail;
    unsigned sq_mask, cq_mask, *array;
    struct io_uring_sqe *entries;
    struct io_uring_cqe *completions;
};

static void fail(const char *what) {
    perror(what);
    exit(3);
}

static struct ring make(unsigned slots, unsigned setup) {
    struct io_uring_params p = {.flags = setup, .sq_thread_idle = 50};
    struct ring r = {.setup = setup};
    r.fd = syscall(SYS_io_uring_setup, slots, &p);
    if (r.fd < 0)
        fail("io_uring_setup");
    size_t bytes = p.sq_off.array + p.sq_entries * 4 + p.cq_off.cqes + p.cq_entries * 16;
    char *queues = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, IORING_OFF_SQ_RING);
    r.entries = mmap(0, p.sq_entries * 64, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, IORING_OFF_SQES);
    if (queues == MAP_FAILED || r.entries == MAP_FAILED)
        fail("mmap");
    r.sq_tail = (void *)(queues + p.sq_off.tail);
    r.sq_flags = (void *)(queues + p.sq_off.flags);
    r.sq_mask = *(unsigned *)(queues + p.sq_off.ring_mask);
    r.array = (void *)(queues + p.sq_off.array);
    r.cq_head = (void *)(queues + p.cq_off.head);
    r.cq_tail = (void *)(queues + p.cq_off.tail);
    r.cq_mask = *(unsigned *)(queues + p.cq_off.ring_mask);
    r.completions = (void *)(queues + p.cq_off.cqes);
    return r;
}

static struct io_uring_sqe *next(struct ring *r, int opcode) {
    unsigned slot = (*r->sq_tail + r->ready++) & r->sq_mask;
    r->array[slot] = slot;
    memset(&r->entries[slot], 0, 64);
    r->entries[slot].opcode = opcode;
    r->entries[slot].user_data = SAME;
    return &r->entries[slot];
}

static void enter(struct ring *r, unsigned wait) {
    unsigned n = r->ready, flags = wait ? IORING_ENTER_GETEVENTS : 0;
    atomic_fetch_add(r->sq_tail, n);
    r->ready = 0;
    if (r->setup & IORING_SETUP_SQPOLL && *r->sq_flags & IORING_SQ_NEED_WAKEUP)
        flags |= IORING_ENTER_SQ_WAKEUP;
    if (syscall(SYS_io_uring_enter, r->fd, n, wait, flags, 0, 0) < 0)
        fail("io_uring_enter");
}

/* Takes all that is there. */
static unsigned reap(struct ring *r) {
    unsigned head = *r->cq_head, tail = atomic_load(r->cq_tail);
    atomic_store(r->cq_head, tail);
    return tail - head;
}

static void reap_all(struct ring *r, unsigned count) {
    for (unsigned seen = reap(r); seen < count; seen += reap(r))
        enter(r, 1);
}

static void nops(struct ring *r, int count, int batch) {
    for (int done = 0; done < count; done += batch) {
        for (int i = 0; i < batch; i++)
            next(r, IORING_OP_NOP);
        enter(r, batch);
        reap_all(r, batch);
    }
}

/* Pipe k gets k + 1 bytes, the last one first: the result says which read it was. */
static void pipes(struct ring *r, int rounds) {
    static char buffers[16][16];
    int ends[16][2];
    for (int k = 0; k < 16; k++)
        if (pipe(ends[k]))
            fail("pipe");
    while (rounds--) {
        for (int k = 0; k < 16; k++) {
            struct io_uring_sqe *entry = next(r, IORING_OP_READ);
            entry->fd = ends[k][0];
            entry->addr = (unsigned long)buffers[k];
            entry->len = 16;
        }
        enter(r, 0);
        for (int k = 15; k >= 0; k--)
            if (write(ends[(k * 5 + 3) % 16][1], buffers, (k * 5 + 3) % 16 + 1) < 0)
                fail("write");
        reap_all(r, 16);
    }
}

static void *thread(void *rounds) {
    struct ring r = make(8, 0);
    nops(&r, *(int *)rounds, 4);
    return 0;
}

/* Completions that do not say whose they are. */
static void odd(struct ring *r) {
    int ends[2];
    if (pipe(ends))
        fail("pipe");
    /* A poll that posts again and again, and is cancelled: two completions with F_MORE, and a last one. */
    struct io_uring_sqe *entry = next(r, IORING_OP_POLL_ADD);
    entry->fd = ends[0];
    entry->poll32_events = POLLIN;
    entry->len = IORING_POLL_ADD_MULTI;
    entry->user_data = 1;
    enter(r, 0);
    for (int i = 0; i < 2; i++) {
        if (write(ends[1], "x", 1) < 0)
            fail("write");
        reap_all(r, 1);
    }
    entry = next(r, IORING_OP_ASYNC_CANCEL);
    entry->addr = 1;
    entry->user_data = 2;
    enter(r, 2);
    reap_all(r, 2);
    /* A send without a copy: a completion with F_MORE, and a notification. */
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof to;
    int in = socket(AF_INET, SOCK_DGRAM, 0), out = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(in, (void *)&to, size) || getsockname(in, (void *)&to, &size) || connect(out, (void *)&to, size))
        fail("sockets");
    entry = next(r, IORING_OP_SEND_ZC);
    entry->fd = out;
    entry->addr = (unsigned long)"word";
    entry->len = 4;
    entry->user_data = 3;
    enter(r, 2);
    reap_all(r, 2);
    /* One that posts nothing when all goes well. */
    entry = next(r, IORING_OP_NOP);
    entry->flags = IOSQE_CQE_SKIP_SUCCESS;
    entry->user_data = 4;
    /* One that the kernel refuses. */
    entry = next(r, 250);
    entry->user_data = 5;
    enter(r, 1);
    reap_all(r, 1);
}

/* A read of a new pipe, of at most 8 bytes. */
static void read_of_pipe(struct ring *r, int ends[2], char *buffer, unsigned long cookie) {
    struct io_uring_sqe *entry = next(r, IORING_OP_READ);
    if (pipe(ends))
        fail("pipe");
    entry->fd = ends[0];
    entry->addr = (unsigned long)buffer;
    entry->len = 8;
    entry->user_data = cookie;
}

/* A ring that one thread enters while another one holds its lock in the kernel, and a third one writes to its entry. */
static struct {
    struct ring ring;
    void *page;
    _Atomic int enters, may_enter;
} raced;

static void hand_over(int cookie) {
    next(&raced.ring, IORING_OP_NOP)->user_data = cookie;
    enter(&raced.ring, 0);
}

static void *enters(void *nothing) {
    hand_over(0x1000);
    raced.enters = syscall(SYS_gettid);
    while (!raced.may_enter)
        usleep(1000);
    for (int cookie = 0x2000; cookie <= 0x4000; cookie += 0x1000)
        hand_over(cookie);
    return nothing;
}

/* The kernel reads what is to be registered with the ring's lock held, and the page is not there. */
static void *holds(void *nothing) {
    syscall(SYS_io_uring_register, raced.ring.fd, IORING_REGISTER_BUFFERS, raced.page, 1);
    return nothing;
}

static void wait_until_entered(int thread) {
    char path[64], said[8];
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", thread);
    for (;;) {
        int fd = open(path, O_RDONLY);
        ssize_t len = read(fd, said, sizeof said - 1);
        close(fd);
        said[len > 0 ? len : 0] = 0;
        if (atoi(said) == SYS_io_uring_enter)
            return;
        usleep(1000);
    }
}

/* Nothing is written for 0. */
static void race(unsigned word) {
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    struct uffdio_api api = {.api = UFFD_API};
    raced.page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_range range = {(unsigned long)raced.page, 4096};
    struct uffdio_register missing = {.range = range, .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &missing))
        fail("userfaultfd");
    raced.ring = make(8, 0);
    pthread_t threads[2];
    pthread_create(&threads[0], 0, enters, 0);
    while (!raced.enters)
        usleep(1000);
    pthread_create(&threads[1], 0, holds, 0);
    struct pollfd fault = {.fd = fd, .events = POLLIN};
    if (poll(&fault, 1, -1) != 1 || fault.revents != POLLIN)
        fail("poll");
    raced.may_enter = 1;
    wait_until_entered(raced.enters);
    if (word)
        raced.ring.entries[1].user_data = word;
    struct uffdio_zeropage there = {.range = range};
    if (ioctl(fd, UFFDIO_ZEROPAGE, &there))
        fail("UFFDIO_ZEROPAGE");
    for (int each = 0; each < 2; each++)
        pthread_join(threads[each], 0);
}

int main(int count, char **words) {
    const char *mode = count > 1 ? words[1] : "";
    int n = count > 2 ? atoi(words[2]) : 0;
    if (!strcmp(mode, "nops")) {
        struct ring r = make(64, 0);
        nops(&r, n, 64);
    } else if (!strcmp(mode, "slow-nops")) {
        /* Who looks at what is running sees it. */
        struct ring r = make(64, 0);
        nops(&r, n, 64);
        sleep(1);
    } else if (!strcmp(mode, "pipes")) {
        struct ring r = make(16, 0);
        pipes(&r, n);
    } else if (!strcmp(mode, "sqpoll")) {
        struct ring r = make(16, IORING_SETUP_SQPOLL);
        nops(&r, n, 8);
    } else if (!strcmp(mode, "family")) {
        /* Threads, a child, and a child that becomes another program. */
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            if (pthread_create(&threads[i], 0, thread, &n))
                fail("pthread_create");
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], 0);
        for (int i = 0; i < 2; i++)
            if (fork() == 0) {
                if (i)
                    execl("/proc/self/exe", words[0], "nops", "64", (char *)0);
                thread(&n);
                _exit(0);
            }
        while (wait(0) > 0)
            ;
    } else if (!strcmp(mode, "children")) {
        /* All of them have a ring before the first one ends. */
        int made[2], go[2];
        char one;
        if (pipe(made) || pipe(go))
            fail("pipe");
        for (int i = 0; i < n; i++)
            if (fork() == 0) {
                close(go[1]);
                struct ring r = make(8, 0);
                nops(&r, 1, 1);
                if (write(made[1], "x", 1) != 1 || read(go[0], &one, 1) != 0)
                    fail("pipe");
                nops(&r, 1, 1);
                _exit(0);
            }
        for (int i = 0; i < n; i++)
            if (read(made[0], &one, 1) != 1)
                fail("read");
        close(go[1]);
        while (wait(0) > 0)
            ;
    } else if (!strcmp(mode, "overflow")) {
        struct ring r = make(8, 0);
        for (int i = 0; i < n; i++) {
            next(&r, IORING_OP_NOP);
            enter(&r, 0);
        }
        reap_all(&r, n);
    } else if (!strcmp(mode, "odd")) {
        struct ring r = make(8, 0);
        odd(&r);
    } else if (!strcmp(mode, "untaken")) {
        /* One read ends while nobody looks, the other one is still in flight. */
        struct ring r = make(8, 0);
        static char buffers[2][8];
        int ends[2][2];
        for (int each = 0; each < 2; each++)
            read_of_pipe(&r, ends[each], buffers[each], each + 1);
        enter(&r, 0);
        if (write(ends[0][1], "!", 1) != 1)
            fail("write");
        while (atomic_load(r.cq_tail) == 0)
            usleep(1000);
    } else if (!strcmp(mode, "forged")) {
        /* Four reads end while nobody looks; a stray store hits the word of the nth, the first being 1. */
        struct ring r = make(8, 0);
        static char buffers[4][8];
        int ends[4][2];
        for (int each = 0; each < 4; each++)
            read_of_pipe(&r, ends[each], buffers[each], 0x1000 * (each + 1));
        enter(&r, 0);
        for (unsigned each = 0; each < 4; each++) {
            if (write(ends[each][1], "words", each + 1) != (int)each + 1)
                fail("write");
            while (atomic_load(r.cq_tail) == each)
                usleep(1000);
        }
        if (n)
            r.completions[(n - 1) & r.cq_mask].user_data = 0x7777;
        nops(&r, 4, 1);
    } else if (!strcmp(mode, "race")) {
        race(n);
    } else if (!strcmp(mode, "asked")) {
        /* Eight for each byte of input. */
        struct ring r = make(8, 0);
        for (n = 8; getchar() != EOF; n += 8) {
            nops(&r, 8, 8);
            printf("%d\n", n);
            fflush(stdout);
        }
    } else {
        return 2;
    }
    puts(mode);
    return 0;
}
