/* runs: without the original: it makes the system call that the filter kills for */
/* runs: not reap-kernel: the library makes that system call there, too */
/*
 * Ready completions are taken without a system call: the filter here kills the process for one.
 * Over the original, and with LIBAIO_RS_REAP=kernel, the process is killed. See tests/reaping.rs.
 */
#include "helpers.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

static io_context_t ctx;
static int called;

static void kill_for_getevents(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_getevents, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_pgetevents, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};

    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    NEED(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

static void callback(io_context_t its, struct iocb *iocb, long res, long res2)
{
    called += its == ctx && iocb->u.c.nbytes == (unsigned long)res && res2 == 0;
}

int main(void)
{
    struct iocb iocbs[16], *list[16];
    struct io_event events[16];
    char *buffer = buffer_of(4096);
    int file = file_of(4096, O_RDONLY), i, round;

    start();
    ctx = context();
    for (i = 0; i < 16; i++) {
        io_prep_pread(&iocbs[i], file, buffer, 100 + (size_t)i, 0);
        io_set_callback(&iocbs[i], callback);
        list[i] = &iocbs[i];
    }
    kill_for_getevents();
    CALL(io_submit(ctx, 16, list));
    CALL(io_getevents(ctx, 1, 1, events, NULL));
    CALL(io_getevents(ctx, 2, 2, events + 1, milliseconds(5)));
    CALL(io_getevents(ctx, 0, 1, events + 3, AT_ONCE));
    CALL(io_pgetevents(ctx, 1, 4, events + 4, NULL, NULL));
    for (i = 0; i < 8; i++)
        if (events[i].obj != list[i] || (long)events[i].res != 100 + i)
            puts("WRONG EVENT");
    CALL(io_queue_run(ctx));
    printf("%d callbacks\n", called);
    CALL(io_getevents(ctx, 0, 16, events, AT_ONCE));
    /* More events than the ring has room for: the kernel must see that taken events make room. */
    for (round = 0; round < 1000; round++) {
        NEED(io_submit(ctx, 7, list) == 7);
        NEED(io_getevents(ctx, 7, 16, events, NULL) == 7);
        for (i = 0; i < 7; i++)
            if (events[i].obj != list[i])
                puts("WRONG EVENT");
    }
    CALL(io_destroy(ctx));
    CALL(io_submit(ctx, 1, list));
    return 0;
}
