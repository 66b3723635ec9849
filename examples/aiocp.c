/*
 * aiocp SOURCE TARGET: copies a file with many reads and writes in flight at the same time.
 *
 * Each slot has a buffer and at most one request. It reads a chunk, writes it, and continues with
 * the next chunk that no slot has. The files are opened with O_DIRECT if the file system supports
 * it, because kernel AIO is asynchronous only then.
 *
 *     cc aiocp.c $(pkg-config --cflags --libs libaio) -o aiocp
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libaio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 32
#define CHUNK (512 * 1024)
#define BLOCK 4096 /* offsets, lengths and buffers are multiples of this, for O_DIRECT */

struct slot {
    struct iocb iocb; /* first, so that an event's obj is the slot */
    char *buffer;
    off_t offset;
    size_t length; /* bytes of the file; writes are rounded up to BLOCK */
};

static const char *source_name, *target_name;
static int source, target, direct;
static off_t size, next_offset, written;
static uint64_t checksum;
static int in_flight;

static void fail(const char *what, long error)
{
    fprintf(stderr, "\naiocp: %s: %s\n", what, strerror((int)-error));
    exit(1);
}

/* The sum over all chunks does not depend on their order. */
static uint64_t sum_of(const char *data, size_t length, off_t offset)
{
    uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)offset;
    size_t i;

    for (i = 0; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    for (; i < length; i++)
        hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3u;
    return hash;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int open_for(const char *name, int flags)
{
    int fd = direct ? open(name, flags | O_DIRECT, 0666) : -1;

    if (fd < 0) {
        direct = 0;
        fd = open(name, flags, 0666);
    }
    if (fd < 0)
        fail(name, -errno);
    return fd;
}

static void submit(io_context_t ctx, struct slot *slot)
{
    struct iocb *list[1] = {&slot->iocb};
    int answer = io_submit(ctx, 1, list);

    if (answer != 1)
        fail("io_submit", answer);
    in_flight++;
}

static void read_next(io_context_t ctx, struct slot *slot)
{
    if (next_offset >= size)
        return;
    slot->offset = next_offset;
    slot->length = size - next_offset < CHUNK ? (size_t)(size - next_offset) : CHUNK;
    next_offset += (off_t)slot->length;
    io_prep_pread(&slot->iocb, source, slot->buffer, CHUNK, slot->offset);
    submit(ctx, slot);
}

static void completed(io_context_t ctx, const struct io_event *event)
{
    struct slot *slot = (struct slot *)event->obj;
    long res = (long)event->res;
    size_t rounded = (slot->length + BLOCK - 1) / BLOCK * BLOCK;

    in_flight--;
    if (slot->iocb.aio_lio_opcode == IO_CMD_PREAD) {
        if (res != (long)slot->length)
            fail(source_name, res < 0 ? res : -EIO);
        checksum += sum_of(slot->buffer, slot->length, slot->offset);
        memset(slot->buffer + slot->length, 0, rounded - slot->length);
        io_prep_pwrite(&slot->iocb, target, slot->buffer, rounded, slot->offset);
        submit(ctx, slot);
        return;
    }
    if (res != (long)rounded)
        fail(target_name, res < 0 ? res : -EIO);
    written += (off_t)slot->length;
    read_next(ctx, slot);
}

static void show_progress(double seconds)
{
    printf("\r%3d %%  %6.1f MiB  %7.1f MiB/s", (int)(size ? written * 100 / size : 100),
           (double)written / 1048576, (double)written / 1048576 / seconds);
    fflush(stdout);
}

/* Reads the target with pread() and returns its checksum. */
static uint64_t sum_of_target(char *buffer)
{
    int fd = open(target_name, O_RDONLY);
    uint64_t sum = 0;
    off_t offset = 0;
    ssize_t length;

    while (fd >= 0 && (length = pread(fd, buffer, CHUNK, offset)) > 0) {
        sum += sum_of(buffer, (size_t)length, offset);
        offset += length;
    }
    if (fd < 0 || length < 0 || offset != size)
        fail(target_name, -EIO);
    close(fd);
    return sum;
}

static void show_library(void)
{
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");

    while (maps && fgets(line, sizeof(line), maps)) {
        const char *path = strchr(line, '/');
        if (path && strstr(path, "libaio.so")) {
            printf("libaio:   %s", path);
            break;
        }
    }
    if (maps)
        fclose(maps);
}

int main(int argc, char **argv)
{
    static struct slot slots[SLOTS];
    struct io_event events[SLOTS];
    io_context_t ctx = 0;
    struct stat status;
    double start, shown;
    int answer, i;

    if (argc != 3) {
        fprintf(stderr, "usage: aiocp SOURCE TARGET\n");
        return 2;
    }
    source_name = argv[1];
    target_name = argv[2];
    direct = 1;
    source = open_for(source_name, O_RDONLY);
    target = open_for(target_name, O_WRONLY | O_CREAT | O_TRUNC);
    if (fstat(source, &status) < 0)
        fail(source_name, -errno);
    size = status.st_size;
    show_library();
    printf("copying:  %" PRIdMAX " bytes, %d requests of %d KiB in flight, %s\n", (intmax_t)size,
           SLOTS, CHUNK / 1024, direct ? "O_DIRECT" : "buffered");
    /* Allocate the blocks: writes that extend a file are not asynchronous. */
    if (size > 0)
        (void)!posix_fallocate(target, 0, size);

    answer = io_setup(SLOTS, &ctx);
    if (answer < 0)
        fail("io_setup", answer);
    start = shown = now();
    for (i = 0; i < SLOTS; i++) {
        if (posix_memalign((void **)&slots[i].buffer, BLOCK, CHUNK))
            fail("memory", -ENOMEM);
        read_next(ctx, &slots[i]);
    }
    while (in_flight > 0) {
        answer = io_getevents(ctx, 1, SLOTS, events, NULL);
        if (answer < 0 && answer != -EINTR)
            fail("io_getevents", answer);
        for (i = 0; i < answer; i++)
            completed(ctx, &events[i]);
        if (now() - shown > 0.1) {
            shown = now();
            show_progress(shown - start);
        }
    }
    if (ftruncate(target, size) < 0 || fsync(target) < 0)
        fail(target_name, -errno);
    show_progress(now() - start);
    io_destroy(ctx);

    printf("\nchecksum: %016" PRIx64, checksum);
    if (sum_of_target(slots[0].buffer) != checksum) {
        printf(", but the target's is another\n");
        return 1;
    }
    printf(", read back and found the same\n");
    return 0;
}
