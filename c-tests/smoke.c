/* runs: everywhere */
/* The smallest test: a write, a read and their events. */
#include <fcntl.h>
#include <libaio.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int wait_for_one(io_context_t ctx, struct iocb *expected)
{
    struct io_event event;
    int taken = io_getevents(ctx, 1, 1, &event, NULL);
    printf("io_getevents = %d, res %ld, %s\n", taken, (long)event.res,
           event.obj == expected ? "the request" : "another request");
    return taken == 1;
}

int main(void)
{
    char path[] = "./smoke.XXXXXX";
    char out[8] = "libaio", in[8] = "";
    io_context_t ctx = 0;
    struct iocb iocb, *list[1] = {&iocb};
    int fd = mkstemp(path);

    if (fd < 0)
        return 1;
    unlink(path);
    printf("io_setup = %d\n", io_setup(8, &ctx));
    io_prep_pwrite(&iocb, fd, out, sizeof(out), 4096);
    printf("io_submit = %d\n", io_submit(ctx, 1, list));
    if (!wait_for_one(ctx, &iocb))
        return 1;
    io_prep_pread(&iocb, fd, in, sizeof(in), 4096);
    printf("io_submit = %d\n", io_submit(ctx, 1, list));
    if (!wait_for_one(ctx, &iocb))
        return 1;
    printf("read back: %s\n", in);
    printf("io_destroy = %d\n", io_destroy(ctx));
    return 0;
}
