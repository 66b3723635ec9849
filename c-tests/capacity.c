/* runs: not ring-of-1: it also requests more than 256, for which the ring is then smaller */
/* runs: not short-ring: it gives exactly the requested room, and the kernel gives more */
/*
 * The capacity of a context: for requests that have not completed, and for completions that have
 * not been reaped.
 */
#include "helpers.h"

static struct iocb iocbs[4096];
static int ends[2], zero;
static char byte;

static void prepare(struct iocb *iocb, int is_poll)
{
    if (is_poll)
        io_prep_poll(iocb, ends[0], 1); /* never fires */
    else
        io_prep_pread(iocb, zero, &byte, 1, 0);
}

static long capacity(int asked, int is_poll)
{
    io_context_t ctx = 0;
    long count;

    if (io_setup(asked, &ctx) != 0)
        return -1;
    for (count = 0; count < 4096; count++) {
        struct iocb *list[1] = {&iocbs[count]};
        prepare(&iocbs[count], is_poll);
        if (io_submit(ctx, 1, list) != 1)
            break;
    }
    NEED(io_destroy(ctx) == 0);
    return count;
}

/* As ioctx_alloc() and aio_setup_ring() in the kernel's fs/aio.c compute it. */
static long expected_capacity(long asked, long cpus)
{
    long page = sysconf(_SC_PAGESIZE), bytes, events, least;

    least = asked > 4 * cpus ? asked : 4 * cpus;
    events = 2 * least + 2;
    bytes = 32 + 32 * events;
    bytes = (bytes + page - 1) / page * page;
    events = (bytes - 32) / 32;
    /* One slot stays free. Processors take room in batches, so less than a batch is not used. */
    return (events - 1) / (4 * cpus) * (4 * cpus);
}

int main(void)
{
    static const int sizes[] = {1, 32, 64, 128, 256, 1024};
    long cpus = sysconf(_SC_NPROCESSORS_CONF); /* musl counts those on which this thread may run */
    int is_poll;
    size_t i;

    start();
    NEED(pipe(ends) == 0);
    zero = open("/dev/zero", O_RDONLY);
    NEED(zero >= 0);
    stay_on_this_processor();
    for (is_poll = 0; is_poll < 2; is_poll++)
        for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            long found = capacity(sizes[i], is_poll), expected = expected_capacity(sizes[i], cpus);
            printf("%s, of a context for %d: %s\n",
                   is_poll ? "polls in flight" : "events not taken", sizes[i],
                   found == expected ? "as many as computed" : "another number");
            fprintf(stderr, "%ld, computed %ld\n", found, expected);
        }
    return 0;
}
