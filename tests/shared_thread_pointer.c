/*
 * Three take events from one context: a child of clone(CLONE_VM) that has its parent's thread
 * pointer, its parent, and a third thread. The kernel restarts no section of such a child, although
 * the area at its thread pointer is registered: see docs/differences.md. The program counts the
 * events that come twice or are lost.
 *
 * shared_thread_pointer SECONDS [present] [thread]: the exit status is 1 if an event was bogus or a
 * call was refused, 3 if completions came twice or were lost. Half of the takes are into a page
 * that is absent, so that others interrupt them; none if "present". With "thread" an ordinary
 * thread replaces the child.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { REQUESTS = 64, BATCH = 4 };
enum { FREE, IN_FLIGHT };

#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));   \
            _exit(2);                                                                              \
        }                                                                                          \
    } while (0)

/* One of the three. Parent and child share their thread-local storage, so it is not used. */
struct taker {
    struct io_event *events;
    atomic_long taken;
};

static io_context_t ctx;
static struct iocb iocbs[REQUESTS];
static atomic_int states[REQUESTS];
static atomic_long completed, twice, bogus, refused;
static atomic_bool end, begun;
static bool present;
static struct taker parent, child, third;

/* Here and in take() no call may fail that would write errno, which parent and child share. */
static void account(struct taker *taker, long answer, const struct io_event *events)
{
    long i;

    if (answer < 0)
        atomic_fetch_add(&refused, 1);
    for (i = 0; i < answer; i++) {
        size_t number = (size_t)events[i].data;
        if (number >= REQUESTS || events[i].obj != &iocbs[number]) {
            atomic_fetch_add(&bogus, 1);
            continue;
        }
        if (atomic_exchange(&states[number], FREE) == IN_FLIGHT)
            atomic_fetch_add(&completed, 1);
        else
            atomic_fetch_add(&twice, 1);
        atomic_fetch_add(&taker->taken, 1);
    }
}

static void take(struct taker *taker, unsigned turn)
{
    static struct timespec at_once, shortly = {0, 50000};
    struct timespec *timeout = turn % 1024 ? &at_once : &shortly;

    if (!present && turn % 2)
        madvise(taker->events, 4096, MADV_DONTNEED);
    account(taker, io_getevents(ctx, 1, 1 + turn % BATCH, taker->events, timeout), taker->events);
}

static void submit(void)
{
    struct iocb *list[BATCH];
    int i, count = 0;

    for (i = 0; i < REQUESTS && count < BATCH; i++)
        if (atomic_load(&states[i]) == FREE) {
            atomic_store(&states[i], IN_FLIGHT);
            list[count++] = &iocbs[i];
        }
    if (count)
        NEED(io_submit(ctx, count, list) == count);
}

static int take_beside(void *unused)
{
    unsigned turn;

    (void)unused;
    begun = true;
    for (turn = 1; !atomic_load(&end); turn++)
        take(&child, turn);
    return 0;
}

static void *take_in_thread(void *taker)
{
    unsigned turn;

    begun = true;
    for (turn = 1; !atomic_load(&end); turn++)
        take(taker, turn);
    return NULL;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct io_event *page(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(page != MAP_FAILED);
    return page;
}

int main(int argc, char **argv)
{
    static char stack[65536] __attribute__((aligned(16)));
    double seconds = argc > 1 ? atof(argv[1]) : 1, until;
    struct timespec shortly = {0, 1000000};
    struct io_event events[BATCH];
    int zero = open("/dev/zero", O_RDONLY), status = 0, i;
    long lost = 0, answer;
    bool is_thread = false;
    pthread_t thread, other;
    static char byte;
    unsigned turn;
    pid_t pid = 0;

    alarm((unsigned)seconds + 60);
    for (i = 2; i < argc; i++) {
        present = present || strcmp(argv[i], "present") == 0;
        is_thread = is_thread || strcmp(argv[i], "thread") == 0;
    }
    NEED(zero >= 0 && io_setup(4 * REQUESTS, &ctx) == 0);
    for (i = 0; i < REQUESTS; i++) {
        io_prep_pread(&iocbs[i], zero, &byte, 1, 0);
        iocbs[i].data = (void *)(size_t)i;
    }
    parent.events = page();
    child.events = page();
    third.events = page();
    if (is_thread) {
        NEED(pthread_create(&other, NULL, take_in_thread, &child) == 0);
    } else {
        int flags = CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD;
        pid = clone(take_beside, stack + sizeof(stack), flags, NULL);
        NEED(pid > 0);
    }
    while (!atomic_load(&begun))
        sched_yield();
    NEED(pthread_create(&thread, NULL, take_in_thread, &third) == 0);
    until = now() + seconds;
    for (turn = 1; now() < until && !bogus; turn++) {
        submit();
        take(&parent, turn);
    }
    end = true;
    if (is_thread)
        NEED(pthread_join(other, NULL) == 0);
    else
        NEED(waitpid(pid, &status, 0) == pid && status == 0);
    NEED(pthread_join(thread, NULL) == 0);
    /* Events that are not lost are still in the ring. */
    while ((answer = io_getevents(ctx, 1, BATCH, events, &shortly)) > 0)
        account(&parent, answer, events);
    for (i = 0; i < REQUESTS; i++)
        lost += states[i] == IN_FLIGHT;
    NEED(io_destroy(ctx) == 0);
    printf("%ld completed, %ld twice, %ld lost, %ld bogus, %ld calls refused; taken by parent %ld, "
           "%s %ld, third thread %ld\n",
           completed, twice, lost, bogus, refused, parent.taken, is_thread ? "thread" : "child",
           child.taken, third.taken);
    return bogus || refused ? 1 : twice || lost ? 3 : 0;
}
