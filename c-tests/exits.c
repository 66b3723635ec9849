/* runs: everywhere */
/*
 * A signal handler calls exit() in the middle of a poll or a take, and a function registered with
 * atexit() waits for the requests in flight, again and again while it gets -EINTR. It must return,
 * and must get every event.
 */
#include "helpers.h"
#include <stdatomic.h>

enum { CHILDREN = 200, AT_A_TIME = 10, IN_FLIGHT = 4, BLOCK = 512, LIMIT = 15 };

/* A child's results, in memory that it shares with its parent. */
struct child {
    atomic_int ready, drained, missing, not_destroyed;
};

static struct child *self;
static io_context_t ctx;
static struct iocb iocbs[IN_FLIGHT], *list[IN_FLIGHT];
static int came[IN_FLIGHT];
/* `events` is the main loop's: drain() finds there what the interrupted call took. */
static struct io_event *events, last[IN_FLIGHT];
static int file, destroys;
static char *buffer;

static void account(int answer, const struct io_event *taken)
{
    int i;

    for (i = 0; i < answer; i++)
        if (taken[i].res == BLOCK && (size_t)taken[i].data < IN_FLIGHT)
            came[(size_t)taken[i].data] = 1;
}

static int all_came(void)
{
    int i;

    for (i = 0; i < IN_FLIGHT; i++)
        if (iocbs[i].key == 0 && !came[i]) /* the kernel clears the key of a request it accepts */
            return 0;
    return 1;
}

static void drain(void)
{
    struct timespec long_enough = {5, 0};
    int answer;

    /* The interrupted call may have taken these; if not, they are still in the ring. */
    account(IN_FLIGHT, events);
    do {
        answer = io_getevents(ctx, 0, IN_FLIGHT, last, AT_ONCE);
        account(answer, last);
    } while (answer > 0);
    while (!all_came()) {
        answer = io_getevents(ctx, 1, IN_FLIGHT, last, &long_enough);
        account(answer, last);
        if (answer <= 0 && answer != -EINTR)
            break;
    }
    self->missing = !all_came();
    if (destroys)
        self->not_destroyed = io_destroy(ctx) != 0;
    self->drained = 1;
}

static void exit_in_handler(int number)
{
    (void)number;
    exit(0);
}

/* Never returns: the signal handler calls exit(). */
static void reader(int kind)
{
    struct sigaction action = {.sa_handler = exit_in_handler};
    int i, round;

    ctx = context();
    destroys = kind % 2;
    events = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(events != MAP_FAILED);
    for (i = 0; i < IN_FLIGHT; i++)
        list[i] = &iocbs[i];
    for (round = 0;; round++) {
        madvise(events, 4096, MADV_DONTNEED);
        for (i = 0; i < IN_FLIGHT; i++) {
            /* Counts as complete until it is submitted: came[] is set, then the key is not 0. */
            io_prep_pread(&iocbs[i], file, buffer + BLOCK * i, BLOCK, 0);
            iocbs[i].key = ~0U;
            iocbs[i].data = (void *)(size_t)i;
        }
        atomic_signal_fence(memory_order_seq_cst);
        memset(came, 0, sizeof(came));
        if (round == 0) {
            NEED(atexit(drain) == 0);
            NEED(sigaction(SIGTERM, &action, NULL) == 0);
            self->ready = 1;
        }
        NEED(io_submit(ctx, IN_FLIGHT, list) == IN_FLIGHT);
        while (!all_came())
            account(io_getevents(ctx, 1, IN_FLIGHT, events, kind % 4 == 3 ? NULL : AT_ONCE),
                    events);
    }
}

int main(void)
{
    int direct = file_in(".", 4096, O_RDONLY | O_DIRECT), zero = open("/dev/zero", O_RDONLY);
    int begun = 0, hang = 0, missing = 0, not_destroyed = 0, failed = 0, i, status;
    struct child *children;
    pid_t pids[AT_A_TIME];

    start();
    NEED(zero >= 0);
    if (direct < 0) /* the file system has no O_DIRECT */
        direct = zero;
    buffer = buffer_of(4096);
    children = mmap(NULL, sizeof(*children) * AT_A_TIME, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NEED(children != MAP_FAILED);
    while (begun < CHILDREN && !hang) {
        double end = seconds_now() + LIMIT;
        memset(children, 0, sizeof(*children) * AT_A_TIME);
        for (i = 0; i < AT_A_TIME; i++) {
            self = &children[i];
            pids[i] = fork();
            NEED(pids[i] >= 0);
            if (pids[i] == 0) {
                NEED(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
                file = i < AT_A_TIME / 2 ? direct : zero;
                reader(i);
            }
        }
        begun += AT_A_TIME;
        for (i = 0; i < AT_A_TIME; i++) {
            while (!children[i].ready)
                usleep(100);
            usleep((unsigned)(begun * 7919 + i * 104729) % 300);
            NEED(kill(pids[i], SIGTERM) == 0);
        }
        for (i = 0; i < AT_A_TIME; i++) {
            while (waitpid(pids[i], &status, WNOHANG) == 0) {
                if (seconds_now() > end)
                    NEED(kill(pids[i], SIGKILL) == 0);
                usleep(500);
            }
            hang += !children[i].drained;
            missing += children[i].missing;
            not_destroyed += children[i].not_destroyed;
            failed += status != 0;
        }
    }
    printf("children: %d, hang at exit: %d, events missing: %d, not destroyed: %d, failed: %d\n",
           begun, hang, missing, not_destroyed, failed);
    return 0;
}
