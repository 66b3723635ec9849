/* runs: everywhere */
/* Vectors: many parts, empty parts, unusable parts, and more bytes than one call moves. */
#include "helpers.h"
#include <limits.h>

static io_context_t ctx;
static struct iocb iocb;
static struct iovec vec[1024];
static char *buffer;

/* Splits a buffer into parts of 1, 2, ... `longest` bytes, then 1 again; returns the sum. */
static size_t cut(char *from, int parts, int longest)
{
    size_t sum = 0;
    int i;

    for (i = 0; i < parts; i++) {
        vec[i].iov_base = from + sum;
        vec[i].iov_len = (size_t)(i % longest + 1);
        sum += vec[i].iov_len;
    }
    return sum;
}

/* Writes with one vector and reads with another: every byte must arrive in its place. */
static void write_and_read_back(int fd, int parts, int out_longest, int in_longest)
{
    char *out = buffer, *in = buffer + 16384;
    size_t i, written, read_back;
    char name[64];

    for (i = 0; i < 16384; i++)
        out[i] = (char)(i * 7 + i / 256);
    memset(in, 0, 16384);
    written = cut(out, parts, out_longest);
    snprintf(name, sizeof(name), "pwritev of %d parts", parts);
    io_prep_pwritev(&iocb, fd, vec, parts, 1000);
    ask(ctx, name, &iocb);
    read_back = cut(in, parts, in_longest);
    if (read_back > written)
        read_back = written;
    snprintf(name, sizeof(name), "preadv of %d parts", parts);
    io_prep_preadv(&iocb, fd, vec, parts, 1000);
    ask(ctx, name, &iocb);
    printf("  the same bytes: %s\n", memcmp(out, in, read_back) ? "no" : "yes");
}

static void odd_parts(int fd)
{
    int i;

    puts("- odd parts");
    for (i = 0; i < 4; i++) {
        vec[i].iov_base = buffer + 1000 * i;
        vec[i].iov_len = 1000;
    }
    vec[1].iov_len = 0;
    vec[1].iov_base = (void *)8; /* nothing is read through it */
    io_prep_preadv(&iocb, fd, vec, 4, 0);
    ask(ctx, "an empty part at 8", &iocb);
    vec[1].iov_len = 1000;
    io_prep_preadv(&iocb, fd, vec, 4, 0);
    ask(ctx, "the second part at 8, read", &iocb);
    io_prep_pwritev(&iocb, fd, vec, 4, 8192);
    ask(ctx, "the second part at 8, write", &iocb);
    vec[1].iov_base = (void *)-4096L;
    io_prep_preadv(&iocb, fd, vec, 4, 0);
    ask(ctx, "the second part in the kernel", &iocb);
    vec[1].iov_base = buffer;
    vec[3].iov_len = (size_t)-1;
    io_prep_preadv(&iocb, fd, vec, 4, 0);
    ask(ctx, "the last part of -1 bytes", &iocb);
    vec[3].iov_len = (size_t)LONG_MAX;
    io_prep_preadv(&iocb, fd, vec, 4, 0);
    ask(ctx, "the last part of LONG_MAX bytes", &iocb);
    io_prep_preadv(&iocb, fd, vec, -1, 0);
    ask(ctx, "-1 parts", &iocb);
}

/* A vector that ends where a mapping ends, and one that has one part more. */
static void last_page(int fd)
{
    long page = sysconf(_SC_PAGESIZE);
    struct iovec *parts;
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    NEED(pages != MAP_FAILED && mprotect(pages + page, page, PROT_NONE) == 0);
    parts = (struct iovec *)(void *)(pages + page) - 2;
    parts[0].iov_base = buffer;
    parts[0].iov_len = 10;
    parts[1].iov_base = buffer + 10;
    parts[1].iov_len = 20;
    puts("- at the end of a mapping");
    io_prep_preadv(&iocb, fd, parts, 2, 0);
    ask(ctx, "two parts", &iocb);
    io_prep_preadv(&iocb, fd, parts, 3, 0);
    ask(ctx, "three parts", &iocb);
}

/* The kernel moves MAX_RW_COUNT bytes at most. /dev/null does not read them, so this is cheap. */
static void more_than_one_call_moves(void)
{
    int null = open("/dev/null", O_WRONLY);
    size_t gigabyte = (size_t)1 << 30;
    char *space = mmap(NULL, gigabyte, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                       0);
    int i;

    puts("- more bytes than one call moves");
    if (null < 0 || space == MAP_FAILED) {
        puts("SKIP 3 GiB: no /dev/null, or no room for an empty mapping");
        return;
    }
    for (i = 0; i < 3; i++) {
        vec[i].iov_base = space;
        vec[i].iov_len = gigabyte;
    }
    io_prep_pwritev(&iocb, null, vec, 3, 0);
    ask(ctx, "three parts of 1 GiB", &iocb);
    io_prep_pwrite(&iocb, null, space, gigabyte, 0);
    ask(ctx, "one buffer of 1 GiB", &iocb);
    munmap(space, gigabyte);
    close(null);
}

/* The kernel copies the vector in io_submit: the program may then overwrite its own. */
static void overwrite_the_vector(int direct)
{
    struct iocb *list[1] = {&iocb};
    struct io_event event;
    int i;

    puts("- O_DIRECT, the vector overwritten while the request may be in flight");
    if (direct < 0) {
        puts("SKIP O_DIRECT: the file system does not have it");
        return;
    }
    memset(buffer, 0, 32768);
    for (i = 0; i < 8; i++) {
        vec[i].iov_base = buffer + 4096 * (7 - i);
        vec[i].iov_len = 4096;
    }
    io_prep_preadv(&iocb, direct, vec, 8, 0);
    CALL(io_submit(ctx, 1, list));
    memset(vec, 0xee, sizeof(vec));
    CALL(io_getevents(ctx, 1, 1, &event, NULL));
    printf("res %ld, read", (long)event.res);
    for (i = 0; i < 8; i++)
        printf(" %c", buffer[4096 * (7 - i)]);
    printf("\n");
}

int main(void)
{
    int fd;

    start();
    ctx = context();
    buffer = buffer_of(65536);
    fd = file_of(16384, O_RDWR);
    write_and_read_back(fd, 1, 1, 1);
    write_and_read_back(fd, 8, 5, 7); /* as many parts as the kernel keeps on its stack */
    write_and_read_back(fd, 9, 5, 7);
    write_and_read_back(fd, 1024, 13, 13);
    write_and_read_back(fd, 1024, 7, 11);
    odd_parts(fd);
    last_page(fd);
    more_than_one_call_moves();
    overwrite_the_vector(file_in(".", 32768, O_RDONLY | O_DIRECT));
    CALL(io_destroy(ctx));
    return 0;
}
