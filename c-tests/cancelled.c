/* runs: everywhere */
/*
 * Threads that are cancelled asynchronously, between any two instructions of a poll or a take. The
 * next thread, which often has the cancelled one's thread pointer and stack, must be served by the
 * context, no completion may come twice, and io_destroy must return.
 */
#include "helpers.h"
#include <pthread.h>
#include <stdatomic.h>

enum { CONTEXTS = 10, ROUNDS = 10, ROOM = 8, LIMIT = 15 };

struct place {
    io_context_t ctx;
    struct iocb iocbs[ROOM];
    /* The number of the request that was submitted last, and of the event that was taken last. */
    long submitted, taken;
    int kind;
    atomic_int ready;
    struct io_event *absent;
};

static struct place places[CONTEXTS];
static atomic_int wrong, not_served, not_destroyed;
static char byte;
static int zero;

/* Its event is there when this returns. */
static void submit(struct place *place)
{
    struct iocb *iocb = &place->iocbs[++place->submitted % ROOM], *list[1] = {iocb};

    io_prep_pread(iocb, zero, &byte, 1, 0);
    iocb->data = (void *)place->submitted;
    NEED(io_submit(place->ctx, 1, list) == 1);
}

/* Events come in the order of their numbers. What a cancelled thread has taken may be missing. */
static int account(struct place *place, int answer, const struct io_event *events)
{
    int i;

    for (i = 0; i < answer; i++) {
        long number = (long)events[i].data;
        if (number <= place->taken || number > place->submitted || events[i].res != 1 ||
            events[i].obj != &place->iocbs[number % ROOM])
            atomic_fetch_add(&wrong, 1);
        place->taken = number;
    }
    return answer;
}

static void *until_cancelled(void *argument)
{
    struct place *place = argument;
    struct io_event events[4];
    int type, answer;

    NEED(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type) == 0);
    atomic_store(&place->ready, 1);
    for (;;) {
        switch (place->kind) {
        case 0: /* of an empty ring */
            answer = io_getevents(place->ctx, 0, 4, events, AT_ONCE) + 1;
            break;
        case 1:
            submit(place);
            answer = account(place, io_getevents(place->ctx, 0, 1, events, AT_ONCE), events);
            break;
        case 2:
            submit(place);
            answer = account(place, io_getevents(place->ctx, 1, 4, events, NULL), events);
            break;
        default: /* into memory that is not there yet, which takes longest */
            submit(place);
            madvise(place->absent, 4096, MADV_DONTNEED);
            answer = account(place, io_getevents(place->ctx, 1, 4, place->absent, NULL),
                             place->absent);
        }
        if (answer != 1)
            atomic_fetch_add(&wrong, 1);
    }
}

static int is_served(struct place *place)
{
    struct timespec long_enough = {5, 0};
    struct io_event events[4];

    while (account(place, io_getevents(place->ctx, 0, 4, events, AT_ONCE), events) > 0)
        ;
    submit(place);
    if (account(place, io_getevents(place->ctx, 0, 4, events, AT_ONCE), events) != 1)
        return 0;
    submit(place);
    return account(place, io_getevents(place->ctx, 1, 4, events, &long_enough), events) == 1;
}

/* Every fourth context is destroyed as the cancelled thread has left it. */
static void *next_thread(void *argument)
{
    struct place *place = argument;

    if ((place - places) % 4 != 3 && !is_served(place))
        atomic_fetch_add(&not_served, 1);
    if (io_destroy(place->ctx) != 0)
        atomic_fetch_add(&not_destroyed, 1);
    return NULL;
}

static void one_round(int round)
{
    pthread_t threads[CONTEXTS];
    void *answer;
    int i;

    for (i = 0; i < CONTEXTS; i++) {
        struct place *place = &places[i];
        place->submitted = place->taken = 0;
        place->kind = (i + round) % 5;
        place->ctx = context();
        place->ready = 0;
        NEED(pthread_create(&threads[i], NULL, until_cancelled, place) == 0);
    }
    for (i = 0; i < CONTEXTS; i++)
        while (!atomic_load(&places[i].ready))
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
        NEED(pthread_create(&threads[i], NULL, next_thread, &places[i]) == 0);
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
        places[i].absent = page;
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
