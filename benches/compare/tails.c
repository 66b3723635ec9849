/*
 * tails LIBRARY WHO WHAT MILLISECONDS: measures the longest call of a thread on a context that
 * other threads also use. One run; prints lines of a name and a figure.
 *
 *   WHO    idle, nice  Another thread makes the same calls at SCHED_IDLE or at nice 19, on a
 *                      processor that it shares with a busy thread. Prints: longest.
 *          fifo        A SCHED_FIFO thread makes one call per millisecond. Another thread makes the
 *                      same calls without pause on the same processor. Prints: 90 %, 99 %, longest.
 *   WHAT   poll        io_getevents of an empty ring, {0, 0}.
 *          take        io_submit of a read that completes at once, and io_getevents, which alone is
 *                      timed. The other thread submits BATCH reads at a time and takes one at a
 *                      time, so that it is more often in io_getevents. The busy thread sleeps for a
 *                      moment after each BUSY_MS, so that it interrupts the other more often: few
 *                      of the interruptions hit a take.
 *   WHO    worker      A thread submits one read at a time, while two others poll without pause. A
 *                      read counts for the worker, whichever thread takes it. Prints: operations.
 *   WHAT   poll, wait  How the worker reaps: min_nr 1, with a timeout of zero or a short one. It
 *                      needs a timeout, because another thread may have taken the completion.
 *
 * Figures are nanoseconds, and operations per second. `longest` excludes the time during which the
 * thread waited for its processor. A run ends at the latest PATIENCE_S after the given time; a call
 * that has not returned by then counts with the time until then. Exits with REFUSED if the
 * scheduling policy is not permitted.
 */
#include "ways.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

enum { REFUSED = 77, PATIENCE_S = 10, MOST_CALLS = 100000, BATCH = 64, BUSY_MS = 10 };

static struct way way;
static io_context_t ctx;
static int zero, takes, left, right; /* the file; poll or take; two processors */
static atomic_int stop, ready;
static atomic_long account;

/* Only the measured thread writes these. */
static double times[MOST_CALLS];
static _Atomic double longest, begun; /* begun: of the call that is being made, or 0 */
static atomic_long calls;

static void stay_on(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    NEED(sched_setaffinity(0, sizeof(set), &set) == 0);
}

static void submit(int count)
{
    static char byte;
    struct iocb iocbs[BATCH], *list[BATCH];
    int i;

    for (i = 0; i < count; i++) {
        io_prep_pread(&iocbs[i], zero, &byte, 1, 0);
        list[i] = &iocbs[i];
    }
    NEED(way.submit(ctx, count, list) == count);
}

/* A take finds a completion, because each thread submits as many reads as it takes. */
static void make_call(void)
{
    struct timespec none = {0, 0};
    struct io_event event;
    NEED(way.getevents(ctx, takes, 1, &event, takes ? NULL : &none) == takes);
}

/* How long this thread has waited for a processor so far, which is not the library's fault. */
static double waited_for_processor(void)
{
    static int file = -1;
    char line[128] = "";
    double ran, waited;

    if (file < 0)
        file = open("/proc/thread-self/schedstat", O_RDONLY);
    if (pread(file, line, sizeof(line) - 1, 0) <= 0 || sscanf(line, "%lf %lf", &ran, &waited) != 2)
        return 0;
    return waited;
}

static void measured_call(void)
{
    double begin, time, waited;

    if (takes)
        submit(1);
    waited = waited_for_processor();
    begin = now();
    atomic_store_explicit(&begun, begin, memory_order_relaxed);
    make_call();
    time = now() - begin;
    atomic_store_explicit(&begun, 0, memory_order_relaxed);
    if (time > atomic_load_explicit(&longest, memory_order_relaxed))
        time -= waited_for_processor() - waited;
    if (time > atomic_load_explicit(&longest, memory_order_relaxed))
        atomic_store_explicit(&longest, time, memory_order_relaxed);
    if (calls < MOST_CALLS)
        times[calls] = time;
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
}

/* Measuring begins only when all threads run. */
static void when_ready(int threads)
{
    ready++;
    while (ready < threads && !stop)
        sched_yield();
}

static void calls_without_pause(void)
{
    int i;

    while (!stop) {
        if (takes)
            submit(BATCH);
        for (i = 0; i < BATCH; i++)
            make_call();
    }
}

static void *low(void *argument)
{
    struct sched_param parameters = {0};

    stay_on(right);
    if (strcmp(argument, "idle") == 0)
        NEED(pthread_setschedparam(pthread_self(), SCHED_IDLE, &parameters) == 0);
    else
        NEED(setpriority(PRIO_PROCESS, (id_t)gettid(), 19) == 0);
    when_ready(3);
    calls_without_pause();
    return NULL;
}

static void *busy(void *argument)
{
    double begin;
    (void)argument;

    stay_on(right);
    when_ready(3);
    while (!stop) {
        begin = now();
        while (!stop && (!takes || now() - begin < BUSY_MS * 1e6))
            ;
        usleep(100);
    }
    return NULL;
}

static void *beside_low(void *argument)
{
    (void)argument;
    stay_on(left);
    when_ready(3);
    while (!stop)
        measured_call();
    return NULL;
}

static void *ordinary(void *argument)
{
    (void)argument;
    stay_on(right);
    when_ready(2);
    calls_without_pause();
    return NULL;
}

static void *fifo(void *argument)
{
    struct timespec time;
    (void)argument;

    when_ready(2);
    NEED(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    while (!stop) {
        time.tv_nsec += 1000000;
        if (time.tv_nsec >= 1000000000) {
            time.tv_nsec -= 1000000000;
            time.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
        measured_call();
    }
    return NULL;
}

static void *poller(void *argument)
{
    struct timespec none = {0, 0};
    struct io_event event;
    int count;
    (void)argument;

    when_ready(3);
    while (!stop) {
        NEED((count = way.getevents(ctx, 0, 1, &event, &none)) >= 0);
        if (count)
            account++;
    }
    return NULL;
}

/* An operation ends when any thread takes its completion. */
static void *worker(void *argument)
{
    struct timespec timeout = {0, strcmp(argument, "wait") == 0 ? 1000 : 0};
    struct io_event event;

    when_ready(3);
    while (!stop) {
        int count;
        submit(1);
        do {
            NEED((count = way.getevents(ctx, 1, 1, &event, &timeout)) >= 0);
        } while (count == 0 && atomic_exchange(&account, 0) == 0);
        calls++;
    }
    return NULL;
}

static pthread_t start(void *(*function)(void *), void *argument, int priority)
{
    struct sched_param parameters = {.sched_priority = priority};
    pthread_attr_t attributes;
    cpu_set_t set;
    pthread_t id;
    int error;

    NEED(pthread_attr_init(&attributes) == 0);
    if (priority) {
        CPU_ZERO(&set);
        CPU_SET(right, &set);
        NEED(pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED) == 0);
        NEED(pthread_attr_setschedpolicy(&attributes, SCHED_FIFO) == 0);
        NEED(pthread_attr_setschedparam(&attributes, &parameters) == 0);
        NEED(pthread_attr_setaffinity_np(&attributes, sizeof(set), &set) == 0);
    }
    error = pthread_create(&id, &attributes, function, argument);
    if (priority && error == EPERM)
        exit(REFUSED);
    NEED(error == 0);
    return id;
}

static int ascending(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

int main(int argc, char **argv)
{
    pthread_t ids[3];
    struct timespec time, patience;
    double begin, end, unfinished;
    long count;
    int threads = 3, i;
    cpu_set_t set;

    NEED(argc == 5);
    way = load("", argv[1]);
    takes = strcmp(argv[3], "take") == 0;
    NEED(sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) >= 2);
    for (left = 0; !CPU_ISSET(left, &set); left++)
        ;
    for (right = left + 1; !CPU_ISSET(right, &set); right++)
        ;
    NEED((zero = open("/dev/zero", O_RDONLY)) >= 0 && way.setup(4 * BATCH, &ctx) == 0);
    if (strcmp(argv[2], "fifo") == 0) {
        threads = 2;
        ids[0] = start(fifo, NULL, 1);
        ids[1] = start(ordinary, NULL, 0);
    } else if (strcmp(argv[2], "worker") == 0) {
        ids[0] = start(worker, argv[3], 0);
        ids[1] = start(poller, NULL, 0);
        ids[2] = start(poller, NULL, 0);
    } else {
        ids[0] = start(beside_low, NULL, 0);
        ids[1] = start(low, argv[2], 0);
        ids[2] = start(busy, NULL, 0);
    }
    while (ready < threads)
        usleep(1000);
    begin = now();
    time.tv_sec = atoi(argv[4]) / 1000;
    time.tv_nsec = atoi(argv[4]) % 1000 * 1000000L;
    nanosleep(&time, NULL);
    count = calls;
    end = now();
    stop = 1;
    NEED(clock_gettime(CLOCK_REALTIME, &patience) == 0);
    patience.tv_sec += PATIENCE_S;
    for (i = 0; i < threads && pthread_timedjoin_np(ids[i], NULL, &patience) == 0; i++)
        ;
    if (begun != 0 && (unfinished = now() - begun) > longest)
        longest = unfinished;
    if (strcmp(argv[2], "worker") == 0)
        printf("operations\t%.1f\n", (double)count / (end - begin) * 1e9);
    else
        printf("longest\t%.1f\n", longest);
    if (strcmp(argv[2], "fifo") == 0) {
        count = calls < MOST_CALLS ? calls : MOST_CALLS;
        if (begun != 0 && count < MOST_CALLS)
            times[count++] = now() - begun;
        qsort(times, (size_t)count, sizeof(times[0]), ascending);
        printf("90 %%\t%.1f\n", times[(count - 1) * 90 / 100]);
        printf("99 %%\t%.1f\n", times[(count - 1) * 99 / 100]);
    }
    fflush(stdout);
    _exit(0); /* a thread may still be in a call */
}
