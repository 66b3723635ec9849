/* RWF_* flags and I/O priorities, on a file of the current directory and on tmpfs. */
#include "helpers.h"

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
    iocb.u.c.flags = 2; /* IOCB_FLAG_IOPRIO */
    iocb.aio_reqprio = (short)priority;
    ask(ctx, what, &iocb);
}

int main(void)
{
    int fd, direct, tmpfs;

    start();
    ctx = context();
    buffer = buffer_of(4096);
    fd = file_of(16384, O_RDWR);
    direct = file_in(".", 16384, O_RDWR | O_DIRECT);

    /* The numbers are RWF_HIPRI, _DSYNC, _SYNC, _NOWAIT, _APPEND and so on, in <linux/fs.h>. */
    with_flags("NOWAIT read, cached", fd, 0, 0x08);
    with_flags("HIPRI read, cached", fd, 0, 0x01);
    with_flags("DSYNC read", fd, 0, 0x02);
    with_flags("DSYNC write", fd, 1, 0x02);
    with_flags("SYNC write", fd, 1, 0x04);
    with_flags("APPEND write", fd, 1, 0x10);
    with_flags("unknown flag 1 << 30", fd, 0, 1U << 30);
    with_flags("unknown flag 1 << 31", fd, 0, 1U << 31);
    with_flags("unknown flag, bad fd", -1, 0, 1U << 30);
    with_flags("ATOMIC, buffered", fd, 1, 0x40);
    with_flags("NOWAIT write, buffered", fd, 1, 0x08);
    with_flags("DONTCACHE", fd, 0, 0x80);
    with_flags("NOSIGNAL", fd, 0, 0x100);
    NEED(fcntl(fd, F_SETFL, O_APPEND) == 0);
    with_flags("NOAPPEND write, O_APPEND", fd, 1, 0x20);
    if (direct >= 0) {
        with_flags("NOWAIT read, O_DIRECT", direct, 0, 0x08);
        with_flags("HIPRI read, O_DIRECT", direct, 0, 0x01);
    } else {
        puts("SKIP O_DIRECT: the file system does not have it");
    }
    if (access("/dev/shm", W_OK) == 0) {
        tmpfs = file_in("/dev/shm", 16384, O_RDWR);
        NEED(tmpfs >= 0);
        with_flags("NOWAIT read, tmpfs", tmpfs, 0, 0x08);
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
