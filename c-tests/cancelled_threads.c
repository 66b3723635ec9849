/* runs: everywhere */
/*
 * Threads are cancelled asynchronously, at any instruction of a call that polls or takes events.
 * Afterwards the context must serve the next thread, which often has the thread pointer and stack
 * of the cancelled one; no completion may come twice; and io_destroy must return.
 */
#include "helpers.h"
#include <pthread.h>
#include <stdatomic.h>

enum { CONTEXTS = 10, ROUNDS = 10, ROOM = 8, LIMIT = 15 };

/* A context and the thread that uses it. */
struct worker {
    io_context_t ctx;
    struct iocb iocbs[ROOM];
    /* The numbers of the last request submitted and of the last event taken. */
    long submitted, taken;
    int kind;
    atomic_int ready;
    /* A page that is dropped before each take, so that the take faults. */
    struct io_event *absent;
};

static struct worker workers[CONTEXTS];
static atomic_int wrong, not_served, not_destroyed;
static char byte;
static int zero;

/* The event is ready when this returns: /dev/zero is read at once. */
static void submit(struct worker *worker)
{
    struct iocb *iocb = &worker->iocbs[++worker->submitted % ROOM], *list[1] = {iocb};

    io_prep_pread(iocb, zero, &byte, 1, 0);
    iocb->data = (void *)worker->submitted;
    NEED(io_submit(worker->ctx, 1, list) == 1);
}

/* Events come in the order of their numbers. Those that a cancelled thread took may be missing. */
static int account(struct worker *worker, int answer, const struct io_event *events)
{
    int i;

    for (i = 0; i < answer; i++) {
        long number = (long)events[i].data;
        if (number <= worker->taken || number > worker->submitted || events[i].res != 1 ||
            events[i].obj != &worker->iocbs[number % ROOM])
            atomic_fetch_add(&wrong, 1);
        worker->taken = number;
    }
    return answer;
}

static void *until_cancelled(void *argument)
{
    struct worker *worker = argument;
    struct io_event events[4];
    int type, answer;

    NEED(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type) == 0);
    atomic_store(&worker->ready, 1);
    for (;;) {
        switch (worker->kind) {
        case 0: /* a poll of an empty ring */
            answer = io_getevents(worker->ctx, 0, 4, events, AT_ONCE) + 1;
            break;
        case 1:
            submit(worker);
            answer = account(worker, io_getevents(worker->ctx, 0, 1, events, AT_ONCE), events);
            break;
        case 2:
            submit(worker);
            answer = account(worker, io_getevents(worker->ctx, 1, 4, events, NULL), events);
            break;
        default: /* a take into a page that is absent, which takes longest */
            submit(worker);
            madvise(worker->absent, 4096, MADV_DONTNEED);
            answer = account(worker, io_getevents(worker->ctx, 1, 4, worker->absent, NULL),
                             worker->absent);
        }
        if (answer != 1)
            atomic_fetch_add(&wrong, 1);
    }
}

static int is_served(struct worker *worker)
{
    struct timespec long_enough = {5, 0};
    struct io_event events[4];

    while (account(worker, io_getevents(worker->ctx, 0, 4, events, AT_ONCE), events) > 0)
        ;
    submit(worker);
    if (account(worker, io_getevents(worker->ctx, 0, 4, events, AT_ONCE), events) != 1)
        return 0;
    submit(worker);
    return account(worker, io_getevents(worker->ctx, 1, 4, events, &long_enough), events) == 1;
}

/* Every fourth context is destroyed as the cancelled thread left it, without another call. */
static void *next_thread(void *argument)
{
    struct worker *worker = argument;

    if ((worker - workers) % 4 != 3 && !is_served(worker))
        atomic_fetch_add(&not_served, 1);
    if (io_destroy(worker->ctx) != 0)
        atomic_fetch_add(&not_destroyed, 1);
    return NULL;
}

static void one_round(int round)
{
    pthread_t threads[CONTEXTS];
    void *answer;
    int i;

    for (i = 0; i < CONTEXTS; i++) {
        struct worker *worker = &workers[i];
        worker->submitted = worker->taken = 0;
        worker->kind = (i + round) % 5;
        worker->ctx = context();
        worker->ready = 0;
        NEED(pthread_create(&threads[i], NULL, until_cancelled, worker) == 0);
    }
    for (i = 0; i < CONTEXTS; i++)
        while (!atomic_load(&workers[i].ready))
            usleep(100);
    for (i = 0; i < CONTEXTS; i++) {
        usleep((unsigned)(i * 7919 + round * 104729) % 500);
        NEED(pthread_cancel(threads[i]) == 0);
    }
    for (i = 0; i < CONTEXTS; i++) {
        NEED(pthread_join(threads[i], &answer) == 0);
        NEED(answer == PTHREAD_CANCELED);
    }
    for (i = 0; i < CONTEXTS; i++)
        NEED(pthread_create(&threads[i], NULL, next_thread, &workers[i]) == 0);
    for (i = 0; i < CONTEXTS; i++)
        NEED(pthread_join(threads[i], NULL) == 0);
}

static void rounds(void)
{
    int round, i;

    zero = open("/dev/zero", O_RDONLY);
    NEED(zero >= 0);
    for (i = 0; i < CONTEXTS; i++) {
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        NEED(page != MAP_FAILED);
        workers[i].absent = page;
    }
    for (round = 0; round < ROUNDS && !not_served && !not_destroyed && !wrong; round++)
        one_round(round);
    printf("rounds: %d, contexts that do not serve the next thread: %d, not destroyed: %d\n", round,
           not_served, not_destroyed);
    printf("completions that came twice or wrong: %d\n", wrong);
}

int main(void)
{
    start();
    in_child_for(LIMIT, "threads cancelled", rounds);
    puts("the end");
    return 0;
}
