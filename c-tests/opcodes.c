/* runs: everywhere */
/*
 * One request at a time, on files: what io_submit refuses, and what the event says.
 * io_submit_one() in fs/aio.c checks reserved fields and lengths first, then the file and the
 * eventfd, then the opcode. Errors of the file system are in the event.
 */
#include "helpers.h"
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#ifndef O_PATH
#define O_PATH 010000000
#endif

static io_context_t ctx;
static struct iocb iocb;
static char *buffer;

/* Prepares a read of a whole block, changes something about it, and submits it. */
#define READ(name, fd, change)                                                                     \
    do {                                                                                           \
        io_prep_pread(&iocb, fd, buffer, 4096, 0);                                                 \
        iocb.data = &iocb;                                                                         \
        change;                                                                                    \
        ask(ctx, name, &iocb);                                                                     \
    } while (0)
#define WRITE(name, fd, change)                                                                    \
    do {                                                                                           \
        io_prep_pwrite(&iocb, fd, buffer, 4096, 0);                                                \
        change;                                                                                    \
        ask(ctx, name, &iocb);                                                                     \
    } while (0)
#define VECTOR(name, fd, vec, count)                                                               \
    do {                                                                                           \
        io_prep_preadv(&iocb, fd, vec, 1, 0);                                                      \
        iocb.u.c.nbytes = count;                                                                   \
        ask(ctx, name, &iocb);                                                                     \
    } while (0)
#define SYNC(name, fd, change)                                                                     \
    do {                                                                                           \
        io_prep_fsync(&iocb, fd);                                                                  \
        change;                                                                                    \
        ask(ctx, name, &iocb);                                                                     \
        io_prep_fdsync(&iocb, fd);                                                                 \
        change;                                                                                    \
        ask(ctx, name " (data)", &iocb);                                                           \
    } while (0)

static void files(void)
{
    char name[] = "./ctest.XXXXXX";
    int rw = mkstemp(name), ro = open(name, O_RDONLY), wo = open(name, O_WRONLY);
    int path = open(name, O_PATH), directory = open(".", O_RDONLY);
    struct iovec vec = {buffer, 4096};

    NEED(rw >= 0 && ro >= 0 && wo >= 0 && path >= 0 && directory >= 0);
    NEED(unlink(name) == 0 && ftruncate(rw, 16384) == 0);
    puts("- files");
    READ("fd -1", -1, );
    READ("fd 9999", 9999, );
    READ("O_PATH", path, );
    READ("read, opened for writing", wo, );
    WRITE("write, opened for reading", ro, );
    VECTOR("readv, opened for writing", wo, &vec, 1);
    READ("a directory", directory, );
    WRITE("write a directory", directory, );
    SYNC("fsync", rw, );
    SYNC("fsync, opened for reading", ro, );
    SYNC("fsync a directory", directory, );
    SYNC("fsync, bad fd", -1, );
    SYNC("fsync, buf", rw, iocb.u.c.buf = buffer);
    SYNC("fsync, nbytes", rw, iocb.u.c.nbytes = 1);
    SYNC("fsync, offset", rw, iocb.u.c.offset = 1);
    SYNC("fsync, rw_flags", rw, iocb.aio_rw_flags = 1);
    close(rw);
    close(ro);
    close(wo);
    close(path);
    close(directory);
}

static void lengths(int fd, int direct)
{
    long page = sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *half = pages + page - 4096;

    NEED(pages != MAP_FAILED && munmap(pages + page, page) == 0);
    puts("- lengths, offsets and buffers");
    READ("a block", fd, );
    WRITE("write a block", fd, );
    READ("SSIZE_MAX + 1 bytes", fd, iocb.u.c.nbytes = (unsigned long)LONG_MAX + 1);
    READ("~0 bytes", fd, iocb.u.c.nbytes = ~0UL);
    READ("SSIZE_MAX bytes, past the end", fd,
         (iocb.u.c.nbytes = LONG_MAX, iocb.u.c.offset = 1 << 20));
    READ("0 bytes", fd, iocb.u.c.nbytes = 0);
    WRITE("write 0 bytes", fd, iocb.u.c.nbytes = 0);
    READ("buffer 8", fd, iocb.u.c.buf = (void *)8);
    READ("buffer in the kernel", fd, iocb.u.c.buf = (void *)-4096L);
    WRITE("write from buffer 8", fd, iocb.u.c.buf = (void *)8);
    READ("half of the buffer is mapped", fd, (iocb.u.c.buf = half, iocb.u.c.nbytes = 8192));
    READ("offset -1", fd, iocb.u.c.offset = -1);
    READ("offset -2", fd, iocb.u.c.offset = -2);
    READ("offset LLONG_MAX", fd, iocb.u.c.offset = LLONG_MAX);
    READ("offset LLONG_MAX - 4095", fd, iocb.u.c.offset = LLONG_MAX - 4095);
    WRITE("write at LLONG_MAX - 4095", fd, iocb.u.c.offset = LLONG_MAX - 4095);
    WRITE("write at 1 << 50", fd, iocb.u.c.offset = 1LL << 50);
    READ("at the end", fd, iocb.u.c.offset = 16384);
    READ("across the end", fd, (iocb.u.c.offset = 12288, iocb.u.c.nbytes = 8192));
    if (direct < 0) {
        puts("SKIP O_DIRECT: the file system does not have it");
        return;
    }
    puts("- O_DIRECT");
    READ("buffer + 1", direct, iocb.u.c.buf = buffer + 1);
    READ("buffer + 512", direct, iocb.u.c.buf = buffer + 512);
    READ("offset 100", direct, iocb.u.c.offset = 100);
    READ("100 bytes", direct, iocb.u.c.nbytes = 100);
    READ("buffer 8", direct, iocb.u.c.buf = (void *)8);
    READ("no buffer", direct, iocb.u.c.buf = no_access());
    READ("half of the buffer is mapped", direct, (iocb.u.c.buf = half, iocb.u.c.nbytes = 8192));
    READ("across the end", direct, (iocb.u.c.offset = 12288, iocb.u.c.nbytes = 8192));
    READ("a block", direct, );
    WRITE("write a block", direct, );
}

static void vectors(int fd)
{
    static struct iovec many[1025];
    struct iovec one = {buffer, 4096}, negative = {buffer, (size_t)-1}, wild = {(void *)8, 4096};
    struct iovec two[2] = {{buffer, 100}, {buffer + 200, 50}};

    puts("- vectors");
    VECTOR("one part", fd, &one, 1);
    VECTOR("two parts", fd, two, 2);
    VECTOR("vector 8", fd, (struct iovec *)8, 1);
    VECTOR("no vector", fd, (struct iovec *)no_access(), 1);
    VECTOR("1025 parts", fd, many, 1025);
    VECTOR("1024 empty parts", fd, many, 1024);
    VECTOR("no parts", fd, &one, 0);
#if __SIZEOF_LONG__ == 8
    VECTOR("1 << 32 | 1 parts", fd, &one, 1UL << 32 | 1);
#endif
    VECTOR("a part of -1 bytes", fd, &negative, 1);
    VECTOR("a part at 8", fd, &wild, 1);
    io_prep_pwritev(&iocb, fd, two, 2, 4096);
    ask(ctx, "pwritev", &iocb);
    io_prep_preadv2(&iocb, fd, two, 2, 4096, 0);
    ask(ctx, "preadv2", &iocb);
    io_prep_pwritev2(&iocb, fd, two, 2, 4096, 0);
    ask(ctx, "pwritev2", &iocb);
}

static void fields(int fd)
{
    int counter = eventfd(0, 0);

    puts("- opcodes and reserved fields");
    READ("opcode 4", fd, iocb.aio_lio_opcode = 4);
    READ("opcode 9", fd, iocb.aio_lio_opcode = 9);
    READ("opcode 999", fd, iocb.aio_lio_opcode = 999);
    READ("opcode -1", fd, iocb.aio_lio_opcode = -1);
    READ("IO_CMD_NOOP", fd, iocb.aio_lio_opcode = IO_CMD_NOOP);
    READ("opcode 999, bad fd", -1, iocb.aio_lio_opcode = 999);
    READ("reserved field", fd, iocb.u.c.__pad3 = 1);
    READ("key 5", fd, iocb.key = 5);
    READ("flags 4", fd, iocb.u.c.flags = 4);
    READ("flags 1 << 31", fd, iocb.u.c.flags = 1U << 31);
    READ("priority without its flag", fd, iocb.aio_reqprio = 0x7fff);
    puts("- eventfd");
    READ("resfd -1", fd, io_set_eventfd(&iocb, -1));
    READ("resfd is a file", fd, io_set_eventfd(&iocb, fd));
    READ("resfd", fd, io_set_eventfd(&iocb, counter));
    READ("resfd, opcode 999", fd, (io_set_eventfd(&iocb, counter), iocb.aio_lio_opcode = 999));
    close(counter);
}

/* A write beyond RLIMIT_FSIZE also sends SIGXFSZ, which is ignored here. */
static void over_the_limit(void)
{
    struct rlimit limit = {8192, 8192};
    int fd = file_of(4096, O_RDWR);

    ctx = context();
    signal(SIGXFSZ, SIG_IGN);
    NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    WRITE("write beyond the limit", fd, iocb.u.c.offset = 8192);
    WRITE("write up to the limit", fd, iocb.u.c.offset = 6000);
}

static void over_the_limit_with_signal(void)
{
    struct rlimit limit = {4096, 4096};
    struct iocb *list[1] = {&iocb};
    int fd = file_of(4096, O_RDWR);

    ctx = context();
    NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    io_prep_pwrite(&iocb, fd, buffer, 4096, 8192);
    io_submit(ctx, 1, list);
}

int main(void)
{
    int fd;

    start();
    ctx = context();
    buffer = buffer_of(16384);
    files();
    fd = file_of(16384, O_RDWR);
    lengths(fd, file_in(".", 16384, O_RDWR | O_DIRECT));
    vectors(fd);
    fields(fd);
    puts("- RLIMIT_FSIZE");
    in_child("ignoring the signal", over_the_limit);
    in_child("with the signal", over_the_limit_with_signal);
    CALL(io_destroy(ctx));
    return 0;
}
