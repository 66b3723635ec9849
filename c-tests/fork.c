/*
 * After fork the child has the rings mapped, but none of the contexts: the kernel keeps them by
 * address space. A child that shares the parent's memory has them.
 */
#include "helpers.h"
#include <sched.h>

static io_context_t empty, filled;
static struct iocb iocb, three[3];
static struct io_event events[8];
static char *buffer;
static int file;

/* The shortest wait there is: too long to be answered from the ring alone. */
static struct timespec shortest = {0, 1};

static void destroy_first(void)
{
    CALL(io_destroy(empty));
    CALL(io_getevents(empty, 0, 1, events, AT_ONCE));
    CALL(io_destroy(filled));
    CALL(io_getevents(filled, 0, 8, events, AT_ONCE));
}

static void ask_everything(void)
{
    struct iocb *list[1] = {&iocb};
    io_context_t own = 0;

    puts("- an empty context");
    CALL(io_getevents(empty, 0, 1, events, AT_ONCE));
    CALL(io_getevents(empty, -1, -1, NULL, AT_ONCE));
    CALL(io_pgetevents(empty, 0, 1, events, AT_ONCE, NULL));
    CALL(io_getevents(empty, 0, 1, events, &shortest));
    CALL(io_getevents(empty, 0, 1, events, milliseconds(1)));
    CALL(io_getevents(empty, 1, 1, events, NULL));
    CALL(io_queue_run(empty));
    CALL(io_submit(empty, 1, list));
    CALL(io_submit(empty, 0, list));
    CALL(io_cancel(empty, &iocb, events));
    CALL(io_destroy(empty));
    CALL(io_getevents(empty, 0, 1, events, AT_ONCE));
    CALL(io_destroy(empty));
    puts("- one with events in its ring");
    CALL(io_getevents(filled, 0, 8, events, AT_ONCE));
    CALL(io_getevents(filled, 1, 8, events, NULL));
    CALL(io_getevents(filled, 1, 8, events, milliseconds(1)));
    CALL(io_pgetevents(filled, 1, 8, events, NULL, NULL));
    CALL(io_queue_run(filled));
    CALL(io_getevents(filled, 0, 8, events, &shortest));
    CALL(io_submit(filled, 1, list));
    CALL(io_cancel(filled, &iocb, events));
    puts("- one of its own");
    CALL(io_setup(8, &own));
    CALL(io_submit(own, 1, list));
    CALL(io_getevents(own, 1, 8, events, NULL));
    CALL(io_getevents(own, 1, 8, events, AT_ONCE));
    CALL(io_destroy(own));
}

static void grandchild(void)
{
    in_child("child of the child", ask_everything);
}

static int with_shared_memory(void *unused)
{
    struct iocb *list[1] = {&iocb};

    (void)unused;
    CALL(io_submit(filled, 1, list));
    CALL(io_getevents(filled, 1, 1, events, NULL));
    CALL(io_getevents(empty, 0, 1, events, AT_ONCE));
    return 0;
}

int main(void)
{
    struct iocb *list[3] = {&iocb, &iocb, &iocb};
    static char stack[65536] __attribute__((aligned(16)));
    pid_t child;
    int status, i;

    start();
    empty = context();
    filled = context();
    buffer = buffer_of(4096);
    file = file_of(4096, O_RDONLY);
    io_prep_pread(&iocb, file, buffer, 100, 0);
    for (i = 0; i < 3; i++) {
        io_prep_pread(&three[i], file, buffer, 100 + i, 0);
        list[i] = &three[i];
    }
    CALL(io_submit(filled, 3, list));

    in_child("child that destroys first", destroy_first);
    in_child("child", ask_everything);
    in_child("child", grandchild);

    puts("- the parent");
    CALL(io_getevents(empty, 0, 1, events, AT_ONCE));
    CALL(io_getevents(filled, 3, 8, events, NULL));
    for (i = 0; i < 3; i++)
        printf("request %d, res %ld\n", (int)(events[i].obj - three), (long)events[i].res);
    CALL(io_submit(filled, 3, list));

    puts("- a child that shares the memory");
    fflush(stdout);
    child = clone(with_shared_memory, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    NEED(child > 0 && waitpid(child, &status, 0) == child);
    printf("status %d\n", status);
    CALL(io_getevents(filled, 3, 8, events, NULL));
    CALL(io_destroy(filled));
    CALL(io_destroy(empty));
    return 0;
}
