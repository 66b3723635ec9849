/* runs: not inline: it refuses every poll, see poll.inline.differences */
/* Polls that wait, and io_cancel, which can cancel nothing else. */
#include "helpers.h"
#include <poll.h>
#include <sys/epoll.h>

static io_context_t ctx;
static struct iocb iocb;

int main(void)
{
    struct io_event event, untouched;
    struct iocb copy, reading, *list[1] = {&iocb};
    io_context_t other;
    char *buffer = buffer_of(4096);
    int ends[2], file;

    start();
    ctx = context();
    other = context();
    file = file_of(4096, O_RDWR);
    NEED(pipe(ends) == 0);

    puts("- polls that complete later");
    io_prep_poll(&iocb, ends[0], POLLIN);
    CALL(io_submit(ctx, 1, list));
    CALL(io_getevents(ctx, 1, 1, &event, milliseconds(20)));
    io_prep_poll(&copy, epoll_create1(0), POLLIN);
    list[0] = &copy;
    CALL_AS("poll of an epoll fd", io_submit(ctx, 1, list));
    list[0] = &iocb;
    CALL(io_getevents(ctx, 1, 1, &event, milliseconds(20)));
    NEED(write(ends[1], "x", 1) == 1);
    CALL(io_getevents(ctx, 1, 1, &event, milliseconds(2000)));
    show("res", (long)event.res);
    NEED(read(ends[0], buffer, 1) == 1);

    puts("- polls that are cancelled");
    io_prep_poll(&iocb, ends[0], POLLIN);
    CALL(io_submit(ctx, 1, list));
    memset(&event, 0x5a, sizeof(event));
    untouched = event;
    copy = iocb;
    CALL(io_cancel(ctx, &copy, &event));
    CALL(io_cancel(other, &iocb, &event));
    CALL(io_cancel(NULL, &iocb, &event));
    CALL(io_cancel(ctx, NULL, &event));
    CALL_AS("io_cancel(ctx, no access, ..)", io_cancel(ctx, (struct iocb *)no_access(), &event));
    iocb.key = 1;
    CALL(io_cancel(ctx, &iocb, &event));
    iocb.key = 0;
    CALL(io_cancel(ctx, &iocb, &event));
    printf("the result is %s\n",
           memcmp(&event, &untouched, sizeof(event)) ? "written" : "untouched");
    CALL(io_getevents(ctx, 1, 1, &event, milliseconds(2000)));
    printf("res %ld res2 %ld, %s\n", (long)event.res, (long)event.res2,
           event.obj == &iocb ? "the request" : "another");
    CALL(io_cancel(ctx, &iocb, &event));
    CALL(io_submit(ctx, 1, list));
    CALL(io_cancel(ctx, &iocb, NULL));
    CALL(io_getevents(ctx, 1, 1, &event, milliseconds(2000)));

    puts("- polls that cannot be cancelled");
    io_prep_pread(&reading, file, buffer, 4096, 0);
    list[0] = &reading;
    CALL(io_submit(ctx, 1, list));
    CALL(io_cancel(ctx, &reading, &event));
    CALL(io_getevents(ctx, 1, 1, &event, NULL));
    CALL(io_cancel(ctx, &reading, &event));

    puts("- destroyed while a poll waits");
    list[0] = &iocb;
    CALL(io_submit(ctx, 1, list));
    CALL(io_destroy(ctx));
    CALL(io_cancel(ctx, &iocb, &event));
    CALL(io_destroy(other));
    return 0;
}
