/* runs: everywhere */
/* Two errors in one call: the one that is returned shows which is checked first. */
#include "helpers.h"
#include <limits.h>
#include <sys/eventfd.h>

static io_context_t ctx;
static struct iocb iocb;
static char *buffer;

/* fs/aio.c clears the key after it has checked the file and the eventfd, before the opcode. */
#define TWO_ERRORS(name, fd, change)                                                               \
    do {                                                                                           \
        io_prep_pread(&iocb, fd, buffer, 512, 0);                                                  \
        iocb.key = 5;                                                                              \
        change;                                                                                    \
        ask(ctx, name, &iocb);                                                                     \
        printf("  the key is %s\n", iocb.key == 0 ? "cleared" : "as it was");                      \
    } while (0)

static void errors_in_a_request(int file, int write_only)
{
    struct iovec vec = {buffer, 512};
    int ends[2];

    NEED(pipe(ends) == 0);
    puts("- in a request");
    TWO_ERRORS("reserved field, bad fd", -1, iocb.u.c.__pad3 = 1);
    TWO_ERRORS("length, bad fd", -1, iocb.u.c.nbytes = ~0UL);
    TWO_ERRORS("bad fd, bad resfd", -1, io_set_eventfd(&iocb, -1));
    TWO_ERRORS("bad fd, resfd is a file", -1, io_set_eventfd(&iocb, file));
    TWO_ERRORS("resfd is a file, unknown opcode", file,
               (io_set_eventfd(&iocb, file), iocb.aio_lio_opcode = 99));
    TWO_ERRORS("bad resfd, unknown opcode", file,
               (io_set_eventfd(&iocb, -1), iocb.aio_lio_opcode = 99));
    TWO_ERRORS("unknown opcode, unknown flag", file,
               (iocb.aio_lio_opcode = 99, iocb.aio_rw_flags = 1 << 30));
    TWO_ERRORS("bad priority, unknown flag", file,
               (iocb.u.c.flags = 2, iocb.aio_reqprio = -1, iocb.aio_rw_flags = 1 << 30));
    TWO_ERRORS("bad priority, unknown opcode", file,
               (iocb.u.c.flags = 2, iocb.aio_reqprio = -1, iocb.aio_lio_opcode = 99));
    TWO_ERRORS("opened for writing, unknown flag", write_only, iocb.aio_rw_flags = 1 << 30);
    TWO_ERRORS("opened for writing, bad priority", write_only,
               (iocb.u.c.flags = 2, iocb.aio_reqprio = -1));
    TWO_ERRORS("opened for writing, offset -1", write_only, iocb.u.c.offset = -1);
    TWO_ERRORS("opened for writing, buffer in the kernel", write_only,
               iocb.u.c.buf = (void *)-4096L);
    TWO_ERRORS("offset -1, buffer in the kernel", file,
               (iocb.u.c.offset = -1, iocb.u.c.buf = (void *)-4096L));
    TWO_ERRORS("offset -1, unknown flag", file,
               (iocb.u.c.offset = -1, iocb.aio_rw_flags = 1 << 30));
    TWO_ERRORS("vector at 8, 1025 parts", file,
               (io_prep_preadv(&iocb, file, (struct iovec *)8, 1025, 0), iocb.key = 5));
    TWO_ERRORS("vector at 8, offset -1", file,
               (io_prep_preadv(&iocb, file, (struct iovec *)8, 1, -1), iocb.key = 5));
    TWO_ERRORS("vector of 1025, opened for writing", write_only,
               (io_prep_preadv(&iocb, write_only, &vec, 1025, 0), iocb.key = 5));
    TWO_ERRORS("poll of a bad fd, buf", -1, (io_prep_poll(&iocb, -1, 1 << 16), iocb.key = 5));
    TWO_ERRORS("poll, unknown bits and an offset", file,
               (io_prep_poll(&iocb, file, 1 << 16), iocb.u.c.offset = 1, iocb.key = 5));
    TWO_ERRORS("fsync of a pipe, offset", ends[0],
               (io_prep_fsync(&iocb, ends[0]), iocb.u.c.offset = 1, iocb.key = 5));
    TWO_ERRORS("fsync of a bad fd, offset", -1,
               (io_prep_fsync(&iocb, -1), iocb.u.c.offset = 1, iocb.key = 5));
    close(ends[0]);
    close(ends[1]);
}

static void errors_in_a_call(void)
{
    struct iocb *list[1] = {&iocb}, *wild[1] = {(struct iocb *)no_access()};
    struct iocb **nowhere = (struct iocb **)no_access();
    struct timespec *no_time = (struct timespec *)no_access();
    sigset_t *no_mask = (sigset_t *)no_access();
    /* The original reads through this one and finds no ring: it is not the start of a page. */
    io_context_t zeros = (io_context_t)(buffer_of(4096) + 8), set = (io_context_t)8, clear = 0;
    struct io_event event, *no_event = (struct io_event *)no_access();

    puts("- in a call");
    CALL(io_submit(NULL, -1, NULL));
    CALL(io_submit(NULL, 1, NULL));
    CALL(io_submit(NULL, 1, wild));
    CALL(io_submit(zeros, 1, nowhere));
    CALL(io_submit(ctx, LONG_MIN, nowhere));
    CALL(io_submit(ctx, LONG_MAX, nowhere));
    CALL(io_setup(0, &set));
    CALL(io_setup(-1, &set));
    CALL(io_setup(-1, NULL));
    CALL(io_setup(0, (io_context_t *)no_access()));
    CALL(io_setup(-1, &clear));
    CALL(io_setup(INT_MAX, &set));
    CALL(io_setup(INT_MAX, NULL));
    /* The kernel copies the timeout and the mask before it looks up the context. */
    CALL(io_getevents(NULL, 1, 1, &event, no_time));
    CALL(io_getevents(zeros, 1, 1, &event, no_time));
    CALL(io_getevents(zeros, -1, -1, no_event, no_time));
    CALL(io_pgetevents(NULL, 1, 1, &event, no_time, NULL));
    CALL(io_pgetevents(zeros, 1, 1, &event, milliseconds(1), no_mask));
    CALL(io_pgetevents(NULL, 1, 1, &event, NULL, no_mask));
    CALL(io_pgetevents(ctx, 2, 1, no_event, NULL, no_mask));
    CALL(io_getevents(ctx, 2, 1, no_event, NULL));
    /* io_cancel reads the key before it looks up the context, and never writes the event. */
    CALL(io_cancel(NULL, wild[0], NULL));
    CALL(io_cancel(zeros, wild[0], no_event));
    CALL(io_cancel(NULL, list[0], no_event));
    CALL(io_cancel(NULL, NULL, NULL));
}

int main(void)
{
    int file, write_only;

    start();
    ctx = context();
    buffer = buffer_of(4096);
    file = file_of(4096, O_RDWR);
    write_only = file_of(4096, O_WRONLY);
    errors_in_a_request(file, write_only);
    errors_in_a_call();
    CALL(io_destroy(ctx));
    return 0;
}
