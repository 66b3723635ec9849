/* runs: everywhere */
/*
 * The ring at the handle's address. Emulators and benchmarks read it and move its head themselves,
 * so its layout is part of the interface, and the library must not keep copies of its fields.
 */
#include "helpers.h"

enum { ID, NR, HEAD, TAIL, MAGIC, COMPAT, INCOMPAT, HEADER_LENGTH }; /* struct aio_ring */

static io_context_t ctx;
static volatile unsigned *ring;
static struct iocb iocbs[8];
static struct io_event events[8];
static char *buffer;
static int file;

static void complete(int count)
{
    struct iocb *list[8];
    int i;

    for (i = 0; i < count; i++) {
        io_prep_pread(&iocbs[i], file, buffer, 100 + i, 0);
        iocbs[i].data = buffer + i;
        list[i] = &iocbs[i];
    }
    CALL_AS("io_submit", io_submit(ctx, count, list));
}

static void say_ring(void)
{
    printf("  waiting in the ring: %u\n", (ring[TAIL] + ring[NR] - ring[HEAD]) % ring[NR]);
}

static void skip(unsigned how_many) { ring[HEAD] = (ring[HEAD] + how_many) % ring[NR]; }

static void take(const char *what, int count)
{
    long answer = QUIETLY(io_getevents(ctx, 0, count, events, AT_ONCE)), i;

    show(what, answer);
    for (i = 0; i < answer; i++)
        printf("  request %d, res %ld, %s\n", (int)(events[i].obj - iocbs), (long)events[i].res,
               events[i].data == buffer + (events[i].obj - iocbs) ? "its data" : "other data");
}

/* The ring is a shared mapping: a child cannot use the context, but can take its events. */
static void steal(void)
{
    if (ring[NR])
        skip(1);
    else
        puts("the child finds no ring");
}

static void header(void)
{
    printf("magic %x, compat %u, incompat %u, header %u, head %u, tail %u\n", ring[MAGIC],
           ring[COMPAT], ring[INCOMPAT], ring[HEADER_LENGTH], ring[HEAD], ring[TAIL]);
}

int main(void)
{
    struct io_event *slot;
    unsigned right;
    int i;

    start();
    ctx = context();
    ring = (volatile unsigned *)ctx;
    buffer = buffer_of(4096);
    file = file_of(4096, O_RDONLY);

    puts("- its header");
    printf("at the start of a page: %s\n",
           (uintptr_t)ctx % (uintptr_t)sysconf(_SC_PAGESIZE) ? "no" : "yes");
    header();

    puts("- events go in at the tail and out at the head");
    complete(3);
    say_ring();
    slot = (struct io_event *)((char *)ctx + ring[HEADER_LENGTH]) + ring[HEAD];
    printf("the first slot: request %d, res %ld\n", (int)(slot->obj - iocbs), (long)slot->res);
    take("one", 1);
    say_ring();
    take("the others", 8);
    say_ring();

    puts("- the program moves the head");
    complete(4);
    skip(2);
    take("after two were skipped", 8);
    complete(2);
    skip(2);
    take("after all were skipped", 8);
    CALL(io_getevents(ctx, -1, -1, NULL, AT_ONCE));
    complete(2);
    take("both", 8);
    ring[HEAD] = (ring[HEAD] + ring[NR] - 1) % ring[NR];
    take("the last, given back", 8);
    say_ring();

    puts("- the program moves the head between calls, until the ring has wrapped");
    for (i = 0; i < 200; i++) {
        struct iocb *list[2] = {&iocbs[0], &iocbs[1]};
        NEED(io_submit(ctx, 2, list) == 2);
        skip(1);
        if (io_getevents(ctx, 1, 8, events, NULL) != 1 || events[0].obj != &iocbs[1])
            puts("WRONG EVENT");
    }
    say_ring();

    puts("- a head beyond the ring: aio_read_events_ring() takes it modulo the length");
    ring[HEAD] += ring[NR];
    CALL(io_getevents(ctx, -1, -1, NULL, AT_ONCE));
    take("nothing there", 8);
    printf("the head is %s\n", ring[HEAD] < ring[NR] ? "in the ring again" : "still beyond");
    CALL(io_getevents(ctx, -1, -1, NULL, AT_ONCE));
    complete(1);
    ring[HEAD] += ring[NR];
    take("one there", 8);

    puts("- another magic: the original asks the kernel then, which does not look at it");
    right = ring[MAGIC];
    ring[MAGIC] = 0;
    CALL(io_getevents(ctx, -1, -1, NULL, AT_ONCE));
    CALL(io_getevents(ctx, 0, 1, NULL, AT_ONCE));
    CALL(io_queue_run(ctx));
    complete(1);
    take("one there", 8);
    ring[MAGIC] = right;
    CALL(io_getevents(ctx, -1, -1, NULL, AT_ONCE));

    puts("- a forked child takes events");
    complete(3);
    in_child("child", steal);
    take("what is left", 8);
    CALL(io_destroy(ctx));
    return 0;
}
