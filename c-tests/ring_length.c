/* runs: not ring-of-1: it also requests more than 256, for which the ring is then smaller */
/* runs: not short-ring: the ring is then smaller than that of the requested count */
/* The number of slots in a ring's header, which programs that read the ring use. */
#include "helpers.h"

static void length(int asked)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF), page = sysconf(_SC_PAGESIZE);
    long most = asked > 4 * cpus ? asked : 4 * cpus;
    long bytes = (32 + 32 * (2 * most + 2) + page - 1) / page * page;
    io_context_t ctx = 0;
    unsigned nr;

    NEED(io_setup(asked, &ctx) == 0);
    nr = ((unsigned *)ctx)[1]; /* after the id */
    printf("%d: %s\n", asked,
           nr == (unsigned)((bytes - 32) / 32) ? "as many as computed" : "another number");
    fprintf(stderr, "%u events\n", nr);
    NEED(io_destroy(ctx) == 0);
}

int main(void)
{
    static const int sizes[] = {1, 8, 62, 63, 64, 128, 255, 256, 1023, 1024};
    size_t i;

    start();
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        length(sizes[i]);
    return 0;
}
