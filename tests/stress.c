/*
 * Many threads make all calls on a few contexts, which are destroyed and created meanwhile. Signal
 * handlers submit and reap too, and threads fork. Every request must complete exactly once. The
 * threads alternate: they submit more than they reap until there is no room, and then reap more
 * than they submit.
 *
 * A context may be destroyed while threads wait for its completions, but not while one polls it: a
 * poll reads the ring without a lock, and would crash if the ring were unmapped.
 *
 * stress SECONDS REQUESTS [apart] [steady] [no-polls]: runs until both are reached. Exits with
 * status 1 if a completion was lost or doubled, or belongs to no request. With "apart", no thread
 * reaps from a context that is being destroyed, since the original reads the ring in each reap.
 * With "steady", no context is destroyed. With "no-polls", no IO_CMD_POLL is submitted, since it
 * needs the kernel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONTEXTS = 3, WORKERS = 4, BATCH = 8, BLOCK = 512 };
/* The most events that threads, their handlers and main() have reaped but not yet counted. */
enum { REAPED = (2 * WORKERS + 1) * BATCH };
enum { FREE, CLAIMED, IN_FLIGHT };

#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));   \
            exit(2);                                                                               \
        }                                                                                          \
    } while (0)

struct request {
    struct iocb iocb; /* first: an event's obj is the request's address */
    atomic_int state;
    char *buffer;
};

struct place {
    _Atomic(io_context_t) ctx;
    atomic_bool open;      /* submitting, and reading the ring without a lock, are allowed */
    atomic_int submitting; /* threads that are about to submit */
    atomic_int reading;    /* calls, in handlers too, that may read the ring without a lock */
    atomic_long in_flight;
    atomic_long outstanding; /* submitted and not reaped; at most REAPED too many */
    long slots;              /* in the ring */
    struct request *requests;
};

static struct place places[CONTEXTS];
static atomic_uint handled;
static atomic_long submitted, completed, doubled, bogus, contexts_made, children, taken_by_handlers;
static atomic_long refused, beyond;
static atomic_bool stop, fill;
static int asked, count_of_requests;
static bool apart, no_polls;
static int zero, direct, counter;
static pthread_t workers[WORKERS];

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    _exit(1);
}

/* Counts events, in any thread and in signal handlers. */
static void account(struct iocb *iocb)
{
    struct request *request = (struct request *)iocb;
    int i;

    for (i = 0; i < CONTEXTS; i++) {
        struct place *place = &places[i];
        if (request < place->requests || request >= place->requests + count_of_requests)
            continue;
        if (atomic_exchange(&request->state, FREE) != IN_FLIGHT)
            atomic_fetch_add(&doubled, 1);
        atomic_fetch_sub(&place->outstanding, 1);
        atomic_fetch_sub(&place->in_flight, 1);
        atomic_fetch_add(&completed, 1);
        return;
    }
    atomic_fetch_add(&bogus, 1);
}

static void callback(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
    (void)ctx;
    (void)res;
    (void)res2;
    account(iocb);
}

static long account_all(long count, struct io_event *events)
{
    long i;

    if (count > BATCH)
        fail("more events than requested");
    for (i = 0; i < count; i++)
        account(events[i].obj);
    return count;
}

static unsigned random_below(unsigned *seed, unsigned limit)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % limit;
}

static void submit(struct place *place, unsigned *seed)
{
    struct iocb *list[BATCH];
    int count = 0, wanted = 1 + (int)random_below(seed, BATCH), from, i, answer = 0;
    io_context_t ctx;

    atomic_fetch_add(&place->submitting, 1);
    if (!atomic_load(&place->open))
        goto out;
    ctx = atomic_load(&place->ctx);
    from = (int)random_below(seed, count_of_requests);
    for (i = 0; i < count_of_requests && count < wanted; i++) {
        struct request *request = &place->requests[(from + i) % count_of_requests];
        int free = FREE;
        if (!atomic_compare_exchange_strong(&request->state, &free, CLAIMED))
            continue;
        switch (random_below(seed, 8)) {
        case 0: /* completes from an interrupt */
            io_prep_pread(&request->iocb, direct, request->buffer, BLOCK, 0);
            break;
        case 1: /* completes when another thread writes */
            if (!no_polls) {
                io_prep_poll(&request->iocb, counter, POLLIN);
                break;
            }    /* fall through */
        default: /* completes in io_submit */
            io_prep_pread(&request->iocb, zero, request->buffer, 8, 0);
        }
        io_set_callback(&request->iocb, callback);
        list[count++] = &request->iocb;
    }
    for (i = 0; i < count; i++)
        atomic_store(&((struct request *)list[i])->state, IN_FLIGHT);
    atomic_fetch_add(&place->in_flight, count);
    if (count)
        answer = io_submit(ctx, count, list);
    if (answer < 0 && answer != -EAGAIN)
        fail("io_submit");
    answer = answer < 0 ? 0 : answer;
    atomic_fetch_add(&submitted, answer);
    atomic_fetch_add(&refused, count - answer);
    if (atomic_fetch_add(&place->outstanding, answer) + answer > place->slots - 1 + REAPED)
        atomic_fetch_add(&beyond, 1);
    atomic_fetch_sub(&place->in_flight, count - answer);
    for (i = answer; i < count; i++)
        atomic_store(&((struct request *)list[i])->state, FREE);
out:
    atomic_fetch_sub(&place->submitting, 1);
}

/* If true, the context is not destroyed before may_not_read(). Safe in signal handlers. */
static bool may_read(struct place *place)
{
    atomic_fetch_add(&place->reading, 1);
    if (atomic_load(&place->open))
        return true;
    atomic_fetch_sub(&place->reading, 1);
    return false;
}

static void may_not_read(struct place *place) { atomic_fetch_sub(&place->reading, 1); }

static long reap(struct place *place, unsigned *seed)
{
    static struct timespec at_once, shortly = {0, 200000};
    struct io_event events[BATCH];
    long nr = 1 + random_below(seed, BATCH), answer;
    unsigned call = random_below(seed, 8);
    bool reads = call == 0 || call == 4 || call == 5 || apart;
    io_context_t ctx;
    sigset_t none;

    if (reads && !may_read(place))
        return 0;
    ctx = atomic_load(&place->ctx);
    switch (call) {
    case 0:
        answer = io_getevents(ctx, 0, nr, events, &at_once);
        break;
    case 1:
        answer = io_getevents(ctx, 1, nr, events, &shortly);
        break;
    case 2:
        answer = io_getevents(ctx, nr, nr, events, &shortly);
        break;
    case 3:
        answer = io_pgetevents(ctx, 1, nr, events, &shortly, NULL);
        break;
    case 4:
        sigemptyset(&none);
        answer = io_pgetevents(ctx, 0, nr, events, &at_once, random_below(seed, 2) ? &none : NULL);
        break;
    case 5:
        answer = io_queue_run(ctx);
        break;
    case 6:
        answer = io_cancel(ctx, &place->requests[random_below(seed, count_of_requests)].iocb,
                           events);
        answer = answer == -EINPROGRESS ? 0 : answer;
        break;
    default:
        answer = io_getevents(ctx, 0, nr, events, NULL);
    }
    if (reads)
        may_not_read(place);
    if (answer < 0 && answer != -EINVAL && answer != -EINTR)
        fail("reaping");
    return account_all(answer, events);
}

static void on_signal(int number)
{
    static struct timespec at_once;
    struct io_event events[BATCH];
    unsigned seed = atomic_fetch_add(&handled, 1);
    int saved = errno, i;

    (void)number;
    submit(&places[random_below(&seed, CONTEXTS)], &seed);
    for (i = 0; i < CONTEXTS; i++) {
        long answer;
        if (!may_read(&places[i]))
            continue;
        answer = io_getevents(places[i].ctx, 0, BATCH, events, &at_once);
        may_not_read(&places[i]);
        atomic_fetch_add(&taken_by_handlers, account_all(answer, events) > 0);
    }
    errno = saved;
}

static void *work(void *number)
{
    unsigned seed = 4711u + (unsigned)(size_t)number;

    while (!atomic_load(&stop)) {
        struct place *place = &places[random_below(&seed, CONTEXTS)];
        if (random_below(&seed, 6) >= (atomic_load(&fill) ? 5 : 2))
            reap(place, &seed);
        else
            submit(place, &seed);
    }
    return NULL;
}

/* struct aio_ring in the kernel's fs/aio.c. */
static long slots_of(io_context_t ctx) { return ((unsigned *)ctx)[1]; }

static void make_context(struct place *place)
{
    io_context_t ctx = 0;

    NEED(io_setup(asked, &ctx) == 0);
    place->slots = slots_of(ctx);
    atomic_store(&place->ctx, ctx);
    atomic_fetch_add(&contexts_made, 1);
    atomic_store(&place->open, true);
}

/* Waits for the completion of every request; fails after a while if one is lost. */
static void drain(struct place *place)
{
    struct timespec shortly = {0, 1000000};
    struct io_event events[BATCH];
    time_t begin = time(NULL);

    atomic_store(&place->open, false);
    while (atomic_load(&place->submitting) || atomic_load(&place->in_flight) > 0) {
        uint64_t one = 1;
        NEED(write(counter, &one, sizeof(one)) > 0);
        account_all(io_getevents(place->ctx, 1, BATCH, events, &shortly), events);
        if (time(NULL) - begin > 10)
            fail("a completion was lost");
    }
}

/* Destroys contexts while threads wait for them, and creates new ones at their addresses. */
static void renew(struct place *place)
{
    io_context_t ctx;

    drain(place);
    while (atomic_load(&place->reading))
        usleep(10);
    ctx = atomic_load(&place->ctx);
    if (io_destroy(ctx) != 0)
        fail("io_destroy");
    make_context(place);
}

/*
 * A child has none of the contexts. Before Linux 7.1 it has their rings mapped, with completions in
 * them; since then, its own ring may get the address of one of them.
 */
static void fork_once(void)
{
    static struct timespec at_once;
    struct io_event events[BATCH];
    int status, i;
    pid_t child = fork();

    NEED(child >= 0);
    if (child == 0) {
        for (i = 0; i < CONTEXTS; i++) {
            io_context_t ctx = places[i].ctx, own = 0;
            if (io_getevents(ctx, 0, BATCH, events, &at_once) > 0)
                _exit(1);
            if (io_getevents(ctx, 1, BATCH, events, NULL) != -EINVAL)
                _exit(2);
            if (io_queue_run(ctx) > 0)
                _exit(3);
            if (io_setup(1, &own) != 0)
                _exit(4);
            if (io_getevents(ctx, 1, BATCH, events, own == ctx ? &at_once : NULL) !=
                (own == ctx ? 0 : -EINVAL))
                _exit(5);
            if (io_destroy(own) != 0 || io_queue_run(ctx) > 0)
                _exit(6);
        }
        _exit(0);
    }
    NEED(waitpid(child, &status, 0) == child);
    if (status != 0) {
        fprintf(stderr, "a child got events, or no EINVAL: status %#x\n", (unsigned)status);
        _exit(1);
    }
    atomic_fetch_add(&children, 1);
}

static bool has(char **argv, const char *word)
{
    while (*argv && strcmp(*argv, word) != 0)
        argv++;
    return *argv;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    long requests = argc > 2 ? atol(argv[2]) : 0;
    bool steady = has(argv, "steady");
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct timespec begin, now;
    unsigned seed = 1, turn;
    io_context_t smallest = 0;
    char path[] = "stress.XXXXXX";
    int i, k;

    apart = has(argv, "apart");
    no_polls = has(argv, "no-polls");
    NEED(argc <= 3 + apart + steady + no_polls);
    alarm((unsigned)seconds + 600);
    direct = mkstemp(path);
    NEED(direct >= 0 && write(direct, path, sizeof(path)) > 0 && ftruncate(direct, 4096) == 0);
    close(direct);
    direct = open(path, O_RDONLY | O_DIRECT);
    if (direct < 0)
        direct = open(path, O_RDONLY);
    unlink(path);
    zero = open("/dev/zero", O_RDONLY);
    counter = eventfd(0, EFD_NONBLOCK);
    NEED(direct >= 0 && zero >= 0 && counter >= 0);
    sigaction(SIGUSR1, &action, NULL);
    /* The kernel's smallest ring. Contexts for as many requests have more than twice the slots. */
    NEED(io_setup(1, &smallest) == 0);
    asked = (int)slots_of(smallest);
    count_of_requests = 4 * asked;
    NEED(io_destroy(smallest) == 0);
    for (i = 0; i < CONTEXTS; i++) {
        NEED((places[i].requests = calloc((size_t)count_of_requests, sizeof(struct request))));
        for (k = 0; k < count_of_requests; k++)
            NEED(posix_memalign((void **)&places[i].requests[k].buffer, BLOCK, BLOCK) == 0);
        make_context(&places[i]);
    }
    for (i = 0; i < WORKERS; i++)
        NEED(pthread_create(&workers[i], NULL, work, (void *)(size_t)i) == 0);

    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (turn = 0;; turn++) {
        uint64_t count = 1;
        double elapsed;
        atomic_store(&fill, turn % 2 == 0);
        NEED(write(counter, &count, sizeof(count)) > 0);
        usleep(300);
        NEED(read(counter, &count, sizeof(count)) > 0 || errno == EAGAIN);
        pthread_kill(workers[random_below(&seed, WORKERS)], SIGUSR1);
        if (turn % 16 == 0 && !steady)
            renew(&places[random_below(&seed, CONTEXTS)]);
        if (turn % 64 == 0)
            fork_once();
        clock_gettime(CLOCK_MONOTONIC, &now);
        elapsed = (double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9;
        if (atomic_load(&doubled) || atomic_load(&bogus))
            break;
        if (elapsed >= seconds && atomic_load(&completed) >= requests)
            break;
    }
    atomic_store(&stop, true);
    for (i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    if (!atomic_load(&doubled) && !atomic_load(&bogus))
        for (i = 0; i < CONTEXTS; i++) {
            drain(&places[i]);
            NEED(io_destroy(places[i].ctx) == 0);
        }
    printf("%ld submitted, %ld completed, %ld twice, %ld bogus; %ld contexts, %ld children, "
           "%ld reaped by signal handlers, %ld without room, %ld beyond the ring\n",
           submitted, completed, doubled, bogus, contexts_made, children, taken_by_handlers,
           refused, beyond);
    return !(submitted == completed && doubled == 0 && bogus == 0);
}
