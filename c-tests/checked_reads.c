/* runs: everywhere */
/*
 * Several threads reap buffered and O_DIRECT reads from one context and check the data. The program
 * has no error that memcheck, helgrind or drd could report: tests/valgrind.rs runs it under each.
 *
 * checked_reads by-hand: takes the events from the ring itself, under a spin lock. That is correct
 * too, but the tools cannot see it and must complain.
 */
#include "helpers.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#define THREADS 3
#define SLOTS 6
#define READS 120
#define SIZE 4096

static io_context_t ctx;
/* Protects all below. The kernel owns a slot from its submission until its event is taken. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct slot {
    struct iocb iocb;
    char *buffer;
    int block;
} slots[SLOTS];
static int files[2], submitted, taken, wrong;

static void submit(struct slot *slot)
{
    struct iocb *list[1] = {&slot->iocb};

    slot->block = submitted % 7;
    io_prep_pread(&slot->iocb, files[submitted % 2], slot->buffer, SIZE, slot->block * SIZE);
    slot->iocb.data = slot;
    submitted++;
    NEED(io_submit(ctx, 1, list) == 1);
}

static void check(struct io_event *event)
{
    struct slot *slot = event->data;
    int i;

    taken++;
    if (event->obj != &slot->iocb || event->res != SIZE || event->res2 != 0)
        wrong++;
    for (i = 0; i < SIZE; i++)
        if (slot->buffer[i] != 'a' + (slot->block * SIZE + i) / 512 % 26)
            wrong++;
    free(slot->buffer);
    NEED(posix_memalign((void **)&slot->buffer, 4096, SIZE) == 0);
    if (submitted < READS)
        submit(slot);
}

/* Takes what io_getevents(ctx, 0, 2, events, AT_ONCE) would take. */
static int reap_by_hand(struct io_event *events)
{
    static atomic_flag lock = ATOMIC_FLAG_INIT;
    struct {
        unsigned id, nr, head, tail, magic, compat, incompat, length;
        struct io_event events[];
    } *ring = (void *)ctx;
    int count;

    while (atomic_flag_test_and_set(&lock))
        sched_yield();
    for (count = 0; count < 2 && ring->head != __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
         count++) {
        events[count] = ring->events[ring->head];
        __atomic_store_n(&ring->head, (ring->head + 1) % ring->nr, __ATOMIC_RELEASE);
    }
    atomic_flag_clear(&lock);
    return count;
}

static bool by_hand;

static void *reap(void *unused)
{
    struct timespec moment = {0, 20000000};
    struct io_event events[2];
    int answer, i, done;

    (void)unused;
    do {
        answer = by_hand ? reap_by_hand(events) : io_getevents(ctx, 0, 2, events, AT_ONCE);
        if (answer == 0 && by_hand)
            sched_yield();
        else if (answer == 0)
            answer = io_getevents(ctx, 1, 2, events, &moment);
        NEED(pthread_mutex_lock(&mutex) == 0);
        for (i = 0; i < answer; i++)
            check(&events[i]);
        done = taken == READS;
        NEED(pthread_mutex_unlock(&mutex) == 0);
    } while (!done);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    int i;

    (void)argv;
    by_hand = argc > 1;
    start();
    files[0] = file_of(7 * SIZE, O_RDONLY);
    files[1] = file_in(".", 7 * SIZE, O_RDONLY | O_DIRECT);
    if (files[1] < 0) /* the file system has no O_DIRECT */
        files[1] = file_of(7 * SIZE, O_RDONLY);
    ctx = context();
    for (i = 0; i < SLOTS; i++) {
        NEED(posix_memalign((void **)&slots[i].buffer, 4096, SIZE) == 0);
        submit(&slots[i]);
    }
    for (i = 0; i < THREADS; i++)
        NEED(pthread_create(&threads[i], NULL, reap, NULL) == 0);
    for (i = 0; i < THREADS; i++)
        NEED(pthread_join(threads[i], NULL) == 0);
    for (i = 0; i < SLOTS; i++)
        free(slots[i].buffer);
    printf("%d reads, %d wrong\n", taken, wrong);
    CALL(io_destroy(ctx));
    return 0;
}
