/* runs: everywhere */
/* io_pgetevents: io_getevents with a signal mask, which is set and restored atomically. */
#include "helpers.h"

static volatile sig_atomic_t handled;
static void on_signal(int number)
{
    (void)number;
    handled++;
}

static io_context_t ctx;
static int file;
static char *buffer;
static struct iocb iocb;

static void complete_one(void)
{
    struct iocb *list[1] = {&iocb};
    io_prep_pread(&iocb, file, buffer, 100, 0);
    NEED(io_submit(ctx, 1, list) == 1);
}

static void show_state(void)
{
    sigset_t now;

    sigprocmask(SIG_SETMASK, NULL, &now);
    printf("  handled %d, SIGUSR1 is %s\n", (int)handled,
           sigismember(&now, SIGUSR1) ? "blocked" : "unblocked");
}

int main(void)
{
    struct io_event events[4];
    struct sigaction action;
    sigset_t unblocked, blocked;

    start();
    ctx = context();
    file = file_of(4096, O_RDONLY);
    buffer = buffer_of(4096);
    if (io_pgetevents(ctx, 0, 0, NULL, milliseconds(1), NULL) == -ENOSYS) {
        puts("SKIP io_pgetevents: the kernel does not have it");
        return 77;
    }
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    NEED(sigaction(SIGUSR1, &action, NULL) == 0);
    sigemptyset(&unblocked);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    NEED(sigprocmask(SIG_SETMASK, &blocked, NULL) == 0);

    puts("- numbers and addresses");
    CALL(io_pgetevents(ctx, 2, 1, events, milliseconds(1), NULL));
    CALL(io_pgetevents(ctx, -1, 1, events, milliseconds(1), NULL));
    CALL(io_pgetevents(ctx, 0, 0, NULL, milliseconds(1), NULL));
    CALL(io_pgetevents(NULL, 0, 1, events, milliseconds(1), NULL));
    CALL(io_pgetevents(NULL, 0, 1, events, AT_ONCE, &unblocked));
    CALL(io_pgetevents(ctx, 1, 1, events, milliseconds(1), &unblocked));
    CALL_AS("io_pgetevents(.., no access)",
            io_pgetevents(ctx, 1, 1, events, milliseconds(1), (sigset_t *)no_access()));
    complete_one();
    CALL(io_pgetevents(ctx, 1, 1, NULL, NULL, &unblocked));
    CALL(io_pgetevents(ctx, 1, 1, NULL, NULL, NULL));
    CALL(io_pgetevents(ctx, 1, 1, events, NULL, NULL));

    puts("- a pending signal that the mask lets through, and no event");
    raise(SIGUSR1);
    show_state();
    CALL(io_pgetevents(ctx, 1, 1, events, NULL, &unblocked));
    show_state();
    raise(SIGUSR1);
    CALL(io_pgetevents(ctx, 1, 1, events, milliseconds(1000), &unblocked));
    show_state();

    puts("- the same with a ready event: both are delivered");
    complete_one();
    raise(SIGUSR1);
    CALL(io_pgetevents(ctx, 1, 1, events, NULL, &unblocked));
    show_state();
    complete_one();
    raise(SIGUSR1);
    CALL(io_pgetevents(ctx, 0, 4, events, AT_ONCE, &unblocked));
    show_state();

    puts("- a zero timeout on an empty ring: nothing happens");
    raise(SIGUSR1);
    CALL(io_pgetevents(ctx, 0, 4, events, AT_ONCE, &unblocked));
    show_state();

    puts("- masks that block the signal");
    CALL(io_pgetevents(ctx, 1, 1, events, milliseconds(20), &blocked));
    CALL(io_pgetevents(ctx, 1, 1, events, milliseconds(20), NULL));
    show_state();
    complete_one();
    CALL(io_pgetevents(ctx, 1, 1, events, NULL, &blocked));
    show_state();
    CALL(io_pgetevents(ctx, 1, 1, events, milliseconds(1000), &unblocked));
    show_state();
    CALL(io_destroy(ctx));
    return 0;
}
