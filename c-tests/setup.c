/* runs: everywhere */
/* Making and destroying contexts: every error, the capacity that is really given, reuse. */
#include "helpers.h"
#include <sched.h>

/* The kernel hands out places in batches to each processor; a thread that moves leaves some. */
static void stay_on_this_processor(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    NEED(sched_setaffinity(0, sizeof(set), &set) == 0);
}

/* Fills a context with polls that never fire, and so learns how many requests it takes. */
static long capacity(int asked)
{
    static struct iocb iocbs[4096];
    io_context_t ctx = 0;
    int ends[2];
    long count = 0;

    NEED(pipe(ends) == 0);
    if (io_setup(asked, &ctx) != 0)
        return -1;
    for (count = 0; count < 4096; count++) {
        struct iocb *list[1] = {&iocbs[count]};
        io_prep_poll(&iocbs[count], ends[0], 1);
        if (io_submit(ctx, 1, list) != 1)
            break;
    }
    NEED(io_destroy(ctx) == 0);
    close(ends[0]);
    close(ends[1]);
    return count;
}

/* What ioctx_alloc() and aio_setup_ring() in the kernel's fs/aio.c come to. */
static long expected_capacity(long asked, long cpus)
{
    long page = sysconf(_SC_PAGESIZE), bytes, events, least;

    least = asked > 4 * cpus ? asked : 4 * cpus;
    events = 2 * least + 2;
    bytes = 32 + 32 * events;
    bytes = (bytes + page - 1) / page * page;
    events = (bytes - 32) / 32;
    /* One slot stays free, and each processor takes its requests in batches of a share. */
    return (events - 1) / (4 * cpus) * (4 * cpus);
}

int main(void)
{
    io_context_t ctx = 0, other = 0, first;
    static const int sizes[] = {1, 32, 64, 128, 256, 1024};
    int i, same = 0;
    long cpus;

    start();
    CALL(io_setup(8, &ctx));
    printf("the handle is %s\n", ctx ? "set" : "not set");
    CALL(io_setup(8, &ctx));
    CALL(io_setup(0, &other));
    CALL(io_setup(-1, &other));
    CALL(io_setup(-2147483647 - 1, &other));
    CALL(io_setup(2147483647, &other));
    CALL(io_setup(0x10000000 / 2, &other));
    CALL(io_setup(1, NULL));
    CALL_AS("io_setup(1, no access)", io_setup(1, (io_context_t *)no_access()));
    CALL(io_setup(0, NULL));
    printf("the other handle is %s\n", other ? "set" : "not set");
    CALL(io_destroy(ctx));
    CALL(io_destroy(ctx));
    CALL(io_destroy(NULL));
    CALL(io_destroy((io_context_t)8));
    CALL(io_destroy((io_context_t)-1L));
    CALL_AS("io_destroy(a variable)", io_destroy((io_context_t)&other));
    CALL_AS("io_destroy(no access)", io_destroy((io_context_t)no_access()));

    /* io_queue_init clears the handle itself, but not before it has looked at the number. */
    ctx = (io_context_t)5;
    CALL(io_queue_init(0, &ctx));
    CALL(io_queue_init(-1, &ctx));
    CALL(io_queue_init(0, NULL));
    printf("the handle is %s\n", ctx == (io_context_t)5 ? "as it was" : "changed");
    CALL(io_queue_init(2147483647, &ctx));
    printf("the handle is %s\n", ctx ? "set" : "cleared");
    ctx = (io_context_t)5;
    CALL(io_queue_init(1, &ctx));
    CALL(io_queue_release(ctx));
    CALL(io_queue_release(ctx));
    CALL(io_queue_release(NULL));

    /* The address usually comes back at once, and must work as if it were new. */
    ctx = 0;
    CALL(io_setup(1, &ctx));
    first = ctx;
    CALL(io_destroy(ctx));
    for (i = 0; i < 5; i++) {
        ctx = 0;
        NEED(io_setup(1, &ctx) == 0);
        same += ctx == first;
        CALL_AS("poll of a new context", io_getevents(ctx, 0, 1, NULL, AT_ONCE));
        CALL(io_destroy(ctx));
    }
    fprintf(stderr, "same address %d of 5\n", same);

    cpus = sysconf(_SC_NPROCESSORS_CONF); /* musl counts those on which this thread may run */
    stay_on_this_processor();
    for (i = 0; i < 6; i++) {
        long found = capacity(sizes[i]);
        printf("capacity for %d: %s\n", sizes[i],
               found == expected_capacity(sizes[i], cpus) ? "as computed" : "another");
        fprintf(stderr, "%ld, computed %ld\n", found, expected_capacity(sizes[i], cpus));
    }
    return 0;
}
