/* runs: everywhere */
/*
 * Pipes, sockets and other special files: which requests complete, which are refused, and which
 * block in io_submit, since kernel AIO is asynchronous only for files that support it.
 */
#include "helpers.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static io_context_t ctx;
static char *buffer;
static struct iocb iocb;

static void reads(const char *what, int fd, size_t size, long long offset, unsigned flags)
{
    io_prep_pread(&iocb, fd, buffer, size, offset);
    iocb.aio_rw_flags = flags;
    ask(ctx, what, &iocb);
}

static void writes(const char *what, int fd)
{
    io_prep_pwrite(&iocb, fd, buffer, 100, 0);
    ask(ctx, what, &iocb);
}

static void syncs(const char *what, int fd)
{
    io_prep_fsync(&iocb, fd);
    ask(ctx, what, &iocb);
}

/* Requests for a regular file in the same call do not make another file's request succeed. */
static void after_usual_ones(const char *what, int usual, int fd, int is_write)
{
    static struct iocb iocbs[4];
    struct iocb *list[4];
    struct io_event events[4];
    int i, count;

    for (i = 0; i < 4; i++) {
        list[i] = &iocbs[i];
        if (is_write)
            io_prep_pwrite(list[i], i == 2 ? fd : usual, buffer, 8, 0);
        else
            io_prep_pread(list[i], i == 2 ? fd : usual, buffer, 8, 0);
    }
    printf("%s after two others\n", what);
    CALL(io_submit(ctx, 4, list));
    count = io_getevents(ctx, 0, 4, events, NULL);
    for (i = 0; i < count; i++)
        printf("  event %ld\n", (long)events[i].res);
    CALL(io_submit(ctx, 2, list + 2));
}

/* A request that blocks: a child submits it, and the parent unblocks it. */
static volatile int *returned;
static int blocking_fd, blocking_write, other_end;

static void submit_and_block(void)
{
    ctx = context();
    if (blocking_write)
        io_prep_pwrite(&iocb, blocking_fd, buffer, 4096, 0);
    else
        io_prep_pread(&iocb, blocking_fd, buffer, 8, 0);
    ask(ctx, "then", &iocb);
    *returned = 1;
}

static void blocks(const char *what, int fd, int is_write, void (*unblock)(void))
{
    pid_t child;

    blocking_fd = fd;
    blocking_write = is_write;
    *returned = 0;
    fflush(stdout);
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        submit_and_block();
        fflush(stdout);
        _exit(0);
    }
    usleep(100000);
    printf("%s: %s\n", what, *returned ? "did not block" : "blocks");
    fflush(stdout);
    unblock();
    NEED(waitpid(child, NULL, 0) == child);
}

static void write_other_end(void) { NEED(write(other_end, "12345678", 8) == 8); }
static void empty_other_end(void)
{
    while (read(other_end, buffer, 65536) == 65536)
        ;
}

int main(void)
{
    int ends[2], sockets[2], fd, closed[2];
    sigset_t none;

    start();
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    ctx = context();
    buffer = buffer_of(65536);
    returned = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NEED(returned != MAP_FAILED);

    puts("- pipes and sockets");
    NEED(pipe(ends) == 0 && write(ends[1], "abcdef", 6) == 6);
    reads("pipe with data, offset -1", ends[0], 3, -1, 0);
    reads("pipe with data, offset 5", ends[0], 3, 5, 0);
    reads("pipe with data", ends[0], 100, 0, 0);
    reads("empty pipe, NOWAIT", ends[0], 100, 0, 8);
    other_end = ends[1];
    blocks("empty pipe", ends[0], 0, write_other_end);
    NEED(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    reads("empty pipe, O_NONBLOCK", ends[0], 100, 0, 0);
    syncs("fsync a pipe", ends[0]);
    NEED(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    while (write(ends[1], buffer, 65536) > 0)
        ;
    NEED(fcntl(ends[1], F_SETFL, 0) == 0);
    other_end = ends[0];
    blocks("full pipe", ends[1], 1, empty_other_end);
    NEED(pipe(closed) == 0 && close(closed[0]) == 0);
    writes("pipe without a reader", closed[1]);
    NEED(pipe(closed) == 0 && close(closed[1]) == 0);
    reads("pipe at its end", closed[0], 100, 0, 0);

    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    other_end = sockets[1];
    blocks("empty socket", sockets[0], 0, write_other_end);
    NEED(fcntl(sockets[0], F_SETFL, O_NONBLOCK) == 0);
    reads("empty socket, O_NONBLOCK", sockets[0], 100, 0, 0);
    syncs("fsync a socket", sockets[0]);
    close(sockets[1]);
    writes("socket without a peer", sockets[0]);

    puts("- others");
    fd = eventfd(0, 0);
    other_end = fd;
    blocks("eventfd at 0", fd, 0, write_other_end);
    NEED(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    reads("eventfd at 0, O_NONBLOCK", fd, 8, 0, 0);
    syncs("fsync an eventfd", fd);
    reads("timerfd", timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 8, 0, 0);
    reads("signalfd", signalfd(-1, &none, SFD_NONBLOCK), 128, 0, 0);
    reads("inotify, non-blocking", inotify_init1(IN_NONBLOCK), 128, 0, 0);
    reads("epoll", epoll_create1(0), 128, 0, 0);
    reads("/proc/self/maps", open("/proc/self/maps", O_RDONLY), 128, 0, 0);
    reads("/proc/self/status", open("/proc/self/status", O_RDONLY), 128, 0, 0);
    reads("/proc/self/mem", open("/proc/self/mem", O_RDONLY), 128, 0, 0);
    fd = file_of(4096, O_RDWR);
    after_usual_ones("reading /proc/self/mem", fd, open("/proc/self/mem", O_RDONLY), 0);
    after_usual_ones("writing /proc/self/comm", fd, open("/proc/self/comm", O_RDWR), 1);
    after_usual_ones("reading a closed descriptor", fd, -1, 0);
    after_usual_ones("writing to a descriptor for reading", fd, open("/dev/zero", O_RDONLY), 1);
    reads("/dev/zero", open("/dev/zero", O_RDONLY), 128, 0, 0);
    writes("/dev/full", open("/dev/full", O_WRONLY));
    syncs("fsync /dev/null", open("/dev/null", O_WRONLY));
#ifdef SYS_memfd_create
    fd = (int)syscall(SYS_memfd_create, "ctest", 2U); /* MFD_ALLOW_SEALING */
    NEED(fd >= 0 && ftruncate(fd, 50) == 0);
    NEED(fcntl(fd, 1033, 4) == 0); /* F_ADD_SEALS, F_SEAL_GROW */
    writes("memfd that must not grow", fd);
    NEED(fcntl(fd, 1033, 8) == 0); /* F_SEAL_WRITE */
    writes("memfd that is sealed", fd);
#endif
    CALL(io_destroy(ctx));
    return 0;
}
