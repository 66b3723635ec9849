/* runs: everywhere */
/*
 * io_set_eventfd: each completion adds exactly 1 to the counter, and not before its event can be
 * taken. Programs that wait in epoll rely on both.
 */
#include "helpers.h"
#include <poll.h>
#include <sys/eventfd.h>

static void count(io_context_t ctx, int file, char *buffer, int requests)
{
    static struct iocb iocbs[100];
    struct iocb *list[100];
    struct io_event events[100];
    int counter = eventfd(0, EFD_NONBLOCK), i;
    uint64_t value = 0;

    for (i = 0; i < requests; i++) {
        io_prep_pread(&iocbs[i], file, buffer, 512, 0);
        io_set_eventfd(&iocbs[i], counter);
        list[i] = &iocbs[i];
    }
    CALL(io_submit(ctx, requests, list));
    CALL(io_getevents(ctx, requests, 100, events, NULL));
    NEED(read(counter, &value, sizeof(value)) == sizeof(value));
    printf("the counter says %d\n", (int)value);
    printf("and then %s\n", read(counter, &value, sizeof(value)) < 0 ? "nothing" : "more");
    close(counter);
}

int main(void)
{
    struct iocb iocb, *list[1] = {&iocb};
    struct io_event event;
    io_context_t ctx;
    char *buffer = buffer_of(4096);
    int file, direct, i, early = 0;
    struct pollfd wait = {eventfd(0, EFD_NONBLOCK), POLLIN, 0};
    uint64_t value;

    start();
    ctx = 0;
    NEED(io_setup(100, &ctx) == 0);
    file = file_of(4096, O_RDONLY);
    count(ctx, file, buffer, 1);
    count(ctx, file, buffer, 10);
    count(ctx, file, buffer, 100);

    puts("- when the counter can be read, the event can be taken");
    direct = file_in(".", 4096, O_RDONLY | O_DIRECT);
    for (i = 0; i < 200; i++) {
        io_prep_pread(&iocb, direct >= 0 ? direct : file, buffer, 4096, 0);
        io_set_eventfd(&iocb, wait.fd);
        NEED(io_submit(ctx, 1, list) == 1);
        NEED(poll(&wait, 1, 5000) == 1 && read(wait.fd, &value, 8) == 8);
        early += io_getevents(ctx, 1, 1, &event, AT_ONCE) != 1;
    }
    printf("came too early: %d\n", early);

    puts("- a refused request signals nothing");
    iocb.aio_lio_opcode = 99;
    CALL(io_submit(ctx, 1, list));
    printf("readable: %d\n", poll(&wait, 1, 0));
    CALL(io_destroy(ctx));
    return 0;
}
