/*
 * Requests that each script in tools/ must report: from two threads, with reused iocbs, with calls
 * that accept only some of the requests, reaped by every function, with results of all kinds.
 * Prints each as "opcode fd offset bytes res", in no particular order; res is from its event.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { PAGE = 4096, BATCH = 8, READS = 100, READABLE = 90 * PAGE + 100, WRITES = 50 };

/* The function of the first ABI version: it has no min_nr, and waits for one event. */
int old_getevents(io_context_t ctx, long nr, struct io_event *events, struct timespec *timeout);
__asm__(".symver old_getevents, io_getevents@LIBAIO_0.1");

static int file;
static char buffer[BATCH][PAGE];

static void print_request(const struct iocb *iocb, long res)
{
    const char *op = iocb->aio_lio_opcode == IO_CMD_PREAD    ? "pread"
                     : iocb->aio_lio_opcode == IO_CMD_PWRITE ? "pwrite"
                                                             : "fsync";
    printf("%s %d %lld %lu %ld\n", op, iocb->aio_fildes, iocb->u.c.offset, iocb->u.c.nbytes, res);
}

static void print_all(const struct io_event *events, int count)
{
    for (int k = 0; k < count; k++)
        print_request(events[k].obj, (long)events[k].res);
}

static void reap(io_context_t ctx, int how, int count)
{
    struct io_event events[BATCH];

    while (count > 0) {
        int n = how == 0   ? io_getevents(ctx, 1, BATCH, events, NULL)
                : how == 1 ? io_pgetevents(ctx, count, BATCH, events, NULL, NULL)
                           : old_getevents(ctx, BATCH, events, NULL);
        EXPECT(n > 0 && n <= count);
        print_all(events, n);
        count -= n;
    }
}

/* Reads with the same eight iocbs, the last ones at and beyond the end of the file. */
static void *reads(void *unused)
{
    struct iocb iocbs[BATCH], refused, *list[BATCH + 1];
    io_context_t ctx = NULL;

    io_prep_pread(&refused, -1, buffer, PAGE, 0);
    EXPECT(io_setup(BATCH, &ctx) == 0);
    for (int done = 0, round = 0; done < READS; round++) {
        int n = READS - done < BATCH ? READS - done : BATCH;

        for (int k = 0; k < n; k++) {
            io_prep_pread(&iocbs[k], file, buffer[k], PAGE, (long long)(done + k) * PAGE);
            iocbs[k].data = (void *)(long)(done + k);
            list[k] = &iocbs[k];
        }
        list[n] = &refused;
        EXPECT(io_submit(ctx, n + 1, list) == n);
        reap(ctx, round % 3, n);
        done += n;
    }
    io_prep_pread(&iocbs[0], file, (void *)8, PAGE, 0);
    EXPECT(io_submit(ctx, 1, list) == 1);
    reap(ctx, 0, 1);
    /* Never reaped. */
    io_prep_pread(&iocbs[0], file, buffer[0], PAGE, 0);
    EXPECT(io_submit(ctx, 1, list) == 1);
    EXPECT(io_destroy(ctx) == 0);
    return unused;
}

static io_context_t shared;
static struct iocb write_iocbs[WRITES], nothing;

/* Writes to a context that the main thread reaps. After every fifth comes one that is refused. */
static void *writes(void *unused)
{
    static char data[512];

    io_prep_pread(&nothing, -1, data, sizeof data, 0);
    for (int k = 0; k < WRITES; k += 5) {
        struct iocb *list[7];

        for (int n = 0; n < 5; n++) {
            list[n] = &write_iocbs[k + n];
            io_prep_pwrite(list[n], file, data, sizeof data, (1 << 20) + (k + n) * 512LL);
        }
        list[5] = &nothing;
        list[6] = &nothing;
        EXPECT(io_submit(shared, 7, list) == 5);
        EXPECT(io_submit(shared, 2, list + 5) == -EBADF);
    }
    return unused;
}

enum { CHAINS = 3, LINKS = 5 };

static int links;

/* Reads the next page with the iocb that has just completed. */
static void next_link(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
    EXPECT(res2 == 0);
    print_request(iocb, res);
    if (links < LINKS * CHAINS) {
        links++;
        iocb->u.c.offset += PAGE;
        EXPECT(io_submit(ctx, 1, &iocb) == 1);
    }
}

static void chains(void)
{
    struct iocb iocbs[CHAINS], *list[CHAINS];
    io_context_t ctx = NULL;

    EXPECT(io_setup(CHAINS, &ctx) == 0);
    for (int k = 0; k < CHAINS; k++) {
        list[k] = &iocbs[k];
        io_prep_pread(list[k], file, buffer[k], PAGE / 2, k * 16LL * PAGE);
        io_set_callback(list[k], next_link);
    }
    links = CHAINS;
    EXPECT(io_submit(ctx, CHAINS, list) == CHAINS);
    EXPECT(io_queue_run(ctx) == 0);
    EXPECT(links == CHAINS * LINKS);
    EXPECT(io_destroy(ctx) == 0);
}

int main(int argc, char **argv)
{
    static char zeroes[READABLE];
    pthread_t reader, writer;
    struct iocb sync, *list = &sync;

    EXPECT(argc == 2 && (file = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0);
    EXPECT(write(file, zeroes, sizeof zeroes) == sizeof zeroes);
    EXPECT(io_setup(WRITES, &shared) == 0);
    EXPECT(pthread_create(&reader, NULL, reads, NULL) == 0);
    EXPECT(pthread_join(reader, NULL) == 0);
    EXPECT(pthread_create(&writer, NULL, writes, NULL) == 0);
    reap(shared, 0, WRITES);
    EXPECT(pthread_join(writer, NULL) == 0);

    chains();

    io_prep_fsync(&sync, file);
    EXPECT(io_submit(shared, 1, &list) == 1);
    reap(shared, 0, 1);
    EXPECT(io_destroy(shared) == 0);
    return 0;
}
