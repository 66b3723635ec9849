/* runs: not inline: no context is the kernel's */
/*
 * The kernel charges the requested count to fs.aio-max-nr, but several counts have the same ring.
 * If the library requests a smaller count than the program, the ring must have the same size, and
 * the system calls must work on it.
 */
#include "helpers.h"

static long slots(long asked)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF), page = sysconf(_SC_PAGESIZE);
    long most = asked > 4 * cpus ? asked : 4 * cpus;
    long bytes = (32 + 32 * (2 * most + 2) + page - 1) / page * page;

    return (bytes - 32) / 32;
}

static long in_use(void)
{
    FILE *file = fopen("/proc/sys/fs/aio-nr", "re");
    long number = -1;

    NEED(file && fscanf(file, "%ld", &number) == 1);
    fclose(file);
    return number;
}

/* Meaningless if other programs create contexts at the same time. */
static void show_count(int asked)
{
    io_context_t ctx = 0;
    long counted = -in_use();

    if (!getenv("NOTHING_ELSE_RUNS"))
        return;
    NEED(io_setup(asked, &ctx) == 0);
    counted += in_use();
    NEED(io_destroy(ctx) == 0);
    printf("counted: %s\n", counted == asked ? "as asked" : counted < asked ? "fewer" : "more");
    fprintf(stderr, "asked %d, counted %ld, %ld slots\n", asked, counted, slots(asked));
}

/* The system call reaps what the library submitted, and the library what the call submitted. */
static void by_system_calls(io_context_t ctx)
{
    static char byte;
    struct iocb iocb, *list[1] = {&iocb};
    struct io_event event;
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

    io_prep_pread(&iocb, zero, &byte, 1, 0);
    CALL(io_submit(ctx, 1, list));
    show("  io_getevents(2)", syscall(SYS_io_getevents, ctx, 1L, 1L, &event, NULL));
    show("  io_submit(2)", syscall(SYS_io_submit, ctx, 1L, list));
    CALL(io_getevents(ctx, 1, 1, &event, NULL));
    close(zero);
}

static void context_for(const char *name, int asked)
{
    io_context_t ctx = 0;
    const unsigned *header;

    printf("- %s\n", name);
    NEED(io_setup(asked, &ctx) == 0);
    header = (const unsigned *)ctx;
    printf("slots: %s, magic number: %s\n",
           header[1] == (unsigned)slots(asked) ? "as many as computed" : "another number",
           header[4] == 0xa10a10a1 ? "right" : "wrong");
    by_system_calls(ctx);
    CALL(io_destroy(ctx));
    show_count(asked);
}

int main(void)
{
    int most = 1;

    start();
    while (slots(most + 1) == slots(1))
        most++;
    context_for("one", 1);
    context_for("two", 2);
    context_for("the most that have the ring of one", most);
    context_for("1024", 1024);
    return 0;
}
