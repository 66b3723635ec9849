/* runs: everywhere */
/*
 * After fork(2) the child has none of its parent's contexts, since a context belongs to an address
 * space. It can create its own. A child that shares its parent's memory has its parent's contexts.
 * crashes_in_child.c tests what a child gets when it reaps from a context of its parent: the
 * original may die there.
 */
#include "helpers.h"
#include <sched.h>

static io_context_t empty, filled;
static struct iocb iocb, three[3];
static struct io_event events[8];
static struct iocb *list[1] = {&iocb};
static char *buffer;
static int file;

/* The shortest wait: a call with it enters the kernel even if the ring is empty. */
static struct timespec shortest = {0, 1};

static void use_parents_contexts(void)
{
    CALL(io_submit(empty, 1, list));
    CALL(io_submit(empty, 0, list));
    CALL(io_cancel(empty, &iocb, events));
    CALL(io_destroy(empty));
    CALL(io_destroy(empty));
    CALL(io_submit(empty, 1, list));
    CALL(io_submit(filled, 1, list));
    CALL(io_cancel(filled, three, events));
    CALL(io_destroy(filled));
    CALL(io_submit(filled, 0, list));
}

static void called_back(io_context_t ctx, struct iocb *from, long res, long res2)
{
    (void)ctx;
    printf("called back: %s, res %ld, res2 %ld\n", from == &iocb ? "the request" : "another", res,
           res2);
}

static void use_own_context(void)
{
    io_context_t own = 0;
    sigset_t mask;
    int i;

    sigemptyset(&mask);
    CALL(io_setup(8, &own));
    CALL(io_getevents(own, 0, 1, events, AT_ONCE));
    CALL(io_getevents(own, -1, -1, NULL, AT_ONCE));
    CALL(io_pgetevents(own, 0, 1, events, AT_ONCE, &mask));
    CALL(io_queue_run(own));
    CALL(io_getevents(own, 1, 1, events, &shortest));
    CALL(io_getevents(own, 1, 1, events, milliseconds(1)));
    io_set_callback(&iocb, called_back);
    for (i = 0; i < 4; i++)
        CALL(io_submit(own, 1, list));
    CALL(io_getevents(own, 1, 1, events, AT_ONCE));
    CALL(io_getevents(own, 1, 1, events, NULL));
    CALL(io_pgetevents(own, 1, 1, events, milliseconds(1), &mask));
    printf("res %ld, %s\n", (long)events[0].res,
           events[0].obj == &iocb ? "the request" : "another");
    CALL(io_queue_run(own));
    CALL(io_getevents(own, 0, 1, events, NULL));
    CALL(io_destroy(own));
    CALL(io_submit(own, 1, list));
    CALL(io_destroy(own));
}

/* Three at once: more than one ring may be mapped where a ring of the parent was. */
static void create_three_contexts(void)
{
    io_context_t own[3] = {0, 0, 0};
    int i;

    for (i = 0; i < 3; i++)
        CALL(io_setup(8, &own[i]));
    for (i = 0; i < 3; i++) {
        CALL(io_submit(own[i], 1, list));
        CALL(io_getevents(own[i], 1, 8, events, NULL));
        CALL(io_getevents(own[i], 0, 8, events, AT_ONCE));
    }
    for (i = 0; i < 3; i++)
        CALL(io_destroy(own[i]));
}

/* A context that the child created: the grandchild does not have it either. */
static io_context_t childs_context;

static void use_childs_context(void)
{
    CALL(io_submit(childs_context, 1, list));
    CALL(io_destroy(childs_context));
    use_own_context();
}

static void fork_again(void)
{
    in_child("grandchild", use_parents_contexts);
    in_child("grandchild", use_own_context);
    childs_context = context();
    in_child("grandchild", use_childs_context);
    CALL(io_submit(childs_context, 1, list));
    CALL(io_getevents(childs_context, 1, 8, events, NULL));
    CALL(io_destroy(childs_context));
}

static int with_shared_memory(void *unused)
{
    (void)unused;
    CALL(io_submit(filled, 1, list));
    CALL(io_getevents(filled, 1, 1, events, AT_ONCE));
    CALL(io_getevents(filled, 1, 1, events, NULL));
    CALL(io_getevents(empty, 0, 1, events, AT_ONCE));
    CALL(io_getevents(empty, 1, 1, events, &shortest));
    CALL(io_queue_run(empty));
    return 0;
}

int main(void)
{
    struct iocb *all[3] = {&three[0], &three[1], &three[2]};
    static char stack[65536] __attribute__((aligned(16)));
    static long answers[3];
    pid_t child;
    int status, i;

    start();
    empty = context();
    filled = context();
    buffer = buffer_of(4096);
    file = file_of(4096, O_RDONLY);
    io_prep_pread(&iocb, file, buffer, 100, 0);
    for (i = 0; i < 3; i++)
        io_prep_pread(&three[i], file, buffer, 100 + i, 0);
    CALL(io_submit(filled, 3, all));

    puts("- the parent's contexts in a child");
    in_child("child", use_parents_contexts);
    puts("- the child's own");
    in_child("child", use_own_context);
    in_child("child", create_three_contexts);
    puts("- a grandchild");
    in_child("child", fork_again);

    puts("- the parent");
    CALL(io_getevents(empty, 0, 1, events, AT_ONCE));
    CALL(io_getevents(filled, 3, 8, events, NULL));
    for (i = 0; i < 3; i++)
        printf("request %d, res %ld\n", (int)(events[i].obj - three), (long)events[i].res);
    CALL(io_submit(filled, 3, all));

    puts("- a child that shares the memory");
    fflush(stdout);
    child = clone(with_shared_memory, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD,
                  NULL);
    NEED(child > 0 && waitpid(child, &status, 0) == child);
    printf("status %d\n", status);
    puts("- a child of vfork");
    child = vfork();
    if (child == 0) {
        answers[0] = io_getevents(filled, 1, 1, events, AT_ONCE);
        answers[1] = io_getevents(empty, 0, 1, events, AT_ONCE);
        answers[2] = io_getevents(empty, 1, 1, events, &shortest);
        _exit(0);
    }
    NEED(child > 0 && waitpid(child, &status, 0) == child);
    printf("%ld, %ld, %ld, status %d\n", answers[0], answers[1], answers[2], status);
    CALL(io_getevents(filled, 1, 8, events, NULL));
    CALL(io_destroy(filled));
    CALL(io_destroy(empty));
    return 0;
}
