/* runs: everywhere */
/* io_getevents: min_nr and nr, timeouts, addresses, the order of events, and signals. */
#include "helpers.h"

static int file;
static char *buffer;
static struct iocb iocbs[16];

/* Adds events to the ring: a read from the page cache is complete when io_submit returns. */
static void complete(io_context_t ctx, int count)
{
    struct iocb *list[16];
    int i;

    for (i = 0; i < count; i++) {
        io_prep_pread(&iocbs[i], file, buffer, 64 + i, 0);
        iocbs[i].data = &iocbs[i];
        list[i] = &iocbs[i];
    }
    NEED(io_submit(ctx, count, list) == count);
}

static volatile sig_atomic_t signals;
static void on_signal(int number)
{
    (void)number;
    signals++;
}

static void signal_after(long ms, int flags)
{
    struct sigaction action;
    timer_t timer;
    struct itimerspec when;
    struct sigevent event;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    action.sa_flags = flags;
    NEED(sigaction(SIGUSR1, &action, NULL) == 0);
    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    NEED(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    memset(&when, 0, sizeof(when));
    when.it_value.tv_sec = ms / 1000;
    when.it_value.tv_nsec = ms % 1000 * 1000000;
    NEED(timer_settime(timer, 0, &when, NULL) == 0);
}

int main(void)
{
    struct io_event events[16];
    struct timespec odd;
    io_context_t ctx, dead;
    double before;
    long taken;
    int i;

    start();
    file = file_of(8192, O_RDONLY);
    buffer = buffer_of(4096);
    ctx = context();

    puts("- an empty ring and a short timeout");
    CALL(io_getevents(ctx, 0, 0, NULL, milliseconds(1)));
    CALL(io_getevents(ctx, 0, 1, events, milliseconds(1)));
    CALL(io_getevents(ctx, 1, 1, events, milliseconds(1)));
    CALL(io_getevents(ctx, 2, 1, events, milliseconds(1)));
    CALL(io_getevents(ctx, -1, 1, events, milliseconds(1)));
    CALL(io_getevents(ctx, 0, -1, events, milliseconds(1)));
    CALL(io_getevents(ctx, -1, -1, NULL, milliseconds(1)));
    CALL(io_getevents(ctx, -2, -1, events, milliseconds(1)));
    CALL(io_getevents(ctx, 0, 1, NULL, milliseconds(1)));
    CALL(io_getevents(ctx, 0, 0, NULL, NULL));
    CALL(io_getevents(ctx, 0, 1, events, NULL));
    CALL(io_getevents(ctx, 1, 1000000000, events, milliseconds(1)));
    CALL(io_getevents(ctx, 1000000000, 1000000000, events, milliseconds(1)));

    puts("- bad contexts");
    CALL(io_getevents(NULL, 1, 1, events, milliseconds(1)));
    CALL(io_getevents(NULL, 0, 0, NULL, AT_ONCE));
    CALL(io_getevents(NULL, 0, 1, events, NULL));
    CALL_AS("io_getevents(a variable, ...)",
            io_getevents((io_context_t)events, 1, 1, events, milliseconds(1)));
    dead = (io_context_t)buffer_of(4096);
    CALL_AS("io_getevents(a page of zeros, ...)", io_getevents(dead, 0, 1, events, AT_ONCE));

    puts("- ready events");
    complete(ctx, 4);
    CALL(io_getevents(ctx, 1, 0, events, NULL));
    CALL(io_getevents(ctx, -1, 4, events, NULL));
    CALL(io_getevents(ctx, 0, -4, events, NULL));
    CALL(io_getevents(ctx, 0, 0, events, NULL));
    CALL(io_getevents(ctx, 0, 0, NULL, AT_ONCE));
    CALL(io_getevents(ctx, 1, 4, NULL, NULL));
    /* For user memory that is not writable, see docs/differences.md. */
    CALL_AS("io_getevents(.., first page, NULL)",
            io_getevents(ctx, 1, 4, (struct io_event *)64, NULL));
    CALL_AS("io_getevents(.., kernel address, NULL)",
            io_getevents(ctx, 1, 4, (struct io_event *)-4096L, NULL));
    CALL(io_getevents(ctx, 1, 1, events, NULL));
    CALL(io_getevents(ctx, 0, 2, events + 1, AT_ONCE));
    CALL(io_getevents(ctx, 1, 16, events + 3, milliseconds(1)));
    for (i = 0; i < 4; i++)
        printf("event %d: res %ld res2 %ld, request %d, data %s\n", i, (long)events[i].res,
               (long)events[i].res2, (int)(events[i].obj - iocbs),
               events[i].data == events[i].obj ? "its own" : "another's");
    CALL(io_getevents(ctx, 0, 16, events, AT_ONCE));

    puts("- fewer than asked for");
    complete(ctx, 3);
    before = seconds_now();
    CALL(io_getevents(ctx, 5, 16, events, milliseconds(60)));
    printf("waited %s\n", seconds_now() - before >= 0.059 ? "the whole timeout" : "less");
    complete(ctx, 3);
    CALL(io_getevents(ctx, 4, 16, events, AT_ONCE));

    puts("- unusual timeouts");
    odd.tv_sec = 0;
    odd.tv_nsec = 1050000000;
    before = seconds_now();
    CALL_AS("io_getevents(1.05 s as nanoseconds)", io_getevents(ctx, 1, 1, events, &odd));
    printf("waited %s\n", seconds_now() - before >= 1.04 ? "the whole timeout" : "less");
    printf("the time is %s\n",
           odd.tv_sec == 0 && odd.tv_nsec == 1050000000 ? "unchanged" : "changed");
    odd.tv_sec = -1;
    odd.tv_nsec = 0;
    signal_after(60, 0);
    CALL_AS("io_getevents(-1 s) until a signal", io_getevents(ctx, 1, 1, events, &odd));
    complete(ctx, 1);
    CALL_AS("io_getevents(-1 s), an event is ready", io_getevents(ctx, 1, 1, events, &odd));

    puts("- signals");
    signal_after(60, 0);
    CALL(io_getevents(ctx, 1, 1, events, NULL));
    signal_after(60, SA_RESTART);
    CALL(io_getevents(ctx, 1, 1, events, NULL));
    complete(ctx, 2);
    signal_after(60, SA_RESTART);
    CALL(io_getevents(ctx, 3, 16, events, NULL));
    CALL(io_getevents(ctx, 0, 16, events, AT_ONCE));
    printf("handler ran %d times\n", (int)signals);

    puts("- more events than the ring has room for at once");
    for (taken = 0, i = 0; i < 300; i++) {
        complete(ctx, 7);
        taken += io_getevents(ctx, 7, 16, events, NULL);
        if (events[6].obj != &iocbs[6] || (long)events[6].res != 70)
            puts("WRONG EVENT");
    }
    show("taken", taken);
    CALL(io_destroy(ctx));
    CALL_AS("a destroyed context, io_cancel", io_cancel(ctx, &iocbs[0], events));
    return 0;
}
