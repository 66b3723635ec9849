/* runs: not auto: it requires that io_setup returns the error of a refusal */
/* runs: not inline: it makes none of the calls that are refused */
/*
 * Kernels that lack a system call, and sandboxes that refuse one: the library returns the error,
 * whatever it is, and tries nothing else.
 */
#include "helpers.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

static int error;
static io_context_t made_before;

/* Makes the kernel answer every system call of kernel AIO with the error. */
static void refuse(void)
{
    static const int calls[] = {
        SYS_io_setup,
        SYS_io_destroy,
        SYS_io_submit,
        SYS_io_cancel,
        SYS_io_getevents,
#ifdef SYS_io_pgetevents
        SYS_io_pgetevents,
#endif
#ifdef SYS_io_pgetevents_time64
        SYS_io_pgetevents_time64,
#endif
    };
    enum { COUNT = sizeof(calls) / sizeof(calls[0]) };
    struct sock_filter code[COUNT + 3];
    struct sock_fprog filter = {COUNT + 3, code};
    int i;

    code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                           offsetof(struct seccomp_data, nr));
    for (i = 0; i < COUNT; i++)
        code[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i],
                                                   (unsigned char)(COUNT - i), 0);
    code[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
                                                   SECCOMP_RET_ERRNO | (unsigned)error);
    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    NEED(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

static void ask_everything(void)
{
    struct iocb iocb, *list[1] = {&iocb};
    struct io_event event;
    io_context_t ctx = 0;
    sigset_t none;

    sigemptyset(&none);
    io_prep_fsync(&iocb, 0);
    made_before = context();
    refuse();
    CALL(io_setup(1, &ctx));
    CALL(io_queue_init(1, &ctx));
    CALL(io_submit(made_before, 1, list));
    CALL(io_submit(NULL, 1, list));
    CALL(io_cancel(made_before, &iocb, &event));
    CALL(io_getevents(made_before, 0, 1, &event, NULL));
    CALL(io_getevents(made_before, 0, 1, &event, AT_ONCE));
    CALL(io_getevents(NULL, 0, 1, &event, AT_ONCE));
    CALL(io_pgetevents(made_before, 0, 1, &event, NULL, &none));
    CALL(io_pgetevents(made_before, 0, 1, &event, NULL, NULL));
    CALL(io_pgetevents(made_before, 0, 1, &event, AT_ONCE, &none));
    CALL(io_queue_run(made_before));
    CALL(io_queue_run(NULL));
    CALL(io_destroy(made_before));
    CALL(io_getevents(made_before, 0, 1, &event, AT_ONCE));
    CALL(io_queue_release(NULL));
}

/* A filter that returns 0 instead of making the system call does not write the handle. */
static void pretend(void)
{
    struct iocb iocb, *list[1] = {&iocb};
    struct io_event event;
    io_context_t ctx = 0;

    refuse();
    CALL(io_setup(1, &ctx));
    CALL(io_setup(1, NULL));
    CALL(io_queue_init(1, &ctx));
    printf("the handle is %s\n", ctx ? "set" : "not set");
    CALL(io_submit(ctx, 1, list));
    CALL(io_getevents(ctx, 0, 1, &event, AT_ONCE));
    CALL(io_getevents(ctx, 1, 1, &event, NULL));
    CALL(io_cancel(ctx, &iocb, &event));
    CALL(io_destroy(ctx));
}

int main(void)
{
    start();
    error = ENOSYS;
    puts("- ENOSYS");
    in_child("child", ask_everything);
    puts("- a sandbox that pretends to have done it");
    error = 0;
    in_child("child", pretend);
    error = EPERM;
    puts("- EPERM");
    in_child("child", ask_everything);
    return 0;
}
