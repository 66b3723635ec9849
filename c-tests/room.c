/* runs: not ring-of-1: it also requests more than 256, for which the ring is then smaller */
/*
 * A context has room for the events of as many requests as it was created for. None is lost or
 * doubled if the program takes them all at once, in parts, or while it submits others. Reads from
 * the page cache complete in the order of their submission.
 */
#include "helpers.h"
#include <pthread.h>

enum { MOST = 1024 };

static struct iocb iocbs[MOST];
static struct io_event events[MOST];
static io_context_t ctx;
static char *buffer;
static int file, asked;
/* Requests are numbered; a request's `data` is its number. */
static long submitted, taken;
static char seen[8 * MOST];

static void submit(int count)
{
    struct iocb *list[MOST];
    int i;

    for (i = 0; i < count; i++) {
        struct iocb *iocb = &iocbs[(submitted + i) % MOST];
        io_prep_pread(iocb, file, buffer, (size_t)((submitted + i) % 500), 0);
        iocb->data = (void *)(submitted + i);
        list[i] = iocb;
    }
    CALL(io_submit(ctx, count, list));
    submitted += count;
    NEED(submitted <= (long)sizeof seen);
}

static long account(long answer)
{
    long i, wrong = 0, early = 0;

    for (i = 0; i < answer; i++, taken++) {
        long number = (long)events[i].data;
        NEED(number >= 0 && number < submitted);
        wrong += events[i].obj != &iocbs[number % MOST] || (long)events[i].res != number % 500 ||
                 events[i].res2 != 0 || seen[number]++;
        early += number != taken;
    }
    if (wrong)
        printf("WRONG: %ld events\n", wrong);
    return early;
}

#define TAKE(least, most, timeout)                                                                 \
    do {                                                                                           \
        long answer_ = QUIETLY(io_getevents(ctx, least, most, events, timeout));                   \
        show("  io_getevents(ctx, " #least ", " #most ", .., " #timeout ")", answer_);             \
        if (account(answer_))                                                                      \
            puts("  not in the order of submission");                                              \
    } while (0)

static long answer_of_thread;

static void *take_all(void *unused)
{
    answer_of_thread = QUIETLY(io_getevents(ctx, asked, asked, events, NULL));
    return unused;
}

static void with_room_for(int count)
{
    pthread_t thread;
    int i;

    printf("- requested: %d\n", count);
    asked = count;
    ctx = 0;
    submitted = taken = 0;
    memset(seen, 0, sizeof seen);
    NEED(io_setup(asked, &ctx) == 0);
    submit(asked);
    TAKE(asked, asked, NULL);
    TAKE(0, 1, AT_ONCE);
    submit(asked);
    TAKE(1, asked / 3, AT_ONCE);
    TAKE(asked / 3, asked / 3, NULL);
    TAKE(1, MOST, milliseconds(1000));
    TAKE(1, 1, milliseconds(1));

    puts("- refilled before all are taken, so that the ring wraps");
    submit(asked);
    for (i = 0; i < 4; i++) {
        TAKE(asked / 2, asked / 2, NULL);
        submit(asked / 2);
    }
    TAKE(asked / 2, MOST, AT_ONCE);
    TAKE(0, MOST, AT_ONCE);
    TAKE(MOST, MOST, milliseconds(5));

    puts("- by a thread that waits for all of them");
    NEED(pthread_create(&thread, NULL, take_all, NULL) == 0);
    usleep(20000);
    submit(asked / 2);
    usleep(20000);
    submit(asked - asked / 2);
    NEED(pthread_join(thread, NULL) == 0);
    show("  the thread's io_getevents", answer_of_thread);
    /* Their order is not checked: with a short ring, it depends on when the thread makes room. */
    account(answer_of_thread);

    puts("- destroyed with events that are not taken");
    submit(asked);
    CALL(io_destroy(ctx));
    CALL(io_submit(ctx, 0, NULL));
}

int main(void)
{
    start();
    file = file_of(4096, O_RDONLY);
    buffer = buffer_of(4096);
    with_room_for(1);
    with_room_for(62);
    with_room_for(64);
    with_room_for(200);
    with_room_for(MOST);
    return 0;
}
