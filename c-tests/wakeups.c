/* runs: everywhere */
/*
 * Threads wait for an eventfd, and then poll once for each completion that it counted. A poll must
 * return 0 only if the ring was empty at some moment during the call. If it also returned 0 because
 * another thread was taking events, an event would be stranded: it would stay in the ring, and no
 * thread would poll for it.
 */
#include "helpers.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

enum { REAPERS = 3, ROUND = 96, ROUNDS = 150, LIMIT = 20 };

static io_context_t ctx;
static struct iocb iocbs[ROUND];
static atomic_uchar seen[ROUND];
static atomic_int counted, taken, wrong, end;
static int counter, zero, stranded;
static char byte;

static void account(int answer, const struct io_event *events)
{
    int i;

    for (i = 0; i < answer; i++) {
        size_t number = (size_t)events[i].data;
        if (number >= ROUND || events[i].obj != &iocbs[number] || events[i].res != 1 ||
            atomic_fetch_add(&seen[number], 1) != 0)
            atomic_fetch_add(&wrong, 1);
    }
    if (answer < 0)
        atomic_fetch_add(&wrong, 1);
    else
        atomic_fetch_add(&taken, answer);
}

/* Returns the eventfd's count: 1 if it is a semaphore, otherwise all of it. 0 ends the thread. */
static uint64_t wait_for_completions(int by_poll)
{
    struct pollfd wanted = {.fd = counter, .events = POLLIN};
    uint64_t count;

    if (by_poll)
        NEED(poll(&wanted, 1, -1) == 1);
    NEED(read(counter, &count, sizeof(count)) == sizeof(count));
    if (!atomic_load(&end))
        return count;
    count = 1; /* wakes the next thread */
    NEED(write(counter, &count, sizeof(count)) == sizeof(count));
    return 0;
}

/* Memory without pages: a page fault in the middle of a take lets other threads run. */
static struct io_event *absent_events(void)
{
    void *pages = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    NEED(pages != MAP_FAILED);
    return pages;
}

static void *poll_once(void *number)
{
    struct io_event *event = absent_events();
    uint64_t count;

    while ((count = wait_for_completions(number == NULL))) {
        madvise(event, 4096, MADV_DONTNEED);
        account(io_getevents(ctx, 0, 1, event, AT_ONCE), event);
        atomic_fetch_add(&counted, (int)count);
    }
    return NULL;
}

/* Polls as nginx does: until it has as many events as the eventfd counted. */
static void *poll_for_all(void *number)
{
    struct io_event *events = absent_events();
    uint64_t count;

    while ((count = wait_for_completions(number == NULL))) {
        long wanted = (long)count;
        while (wanted > 0) {
            int answer;
            madvise(events, 4096, MADV_DONTNEED);
            answer = io_getevents(ctx, 1, 64, events, AT_ONCE);
            account(answer, events);
            if (answer <= 0)
                break;
            wanted -= answer;
        }
        atomic_fetch_add(&counted, (int)count);
    }
    return NULL;
}

static void stay_on(int cpu)
{
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    NEED(syscall(SYS_sched_setaffinity, 0, sizeof(cpus), &cpus) == 0);
}

static int this_cpu;

/* busy() preempts this thread at any instruction, and for a long time. */
static void *poll_once_when_idle(void *number)
{
    struct sched_param no_priority = {0};

    /* musl's function only returns ENOSYS */
    NEED(syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &no_priority) == 0);
    stay_on(this_cpu);
    return poll_once(number);
}

static void *busy(void *unused)
{
    stay_on(this_cpu);
    while (!atomic_load(&end)) {
        double until = seconds_now() + 0.0001;
        while (seconds_now() < until)
            ;
        usleep(20);
    }
    return unused;
}

static void submit_a_round(void)
{
    int i, answer;

    memset(seen, 0, sizeof(seen));
    taken = counted = 0;
    for (i = 0; i < ROUND; i++) {
        struct iocb *list[1] = {&iocbs[i]};
        io_prep_pread(&iocbs[i], zero, &byte, 1, 0);
        iocbs[i].data = (void *)(size_t)i;
        io_set_eventfd(&iocbs[i], counter);
        /* A short ring may be full for a moment: the library serves no request with an eventfd. */
        while ((answer = io_submit(ctx, 1, list)) == -EAGAIN)
            usleep(10);
        NEED(answer == 1);
    }
    /* Until every completion was counted, and a thread has polled for each. */
    while (atomic_load(&counted) < ROUND)
        usleep(10);
    stranded += ROUND - taken;
    /* No thread polls any more, so the remaining events are stranded. */
    while (taken < ROUND) {
        struct io_event events[8];
        account(io_getevents(ctx, 1, 8, events, milliseconds(1000)), events);
    }
}

static void rounds_of(void *(*first)(void *), void *(*others)(void *), int flags)
{
    pthread_t threads[REAPERS], another;
    uint64_t one = 1;
    double until = seconds_now() + 1;
    int i;

    zero = open("/dev/zero", O_RDONLY);
    counter = eventfd(0, flags);
    NEED(zero >= 0 && counter >= 0);
    /* More than needed, because each processor reserves room that others cannot use. */
    NEED(io_setup(4 * ROUND, &ctx) == 0);
    if (first != others)
        NEED(pthread_create(&another, NULL, busy, NULL) == 0);
    for (i = 0; i < REAPERS; i++)
        NEED(pthread_create(&threads[i], NULL, i == 0 ? first : others, (void *)(size_t)i) == 0);
    for (i = 0; i < ROUNDS && (i < 3 || seconds_now() < until); i++)
        submit_a_round();
    end = 1;
    NEED(write(counter, &one, sizeof(one)) == sizeof(one));
    for (i = 0; i < REAPERS; i++)
        NEED(pthread_join(threads[i], NULL) == 0);
    if (first != others)
        NEED(pthread_join(another, NULL) == 0);
    printf("stranded: %d, wrong or twice: %d\n", stranded, wrong);
    CALL(io_destroy(ctx));
}

static void one_by_one(void) { rounds_of(poll_once, poll_once, EFD_SEMAPHORE); }

static void all_that_are_counted(void) { rounds_of(poll_for_all, poll_for_all, 0); }

static void preempted(void)
{
    cpu_set_t cpus;

    memset(&cpus, 0, sizeof(cpus));
    NEED(syscall(SYS_sched_getaffinity, 0, sizeof(cpus), &cpus) > 0);
    while (!CPU_ISSET(this_cpu, &cpus))
        this_cpu++;
    rounds_of(poll_once_when_idle, poll_once, EFD_SEMAPHORE);
}

int main(void)
{
    start();
    puts("- one poll for each completion");
    in_child_for(LIMIT, "the child", one_by_one);
    puts("- as many as were counted");
    in_child_for(LIMIT, "the child", all_that_are_counted);
    puts("- one poll for each, one thread is preempted in the middle of it");
    in_child_for(LIMIT, "the child", preempted);
    return 0;
}
