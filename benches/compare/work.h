/*
 * Work that the programs here time: reads and writes of random blocks of a file, many at a time.
 */
#include "ways.h"
#include <fcntl.h>
#include <unistd.h>

enum { BLOCK = 4096, FILE_BLOCKS = 8192, MOST = 64 };

static char *buffers[MOST];
static unsigned seed = 1;

static inline void allocate_buffers(void)
{
    int i;

    for (i = 0; i < MOST; i++) {
        NEED((buffers[i] = aligned_alloc(BLOCK, BLOCK)));
        memset(buffers[i], 'y', BLOCK);
    }
}

static inline long long random_offset(void)
{
    seed = seed * 1103515245u + 12345u;
    return (long long)(seed >> 8) % FILE_BLOCKS * BLOCK;
}

/* A file of FILE_BLOCKS blocks, in the page cache. */
static inline int file_in(const char *directory, int flags)
{
    char path[4096], *block = aligned_alloc(BLOCK, 1 << 20);
    int fd, again, i;

    NEED(block);
    memset(block, 'x', 1 << 20);
    snprintf(path, sizeof(path), "%s/data.XXXXXX", directory);
    NEED((fd = mkstemp(path)) >= 0);
    for (i = 0; i < FILE_BLOCKS; i += (1 << 20) / BLOCK)
        NEED(write(fd, block, 1 << 20) == 1 << 20);
    NEED(fsync(fd) == 0);
    again = open(path, flags);
    NEED(unlink(path) == 0 && close(fd) == 0);
    free(block);
    return again;
}

static inline void prepare(struct iocb *iocb, int writes, int fd, char *buffer)
{
    if (writes)
        io_prep_pwrite(iocb, fd, buffer, BLOCK, random_offset());
    else
        io_prep_pread(iocb, fd, buffer, BLOCK, random_offset());
}

/* Submits batches of requests, to each of `live` contexts in turn, and waits for each batch. */
static inline void batches(struct way *way, io_context_t *ctx, int live, int writes, int fd,
                           int batch, int count)
{
    struct iocb iocbs[MOST], *list[MOST];
    struct io_event events[MOST];
    int done, i, turn = 0;

    for (i = 0; i < batch; i++)
        list[i] = &iocbs[i];
    for (done = 0; done < count; done += batch) {
        io_context_t this = ctx[turn++ % live];
        for (i = 0; i < batch; i++)
            prepare(&iocbs[i], writes, fd, buffers[i]);
        NEED(way->submit(this, batch, list) == batch);
        NEED(way->getevents(this, batch, batch, events, NULL) == batch);
        NEED((long)events[batch - 1].res == BLOCK);
    }
}

/* Keeps `depth` reads in flight, and takes the ready completions. */
static inline void depths(struct way *way, io_context_t ctx, int fd, int depth, int reads)
{
    struct iocb iocbs[MOST], *list[MOST];
    struct io_event events[MOST];
    int submitted, reaped = 0, count, i;

    for (i = 0; i < depth; i++) {
        prepare(&iocbs[i], 0, fd, buffers[i]);
        list[i] = &iocbs[i];
    }
    NEED(way->submit(ctx, depth, list) == depth);
    submitted = depth;
    while (reaped < submitted) {
        count = way->getevents(ctx, 1, depth, events, NULL);
        NEED(count > 0);
        reaped += count;
        for (i = 0; i < count && submitted < reads; i++, submitted++) {
            struct iocb *iocb = events[i].obj;
            NEED((long)events[i].res == BLOCK);
            prepare(iocb, 0, fd, iocb->u.c.buf);
            list[i] = iocb;
        }
        if (i)
            NEED(way->submit(ctx, i, list) == i);
    }
}

/* The same by pread(2) or pwrite(2). */
static inline void plain(int writes, int fd, int count)
{
    while (count-- > 0)
        if (writes)
            NEED(pwrite(fd, buffers[0], BLOCK, random_offset()) == BLOCK);
        else
            NEED(pread(fd, buffers[0], BLOCK, random_offset()) == BLOCK);
}
