/* runs: against .expected: the original crashes if the ring is not mapped */
/*
 * Calls in a forked child with its parent's contexts. The child has the rings mapped until the
 * parent destroys them or exits; since Linux 7.1 it does not have them at all. The original reads
 * the ring in every call that reaps, and crashes if it is not mapped. Otherwise it must print what
 * crashes_in_child.expected contains. Each child makes one call, so that a crash hides no other
 * answer.
 */
#include "helpers.h"
#include <sys/prctl.h>

static io_context_t ctx;
static struct iocb iocb;
static struct io_event events[8];
static sigset_t mask;
static int ends[2];

/* The shortest wait. It is not a poll, so the call enters the kernel. */
static struct timespec shortest = {0, 1};

/* Whether a ring is mapped there. The kernel reads its magic number, so a hole does not crash. */
static int has_ring(const void *address)
{
    unsigned header[8]; /* id, nr, head, tail, magic, ... */

    if (write(ends[1], address, sizeof(header)) != sizeof(header))
        return 0;
    NEED(read(ends[0], header, sizeof(header)) == sizeof(header));
    return header[4] == 0xa10a10a1;
}

/* Prints the result of a poll of an empty ring, which depends on whether the ring is mapped. */
static void show_poll(const char *what, long answer)
{
    if (answer == (has_ring(ctx) ? 0 : -EINVAL))
        printf("%s = 0 if its ring is mapped, otherwise -22 EINVAL\n", what);
    else
        show(what, answer);
}
#define POLL(call) show_poll(#call, QUIETLY(call))

static void poll_it(void) { POLL(io_getevents(ctx, 0, 1, events, AT_ONCE)); }
static void poll_for_one(void) { POLL(io_getevents(ctx, 1, 1, events, AT_ONCE)); }
static void poll_for_nothing(void) { POLL(io_getevents(ctx, -1, -1, NULL, AT_ONCE)); }
static void poll_without_mask(void) { POLL(io_pgetevents(ctx, 0, 1, events, AT_ONCE, NULL)); }
static void poll_with_mask(void) { POLL(io_pgetevents(ctx, 0, 1, events, AT_ONCE, &mask)); }
static void run_it(void) { POLL(io_queue_run(ctx)); }

static void refused_poll(void) { CALL(io_getevents(ctx, 0, 8, events, AT_ONCE)); }
static void refused_masked_poll(void) { CALL(io_pgetevents(ctx, 0, 8, events, AT_ONCE, &mask)); }
static void refused_run(void) { CALL(io_queue_run(ctx)); }
static void wait_shortest(void) { CALL(io_getevents(ctx, 0, 1, events, &shortest)); }
static void wait_a_moment(void) { CALL(io_getevents(ctx, 1, 1, events, milliseconds(1))); }
static void wait_for_ever(void) { CALL(io_getevents(ctx, 1, 1, events, NULL)); }
static void wait_for_none(void) { CALL(io_getevents(ctx, 0, 1, events, NULL)); }
static void wait_without_mask(void) { CALL(io_pgetevents(ctx, 1, 1, events, NULL, NULL)); }
static void wait_with_mask(void) { CALL(io_pgetevents(ctx, 1, 1, events, NULL, &mask)); }

typedef void body(void);
static body *const polls[] = {poll_it,           poll_for_one,   poll_for_nothing,
                              poll_without_mask, poll_with_mask, run_it};
static body *const refused[] = {refused_poll, refused_masked_poll, refused_run};
static body *const waits[] = {wait_shortest, wait_a_moment,     wait_for_ever,
                              wait_for_none, wait_without_mask, wait_with_mask};

#define EACH(bodies, run)                                                                          \
    do {                                                                                           \
        size_t i_;                                                                                 \
        for (i_ = 0; i_ < sizeof(bodies) / sizeof((bodies)[0]); i_++)                              \
            run((bodies)[i_]);                                                                     \
    } while (0)

static void in_a_child(body *last) { in_child("child", last); }

static body *now;

static void fork_again(void) { in_child("child's child", now); }

static void in_its_child(body *last)
{
    now = last;
    in_child("child", fork_again);
}

static void destroy_first(void)
{
    CALL(io_destroy(ctx));
    CALL(io_submit(ctx, 0, NULL));
    now();
}

static void after_its_destroy(body *last)
{
    now = last;
    in_child("child", destroy_first);
}

/* Nothing else may be mapped at the address of the parent's ring, or the handle would be valid. */
static void make_own_first(void)
{
    io_context_t own = 0;

    mmap(ctx, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    NEED(io_setup(8, &own) == 0 && own != ctx);
    NEED(io_getevents(own, 0, 1, events, AT_ONCE) == 0);
    now();
}

static void beside_its_own(body *last)
{
    now = last;
    in_child("child", make_own_first);
}

/* The kernel unmaps a ring a moment after it has destroyed the context. */
static void wait_until_it_is_gone(void)
{
    int tries;

    for (tries = 0; has_ring(ctx); tries++) {
        NEED(tries < 20000);
        usleep(1000);
    }
}

static void ended(pid_t child)
{
    int status;

    NEED(waitpid(child, &status, 0) > 0);
    if (WIFSIGNALED(status))
        printf("child: killed by signal %d\n", WTERMSIG(status));
    else if (status != 0)
        printf("child: exit status %d\n", WEXITSTATUS(status));
}

static void after_the_parents_destroy(body *last)
{
    int told[2];
    pid_t child;
    char byte;

    ctx = context();
    NEED(pipe(told) == 0);
    fflush(stdout);
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        alarm(30);
        close(told[1]);
        NEED(read(told[0], &byte, 1) == 0);
        wait_until_it_is_gone();
        last();
        _exit(0);
    }
    NEED(io_destroy(ctx) == 0);
    close(told[0]);
    close(told[1]);
    ended(child);
}

/* The child's parent exits first, as when a daemon starts. */
static void after_the_parents_exit(body *last)
{
    pid_t first, second, self = getpid();

    fflush(stdout);
    first = fork();
    NEED(first >= 0);
    if (first == 0) {
        ctx = context();
        second = fork();
        NEED(second >= 0);
        if (second > 0)
            _exit(0);
        alarm(30);
        while (getppid() != self)
            usleep(1000);
        wait_until_it_is_gone();
        last();
        _exit(0);
    }
    ended(first);
    ended(-1);
}

static void ask_for_rings_that_are_gone(void)
{
    puts("- a context that the parent has destroyed");
    EACH(refused, after_the_parents_destroy);
    EACH(waits, after_the_parents_destroy);
    puts("- a context whose parent has exited");
    EACH(refused, after_the_parents_exit);
    EACH(waits, after_the_parents_exit);
}

int main(void)
{
    struct iocb *list[1] = {&iocb};

    start();
    sigemptyset(&mask);
    NEED(pipe(ends) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    io_prep_pread(&iocb, file_of(4096, O_RDONLY), buffer_of(4096), 100, 0);

    ctx = context();
    puts("- an empty context");
    EACH(polls, in_a_child);
    EACH(waits, in_a_child);
    puts("- in a child's child");
    EACH(polls, in_its_child);
    puts("- after an io_destroy in the child");
    EACH(polls, after_its_destroy);
    puts("- with a context of the child's");
    EACH(polls, beside_its_own);
    puts("- the parent's context still works");
    CALL(io_getevents(ctx, 0, 1, events, AT_ONCE));

    puts("- a context with an event in its ring");
    CALL(io_submit(ctx, 1, list));
    EACH(refused, in_a_child);
    EACH(waits, in_a_child);
    puts("- in a child's child");
    EACH(refused, in_its_child);
    EACH(waits, in_its_child);
    puts("- after an io_destroy in the child");
    EACH(refused, after_its_destroy);
    EACH(waits, after_its_destroy);
    puts("- with a context of the child's");
    EACH(refused, beside_its_own);
    EACH(waits, beside_its_own);
    puts("- the parent's context still works");
    CALL(io_getevents(ctx, 1, 8, events, NULL));
    CALL(io_getevents(ctx, 0, 8, events, AT_ONCE));
    CALL(io_destroy(ctx));

    ask_for_rings_that_are_gone();
    return 0;
}
