/* runs: everywhere */
/* RWF_* flags and I/O priorities, on a file in the current directory, on tmpfs and on a pipe. */
#include "helpers.h"

/* The original's header defines none of these, the C library's headers only some. */
#ifndef RWF_HIPRI
#define RWF_HIPRI 0x1
#endif
#ifndef RWF_DSYNC
#define RWF_DSYNC 0x2
#endif
#ifndef RWF_SYNC
#define RWF_SYNC 0x4
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x8
#endif
#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif
#ifndef RWF_ATOMIC
#define RWF_ATOMIC 0x40
#endif
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100
#endif
#ifndef IOCB_FLAG_IOPRIO
#define IOCB_FLAG_IOPRIO 2
#endif

static io_context_t ctx;
static char *buffer;
static struct iocb iocb;

static void with_flags(const char *what, int fd, int write, unsigned flags)
{
    if (write)
        io_prep_pwrite(&iocb, fd, buffer, 4096, 0);
    else
        io_prep_pread(&iocb, fd, buffer, 4096, 0);
    iocb.aio_rw_flags = flags;
    ask(ctx, what, &iocb);
}

static void with_priority(const char *what, int fd, int priority)
{
    io_prep_pread(&iocb, fd, buffer, 4096, 0);
    iocb.u.c.flags = IOCB_FLAG_IOPRIO;
    iocb.aio_reqprio = (short)priority;
    ask(ctx, what, &iocb);
}

static void show_size(const char *when, int fd)
{
    struct stat status;

    NEED(fstat(fd, &status) == 0);
    printf("%s: %ld bytes\n", when, (long)status.st_size);
}

static volatile sig_atomic_t signals;

static void on_sigpipe(int number)
{
    (void)number;
    signals++;
}

/* Writes to a pipe that has no reader. */
static void write_without_reader(const char *what, unsigned flags)
{
    int ends[2];

    signals = 0;
    NEED(signal(SIGPIPE, on_sigpipe) != SIG_ERR);
    NEED(pipe(ends) == 0);
    close(ends[0]);
    with_flags(what, ends[1], 1, flags);
    printf("%s: %d signals\n", what, (int)signals);
    close(ends[1]);
}

int main(void)
{
    int fd, direct, tmpfs;

    start();
    ctx = context();
    buffer = buffer_of(4096);
    fd = file_of(16384, O_RDWR);
    direct = file_in(".", 16384, O_RDWR | O_DIRECT);

    with_flags("NOWAIT read, cached", fd, 0, RWF_NOWAIT);
    with_flags("HIPRI read, cached", fd, 0, RWF_HIPRI);
    with_flags("DSYNC read", fd, 0, RWF_DSYNC);
    with_flags("DSYNC write", fd, 1, RWF_DSYNC);
    with_flags("SYNC write", fd, 1, RWF_SYNC);
    with_flags("APPEND write", fd, 1, RWF_APPEND);
    with_flags("APPEND and NOAPPEND", fd, 1, RWF_APPEND | RWF_NOAPPEND);
    with_flags("unknown flag 1 << 30", fd, 0, 1U << 30);
    with_flags("unknown flag 1 << 31", fd, 0, 1U << 31);
    with_flags("unknown flag, bad fd", -1, 0, 1U << 30);
    with_flags("ATOMIC write, buffered", fd, 1, RWF_ATOMIC);
    with_flags("ATOMIC read", fd, 0, RWF_ATOMIC);
    with_flags("NOWAIT write, buffered", fd, 1, RWF_NOWAIT);
    with_flags("DONTCACHE read", fd, 0, RWF_DONTCACHE);
    with_flags("DONTCACHE write", fd, 1, RWF_DONTCACHE);
    with_flags("NOSIGNAL read", fd, 0, RWF_NOSIGNAL);
    with_flags("NOSIGNAL write", fd, 1, RWF_NOSIGNAL);
    show_size("after APPEND", fd);
    NEED(fcntl(fd, F_SETFL, O_APPEND) == 0);
    with_flags("NOAPPEND write, O_APPEND", fd, 1, RWF_NOAPPEND);
    show_size("after NOAPPEND", fd);
    with_flags("write, O_APPEND", fd, 1, 0);
    show_size("after O_APPEND", fd);
    write_without_reader("write without a reader", 0);
    write_without_reader("NOSIGNAL write without a reader", RWF_NOSIGNAL);
    if (direct >= 0) {
        with_flags("NOWAIT read, O_DIRECT", direct, 0, RWF_NOWAIT);
        with_flags("HIPRI read, O_DIRECT", direct, 0, RWF_HIPRI);
        with_flags("ATOMIC write, O_DIRECT", direct, 1, RWF_ATOMIC);
        with_flags("DONTCACHE read, O_DIRECT", direct, 0, RWF_DONTCACHE);
    } else {
        puts("SKIP O_DIRECT: the file system does not have it");
    }
    if (access("/dev/shm", W_OK) == 0) {
        tmpfs = file_in("/dev/shm", 16384, O_RDWR);
        NEED(tmpfs >= 0);
        with_flags("NOWAIT read, tmpfs", tmpfs, 0, RWF_NOWAIT);
        with_flags("DONTCACHE read, tmpfs", tmpfs, 0, RWF_DONTCACHE);
        with_flags("read, tmpfs", tmpfs, 0, 0);
        with_flags("write, tmpfs", tmpfs, 1, 0);
    } else {
        puts("SKIP tmpfs: no /dev/shm");
    }

    with_priority("best effort, 4", fd, 2 << 13 | 4);
    with_priority("idle", fd, 3 << 13);
    with_priority("class 7", fd, 7 << 13);
    with_priority("class 4", fd, 4 << 13);
    with_priority("no class, data 3", fd, 3);
    if (geteuid() == 0)
        with_priority("real time, 0", fd, 1 << 13);
    else
        puts("SKIP real time: not root");
    CALL(io_destroy(ctx));
    return 0;
}
