/*
 * engines ORIGINAL KERNEL AUTO INLINE DIRECTORY TMPFS ROUNDS [row]: times the same work over the
 * original, this library with kernel AIO, and rungs 3 and 4, one after another in each round.
 * KERNEL, AUTO and INLINE are three copies of this library, because each reads LIBAIO_RS_ENGINE
 * once, when it is loaded. DIRECTORY is on a disk, TMPFS is not.
 *
 * A seccomp filter slows down every system call of its thread. Therefore separate threads create
 * the contexts under the filter that refuses large counts, and the measured thread has no filter.
 * The program checks which rung each context has.
 *
 * Prints a line for each row, way and round: row, way, nanoseconds and nanoseconds of processor
 * time per unit.
 */
#include "work.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* For a context for ASKED requests, the kernel grants only GRANTED: this is its smallest ring. */
enum { ASKED = 256, GRANTED = 62 };

/* PLAIN, which uses pread and pwrite without a context, comes last. */
enum { ORIGINAL, KERNEL, SHORT_RING, IN_LINE, CONTEXTS, PLAIN = CONTEXTS, WAYS };
static const char *const names[] = {"original", "kernel", "rung 3", "rung 4", "plain"};

static struct way ways[CONTEXTS];
static io_context_t contexts[CONTEXTS], full;
static int cached, in_memory, direct, never_ready[2];
static struct iocb polls[1024];

/* From now on, io_setup returns EAGAIN in this thread if the count is more than GRANTED. */
static void refuse_more(void)
{
    /* The low half of the first argument, on little-endian machines. */
    size_t count = offsetof(struct seccomp_data, args);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_setup, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, count + 4 * (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, GRANTED, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};

    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    NEED(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0);
}

/* Checks the rung of a context: for the kernel, only rung 4's handle is invalid; and only the ring
 * of rung 3 lacks the kernel's magic number. */
static void need_server(int way, io_context_t ctx)
{
    const unsigned *ring = (const unsigned *)ctx;
    int is_known = syscall(SYS_io_getevents, ctx, 0L, 0L, NULL, NULL) == 0;
    int is_hidden = ring[4] != 0xa10a10a1;

    NEED(is_known == (way != IN_LINE));
    NEED(is_hidden == (way == SHORT_RING));
    /* Only rung 3's ring has fewer slots than requests. */
    NEED((ring[1] < ASKED) == (way == SHORT_RING));
}

/* Work for a thread, which may have the filter. */
struct job {
    void (*work)(struct job *);
    int way;
    io_context_t *ctx;
    int times;
    double time, cpu;
};

static void *work_refused(void *argument)
{
    struct job *job = argument;

    refuse_more();
    job->work(job);
    return NULL;
}

static void run_job(struct job *job)
{
    pthread_t id;

    if (job->way != SHORT_RING) {
        job->work(job);
        return;
    }
    NEED(pthread_create(&id, NULL, work_refused, job) == 0);
    NEED(pthread_join(id, NULL) == 0);
}

static void set_up_one(struct job *job) { NEED(ways[job->way].setup(ASKED, job->ctx) == 0); }

static void set_up(int way, io_context_t *ctx)
{
    struct job job = {.work = set_up_one, .way = way, .ctx = ctx};

    run_job(&job);
    need_server(way, *ctx);
}

/* Fills the kernel's ring of a context, with requests that never complete. */
static void fill(struct way *way, io_context_t ctx)
{
    struct iocb *list[1];
    int i, answer = 1;

    for (i = 0; answer == 1; i++) {
        NEED(i < (int)(sizeof(polls) / sizeof(polls[0])));
        io_prep_poll(&polls[i], never_ready[0], POLLIN);
        list[0] = &polls[i];
        answer = way->submit(ctx, 1, list);
    }
    NEED(answer == -EAGAIN && i > GRANTED);
}

static double processor_time(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void make_and_destroy(struct job *job)
{
    double begin = now(), cpu = processor_time();
    struct way *way = &ways[job->way];
    int i;

    for (i = 0; i < job->times; i++) {
        io_context_t ctx = 0;
        NEED(way->setup(ASKED, &ctx) == 0);
        NEED(way->destroy(ctx) == 0);
    }
    job->time = (now() - begin) / job->times;
    job->cpu = (processor_time() - cpu) / job->times;
}

/* FULL: only rung 3's ring is full; on a full ring, the others would return EAGAIN. */
enum { ON_DISK, ON_TMPFS, O_DIRECT_ONE, O_DIRECT_MANY, FULL, FULL_DIRECT, MADE };
enum { READS, WRITES };

struct row {
    const char *name;
    int kind, writes, n;
};

/* Whether a row measures a way. */
static int is_in(const struct row *row, int way)
{
    return way != PLAIN || row->kind <= O_DIRECT_ONE;
}

static void measure(const struct row *row, int way)
{
    static const int counts[] = {16384, 16384, 500, 2000, 16384, 500, 0};
    int count = counts[row->kind], fd = row->kind == ON_TMPFS ? in_memory : cached;
    int is_full = row->kind == FULL || row->kind == FULL_DIRECT;
    io_context_t ctx = 0;
    double time, cpu;

    if (row->kind == MADE) {
        /* Few, because a context in the kernel takes tens of milliseconds. */
        struct job job = {.work = make_and_destroy, .way = way, .times = way == IN_LINE ? 500 : 3};
        run_job(&job);
        printf("%s\t%s\t%.2f\t%.2f\n", row->name, names[way], job.time, job.cpu);
        return;
    }
    if (row->kind == O_DIRECT_ONE || row->kind == O_DIRECT_MANY || row->kind == FULL_DIRECT)
        fd = direct;
    if (way != PLAIN)
        ctx = is_full && way == SHORT_RING ? full : contexts[way];
    cpu = processor_time();
    time = now();
    if (way == PLAIN)
        plain(row->writes, fd, count);
    else if (fd == direct)
        depths(&ways[way], ctx, fd, row->n, count);
    else
        batches(&ways[way], &ctx, 1, row->writes, fd, row->n, count);
    time = now() - time;
    cpu = processor_time() - cpu;
    printf("%s\t%s\t%.2f\t%.2f\n", row->name, names[way], time / count, cpu / count);
}

static struct way load_engine(const char *path, const char *engine)
{
    NEED(setenv("LIBAIO_RS_ENGINE", engine, 1) == 0);
    return load(engine, path);
}

int main(int argc, char **argv)
{
    static const struct row rows[] = {
        {"engines: read, page cache, batch 1", ON_DISK, READS, 1},
        {"engines: read, page cache, batch 8", ON_DISK, READS, 8},
        {"engines: read, page cache, batch 32", ON_DISK, READS, 32},
        {"engines: read, tmpfs, batch 1", ON_TMPFS, READS, 1},
        {"engines: read, tmpfs, batch 8", ON_TMPFS, READS, 8},
        {"engines: read, tmpfs, batch 32", ON_TMPFS, READS, 32},
        {"engines: write, page cache, batch 1", ON_DISK, WRITES, 1},
        {"engines: write, page cache, batch 8", ON_DISK, WRITES, 8},
        {"engines: write, page cache, batch 32", ON_DISK, WRITES, 32},
        {"engines: write, tmpfs, batch 1", ON_TMPFS, WRITES, 1},
        {"engines: write, tmpfs, batch 8", ON_TMPFS, WRITES, 8},
        {"engines: write, tmpfs, batch 32", ON_TMPFS, WRITES, 32},
        {"engines: read, O_DIRECT, depth 1", O_DIRECT_ONE, READS, 1},
        {"engines: read, O_DIRECT, depth 32", O_DIRECT_MANY, READS, 32},
        {"engines: read, page cache, batch 32, no room", FULL, READS, 32},
        {"engines: read, O_DIRECT, depth 32, no room", FULL_DIRECT, READS, 32},
        {"engines: context made and destroyed", MADE, 0, 0},
    };
    int rounds, round, way, i;
    size_t row;

    NEED(argc > 7);
    rounds = atoi(argv[7]);
    ways[ORIGINAL] = load(names[ORIGINAL], argv[1]);
    ways[KERNEL] = load_engine(argv[2], "kernel");
    ways[SHORT_RING] = load_engine(argv[3], "auto");
    ways[IN_LINE] = load_engine(argv[4], "inline");
    NEED(ways[KERNEL].submit != ways[SHORT_RING].submit);
    NEED(ways[KERNEL].submit != ways[IN_LINE].submit);
    cached = file_in(argv[5], O_RDWR);
    direct = file_in(argv[5], O_RDONLY | O_DIRECT);
    in_memory = file_in(argv[6], O_RDWR);
    NEED(cached >= 0 && in_memory >= 0 && pipe(never_ready) == 0);
    allocate_buffers();
    for (way = 0; way < CONTEXTS; way++)
        set_up(way, &contexts[way]);
    set_up(SHORT_RING, &full);
    fill(&ways[SHORT_RING], full);
    for (row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        if (argc > 8 && !strstr(rows[row].name, argv[8]))
            continue;
        if (direct < 0 && strstr(rows[row].name, "O_DIRECT"))
            continue;
        for (round = -1; round < rounds; round++)
            for (i = 0; i < WAYS; i++) {
                way = (i + round + 1) % WAYS;
                if (is_in(&rows[row], way))
                    measure(&rows[row], way);
            }
        fflush(stdout);
    }
    /* exit destroys the contexts. */
    return 0;
}
