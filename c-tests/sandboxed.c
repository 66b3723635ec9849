/* runs: not inline: its filters kill for the system calls that serve requests there */
/*
 * Programs under a filter that kills them for a system call it does not know. Such programs were
 * written for the original, which makes the calls of kernel AIO and no others.
 */
#include "helpers.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#ifndef SYS_rseq
#define SYS_rseq (-1)
#endif
#ifndef SYS_io_pgetevents
#define SYS_io_pgetevents (-1)
#endif
/* What 32-bit programs with 64-bit times call. */
#ifndef SYS_io_pgetevents_time64
#define SYS_io_pgetevents_time64 (-1)
#endif

static struct iocb iocbs[4];
static struct io_event events[4];
static char *buffer;
static int file;

/* Does one thing to what is in the list, and another to everything else. */
static void filter_calls(const int *calls, int count, unsigned listed, unsigned otherwise)
{
    struct sock_filter code[64];
    struct sock_fprog filter = {(unsigned short)(count + 3), code};
    int i;

    code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                           offsetof(struct seccomp_data, nr));
    for (i = 0; i < count; i++)
        code[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i],
                                                   (unsigned char)(count - i), 0);
    code[count + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise);
    code[count + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, listed);
    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    NEED(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

static void allow_only(const int *calls, int count, unsigned otherwise)
{
    filter_calls(calls, count, SECCOMP_RET_ALLOW, otherwise);
}

/* What any program needs to print and to end. */
#define PRINT SYS_write, SYS_writev, SYS_exit_group
#define GETEVENTS SYS_io_getevents, SYS_io_pgetevents, SYS_io_pgetevents_time64
#define AIO SYS_io_setup, SYS_io_submit, SYS_io_cancel, SYS_io_destroy, GETEVENTS
#define COUNT(list) ((int)(sizeof(list) / sizeof(list[0])))

static void use(io_context_t ctx)
{
    struct iocb *list[4];
    sigset_t none;
    int i;

    sigemptyset(&none);
    for (i = 0; i < 4; i++) {
        io_prep_pread(&iocbs[i], file, buffer, 100 + i, 0);
        list[i] = &iocbs[i];
    }
    CALL(io_getevents(ctx, 0, 4, events, AT_ONCE));
    CALL(io_submit(ctx, 4, list));
    CALL(io_getevents(ctx, 1, 1, events, NULL));
    CALL(io_pgetevents(ctx, 1, 1, events, milliseconds(1), NULL));
    CALL(io_pgetevents(ctx, 1, 1, events, NULL, &none));
    CALL(io_getevents(ctx, 0, 4, events, AT_ONCE));
    CALL(io_getevents(ctx, 0, 4, events, AT_ONCE));
    CALL(io_getevents(ctx, 1, 4, events, milliseconds(1)));
    CALL(io_cancel(ctx, &iocbs[0], events));
    CALL(io_queue_run(ctx));
    CALL(io_destroy(ctx));
    CALL(io_submit(ctx, 4, list));
}

static void killed_before_set_up(void)
{
    static const int calls[] = {PRINT, AIO};
    io_context_t ctx = 0;

    allow_only(calls, COUNT(calls), SECCOMP_RET_KILL_PROCESS);
    CALL(io_setup(8, &ctx));
    use(ctx);
}

static void killed_after_set_up(void)
{
    static const int calls[] = {PRINT, AIO};
    io_context_t ctx = context(), other = 0;

    allow_only(calls, COUNT(calls), SECCOMP_RET_KILL_PROCESS);
    use(ctx);
    CALL(io_setup(8, &other)); /* not the first */
    use(other);
}

static void refused(void)
{
    static const int calls[] = {PRINT, AIO};
    io_context_t ctx = 0;

    allow_only(calls, COUNT(calls), SECCOMP_RET_ERRNO | EPERM);
    CALL(io_setup(8, &ctx));
    use(ctx);
}

/* Starts this program anew, under a filter that does something to what is in the list. */
static void restart(const int *calls, int count, unsigned listed, const char *what)
{
    filter_calls(calls, count, listed, SECCOMP_RET_ALLOW);
    execl("/proc/self/exe", "sandboxed", what, (char *)NULL);
    NEED(0);
}

/* If all other calls are refused from the start, every reap has to be io_getevents(2). */
static void restart_without_getevents(void)
{
    static const int calls[] = {SYS_madvise, SYS_membarrier, SYS_futex, GETEVENTS};

    restart(calls, COUNT(calls), SECCOMP_RET_ERRNO | ENOSYS, "no getevents");
}

/* Restartable sequences and the barrier that restarts them, each alone refused from the start. */
static void restart_without_rseq(void)
{
    static const int calls[] = {SYS_rseq};

    restart(calls, COUNT(calls), SECCOMP_RET_ERRNO | ENOSYS, "as ever");
}

static void restart_without_membarrier(void)
{
    static const int calls[] = {SYS_membarrier};

    restart(calls, COUNT(calls), SECCOMP_RET_ERRNO | EPERM, "as ever");
}

static void as_ever(void) { use(context()); }

static void no_getevents(void)
{
    struct iocb *list[1] = {&iocbs[0]};
    io_context_t ctx = 0;

    CALL(io_setup(8, &ctx));
    io_prep_pread(&iocbs[0], file, buffer, 100, 0);
    CALL(io_submit(ctx, 1, list));
    CALL(io_getevents(ctx, 1, 1, events, NULL));
    CALL(io_getevents(ctx, 0, 1, events, AT_ONCE));
    CALL(io_pgetevents(ctx, 1, 1, events, NULL, NULL));
    CALL(io_queue_run(ctx));
    CALL(io_destroy(ctx));
}

static io_context_t parents;

/* The original may die of it, see crashes_in_child.c; but nobody takes the parent's events. */
static void child_of_the_deceived(void)
{
    long answer = io_getevents(parents, 0, 4, events, AT_ONCE);

    if (answer <= 0)
        answer = io_getevents(parents, 1, 4, events, milliseconds(1));
    if (answer > 0)
        puts("THE CHILD HAS THE PARENT'S EVENTS");
}

/* Some sandboxes and emulators say yes to any advice about memory, and do nothing. */
static void restart_deceived(void)
{
    static const int calls[] = {SYS_madvise, SYS_membarrier};

    restart(calls, COUNT(calls), SECCOMP_RET_ERRNO | 0, "deceived");
}

static void deceived(void)
{
    struct iocb *list[1] = {&iocbs[0]};
    pid_t child;

    parents = context();
    io_prep_pread(&iocbs[0], file, buffer, 100, 0);
    CALL(io_submit(parents, 1, list));
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        child_of_the_deceived();
        _exit(0);
    }
    NEED(waitpid(child, NULL, 0) == child);
    CALL(io_getevents(parents, 1, 1, events, NULL));
}

int main(int argc, char **argv)
{
    start();
    buffer = buffer_of(4096);
    file = file_of(4096, O_RDONLY);
    milliseconds(1);
    if (argc > 1) {
        if (strcmp(argv[1], "deceived") == 0)
            deceived();
        else if (strcmp(argv[1], "as ever") == 0)
            as_ever();
        else
            no_getevents();
        return 0;
    }
    puts("- killed for anything else, from before io_setup on");
    in_child("child", killed_before_set_up);
    puts("- killed for anything else, from after the first io_setup on");
    in_child("child", killed_after_set_up);
    puts("- refused everything else");
    in_child("child", refused);
    puts("- refused io_getevents and what the library needs, from the start");
    in_child("child", restart_without_getevents);
    puts("- refused restartable sequences, from the start");
    in_child("child", restart_without_rseq);
    puts("- refused barriers, from the start");
    in_child("child", restart_without_membarrier);
    puts("- told that advice was taken and a barrier passed, which was not so");
    in_child("child", restart_deceived);
    return 0;
}
