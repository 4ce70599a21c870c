/* A program that makes the system calls of io_uring in line (a static liburing), and blocks SIGSYS in every way there
 * is before it does: a kernel that sends that signal to who blocks it ends the program. Prints after each way what it
 * came through, and what the program sees of its own settings. */
#define _GNU_SOURCE
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* The kernel's own structure. */
struct action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

static struct io_uring ring;
static const char *way;
static volatile int rang;
static uint64_t all = ~0ull;
static sigset_t every;

static void operate(void)
{
    struct io_uring_cqe *cqe;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data64(sqe, 7);
    if (io_uring_submit_and_wait(&ring, 1) != 1 || io_uring_peek_cqe(&ring, &cqe) || cqe->user_data != 7)
        abort();
    io_uring_cqe_seen(&ring, cqe);
}

/* With a handler of SIGUSR1 that operates, and SIGUSR1 blocked and pending: it rings where a wait lets it through. */
static void rings(int number)
{
    (void)number;
    operate();
    rang++;
}

static void pending(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
}

static void through(int result)
{
    printf("%s: %d, rang %d\n", way, result, rang);
    fflush(stdout);
}

static long raw(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static long called(long number, long a, long b, long c, long d, long e, long f)
{
    long result = syscall(number, a, b, c, d, e, f);

    return result < 0 ? -errno : result;
}

/* The calls themselves, by the C library's `syscall` or by an instruction. */
static void by_number(long (*call)(long, long, long, long, long, long, long))
{
    uint64_t rest = all & ~(1ull << (SIGUSR1 - 1)), now = 0;
    uintptr_t pair[2] = { (uintptr_t)&rest, 8 };
    struct action old, action = { rings, 0x04000000, NULL, all };
    struct timespec soon = { 0, 1000 };
    int epoll = epoll_create1(0);

    if (call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&rest, (long)&now, 8, 0, 0))
        abort();
    operate();
    /* Blocked is what was to be blocked, though not that one. */
    call(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&now, 8, 0, 0);
    printf("  blocked: %d %d\n", !!(now & 1ull << (SIGTERM - 1)), !!(now & 1ull << (SIGUSR1 - 1)));
    printf("  no such set: %ld %ld\n", call(SYS_rt_sigprocmask, SIG_BLOCK, 8, 0, 8, 0, 0),
           call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&rest, 0, 4, 0, 0));
    printf("  no such action: %ld\n", call(SYS_rt_sigaction, SIGUSR1, 8, 0, 8, 0, 0));
    rest = 0;
    call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&rest, 0, 8, 0, 0);
    rest = all & ~(1ull << (SIGUSR1 - 1));

    /* A handler that blocks everything. */
    call(SYS_rt_sigaction, SIGUSR1, 0, (long)&old, 8, 0, 0);
    action.restorer = old.restorer;
    call(SYS_rt_sigaction, SIGUSR1, (long)&action, (long)&old, 8, 0, 0);
    raise(SIGUSR1);

    pending();
    long result = call(SYS_rt_sigsuspend, (long)&rest, 8, 0, 0, 0, 0);
    printf("  suspended: %ld\n", result);
    pending();
    result = call(SYS_ppoll, 0, 0, (long)&(struct timespec){ 60, 0 }, (long)&rest, 8, 0);
    printf("  polled: %ld\n", result);
    pending();
    result = call(SYS_pselect6, 0, 0, 0, 0, (long)&(struct timespec){ 60, 0 }, (long)pair);
    printf("  selected: %ld\n", result);
    pending();
    result = call(SYS_epoll_pwait, epoll, (long)&(struct epoll_event){ 0 }, 1, 60000, (long)&rest, 8);
    printf("  waited: %ld\n", result);
    result = call(SYS_ppoll, 0, 0, (long)&soon, (long)&rest, 8, 0);
    printf("  nothing came: %ld\n", result);
    call(SYS_rt_sigaction, SIGUSR1, (long)&old, 0, 8, 0, 0);

    /* The signal itself: its handler is what was set, and asking says so. */
    struct action none = { SIG_IGN, 0x04000000, old.restorer, 0 };
    result = call(SYS_rt_sigaction, SIGSYS, (long)&none, (long)&action, 8, 0, 0);
    operate();
    call(SYS_rt_sigaction, SIGSYS, (long)&action, (long)&none, 8, 0, 0);
    printf("  its own: %ld %d\n", result, none.handler == SIG_IGN);
    close(epoll);
}

static ucontext_t home, away;

static void elsewhere(void)
{
    operate();
}

static void *thread(void *unused)
{
    operate();
    return unused;
}

static void *cancelled(void *unused)
{
    (void)unused;
    ppoll(NULL, 0, NULL, &every);
    return NULL;
}

static void waits(void)
{
    sigset_t rest = every;
    struct timespec minute = { 60, 0 };
    struct epoll_event event;
    int epoll = epoll_create1(0);

    sigdelset(&rest, SIGUSR1);
    way = "sigsuspend", pending(), through(sigsuspend(&rest));
    way = "ppoll", pending(), through(ppoll(NULL, 0, &minute, &rest));
    way = "pselect", pending(), through(pselect(0, NULL, NULL, NULL, &minute, &rest));
    way = "epoll_pwait", pending(), through(epoll_pwait(epoll, &event, 1, 60000, &rest));
    way = "epoll_pwait2", pending(), through(epoll_pwait2(epoll, &event, 1, &minute, &rest));
    close(epoll);

    /* An enter that waits for what never comes, until the signal does. */
    struct io_uring_cqe *cqe;
    struct __kernel_timespec long_time = { .tv_sec = 60 };
    way = "an enter with a timeout", pending();
    through(io_uring_wait_cqes(&ring, &cqe, 1, &long_time, &rest));
    way = "an enter", pending();
    through(io_uring_wait_cqes(&ring, &cqe, 1, NULL, &rest));
}

int main(void)
{
    struct sigaction action = { .sa_handler = rings };
    sigset_t own, now;
    pthread_t id;
    pthread_attr_t attributes;
    char stack[65536];
    void *end;

    sigfillset(&every);
    sigemptyset(&own);
    sigaddset(&own, SIGSYS);
    sigaction(SIGUSR1, &action, NULL);
    if (io_uring_queue_init(4, &ring, 0))
        return 2;
    waits();

    sigset_t nothing;
    sigemptyset(&nothing);
    way = "by syscall(2)", by_number(called), through(0);
    way = "in line", by_number(raw), through(0);

    way = "swapcontext";
    getcontext(&away);
    away.uc_stack.ss_sp = stack;
    away.uc_stack.ss_size = sizeof stack;
    away.uc_link = &home;
    sigaddset(&away.uc_sigmask, SIGSYS);
    sigaddset(&away.uc_sigmask, SIGUSR2);
    makecontext(&away, elsewhere, 0);
    through(swapcontext(&home, &away));

    way = "setcontext";
    volatile int again = 0;
    getcontext(&home);
    operate();
    if (!again++) {
        home.uc_sigmask = every;
        setcontext(&home);
    }
    sigprocmask(SIG_SETMASK, &nothing, &now);
    through(sigismember(&now, SIGUSR2));

    way = "a thread's attributes";
    pthread_attr_init(&attributes);
    pthread_attr_setsigmask_np(&attributes, &every);
    through(pthread_create(&id, &attributes, thread, NULL) || pthread_join(id, NULL));

    way = "a thread that is cancelled";
    pthread_create(&id, NULL, cancelled, NULL);
    pthread_cancel(id);
    pthread_join(id, &end);
    through(end == PTHREAD_CANCELED);

    way = "BSD's and System V's";
    sigblock(sigmask(SIGSYS));
    operate();
    sigsetmask(sigmask(SIGSYS) | sigmask(SIGUSR2));
    operate();
    sigprocmask(SIG_SETMASK, &nothing, &now);
    int seen = sigismember(&now, SIGUSR2);
    sighold(SIGSYS);
    operate();
    sigset(SIGSYS, SIG_HOLD);
    operate();
    sigignore(SIGSYS);
    operate();
    sigset(SIGSYS, SIG_DFL);
    operate();
    sysv_signal(SIGSYS, SIG_IGN);
    operate();
    seen += sysv_signal(SIGSYS, SIG_DFL) == SIG_IGN;
    operate();
    through(seen);

    way = "siglongjmp";
    sigjmp_buf jump;
    sigprocmask(SIG_BLOCK, &own, NULL);
    if (!sigsetjmp(jump, 1)) {
        sigprocmask(SIG_SETMASK, &nothing, NULL);
        siglongjmp(jump, 1);
    }
    operate();
    through(0);
    io_uring_queue_exit(&ring);
    return 9;
}
