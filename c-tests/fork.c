/* runs: everywhere */
/*
 * After fork the child has none of the contexts: the kernel keeps them by address space. It makes
 * its own. A child that shares the parent's memory has the parent's. What a child is told when it
 * reaps its parent's contexts is in crashes_in_child.c: the original may die of it.
 */
#include "helpers.h"
#include <sched.h>

static io_context_t empty, filled;
static struct iocb iocb, three[3];
static struct io_event events[8];
static struct iocb *list[1] = {&iocb};
static char *buffer;
static int file;

/* The shortest wait there is: too long to be answered from the ring alone. */
static struct timespec shortest = {0, 1};

static void ask_for_the_parents(void)
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

static void reap_its_own(void)
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

/* Three at once: more than one of them may lie where a ring of the parent's was. */
static void make_many(void)
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

/* Has nothing of its parent's own context either. */
static io_context_t childs;

static void submit_to_the_childs(void)
{
    CALL(io_submit(childs, 1, list));
    CALL(io_destroy(childs));
    reap_its_own();
}

static void fork_again(void)
{
    in_child("child's child", ask_for_the_parents);
    in_child("child's child", reap_its_own);
    childs = context();
    in_child("child's child", submit_to_the_childs);
    CALL(io_submit(childs, 1, list));
    CALL(io_getevents(childs, 1, 8, events, NULL));
    CALL(io_destroy(childs));
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
    in_child("child", ask_for_the_parents);
    puts("- the child's own");
    in_child("child", reap_its_own);
    in_child("child", make_many);
    puts("- a child's child");
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
