/* runs: everywhere */
/*
 * Situations in which the library's record of a context could be wrong: threads use the handle
 * before io_setup has returned, a child's context has the address of its parent's, jumps leave the
 * waiting call, or a signal handler interrupts a call at any instruction. (For a child that runs
 * beside its parent with the same thread-local storage, see tests/shared_thread_pointer.c.)
 */
#include "helpers.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/time.h>

#define REQUESTS 64
#define REAPERS 3

static struct iocb iocbs[REQUESTS];
static atomic_uchar seen[REQUESTS];
static atomic_int taken;
static char *buffer;
static int file;

static void prepare(void)
{
    int i;

    for (i = 0; i < REQUESTS; i++) {
        io_prep_pread(&iocbs[i], file, buffer, 100, 0);
        seen[i] = 0;
    }
    taken = 0;
}

/* How many requests have completed exactly once. */
static int completed_once(void)
{
    int i, count = 0;

    for (i = 0; i < REQUESTS; i++)
        count += seen[i] == 1;
    return count;
}

/* Safe in signal ctx_of_handlers. */
static void account(long answer, struct io_event *events)
{
    long i;

    for (i = 0; i < answer; i++) {
        atomic_fetch_add(&seen[events[i].obj - iocbs], 1);
        atomic_fetch_add(&taken, 1);
    }
}

static void submit_one(io_context_t ctx, int i)
{
    struct iocb *list[1] = {&iocbs[i]};

    NEED(io_submit(ctx, 1, list) == 1);
}

/* The kernel writes the handle before io_setup returns. */
static io_context_t early;

static void *reap_early(void *unused)
{
    struct timespec shortly = {0, 2000000};
    struct io_event events[4];
    io_context_t ctx;

    (void)unused;
    while (!(ctx = __atomic_load_n(&early, __ATOMIC_ACQUIRE)))
        ;
    while (atomic_load(&taken) < REQUESTS)
        account(io_getevents(ctx, 1, 4, events, &shortly), events);
    return NULL;
}

static void handles_in_use_at_once(void)
{
    pthread_t threads[REAPERS];
    int round, i, right = 0;

    for (round = 0; round < 20; round++) {
        prepare();
        early = 0;
        for (i = 0; i < REAPERS; i++)
            NEED(pthread_create(&threads[i], NULL, reap_early, NULL) == 0);
        NEED(io_setup(REQUESTS, &early) == 0);
        for (i = 0; i < REQUESTS; i++)
            submit_one(early, i);
        for (i = 0; i < REAPERS; i++)
            NEED(pthread_join(threads[i], NULL) == 0);
        right += completed_once() == REQUESTS;
        NEED(io_destroy(early) == 0);
    }
    printf("rounds in which each request completed once: %d\n", right);
}

static io_context_t parents, own;

static void grandchild(void)
{
    struct io_event event;

    CALL(io_getevents(own, 1, 1, &event, NULL));
    CALL(io_getevents(own, 0, 1, &event, AT_ONCE));
    CALL(io_destroy(own));
}

/* Unmaps its parent's ring, so that its own is mapped at the same address. */
static void child_at_its_parents_address(void)
{
    size_t length = (32 + 32 * (size_t)((unsigned *)parents)[1] + 4095) / 4096 * 4096;
    struct io_event events[4];

    NEED(munmap(parents, length) == 0);
    CALL(io_setup(8, &own));
    submit_one(own, 0);
    submit_one(own, 1);
    in_child("grandchild", grandchild);
    CALL(io_getevents(own, 1, 1, events, NULL));
    CALL(io_getevents(own, 1, 4, events, NULL));
    CALL(io_getevents(own, 0, 4, events, AT_ONCE));
    CALL(io_destroy(own));
}

static sigjmp_buf out;

static void jump(int number)
{
    (void)number;
    siglongjmp(out, 1);
}

/* Leaves the waiting call more often than a counter of readers might have room for. */
static void jumps(void)
{
    static volatile int count;
    struct sigaction action = {.sa_handler = jump};
    struct io_event events[4];
    io_context_t ctx = context();

    NEED(sigaction(SIGUSR2, &action, NULL) == 0);
    for (count = 0; count < 1100; count++)
        if (sigsetjmp(out, 1) == 0) {
            /* Pending, and let through by the mask, so that it interrupts the wait itself. */
            sigset_t usr2, none;
            sigemptyset(&none);
            sigemptyset(&usr2);
            sigaddset(&usr2, SIGUSR2);
            NEED(sigprocmask(SIG_BLOCK, &usr2, NULL) == 0);
            NEED(raise(SIGUSR2) == 0);
            io_pgetevents(ctx, 1, 1, events, NULL, &none);
            puts("not interrupted");
        }
    printf("jumped %d times\n", count);
    submit_one(ctx, 0);
    submit_one(ctx, 1);
    CALL(io_getevents(ctx, 0, 1, events, AT_ONCE));
    CALL(io_getevents(ctx, 1, 4, events, NULL));
    CALL(io_getevents(ctx, 0, 4, events, AT_ONCE));
    CALL(io_getevents(ctx, 1, 4, events, milliseconds(1)));
    CALL(io_destroy(ctx));
    ctx = context(); /* likely at the same address */
    submit_one(ctx, 0);
    CALL(io_getevents(ctx, 1, 4, events, NULL));
    CALL(io_destroy(ctx));
}

static io_context_t ctx_of_handlers;
static atomic_int handled;

static void reap_in_handler(int number)
{
    struct io_event events[4];
    int saved = errno;

    (void)number;
    account(io_getevents(ctx_of_handlers, 0, 4, events, AT_ONCE), events);
    atomic_fetch_add(&handled, 1);
    errno = saved;
}

static void signals(void)
{
    struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = reap_in_handler, .sa_flags = SA_RESTART};
    struct io_event events[4];
    int round, i, right = 0;

    ctx_of_handlers = context();
    NEED(sigaction(SIGALRM, &action, NULL) == 0);
    NEED(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (round = 0; round < 100; round++) {
        prepare();
        for (i = 0; i < REQUESTS; i++) {
            submit_one(ctx_of_handlers, i);
            account(io_getevents(ctx_of_handlers, 1, 4, events, milliseconds(0)), events);
        }
        while (atomic_load(&taken) < REQUESTS)
            account(io_getevents(ctx_of_handlers, 0, 4, events, AT_ONCE), events);
        right += completed_once() == REQUESTS;
    }
    NEED(setitimer(ITIMER_REAL, &never, NULL) == 0);
    NEED(signal(SIGALRM, SIG_DFL) != SIG_ERR);
    alarm(60);
    NEED(handled > 0);
    printf("rounds in which each request completed once: %d\n", right);
    CALL(io_destroy(ctx_of_handlers));
}

static void *wait_for_two(void *ctx)
{
    struct io_event events[4];

    show("waits for two", QUIETLY(io_getevents(ctx, 2, 4, events, NULL)));
    return NULL;
}

/*
 * Other calls take events while a thread waits for more than are ready. Some kernels wake it for
 * each event, others when there are enough; the pauses are long enough for a busy emulated machine.
 */
static void a_wait_for_two(void)
{
    static struct io_event events[100000];
    io_context_t ctx = context();
    pthread_t thread;

    NEED(pthread_create(&thread, NULL, wait_for_two, ctx) == 0);
    usleep(300000);
    submit_one(ctx, 0);
    usleep(300000);
    CALL(io_getevents(ctx, 0, 1, events, AT_ONCE));
    submit_one(ctx, 1);
    usleep(300000);
    CALL(io_getevents(ctx, 0, 1, events, AT_ONCE));
    submit_one(ctx, 2);
    submit_one(ctx, 3);
    NEED(pthread_join(thread, NULL) == 0);
    CALL(io_getevents(ctx, 0, 4, events, AT_ONCE));
    puts("- a wait for more than the ring has room for");
    submit_one(ctx, 4);
    CALL(io_getevents(ctx, 100000, 100000, events, milliseconds(5)));
    CALL(io_getevents(ctx, 100000, 100000, events, milliseconds(1)));
    CALL(io_destroy(ctx));
}

int main(void)
{
    struct io_event events[4];

    start();
    buffer = buffer_of(4096);
    file = file_of(4096, O_RDONLY);
    prepare();

    puts("- handles in use before io_setup returns");
    handles_in_use_at_once();
    puts("- a child's context at its parent's address");
    parents = context();
    submit_one(parents, 0);
    submit_one(parents, 1);
    in_child("child", child_at_its_parents_address);
    CALL(io_getevents(parents, 2, 4, events, NULL));
    CALL(io_destroy(parents));
    puts("- jumps out of the waiting call");
    jumps();
    puts("- a signal handler that reaps");
    signals();
    puts("- a thread that waits for two");
    a_wait_for_two();
    return 0;
}
