/* runs: everywhere */
/* IO_CMD_POLL that completes at once or is refused. Polls that wait are in poll_cancel.c. */
#include "places.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

static io_context_t ctx;
static struct iocb iocb;

static void polls(const char *what, int fd, int events)
{
    io_prep_poll(&iocb, fd, events);
    ask(ctx, what, &iocb);
}

#define ODD(name, fd, change)                                                                      \
    do {                                                                                           \
        io_prep_poll(&iocb, fd, POLLIN);                                                           \
        change;                                                                                    \
        ask(ctx, name, &iocb);                                                                     \
    } while (0)

int main(void)
{
    int ends[2], closed[2], file;
    struct place place;

    start();
    ctx = context();
    file = file_of(4096, O_RDWR);
    NEED(pipe(ends) == 0 && pipe(closed) == 0 && close(closed[1]) == 0);
    polls("a file, IN", file, POLLIN);
    polls("a file, IN and OUT", file, POLLIN | POLLOUT);
    polls("a directory", open(".", O_RDONLY), POLLIN);
    polls("a bad fd", -1, POLLIN);
    polls("a pipe, OUT", ends[1], POLLOUT);
    polls("a closed pipe, nothing", closed[0], 0);
    polls("bit 16", file, 1 << 16);
    polls("EPOLLET", file, (int)(EPOLLIN | EPOLLET));
    polls("an eventfd", eventfd(1, 0), POLLIN);
    polls("/dev/zero", open("/dev/zero", O_RDONLY), POLLIN);
    polls("/proc/mounts", open("/proc/self/mounts", O_RDONLY), POLLIN);
    ODD("buf", file, iocb.u.c.nbytes = 1);
    ODD("offset", file, iocb.u.c.offset = 1);
    ODD("rw_flags", file, iocb.aio_rw_flags = 1);
    CALL(io_destroy(ctx));
    place = new_place(UNTAKEN);
    io_prep_poll(&iocb, file, POLLIN);
    ask_in(&place, "IN", &iocb);
    CALL(io_destroy(place.ctx));
    return 0;
}
