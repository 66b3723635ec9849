/* runs: not static: an archive's symbols have no versions */
/* runs: not musl: it lacks dlvsym(), which looks up a symbol by version */
/* runs: not time64: these functions are older than 64-bit times */
/*
 * The LIBAIO_0.1 versions of three functions, which no header declares and which programs linked
 * before 2002 use. Their signatures differ from today's.
 */
#include "helpers.h"
#include <dlfcn.h>

static int (*old_cancel)(io_context_t, struct iocb *);
static int (*old_getevents)(io_context_t, long, struct io_event *, const struct timespec *);
static int (*old_wait)(io_context_t, const struct timespec *);

static void *old(const char *name)
{
    void *function = dlvsym(RTLD_DEFAULT, name, "LIBAIO_0.1");
    NEED(function);
    return function;
}

int main(void)
{
    struct iocb iocbs[4], *list[4], copy;
    struct io_event events[8];
    struct timespec time = {0, 10000000};
    io_context_t ctx, other;
    char *buffer = buffer_of(4096);
    int file, ends[2], i;

    start();
    ctx = context(); /* also makes sure that the library is linked */
    *(void **)&old_cancel = old("io_cancel");
    *(void **)&old_getevents = old("io_getevents");
    *(void **)&old_wait = old("io_queue_wait");
    printf("io_cancel: %s\n", (void *)old_cancel == (void *)io_cancel ? "the same" : "another");
    printf("io_getevents: %s\n",
           (void *)old_getevents == (void *)io_getevents ? "the same" : "another");

    puts("- io_getevents waits for one event");
    file = file_of(4096, O_RDONLY);
    CALL(old_getevents(ctx, 4, events, milliseconds(10)));
    CALL(old_getevents(ctx, 4, events, AT_ONCE));
    CALL(old_getevents(ctx, 0, events, milliseconds(10)));
    CALL(old_getevents(ctx, -1, events, milliseconds(10)));
    CALL(old_getevents(NULL, 1, events, milliseconds(10)));
    CALL(old_getevents(NULL, 1, events, NULL));
    for (i = 0; i < 4; i++) {
        io_prep_pread(&iocbs[i], file, buffer, 100 + i, 0);
        list[i] = &iocbs[i];
    }
    CALL(io_submit(ctx, 4, list));
    CALL(old_getevents(ctx, 1, NULL, NULL));
    CALL(old_getevents(ctx, 1, (struct io_event *)64, AT_ONCE));
    CALL(old_getevents(ctx, 0, events, NULL));
    CALL(old_getevents(ctx, 1, events, NULL));
    CALL(old_getevents(ctx, 2, events + 1, milliseconds(10)));
    CALL(old_getevents(ctx, 8, events + 3, AT_ONCE));
    for (i = 0; i < 4; i++)
        printf("res %ld, request %d\n", (long)events[i].res, (int)(events[i].obj - iocbs));

    /* The function must not change the caller's timeout. */
    CALL(old_getevents(ctx, 8, events, &time));
    printf("the time is %s\n", time.tv_sec == 0 && time.tv_nsec == 10000000 ? "left" : "changed");

    puts("- io_queue_wait");
    CALL(old_wait(ctx, NULL));
    CALL(old_wait(ctx, milliseconds(10)));
    CALL(old_wait(ctx, AT_ONCE));
    CALL(old_wait(NULL, NULL));
    CALL(old_wait(NULL, AT_ONCE));
    CALL(io_submit(ctx, 1, list));
    CALL(old_wait(ctx, NULL)); /* which does not take the event */
    CALL(old_getevents(ctx, 8, events, AT_ONCE));

    puts("- io_cancel drops the event");
    NEED(pipe(ends) == 0);
    io_prep_poll(&iocbs[0], ends[0], 1);
    iocbs[0].data = buffer;
    CALL(old_cancel(ctx, &iocbs[0]));
    CALL(io_submit(ctx, 1, list));
    /* A copy of the iocb and another context are refused, and the poll is still pending. */
    other = context();
    copy = iocbs[0];
    CALL(old_cancel(ctx, &copy));
    CALL(old_cancel(other, &iocbs[0]));
    CALL(io_destroy(other));
    CALL(old_getevents(ctx, 8, events, AT_ONCE));
    CALL(old_cancel(ctx, &iocbs[0]));
    memset(events, 0x55, sizeof(events));
    CALL(old_getevents(ctx, 8, events, milliseconds(2000)));
    if (events[0].obj == &iocbs[0])
        printf("res %ld, %s\n", (long)events[0].res,
               events[0].data == buffer ? "its data" : "other data");
    else
        puts("no event");
    CALL(old_cancel(ctx, &iocbs[0]));
    CALL(old_cancel(ctx, NULL));
    CALL(old_cancel(ctx, (struct iocb *)no_access()));
    CALL(old_cancel(NULL, &iocbs[0]));
    CALL(io_destroy(ctx));
    return 0;
}
