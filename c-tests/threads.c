/* runs: everywhere */
/* Many threads on one context, and requests that outlive their thread, file or iocb. */
#include "helpers.h"
#include <pthread.h>

#define REQUESTS 20000
#define REAPERS 4

static io_context_t ctx;
static struct iocb iocbs[REQUESTS];
static unsigned char seen[REQUESTS];
static int taken, file;
static char *buffer;

static void *reap(void *unused)
{
    struct io_event events[8];
    int answer, i;

    (void)unused;
    while (__atomic_load_n(&taken, __ATOMIC_RELAXED) < REQUESTS) {
        answer = io_getevents(ctx, 1, 8, events, milliseconds(10));
        if (answer < 0)
            show("io_getevents", answer);
        for (i = 0; i < answer; i++) {
            if (events[i].res != 4096)
                show("res", (long)events[i].res);
            __atomic_add_fetch(&seen[events[i].obj - iocbs], 1, __ATOMIC_RELAXED);
            __atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED);
        }
    }
    return NULL;
}

static void *wait_for_ever(void *unused)
{
    struct io_event event;
    (void)unused;
    CALL(io_getevents(ctx, 1, 1, &event, NULL));
    return NULL;
}

static void *submit_and_exit(void *unused)
{
    struct iocb *list[1] = {&iocbs[0]};
    int own = file_of(4096, O_RDONLY);

    (void)unused;
    io_prep_pread(&iocbs[0], own, buffer, 4096, 0);
    iocbs[0].data = buffer;
    CALL(io_submit(ctx, 1, list));
    close(own);
    memset(&iocbs[0], 0xee, sizeof(iocbs[0]));
    return NULL;
}

/*
 * Closes the file and overwrites the iocb, which all requests share, while requests may still be in
 * flight (with O_DIRECT, where the file system has it).
 */
static void close_and_overwrite(const char *what, int all_files)
{
    struct iocb *list[1] = {&iocbs[0]};
    struct io_event events[8];
    int direct = file_in(".", 4 * 4096, O_RDONLY | O_DIRECT), i, good = 0, sum = 0;

    if (direct < 0)
        direct = file_of(4 * 4096, O_RDONLY);
    printf("- %s\n", what);
    memset(buffer, 0, 4 * 4096);
    for (i = 0; i < 4; i++) {
        io_prep_pread(&iocbs[0], direct, buffer + 4096 * i, 4096, 4096 * i);
        iocbs[0].data = buffer + i;
        CALL(io_submit(ctx, 1, list));
        memset(&iocbs[0], 0xee, sizeof(iocbs[0]));
    }
    if (all_files) /* but the standard three */
        show("close_range", syscall(SYS_close_range, 3U, ~0U, 0U));
    else
        close(direct);
    CALL(io_getevents(ctx, 4, 8, events, NULL));
    for (i = 0; i < 4; i++) {
        good += events[i].res == 4096 && events[i].obj == &iocbs[0];
        sum += 1 << ((char *)events[i].data - buffer); /* each once, in any order */
    }
    printf("good events: %d, data %d, read %c%c%c%c\n", good, sum, buffer[0], buffer[4096],
           buffer[8192], buffer[12288]);
}

int main(void)
{
    pthread_t threads[REAPERS];
    struct io_event event;
    int i, once = 0;

    start();
    file = file_of(4096, O_RDONLY);
    buffer = buffer_of(4096 * 4);
    ctx = context();
    for (i = 0; i < REAPERS; i++)
        NEED(pthread_create(&threads[i], NULL, reap, NULL) == 0);
    for (i = 0; i < REQUESTS; i++) {
        struct iocb *list[1] = {&iocbs[i]};
        io_prep_pread(&iocbs[i], file, buffer, 4096, 0);
        while (io_submit(ctx, 1, list) != 1)
            usleep(10);
    }
    for (i = 0; i < REAPERS; i++)
        NEED(pthread_join(threads[i], NULL) == 0);
    for (i = 0; i < REQUESTS; i++)
        once += seen[i] == 1;
    printf("requests completed exactly once: %d\n", once);

    puts("- destroyed while another thread waits");
    NEED(pthread_create(&threads[0], NULL, wait_for_ever, NULL) == 0);
    usleep(100000);
    i = (int)QUIETLY(io_destroy(ctx));
    NEED(pthread_join(threads[0], NULL) == 0);
    show("io_destroy", i);

    puts("- the thread, its file and its iocb are gone before the event is taken");
    ctx = context();
    NEED(pthread_create(&threads[0], NULL, submit_and_exit, NULL) == 0);
    NEED(pthread_join(threads[0], NULL) == 0);
    CALL(io_getevents(ctx, 1, 1, &event, NULL));
    printf("res %ld, %s, %s\n", (long)event.res, event.obj == &iocbs[0] ? "the request" : "another",
           event.data == buffer ? "its data" : "other data");
    close_and_overwrite("the file is closed and the iocb overwritten", 0);
    close_and_overwrite("every file is closed", 1);
    puts("- the context still works");
    file = file_of(4096, O_RDONLY);
    io_prep_pread(&iocbs[0], file, buffer, 100, 0);
    ask(ctx, "read", &iocbs[0]);
    CALL(io_destroy(ctx));
    return 0;
}
