/* runs: everywhere */
/* More contexts than the registry has slots, all in use at once. */
#include "helpers.h"

enum { CONTEXTS = 5000 };

static io_context_t contexts[CONTEXTS];
static struct iocb iocbs[CONTEXTS];

/*
 * Rings at equal distances, as in a program in which each thread maps a stack of 8 MiB with a guard
 * page, and then creates a context.
 */
static void at_equal_distances(void)
{
    enum { COUNT = 64 };
    io_context_t own[COUNT];
    struct iocb iocb, *list[1] = {&iocb};
    struct io_event event;
    void *stacks[COUNT];
    int i, created = 0, served = 0, destroyed = 0;

    for (i = 0; i < COUNT; i++) {
        size_t length = (8 << 20) + 4096;
        own[i] = 0;
        stacks[i] = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                         0);
        NEED(stacks[i] != MAP_FAILED);
        created += io_setup(8, &own[i]) == 0;
    }
    for (i = 0; i < COUNT; i++) {
        io_prep_fsync(&iocb, file_of(1, O_RDWR));
        served += io_submit(own[i], 1, list) == 1 && io_getevents(own[i], 1, 1, &event, NULL) == 1;
    }
    for (i = 0; i < 4; i++)
        destroyed += io_destroy(own[i]) == 0;
    printf("at equal distances: %d created, %d served, %d destroyed\n", created, served, destroyed);
}

int main(void)
{
    struct io_event events[4];
    long submitted = 0, polled = 0, reaped = 0, right = 0, late = 0, i, made;
    char *buffer = buffer_of(4096);
    int file = open("/dev/zero", O_RDONLY);

    start();
    NEED(file >= 0);
    at_equal_distances();
    for (made = 0; made < CONTEXTS; made++)
        if (io_setup(1, &contexts[made]) != 0)
            break;
    if (made < CONTEXTS) {
        printf("SKIP only %ld contexts: fs.aio-max-nr leaves no room for more\n", made);
        return 77;
    }
    for (i = 0; i < CONTEXTS; i++) {
        struct iocb *list[1] = {&iocbs[i]};
        polled += io_getevents(contexts[i], 0, 1, events, AT_ONCE) == 0;
        io_prep_pread(&iocbs[i], file, buffer, (size_t)(i % 1000), 0);
        submitted += io_submit(contexts[i], 1, list) == 1;
    }
    for (i = CONTEXTS - 1; i >= 0; i--) {
        reaped += io_getevents(contexts[i], 1, 4, events, NULL) == 1;
        right += events[0].obj == &iocbs[i] && (long)events[0].res == i % 1000;
    }
    for (i = 0; i < CONTEXTS; i += 7) {
        late += io_getevents(contexts[i], 0, 4, events, AT_ONCE);
        late += io_queue_run(contexts[i]);
    }
    printf("%ld polled, %ld submitted, %ld reaped, %ld correct, %ld more\n", polled, submitted,
           reaped, right, late);
    /* Destroys some, and creates others in their place. */
    for (i = 0; i < CONTEXTS; i += 500) {
        NEED(io_destroy(contexts[i]) == 0);
        contexts[i] = 0;
    }
    for (i = 0; i < CONTEXTS; i += 500) {
        struct iocb *list[1] = {&iocbs[i]};
        CALL_AS("io_setup", io_setup(1, &contexts[i]));
        CALL_AS("io_submit", io_submit(contexts[i], 1, list));
        CALL_AS("io_getevents", io_getevents(contexts[i], 1, 4, events, NULL));
    }
    return 0; /* exit destroys all contexts at once; io_destroy of each would take minutes */
}
