/* runs: everywhere */
/*
 * Signal handlers that interrupt polls and takes at any instruction, and take events themselves. A
 * handler must get the ready events; neither its calls nor the interrupted ones may fail with
 * -EINTR; every request completes once. Other handlers destroy the context.
 */
#include "helpers.h"
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/time.h>

enum { SIGNALS = 700, NUMBERS = 1 << 20, ROOM = 64, DEPTH = 3, DESTROYED = 10, LIMIT = 15 };

static io_context_t ctx;
static struct iocb iocbs[ROOM];
/* Every request has a number, which is the iocb's data. */
static atomic_int numbers;
static atomic_uchar seen[NUMBERS];
static atomic_int wrong, refused, missed, handled, depth;
/* Pages that are dropped before each take, so that the take faults. */
static struct io_event *absent;
static char byte;
static int zero;

/* The event is ready when this returns: /dev/zero is read at once. */
static void submit(void)
{
    int number = numbers++;
    struct iocb *iocb = &iocbs[number % ROOM], *list[1] = {iocb};

    NEED(number < NUMBERS);
    io_prep_pread(iocb, zero, &byte, 1, 0);
    iocb->data = (void *)(size_t)number;
    NEED(io_submit(ctx, 1, list) == 1);
}

static int account(int answer, const struct io_event *events)
{
    int i;

    if (answer < 0)
        atomic_fetch_add(&refused, 1);
    for (i = 0; i < answer; i++) {
        size_t number = (size_t)events[i].data;
        if (number >= NUMBERS || events[i].obj != &iocbs[number % ROOM] || events[i].res != 1 ||
            atomic_fetch_add(&seen[number], 1) != 0)
            atomic_fetch_add(&wrong, 1);
    }
    return answer;
}

/* Only this thread takes events, so a handler must get an event that it sees here. */
static int event_is_ready(void)
{
    const volatile unsigned *ring = (const volatile unsigned *)ctx;
    return ring[2] != ring[3]; /* head, tail */
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
    return 20 + (seed >> 16) % 60;
}

static void poll_in_handler(int number)
{
    struct io_event events[8];
    int ready = event_is_ready(), answer;

    (void)number;
    answer = account(io_getevents(ctx, 0, 8, events, AT_ONCE), events);
    if (ready && answer == 0)
        atomic_fetch_add(&missed, 1);
    handled++;
}

static void wait_in_handler(int number)
{
    struct timespec shortly = {0, 100000};
    struct io_event events[8];
    int ready = event_is_ready(), answer;

    (void)number;
    answer = account(io_getevents(ctx, 1, 8, events, &shortly), events);
    if (ready && answer == 0)
        atomic_fetch_add(&missed, 1);
    handled++;
}

/* Is itself interrupted by the same handler. Disarms the timer before it returns. */
static void take_in_handlers(int number)
{
    struct io_event *events = absent + 4096 / sizeof(*absent) * (size_t)++depth;
    int i;

    (void)number;
    if (depth < DEPTH)
        set_timer(3 + some_time() / 10);
    for (i = 0; i < 8; i++) {
        /* Only the innermost handler is not interrupted. */
        int ready = depth == DEPTH && event_is_ready();
        madvise(events, 4096, MADV_DONTNEED);
        if (account(io_getevents(ctx, 0, 1, events, AT_ONCE), events) == 0 && ready)
            atomic_fetch_add(&missed, 1);
    }
    set_timer(0);
    depth--;
    handled++;
}

/*
 * Arms one signal at a time, so that no signal interrupts a wait whose events a handler has just
 * taken.
 */
static void reap_under(void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    struct timespec shortly = {0, 100000};
    struct io_event events[4];
    int armed = 0, turn, lost = 0, i;
    double end;

    zero = open("/dev/zero", O_RDONLY);
    NEED(zero >= 0);
    absent = mmap(NULL, (DEPTH + 1) * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                  0);
    NEED(absent != MAP_FAILED);
    ctx = context();
    NEED(sigaction(SIGALRM, &action, NULL) == 0);
    end = seconds_now() + 5;
    for (turn = 0; (armed < SIGNALS && (armed < 10 || seconds_now() < end)) || handled < armed;
         turn++) {
        if (armed <= handled) {
            armed = handled + 1;
            set_timer(some_time());
        }
        if (turn % 16 < 8) {
            account(io_getevents(ctx, 0, 4, events, AT_ONCE), events);
            continue;
        }
        for (i = 0; i < 4; i++)
            submit();
        account(io_getevents(ctx, 0, 1, events, AT_ONCE), events);
        madvise(absent, 4096, MADV_DONTNEED);
        account(io_getevents(ctx, 0, 2, absent, AT_ONCE), absent);
        if (turn % 16 == 8)
            account(io_getevents(ctx, 1, 1, events, &shortly), events);
        else
            while (account(io_getevents(ctx, 0, 4, events, AT_ONCE), events) > 0)
                ;
    }
    while (account(io_getevents(ctx, 0, 4, events, AT_ONCE), events) > 0)
        ;
    for (i = 0; i < numbers; i++)
        lost += seen[i] == 0;
    printf("refused: %d, missed: %d, wrong or twice: %d, lost: %d\n", refused, missed, wrong, lost);
    CALL(io_destroy(ctx));
}

static void on_another_stack(void)
{
    static char memory[65536];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof(memory)};

    NEED(sigaltstack(&stack, NULL) == 0);
}

static void polls(void) { reap_under(poll_in_handler, 0); }

static void waits(void) { reap_under(wait_in_handler, SA_RESTART); }

static void polls_on_another_stack(void)
{
    on_another_stack();
    reap_under(poll_in_handler, SA_ONSTACK);
}

static void handlers_in_handlers(void) { reap_under(take_in_handlers, SA_NODEFER); }

static void handlers_in_handlers_on_another_stack(void)
{
    on_another_stack();
    reap_under(take_in_handlers, SA_NODEFER | SA_ONSTACK);
}

static sigjmp_buf out;
static volatile int answer_of_destroy;

/* It must not return: the interrupted call would read a ring that is unmapped now. */
static void destroy_and_jump(int number)
{
    (void)number;
    answer_of_destroy = io_destroy(ctx);
    siglongjmp(out, 1);
}

static void destroyed_by_handlers(void)
{
    struct sigaction action = {.sa_handler = destroy_and_jump};
    static struct io_event events[4];
    static volatile int i, failed;

    zero = open("/dev/zero", O_RDONLY);
    NEED(zero >= 0);
    absent = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(absent != MAP_FAILED);
    NEED(sigaction(SIGALRM, &action, NULL) == 0);
    for (i = 0; i < DESTROYED; i++) {
        ctx = context();
        if (sigsetjmp(out, 1) == 0) {
            set_timer(some_time());
            for (;;) {
                if (i % 3) {
                    submit();
                    madvise(absent, 4096, MADV_DONTNEED);
                }
                account(io_getevents(ctx, 0, 4, i % 3 ? absent : events, AT_ONCE),
                        i % 3 ? absent : events);
            }
        }
        failed += answer_of_destroy != 0;
    }
    printf("not destroyed: %d, refused: %d, wrong or twice: %d\n", failed, refused, wrong);
}

int main(void)
{
    static const struct {
        const char *what;
        void (*body)(void);
    } cases[] = {
        {"poll", polls},
        {"wait for one", waits},
        {"poll, on an alternate stack", polls_on_another_stack},
        {"poll, and are interrupted by the same handler", handlers_in_handlers},
        {"do so, on an alternate stack", handlers_in_handlers_on_another_stack},
        {"destroy the context", destroyed_by_handlers},
    };
    size_t i;

    start();
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        printf("- handlers that %s\n", cases[i].what);
        in_child_for(LIMIT, "the child", cases[i].body);
    }
    return 0;
}
