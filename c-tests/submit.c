/* runs: everywhere */
/* io_submit: how it reads the array, and at which element it stops. */
#include "helpers.h"

static int file;
static char *buffer;

static void drain(io_context_t ctx)
{
    struct io_event events[64];
    long taken, all = 0;

    while ((taken = io_getevents(ctx, 0, 64, events, AT_ONCE)) > 0)
        all += taken;
    show("events taken", all);
}

int main(void)
{
    struct iocb good[3], bad, *list[4], *constant;
    struct iocb *many[2000];
    static struct iocb filler[2000];
    io_context_t ctx, dead = 0;
    long taken;
    int i, ends[2];

    start();
    file = file_of(8192, O_RDWR);
    buffer = buffer_of(8192);
    ctx = context();
    for (i = 0; i < 3; i++)
        io_prep_pread(&good[i], file, buffer, 512, 512 * i);
    io_prep_pread(&bad, -1, buffer, 512, 0);
    list[0] = &good[0];
    list[1] = &good[1];
    list[2] = &good[2];
    list[3] = NULL;

    CALL(io_submit(ctx, 3, list));
    drain(ctx);
    CALL(io_submit(ctx, 0, list));
    CALL(io_submit(ctx, 0, NULL));
    CALL_AS("io_submit(ctx, 0, no access)", io_submit(ctx, 0, (struct iocb **)no_access()));
    CALL(io_submit(ctx, -1, list));
    CALL(io_submit(ctx, -1, NULL));
    CALL(io_submit(ctx, (long)(~0UL >> 1) + 0, NULL));
    CALL(io_submit(ctx, 1, NULL));
    CALL_AS("io_submit(ctx, 1, no access)", io_submit(ctx, 1, (struct iocb **)no_access()));
    CALL(io_submit(ctx, 4, list)); /* the fourth is NULL */
    drain(ctx);
    CALL(io_submit(ctx, 1, list + 3));
    list[0] = (struct iocb *)no_access();
    CALL(io_submit(ctx, 3, list));
    list[0] = &good[0];
    list[1] = &bad;
    CALL(io_submit(ctx, 3, list));
    CALL(io_submit(ctx, 2, list + 1));
    drain(ctx);

    CALL(io_submit(NULL, 1, list));
    CALL(io_submit(NULL, 0, list));
    CALL(io_submit((io_context_t)1, 1, list));
    CALL_AS("io_submit(a variable, ...)", io_submit((io_context_t)&dead, 1, list));
    CALL_AS("io_submit(no access, ...)", io_submit((io_context_t)no_access(), 1, list));
    dead = context();
    NEED(io_destroy(dead) == 0);
    CALL(io_submit(dead, 1, list));
    CALL(io_submit(dead, 0, list));

    /* The kernel writes the key after it has checked the file, and before it checks the opcode. */
    good[0].key = 5;
    CALL(io_submit(ctx, 1, list));
    printf("key of a good request: %u\n", good[0].key);
    good[1].key = 5;
    good[1].aio_lio_opcode = 99;
    list[0] = &good[1];
    CALL(io_submit(ctx, 1, list));
    printf("key of one with an unknown opcode: %u\n", good[1].key);
    bad.key = 5;
    list[0] = &bad;
    CALL(io_submit(ctx, 1, list));
    printf("key of one with a bad file: %u\n", bad.key);
    drain(ctx);
    constant = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(constant != MAP_FAILED);
    io_prep_pread(constant, file, buffer, 512, 0);
    NEED(mprotect(constant, 4096, PROT_READ) == 0);
    list[0] = constant;
    CALL_AS("io_submit(a request that cannot be written)", io_submit(ctx, 1, list));
    drain(ctx);

    /* Accepts requests up to the capacity, then returns EAGAIN until events have been taken. */
    NEED(pipe(ends) == 0);
    for (i = 0; i < 2000; i++) {
        many[i] = &filler[i];
        io_prep_pread(&filler[i], file, buffer, 512, 0);
    }
    taken = QUIETLY(io_submit(ctx, 2000, many));
    printf("of 2000: %s\n", taken > 8 && taken < 2000 ? "some" : "another number");
    CALL(io_submit(ctx, 1, many));
    {
        struct io_event events[4];
        CALL(io_getevents(ctx, 4, 4, events, NULL));
    }
    CALL(io_submit(ctx, 1, many));
    CALL(io_destroy(ctx));
    return 0;
}
