/*
 * compare ORIGINAL OURS DIRECTORY TMPFS ROUNDS [row]: times the same work done in several ways, one
 * after another in each round, so that other load on the machine affects all of them. DIRECTORY is
 * on a disk, TMPFS is not.
 *
 * Prints a line for each row, way and round: row, way, nanoseconds per unit.
 */
#include "work.h"
#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>

enum { MOST_CONTEXTS = 1000, MOST_THREADS = 4 };

/* Reaps as fio's userspace_reap and similar code does. The other functions are the original's. */
struct aio_ring {
    unsigned id, nr, head, tail, magic, compat, incompat, header_length;
    struct io_event events[];
};

static int (*system_getevents)(io_context_t, long, long, struct io_event *, struct timespec *);

static int by_hand(io_context_t ctx, long min_nr, long nr, struct io_event *events,
                   struct timespec *timeout)
{
    struct aio_ring *ring = (struct aio_ring *)ctx;
    unsigned head = ring->head;
    long count = 0;

    while (count < nr && head != __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE)) {
        events[count++] = ring->events[head];
        if (++head == ring->nr)
            head = 0;
    }
    __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
    if (count >= min_nr)
        return (int)count;
    return (int)count + system_getevents(ctx, min_nr - count, nr - count, events + count, timeout);
}

static struct way ways[3]; /* original, ours, hand */
static io_context_t contexts[3][MOST_CONTEXTS];
static struct io_uring uring;
static int cached, in_memory, direct;

static void uring_batches(int fd, int batch, int reads)
{
    struct io_uring_cqe *cqe;
    unsigned head, count;
    int done, i;

    for (done = 0; done < reads; done += batch) {
        for (i = 0; i < batch; i++)
            io_uring_prep_read(io_uring_get_sqe(&uring), fd, buffers[i], BLOCK,
                               (unsigned long long)random_offset());
        NEED(io_uring_submit_and_wait(&uring, (unsigned)batch) == batch);
        count = 0;
        io_uring_for_each_cqe(&uring, head, cqe)
        {
            NEED(cqe->res == BLOCK);
            count++;
        }
        NEED((int)count == batch);
        io_uring_cq_advance(&uring, count);
    }
}

static void uring_depths(int fd, int depth, int reads)
{
    struct io_uring_cqe *cqe;
    int submitted = 0, reaped = 0, i;
    unsigned head, count;

    for (i = 0; i < depth; i++, submitted++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&uring);
        io_uring_prep_read(sqe, fd, buffers[i], BLOCK, (unsigned long long)random_offset());
        sqe->user_data = (unsigned long long)i;
    }
    while (reaped < submitted) {
        io_uring_submit_and_wait(&uring, 1);
        count = 0;
        io_uring_for_each_cqe(&uring, head, cqe)
        {
            int number = (int)cqe->user_data;
            NEED(cqe->res == BLOCK);
            count++;
            if (submitted < reads) {
                struct io_uring_sqe *sqe = io_uring_get_sqe(&uring);
                io_uring_prep_read(sqe, fd, buffers[number], BLOCK,
                                   (unsigned long long)random_offset());
                sqe->user_data = (unsigned long long)number;
                submitted++;
            }
        }
        reaped += (int)count;
        io_uring_cq_advance(&uring, count);
    }
}

/* Times only the reaping of ready completions; returns nanoseconds for one call. */
static double reaps(struct way *way, io_context_t ctx, int batch, int turns)
{
    struct iocb iocbs[MOST], *list[MOST];
    struct io_event events[MOST];
    double sum = 0;
    int turn, i;

    for (i = 0; i < MOST; i++) {
        io_prep_pread(&iocbs[i], in_memory, buffers[0], 1, 0);
        list[i] = &iocbs[i];
    }
    for (turn = 0; turn < turns; turn++) {
        double begin;
        NEED(way->submit(ctx, MOST, list) == MOST);
        begin = now();
        for (i = 0; i < MOST; i += batch)
            NEED(way->getevents(ctx, batch, batch, events, NULL) == batch);
        sum += now() - begin;
    }
    return sum / turns / (MOST / batch);
}

static double polls(struct way *way, io_context_t ctx, int calls)
{
    struct timespec zero = {0, 0};
    struct io_event event;
    double begin = now();
    int i;

    for (i = 0; i < calls; i++)
        NEED(way->getevents(ctx, 0, 1, &event, &zero) == 0);
    return (now() - begin) / calls;
}

/* A poll while another thread waits in the kernel for an event of the same context. */
struct waiter {
    struct way *way;
    io_context_t ctx;
    atomic_int thread;
};

static void *wait_for_one(void *argument)
{
    struct waiter *waiter = argument;
    struct io_event event;

    waiter->thread = gettid();
    NEED(waiter->way->getevents(waiter->ctx, 1, 1, &event, NULL) == 1);
    return NULL;
}

/* Waits until the thread sleeps. Then it is in io_getevents(2), because it waits nowhere else. */
static void until_asleep(int thread)
{
    char path[64], line[512], *name_end;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
    do {
        NEED(sched_yield() == 0 && (file = fopen(path, "r")));
        NEED(fgets(line, sizeof(line), file) && (name_end = strrchr(line, ')')));
        fclose(file);
    } while (name_end[2] != 'S');
}

static double polls_beside(struct way *way, io_context_t ctx, int calls)
{
    struct waiter waiter = {.way = way, .ctx = ctx};
    struct iocb iocb, *list[1] = {&iocb};
    pthread_t id;
    double time;

    NEED(pthread_create(&id, NULL, wait_for_one, &waiter) == 0);
    while (!waiter.thread)
        sched_yield();
    until_asleep(waiter.thread);
    time = polls(way, ctx, calls);
    io_prep_pread(&iocb, in_memory, buffers[0], 1, 0);
    NEED(way->submit(ctx, 1, list) == 1);
    pthread_join(id, NULL);
    return time;
}

/* Several threads poll one context at once; returns their mean time for a call. */
struct poller {
    struct way *way;
    io_context_t ctx;
    int calls;
    pthread_barrier_t *barrier;
    double time;
};

static void *poll_often(void *argument)
{
    struct poller *poller = argument;

    pthread_barrier_wait(poller->barrier);
    poller->time = polls(poller->way, poller->ctx, poller->calls);
    return NULL;
}

static double pollers(struct way *way, io_context_t ctx, int count, int calls)
{
    pthread_t ids[MOST_THREADS];
    struct poller threads[MOST_THREADS];
    pthread_barrier_t barrier;
    double sum = 0;
    int i;

    NEED(pthread_barrier_init(&barrier, NULL, (unsigned)count) == 0);
    for (i = 0; i < count; i++) {
        threads[i] = (struct poller){way, ctx, calls, &barrier, 0};
        NEED(pthread_create(&ids[i], NULL, poll_often, &threads[i]) == 0);
    }
    for (i = 0; i < count; i++) {
        pthread_join(ids[i], NULL);
        sum += threads[i].time;
    }
    pthread_barrier_destroy(&barrier);
    return sum / count;
}

/* Threads that share a context. Each reaps as many events as it has submitted, of any thread. */
struct worker {
    struct way *way;
    io_context_t ctx;
    int reads;
    pthread_barrier_t *barrier;
    double begin, end;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct iocb iocbs[8], *list[8];
    struct io_event events[8];
    char *buffer = aligned_alloc(BLOCK, BLOCK);
    int done, i, left;

    NEED(buffer);
    pthread_barrier_wait(worker->barrier);
    worker->begin = now();
    for (done = 0; done < worker->reads; done += 8) {
        for (i = 0; i < 8; i++) {
            io_prep_pread(&iocbs[i], cached, buffer, BLOCK, (long long)(done + i) * BLOCK);
            list[i] = &iocbs[i];
        }
        NEED(worker->way->submit(worker->ctx, 8, list) == 8);
        for (left = 8; left > 0; left -= i) {
            i = worker->way->getevents(worker->ctx, 1, left, events, NULL);
            NEED(i > 0);
        }
    }
    worker->end = now();
    free(buffer);
    return NULL;
}

/* From the first thread's begin to the last one's end, because the main thread may run late. */
static double threads(struct way *way, io_context_t ctx, int count, int reads)
{
    pthread_t ids[MOST_THREADS];
    struct worker workers[MOST_THREADS];
    pthread_barrier_t barrier;
    double begin = 0, end = 0;
    int i;

    NEED(pthread_barrier_init(&barrier, NULL, (unsigned)count) == 0);
    for (i = 0; i < count; i++) {
        workers[i] = (struct worker){way, ctx, reads / count, &barrier, 0, 0};
        NEED(pthread_create(&ids[i], NULL, work, &workers[i]) == 0);
    }
    for (i = 0; i < count; i++) {
        pthread_join(ids[i], NULL);
        begin = i == 0 || workers[i].begin < begin ? workers[i].begin : begin;
        end = workers[i].end > end ? workers[i].end : end;
    }
    pthread_barrier_destroy(&barrier);
    return (end - begin) / reads;
}

enum kind { BATCH, TMPFS, DEPTH, REAP, POLL, POLL_BESIDE, POLLERS, THREADS, CONTEXTS };

/* Reads of one way, `n` at a time or in flight: nanoseconds for each. */
static double reads(enum kind kind, int way, int n)
{
    int count = kind == CONTEXTS ? 4096 : kind != DEPTH ? 2048 : n == 1 ? 200 : 1000;
    int fd = kind == DEPTH ? direct : kind == TMPFS ? in_memory : cached;
    double begin = now();

    if (way == 3 && kind == DEPTH)
        uring_depths(fd, n, count);
    else if (way == 3)
        uring_batches(fd, n, count);
    else if (way == 4)
        plain(0, fd, count);
    else if (kind == DEPTH)
        depths(&ways[way], contexts[way][0], fd, n, count);
    else if (kind == CONTEXTS)
        batches(&ways[way], contexts[way], n, 0, fd, 1, count);
    else
        batches(&ways[way], contexts[way], 1, 0, fd, n, count);
    return (now() - begin) / count;
}

static double measure(enum kind kind, int way, int n)
{
    switch (kind) {
    case REAP:
        return reaps(&ways[way], contexts[way][0], n, 50);
    case POLL:
        return polls(&ways[way], contexts[way][0], 100000);
    case POLL_BESIDE:
        return polls_beside(&ways[way], contexts[way][0], 100000);
    case POLLERS:
        return pollers(&ways[way], contexts[way][0], n, 500000);
    case THREADS:
        return threads(&ways[way], contexts[way][0], n, 1 << 15);
    default:
        return reads(kind, way, n);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        enum kind kind;
        int n, ways;
    } rows[] = {
        {"page cache, batch 1", BATCH, 1, 5},
        {"page cache, batch 8", BATCH, 8, 5},
        {"page cache, batch 32", BATCH, 32, 5},
        {"tmpfs, batch 1", TMPFS, 1, 5},
        {"tmpfs, batch 8", TMPFS, 8, 5},
        {"tmpfs, batch 32", TMPFS, 32, 5},
        {"O_DIRECT, depth 1", DEPTH, 1, 5},
        {"O_DIRECT, depth 32", DEPTH, 32, 4},
        {"1 thread on a context", THREADS, 1, 2},
        {"2 threads on a context", THREADS, 2, 2},
        {"4 threads on a context", THREADS, 4, 2},
        {"1 live context", CONTEXTS, 1, 3},
        {"64 live contexts", CONTEXTS, 64, 3},
        {"1000 live contexts", CONTEXTS, 1000, 3},
        {"reap 1 (per call)", REAP, 1, 3},
        {"reap 8 (per call)", REAP, 8, 3},
        {"reap 32 (per call)", REAP, 32, 3},
        {"reap 64 (per call)", REAP, 64, 3},
        {"poll, empty (per call)", POLL, 0, 3},
        {"poll beside a thread that waits (per call)", POLL_BESIDE, 0, 3},
        {"poll, 2 threads at once (per call)", POLLERS, 2, 3},
    };
    static const char *names[] = {"original", "ours", "hand", "io_uring", "pread"};
    int rounds, round, way, i;
    size_t row;

    NEED(argc > 5);
    rounds = atoi(argv[5]);
    ways[0] = load(names[0], argv[1]);
    ways[1] = load(names[1], argv[2]);
    ways[2] = ways[0];
    ways[2].name = names[2];
    ways[2].getevents = by_hand;
    system_getevents = ways[0].getevents;
    NEED(ways[0].getevents != ways[1].getevents);
    cached = file_in(argv[3], O_RDONLY);
    direct = file_in(argv[3], O_RDONLY | O_DIRECT);
    in_memory = file_in(argv[4], O_RDONLY);
    NEED(cached >= 0 && in_memory >= 0);
    allocate_buffers();
    plain(0, cached, FILE_BLOCKS);
    NEED(io_uring_queue_init(MOST, &uring, 0) == 0);
    for (way = 0; way < 3; way++)
        NEED(ways[way].setup(MOST, &contexts[way][0]) == 0);
    for (row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        if (argc > 6 && !strstr(rows[row].name, argv[6]))
            continue;
        if (rows[row].kind == DEPTH && direct < 0)
            continue;
        if (rows[row].kind == CONTEXTS)
            for (way = 0; way < 3; way++)
                for (i = 1; i < rows[row].n; i++)
                    NEED(contexts[way][i] || ways[way].setup(1, &contexts[way][i]) == 0);
        for (round = -1; round < rounds; round++)
            for (i = 0; i < rows[row].ways; i++) {
                double time;
                way = (i + round + 1) % rows[row].ways;
                time = measure(rows[row].kind, way, rows[row].n);
                if (round >= 0) /* the first round only warms up */
                    printf("%s\t%s\t%.2f\n", rows[row].name, names[way], time);
            }
        fflush(stdout);
    }
    /* exit destroys the contexts; io_destroy of thousands would take minutes. */
    return 0;
}
