/* runs: everywhere */
/* io_cancel of requests that are not polls, which it cannot cancel; for polls see cancel.c. */
#include "helpers.h"

static io_context_t ctx;
static struct iocb iocb;
static struct io_event event;

static void submit(struct iocb *request)
{
    struct iocb *list[1] = {request};
    CALL_AS("io_submit", io_submit(ctx, 1, list));
}

static void contexts_that_are_none(void)
{
    io_context_t other = context();
    struct iocb copy;

    memset(&copy, 0, sizeof(copy));
    puts("- handles that are not contexts");
    CALL_AS("io_cancel(a variable, ..)", io_cancel((io_context_t)&copy, &iocb, &event));
    CALL_AS("io_cancel(no access, ..)", io_cancel((io_context_t)no_access(), &iocb, &event));
    CALL(io_cancel((io_context_t)16, &iocb, &event));
    CALL(io_cancel((io_context_t)-4096L, &iocb, &event));
    NEED(io_destroy(other) == 0);
    CALL(io_cancel(other, &iocb, &event));
}

static void requests_of_other_kinds(void)
{
    int direct = file_in(".", 1 << 20, O_RDWR | O_DIRECT), file = file_of(4096, O_RDWR);
    char *buffer = buffer_of(1 << 20);

    puts("- reads, writes and syncs, in flight or not");
    io_prep_pread(&iocb, direct >= 0 ? direct : file, buffer, direct >= 0 ? 1 << 20 : 4096, 0);
    submit(&iocb);
    CALL(io_cancel(ctx, &iocb, &event));
    CALL_AS("io_getevents", io_getevents(ctx, 1, 1, &event, NULL));
    printf("  res %ld\n", direct >= 0 ? (long)event.res : 1L << 20);
    io_prep_pwrite(&iocb, direct >= 0 ? direct : file, buffer, 4096, 0);
    submit(&iocb);
    CALL(io_cancel(ctx, &iocb, &event));
    CALL_AS("io_getevents", io_getevents(ctx, 1, 1, &event, NULL));
    printf("  res %ld\n", (long)event.res);
    io_prep_fsync(&iocb, file);
    submit(&iocb);
    CALL(io_cancel(ctx, &iocb, &event));
    CALL_AS("io_getevents", io_getevents(ctx, 1, 1, &event, NULL));
    printf("  res %ld\n", (long)event.res);
}

int main(void)
{
    start();
    ctx = context();
    CALL(io_cancel(ctx, &iocb, &event)); /* never submitted */
    contexts_that_are_none();
    requests_of_other_kinds();
    CALL(io_destroy(ctx));
    return 0;
}
