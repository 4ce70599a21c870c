/* Many threads, each with rings that come and go, under load, beside one ring that all of them enter: NOPs, and reads into
 * blocks that are freed once they are done. A third of them start and end threads and children meanwhile. Counts what
 * came back, and ends with 0 if that is what went in. `load THREADS ROUNDS [keep]`. Built with sanitizers it is also how
 * the shim is looked at by them; the thread sanitizer does not see liburing give a ring's memory back and the next ring
 * get it, so that with `keep` all rings stay to the end. */
#define _GNU_SOURCE
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENTRIES = 8, ROUND = 40 };

static struct io_uring shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long done;
static int rounds, keep;

/* In the program itself, by the C library's syscall(2), or in line: whichever way liburing came. */
static void some(struct io_uring *ring, int ends[2], int with_reads)
{
    char *blocks[ENTRIES] = { 0 };
    struct io_uring_cqe *cqe;

    for (int i = 0; i < ENTRIES; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
        if (!sqe)
            abort();
        if (with_reads && i % 2) {
            blocks[i] = malloc(64);
            io_uring_prep_read(sqe, ends[0], blocks[i], 1, 0);
            if (write(ends[1], "x", 1) != 1)
                abort();
        } else {
            io_uring_prep_nop(sqe);
        }
        io_uring_sqe_set_data64(sqe, 100 + i);
    }
    if (io_uring_submit_and_wait(ring, ENTRIES) != ENTRIES)
        abort();
    for (int i = 0; i < ENTRIES; i++) {
        if (io_uring_wait_cqe(ring, &cqe) || cqe->user_data - 100 >= ENTRIES || cqe->res < 0)
            abort();
        free(blocks[cqe->user_data - 100]);
        blocks[cqe->user_data - 100] = NULL;
        io_uring_cqe_seen(ring, cqe);
    }
    __atomic_fetch_add(&done, ENTRIES, __ATOMIC_RELAXED);
}

static void *nothing(void *unused)
{
    free(malloc(100));
    return unused;
}

static void *work(void *number)
{
    int ends[2], index = (int)(long)number;

    if (pipe(ends))
        abort();
    for (int round = 0; round < rounds; round++) {
        struct io_uring *own = calloc(1, sizeof *own);

        if (!own || io_uring_queue_init(ENTRIES, own, 0))
            abort();
        for (int i = 0; i < ROUND; i++) {
            some(own, ends, i % 2);
            if (i % 4 == 0) {
                pthread_mutex_lock(&lock);
                some(&shared, ends, 0);
                pthread_mutex_unlock(&lock);
            }
        }
        if (!keep) {
            io_uring_queue_exit(own);
            free(own);
        }
        if (index % 3 == 0) {
            pthread_t thread;
            int status;
            if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
                abort();
            pid_t child = fork();
            if (child == 0)
                _exit(0);
            if (waitpid(child, &status, 0) != child || status)
                abort();
        }
    }
    close(ends[0]);
    close(ends[1]);
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 8;
    pthread_t ids[64];

    rounds = argc > 2 ? atoi(argv[2]) : 4;
    keep = argc > 3;
    if (threads < 1 || threads > 64 || io_uring_queue_init(ENTRIES, &shared, 0))
        return 2;
    for (long i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, work, (void *)i))
            return 2;
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    io_uring_queue_exit(&shared);
    printf("%ld operations\n", done);
    return done != (long)threads * rounds * (ROUND + ROUND / 4) * ENTRIES;
}
