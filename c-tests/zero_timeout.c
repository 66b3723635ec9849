/* runs: everywhere */
/*
 * Polls: calls with a timeout of zero. On an empty ring the original returns 0 without a system
 * call, whatever the other arguments are. Programs under seccomp filters that kill rely on it.
 */
#include "helpers.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#ifndef SYS_io_pgetevents
#define SYS_io_pgetevents (-1)
#endif
#ifndef SYS_io_pgetevents_time64
#define SYS_io_pgetevents_time64 (-1)
#endif

static io_context_t ctx;
static struct io_event events[4];

static void refuse_getevents(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_getevents, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)SYS_io_pgetevents, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)SYS_io_pgetevents_time64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};

    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    NEED(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

static void under_a_filter(void)
{
    sigset_t none;

    sigemptyset(&none);
    ctx = context();
    refuse_getevents();
    CALL(io_getevents(ctx, 0, 4, events, AT_ONCE));
    CALL(io_getevents(ctx, 1, 4, events, AT_ONCE));
    CALL(io_pgetevents(ctx, 1, 4, events, AT_ONCE, &none));
    CALL(io_queue_run(ctx));
    CALL(io_getevents(ctx, 1, 4, events, milliseconds(1)));
    CALL(io_getevents(ctx, 0, 4, events, NULL));
}

int main(void)
{
    struct iocb iocb, *list[1] = {&iocb};
    sigset_t none;
    char *buffer;

    start();
    sigemptyset(&none);
    buffer = buffer_of(4096);
    ctx = context();

    puts("- empty");
    CALL(io_getevents(ctx, 0, 4, events, AT_ONCE));
    CALL(io_getevents(ctx, 4, 4, events, AT_ONCE));
    CALL(io_getevents(ctx, 4, 1, events, AT_ONCE));
    CALL(io_getevents(ctx, -1, -1, NULL, AT_ONCE));
    CALL(io_getevents(ctx, 1, 1, NULL, AT_ONCE));
    CALL(io_pgetevents(ctx, -1, -1, NULL, AT_ONCE, NULL));
    CALL(io_pgetevents(ctx, 1, 1, NULL, AT_ONCE, &none));
    CALL_AS("io_pgetevents(.., no access)",
            io_pgetevents(ctx, 1, 1, events, AT_ONCE, (sigset_t *)no_access()));
    CALL(io_queue_run(ctx));

    puts("- one event there");
    io_prep_pread(&iocb, file_of(4096, O_RDONLY), buffer, 100, 0);
    CALL(io_submit(ctx, 1, list));
    CALL(io_getevents(ctx, -1, -1, NULL, AT_ONCE));
    CALL(io_getevents(ctx, 4, 1, events, AT_ONCE));
    CALL(io_getevents(ctx, 0, 0, NULL, AT_ONCE));
    CALL(io_getevents(ctx, 0, 1, NULL, AT_ONCE));
    CALL(io_pgetevents(ctx, 0, 1, NULL, AT_ONCE, NULL));
    CALL_AS("io_pgetevents(.., no access)",
            io_pgetevents(ctx, 0, 1, events, AT_ONCE, (sigset_t *)no_access()));
    CALL(io_getevents(ctx, 4, 4, events, AT_ONCE));
    CALL(io_getevents(ctx, 4, 4, events, AT_ONCE));
    CALL(io_destroy(ctx));

    puts("- with io_getevents and io_pgetevents refused");
    in_child("the child", under_a_filter);
    return 0;
}
