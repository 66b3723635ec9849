/* runs: everywhere */
/*
 * A wait that futex(2) ends early, as it does if an event arrives just before the call, goes on
 * until all events have arrived. Here a filter ends every such wait at once.
 */
#include "helpers.h"
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>

/* The half of the argument that has the operation. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define OPERATION (offsetof(struct seccomp_data, args[1]) + 4)
#else
#define OPERATION offsetof(struct seccomp_data, args[1])
#endif

static io_context_t ctx;
static struct iocb iocbs[2];
static char *buffer;

static void end_waits_at_once(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, OPERATION),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, FUTEX_CMD_MASK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAIT_BITSET, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
    };
    struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};

    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    NEED(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

static void submit_one(int i)
{
    struct iocb *list[1] = {&iocbs[i]};

    io_prep_pread(&iocbs[i], file_of(4096, O_RDONLY), buffer, 100, 0);
    NEED(io_submit(ctx, 1, list) == 1);
}

static void *submit_later(void *unused UNUSED)
{
    usleep(100000);
    submit_one(1);
    return NULL;
}

int main(void)
{
    struct io_event events[2];
    struct timespec minute = {60, 0};
    pthread_t thread;
    int timed;

    start();
    buffer = buffer_of(4096);
    ctx = context();
    end_waits_at_once();
    for (timed = 0; timed < 2; timed++) {
        submit_one(0);
        NEED(pthread_create(&thread, NULL, submit_later, NULL) == 0);
        CALL(io_getevents(ctx, 2, 2, events, timed ? &minute : NULL));
        NEED(pthread_join(thread, NULL) == 0);
        CALL(io_getevents(ctx, 0, 2, events, AT_ONCE));
    }
    return 0;
}
