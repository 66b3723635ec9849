/* runs: everywhere */
/* io_queue_run and io_queue_wait: the callbacks' order and arguments, and what they may do. */
#include "helpers.h"
#include <setjmp.h>

/* The header does not declare it. */
int io_queue_wait(io_context_t ctx, struct timespec *timeout);

static io_context_t ctx, doomed;
static struct iocb iocbs[16];
static char *buffer;
static int file, rounds, depth;
static jmp_buf out;

static void say(io_context_t its, struct iocb *iocb, long res, long res2)
{
    printf("  callback %d: %s context, res %ld, res2 %ld\n", (int)(iocb - iocbs),
           its == ctx ? "the" : "another", res, res2);
}

static void submit_one(int which, io_callback_t callback)
{
    struct iocb *list[1] = {&iocbs[which]};

    io_prep_pread(&iocbs[which], file, buffer, 100 + which, 0);
    io_set_callback(&iocbs[which], callback);
    NEED(io_submit(ctx, 1, list) == 1);
}

static void submit_again(io_context_t its, struct iocb *iocb, long res, long res2)
{
    say(its, iocb, res, res2);
    if (++rounds < 3)
        submit_one(rounds, submit_again);
}

static void take_events(io_context_t its, struct iocb *iocb, long res, long res2)
{
    struct io_event events[4];

    say(its, iocb, res, res2);
    CALL(io_getevents(ctx, 0, 4, events, AT_ONCE));
}

static void run_inside(io_context_t its, struct iocb *iocb, long res, long res2)
{
    say(its, iocb, res, res2);
    if (++depth < 3)
        CALL(io_queue_run(ctx));
    depth--;
}

static void leave(io_context_t its, struct iocb *iocb, long res, long res2)
{
    say(its, iocb, res, res2);
    longjmp(out, 1);
}

static void use_another_context(io_context_t its, struct iocb *iocb, long res, long res2)
{
    io_context_t other = 0;

    say(its, iocb, res, res2);
    CALL(io_setup(1, &other));
    CALL(io_queue_run(other));
    CALL(io_destroy(other));
}

/* Not the context that io_queue_run runs for: io_queue_run would then read an unmapped ring. */
static void destroy_another(io_context_t its, struct iocb *iocb, long res, long res2)
{
    say(its, iocb, res, res2);
    CALL(io_destroy(doomed));
    CALL(io_destroy(doomed));
}

static void failed(io_context_t its, struct iocb *iocb, long res, long res2)
{
    say(its, iocb, res, res2);
    printf("  as a number: %s\n", res < 0 ? error_name(res) : "not negative");
}

int main(void)
{
    struct iocb *list[1] = {&iocbs[9]};
    int i;

    start();
    ctx = context();
    file = file_of(4096, O_RDONLY);
    buffer = buffer_of(4096);

    CALL(io_queue_run(ctx));
    CALL(io_queue_run(NULL));
    for (i = 0; i < 4; i++)
        submit_one(i, say);
    CALL(io_queue_run(ctx));
    CALL(io_queue_run(ctx));

    puts("- a callback that submits");
    submit_one(0, submit_again);
    CALL(io_queue_run(ctx));
    puts("- a callback that takes the events after its own");
    for (i = 0; i < 3; i++)
        submit_one(i, take_events);
    CALL(io_queue_run(ctx));
    puts("- a callback that calls io_queue_run");
    for (i = 0; i < 5; i++)
        submit_one(i, run_inside);
    CALL(io_queue_run(ctx));
    puts("- a callback that leaves with longjmp");
    for (i = 0; i < 2; i++)
        submit_one(i, leave);
    if (setjmp(out) == 0)
        CALL(io_queue_run(ctx));
    if (setjmp(out) == 0)
        CALL(io_queue_run(ctx));
    CALL(io_queue_run(ctx));
    puts("- a callback that creates and destroys another context");
    submit_one(0, use_another_context);
    CALL(io_queue_run(ctx));
    puts("- a callback that destroys another context with an event in it, and one after it");
    doomed = context();
    io_prep_pread(&iocbs[9], file, buffer, 100, 0);
    NEED(io_submit(doomed, 1, list) == 1);
    submit_one(0, destroy_another);
    submit_one(1, say);
    CALL(io_queue_run(ctx));
    puts("- a request that fails");
    io_prep_pread(&iocbs[9], file, (void *)8, 100, 0);
    io_set_callback(&iocbs[9], failed);
    NEED(io_submit(ctx, 1, list) == 1);
    CALL(io_queue_run(ctx));
    puts("- through the functions that prepare and submit");
    CALL_AS("io_poll", io_poll(ctx, &iocbs[0], say, file, 1));
    CALL_AS("io_fsync", io_fsync(ctx, &iocbs[1], say, file));
    CALL_AS("io_fdsync", io_fdsync(ctx, &iocbs[2], say, file));
    usleep(50000);
    {
        /* Only their number: fsync completes in a kernel thread, so the order may vary. */
        struct io_event events[4];
        CALL(io_getevents(ctx, 3, 4, events, milliseconds(2000)));
    }

    puts("- io_queue_wait");
    CALL(io_queue_wait(ctx, NULL));
    CALL(io_queue_wait(ctx, milliseconds(10)));
    CALL(io_queue_wait(ctx, AT_ONCE));
    submit_one(0, say);
    CALL(io_queue_wait(ctx, NULL));
    CALL(io_queue_wait(ctx, AT_ONCE));
    CALL(io_queue_run(ctx));
    CALL(io_queue_wait(NULL, NULL));
    CALL(io_queue_wait((io_context_t)&file, AT_ONCE));
    CALL(io_destroy(ctx));
    return 0;
}
