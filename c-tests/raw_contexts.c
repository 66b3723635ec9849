/* runs: not inline: its raw system calls need contexts in the kernel */
/*
 * Contexts that the program creates, destroys or moves without the library: by the raw system
 * calls, and by mremap, after which the new address is the handle (aio_ring_mremap()).
 */
#include "helpers.h"

static struct io_event events[8];
static struct iocb iocb;
static char *buffer;
static int file;

static void use(io_context_t ctx)
{
    struct iocb *list[3] = {&iocb, &iocb, &iocb};

    CALL(io_getevents(ctx, 0, 1, events, AT_ONCE));
    CALL(io_getevents(ctx, -1, -1, NULL, AT_ONCE));
    CALL(io_pgetevents(ctx, 2, 1, NULL, AT_ONCE, NULL));
    CALL(io_getevents(ctx, -1, -1, NULL, milliseconds(1)));
    CALL(io_queue_run(ctx));
    CALL(io_submit(ctx, 3, list));
    CALL(io_getevents(ctx, 2, 1, events, AT_ONCE));
    CALL(io_getevents(ctx, 0, 1, NULL, AT_ONCE));
    CALL(io_getevents(ctx, 1, 1, events, AT_ONCE));
    CALL(io_getevents(ctx, 1, 1, events, NULL));
    CALL(io_pgetevents(ctx, 1, 8, events, milliseconds(10), NULL));
    CALL(io_cancel(ctx, &iocb, events));
    CALL(io_getevents(ctx, 0, 1, events, AT_ONCE));
}

/* Moves a ring, and returns its new handle. The ring's length is in its header. */
static io_context_t moved(io_context_t ctx)
{
    unsigned events_in_it = ((unsigned *)ctx)[1];
    long page = sysconf(_SC_PAGESIZE);
    size_t length = (32 + 32 * (size_t)events_in_it + page - 1) / page * page;
    void *place = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    NEED(place != MAP_FAILED);
    NEED(mremap(ctx, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
    return (io_context_t)place;
}

int main(void)
{
    io_context_t ctx = 0, first;
    struct iocb *list[1] = {&iocb};

    start();
    buffer = buffer_of(4096);
    file = file_of(4096, O_RDONLY);
    io_prep_pread(&iocb, file, buffer, 100, 0);

    puts("- created by the system call");
    NEED(syscall(SYS_io_setup, 1, &ctx) == 0);
    use(ctx);
    puts("- the same, moved");
    first = ctx;
    ctx = moved(ctx);
    use(ctx);
    CALL(io_submit(first, 1, list));
    CALL(io_destroy(first));
    CALL(io_destroy(ctx));

    puts("- created by the library, and moved");
    ctx = context();
    first = ctx;
    ctx = moved(ctx);
    use(ctx);
    CALL(io_cancel(first, &iocb, events));
    CALL(io_destroy(ctx));
    CALL(io_destroy(ctx));

    puts("- moved with events in it");
    ctx = context();
    CALL(io_submit(ctx, 1, list));
    ctx = moved(ctx);
    CALL(io_submit(ctx, 1, list));
    CALL(io_getevents(ctx, 2, 8, events, AT_ONCE));
    CALL(io_getevents(ctx, 0, 8, events, AT_ONCE));
    /* The raw system call accepts the new handle too. */
    show("io_destroy(2)", syscall(SYS_io_destroy, ctx));
    CALL(io_submit(ctx, 1, list));
    CALL(io_destroy(ctx));

    puts("- created and destroyed by the system call");
    ctx = 0;
    NEED(syscall(SYS_io_setup, 1, &ctx) == 0 && syscall(SYS_io_destroy, ctx) == 0);
    CALL(io_submit(ctx, 1, list));
    CALL(io_submit(ctx, 0, list));
    CALL(io_cancel(ctx, &iocb, events));
    CALL(io_destroy(ctx));

    puts("- created by the library, destroyed by the system call");
    ctx = context();
    NEED(syscall(SYS_io_destroy, ctx) == 0);
    CALL(io_submit(ctx, 1, list));
    CALL(io_cancel(ctx, &iocb, events));
    CALL(io_destroy(ctx));
    puts("- its address used again, by the library and by the system call");
    ctx = context();
    use(ctx);
    NEED(syscall(SYS_io_destroy, ctx) == 0);
    ctx = 0;
    NEED(syscall(SYS_io_setup, 1, &ctx) == 0);
    use(ctx);
    CALL(io_destroy(ctx));

    puts("- reaped by the system call");
    ctx = context();
    CALL(io_submit(ctx, 1, list));
    show("io_getevents(2)", syscall(SYS_io_getevents, ctx, 1L, 8L, events, NULL));
    CALL(io_getevents(ctx, 0, 8, events, AT_ONCE));
    puts("- reaped by a program that reads the ring itself");
    CALL(io_submit(ctx, 1, list));
    {
        volatile unsigned *ring = (volatile unsigned *)ctx; /* id, nr, head, tail, ... */
        printf("waiting: %u\n", (ring[3] + ring[1] - ring[2]) % ring[1]);
        ring[2] = (ring[2] + 1) % ring[1];
    }
    CALL(io_getevents(ctx, 0, 8, events, AT_ONCE));
    CALL(io_submit(ctx, 1, list));
    CALL(io_getevents(ctx, 0, 8, events, AT_ONCE));
    CALL(io_destroy(ctx));
    return 0;
}
