/* runs: everywhere */
/*
 * Signal handlers that leave a poll, a take or a wait by siglongjmp, at any instruction. The events
 * that the call had taken are lost, with the original too, so the test does not expect them.
 * Afterwards the context must serve this thread and others as before, no completion may come twice,
 * and io_destroy must return.
 */
#include "helpers.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/time.h>

enum { JUMPS = 160, NUMBERS = 1 << 20, ROOM = 64, SECONDS = 5, LIMIT = 15 };

static io_context_t ctx;
static struct iocb iocbs[ROOM];
static char byte;
static int zero;
/* Every request has a number, which is the iocb's data. */
static atomic_int numbers;
static atomic_uchar seen[NUMBERS];
static atomic_int wrong;
static sigjmp_buf out;
/* Room for four events; the third crosses a page boundary. See drop_pages(). */
static struct io_event *absent;

/* The event is ready when this returns: /dev/zero is read at once. */
static int submit(void)
{
    int number = atomic_fetch_add(&numbers, 1);
    struct iocb *iocb = &iocbs[number % ROOM], *list[1] = {iocb};

    NEED(number < NUMBERS);
    io_prep_pread(iocb, zero, &byte, 1, 0);
    iocb->data = (void *)(size_t)number;
    NEED(io_submit(ctx, 1, list) == 1);
    return number;
}

/* Safe in signal handlers. */
static int account(int answer, const struct io_event *events)
{
    int i;

    for (i = 0; i < answer; i++) {
        size_t number = (size_t)events[i].data;
        if (number >= NUMBERS || events[i].obj != &iocbs[number % ROOM] || events[i].res != 1 ||
            atomic_fetch_add(&seen[number], 1) != 0)
            atomic_fetch_add(&wrong, 1);
    }
    return answer;
}

/* Makes the next take fault, so that most signals interrupt it while it writes. */
static void drop_pages(void)
{
    madvise((void *)((uintptr_t)absent / 4096 * 4096), 8192, MADV_DONTNEED);
}

/* Takes the ready events, then one by a poll and one by a wait. Returns what failed, or NULL. */
static void *what_fails(void *unused)
{
    struct timespec long_enough = {5, 0};
    struct io_event events[8];
    int answer;

    while ((answer = account(io_getevents(ctx, 0, 8, events, AT_ONCE), events)) > 0)
        ;
    if (answer < 0)
        return "a poll is refused";
    submit();
    if (account(io_getevents(ctx, 0, 8, events, AT_ONCE), events) != 1)
        return "a poll does not get the event";
    submit();
    if (account(io_getevents(ctx, 1, 8, events, &long_enough), events) != 1)
        return "a wait does not get the event";
    return unused;
}

static void *in_thread(void *(*body)(void *))
{
    pthread_t thread;
    void *answer;

    NEED(pthread_create(&thread, NULL, body, NULL) == 0);
    NEED(pthread_join(thread, &answer) == 0);
    return answer;
}

static void set_timer(long microseconds)
{
    struct itimerval once = {{0, 0}, {0, microseconds}};
    NEED(setitimer(ITIMER_REAL, &once, NULL) == 0);
}

static long some_time(void)
{
    static unsigned seed = 4711;
    seed = seed * 1103515245u + 12345u;
    return 20 + (seed >> 16) % 80;
}

static void jump(int number)
{
    (void)number;
    siglongjmp(out, 1);
}

static void take_and_jump(int number)
{
    struct io_event events[8];

    (void)number;
    if (account(io_getevents(ctx, 0, 8, events, AT_ONCE), events) < 0)
        atomic_fetch_add(&wrong, 1);
    siglongjmp(out, 1);
}

/* The calls that the jumps leave: each function makes one turn of them. */

static void poll_empty(void)
{
    struct io_event events[4];

    if (account(io_getevents(ctx, 0, 4, events, AT_ONCE), events) != 0)
        atomic_fetch_add(&wrong, 1);
}

static void take_by_poll(void)
{
    struct io_event event;

    submit();
    if (account(io_getevents(ctx, 0, 1, &event, AT_ONCE), &event) != 1)
        atomic_fetch_add(&wrong, 1);
}

static void take_by_wait(void)
{
    struct io_event event;

    submit();
    if (account(io_getevents(ctx, 1, 1, &event, NULL), &event) != 1)
        atomic_fetch_add(&wrong, 1);
}

static void take_with_fault(void)
{
    submit();
    submit();
    submit();
    drop_pages();
    if (account(io_getevents(ctx, 1, 4, absent, NULL), absent) != 3)
        atomic_fetch_add(&wrong, 1);
}

static void wait_for_ever(void)
{
    struct io_event events[4];

    io_getevents(ctx, 1, 4, events, NULL);
    atomic_fetch_add(&wrong, 1);
}

/* Other threads take these events, too. */
static void take_some(void)
{
    submit();
    submit();
    drop_pages();
    if (account(io_getevents(ctx, 0, 4, absent, AT_ONCE), absent) < 0)
        atomic_fetch_add(&wrong, 1);
}

static void jump_from(void (*turn)(void), void (*handler)(int), int flags, int jumps)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    static volatile int count, broken;
    static double end;

    NEED(sigaction(SIGALRM, &action, NULL) == 0);
    end = seconds_now() + SECONDS;
    for (count = 0; count < jumps && !broken && (count < 10 || seconds_now() < end); count++) {
        const char *how;
        if (sigsetjmp(out, 1) == 0) {
            set_timer(some_time());
            for (;;)
                turn();
        }
        /* Sometimes another thread calls first: it may find a lock whose owner has jumped away. */
        how = count % 8 == 7 ? in_thread(what_fails) : NULL;
        if (!how)
            how = what_fails(NULL);
        if (how) {
            fprintf(stderr, "after %d jumps %s\n", count + 1, how);
            broken = 1;
        }
    }
    printf("broken: %d, wrong: %d\n", broken, wrong);
    CALL(io_destroy(ctx));
}

static void set_up(void)
{
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    NEED(pages != MAP_FAILED);
    absent = (struct io_event *)(pages + 4096 - 80);
    zero = open("/dev/zero", O_RDONLY);
    NEED(zero >= 0);
    ctx = context();
}

static void polls(void)
{
    set_up();
    jump_from(poll_empty, jump, 0, JUMPS);
}

static void takes_by_polls(void)
{
    set_up();
    jump_from(take_by_poll, jump, 0, 2 * JUMPS);
}

static void takes_by_waits(void)
{
    set_up();
    jump_from(take_by_wait, jump, 0, 2 * JUMPS);
}

static void takes_that_fault(void)
{
    set_up();
    jump_from(take_with_fault, jump, 0, JUMPS);
}

static void handlers_that_take(void)
{
    set_up();
    jump_from(take_with_fault, take_and_jump, 0, JUMPS);
}

static void on_another_stack(void)
{
    static char memory[65536];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof(memory)};

    set_up();
    NEED(sigaltstack(&stack, NULL) == 0);
    jump_from(take_with_fault, take_and_jump, SA_ONSTACK, JUMPS);
}

static void waits(void)
{
    set_up();
    jump_from(wait_for_ever, jump, 0, JUMPS / 4);
}

static atomic_int other_ends;

static void *take_beside(void *unused)
{
    struct timespec shortly = {0, 20000};
    struct io_event events[4];
    int turn;

    for (turn = 0; !atomic_load(&other_ends); turn++)
        if (account(io_getevents(ctx, turn % 64 == 0, 4, events,
                                 turn % 64 == 0 ? &shortly : AT_ONCE),
                    events) < 0)
            atomic_fetch_add(&wrong, 1);
    return unused;
}

/* Submits a request: the other thread or this one must get the event. */
static void *does_not_come(void *unused)
{
    struct timespec shortly = {0, 1000000};
    struct io_event events[8];
    double end = seconds_now() + 5;
    int number = submit(), answer = 0;

    while (answer >= 0 && atomic_load(&seen[number]) == 0 && seconds_now() < end)
        answer = account(io_getevents(ctx, 1, 8, events, &shortly), events);
    return answer >= 0 && atomic_load(&seen[number]) == 1 ? unused : "an event does not come";
}

static void beside_another_thread(void)
{
    struct sigaction action = {.sa_handler = jump};
    static volatile int count, broken;
    sigset_t alarms;
    pthread_t other;
    static double end;

    set_up();
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    NEED(sigaction(SIGALRM, &action, NULL) == 0);
    NEED(pthread_sigmask(SIG_BLOCK, &alarms, NULL) == 0);
    NEED(pthread_create(&other, NULL, take_beside, NULL) == 0);
    NEED(pthread_sigmask(SIG_UNBLOCK, &alarms, NULL) == 0);
    end = seconds_now() + SECONDS;
    for (count = 0; count < JUMPS && !broken && (count < 10 || seconds_now() < end); count++) {
        if (sigsetjmp(out, 1) == 0) {
            set_timer(some_time());
            for (;;)
                take_some();
        }
        if (does_not_come(NULL)) {
            fprintf(stderr, "after %d jumps an event does not come\n", count + 1);
            broken = 1;
        }
    }
    other_ends = 1;
    NEED(pthread_join(other, NULL) == 0);
    printf("broken: %d, wrong: %d\n", broken, wrong);
    CALL(io_destroy(ctx));
}

enum { DESTROYED = 8 };
static io_context_t left[DESTROYED];
static atomic_int not_destroyed;

static void *destroy(void *place)
{
    if (io_destroy(*(io_context_t *)place) != 0)
        atomic_fetch_add(&not_destroyed, 1);
    return NULL;
}

/* The first call after the jump is io_destroy, for half of the contexts in other threads. */
static void destroyed_at_once(void)
{
    struct sigaction action = {.sa_handler = jump};
    pthread_t threads[DESTROYED];
    static volatile int i;

    NEED(sigaction(SIGALRM, &action, NULL) == 0);
    for (i = 0; i < DESTROYED; i++) {
        set_up();
        left[i] = ctx;
        if (sigsetjmp(out, 1) == 0) {
            set_timer(some_time());
            for (;;)
                i % 4 == 0 ? poll_empty() : take_with_fault();
        }
    }
    for (i = 0; i < DESTROYED / 2; i++)
        NEED(pthread_create(&threads[i], NULL, destroy, &left[i]) == 0);
    for (; i < DESTROYED; i++)
        destroy(&left[i]);
    for (i = 0; i < DESTROYED / 2; i++)
        NEED(pthread_join(threads[i], NULL) == 0);
    printf("not destroyed: %d, wrong: %d\n", not_destroyed, wrong);
}

int main(void)
{
    static const struct {
        const char *from;
        void (*body)(void);
    } cases[] = {
        {"polls of an empty ring", polls},
        {"polls that take", takes_by_polls},
        {"waits that take", takes_by_waits},
        {"takes into pages that are absent", takes_that_fault},
        {"the same, by a handler that has taken events", handlers_that_take},
        {"the same, on an alternate stack", on_another_stack},
        {"waits in the kernel", waits},
        {"takes beside another thread", beside_another_thread},
        {"polls and takes, and then io_destroy", destroyed_at_once},
    };
    size_t i;

    start();
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        printf("- jumps out of %s\n", cases[i].from);
        in_child_for(LIMIT, "the child", cases[i].body);
    }
    return 0;
}
