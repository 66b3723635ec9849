/*
 * calls LIBRARY WHAT: counts the instructions that one call executes in user space, from the first
 * one of the function to its return, and how many of them are system calls. It runs the call in a
 * child and single-steps it with ptrace.
 *
 * A step is an interruption, and the kernel restarts a restartable section (rseq) that is
 * interrupted. Therefore the child's pointer to the section is cleared before each step. The kernel
 * then restarts nothing, and the count is that of a call without interruptions. This is safe,
 * because no other thread uses the context. A repeating instruction (rep movs) counts once.
 *
 * valgrind and qemu cannot be used: they support no restartable sections, so the library enters the
 * kernel for every reap. Many virtual machines hide the processor's counters.
 *
 * Exits with REFUSED on other processors, or if ptrace is refused.
 */
#include "ways.h"

enum { REFUSED = 77, WARM = 10, TIMES = 5, MOST_STEPS = 100000 };

#ifdef __x86_64__
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* From glibc 2.35: the offset of the thread's struct rseq from its thread pointer. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned __rseq_size __attribute__((weak));
enum { POINTER_TO_SEQUENCE = 8 };

static const char *library, *what;
static long function; /* set in the child: the address of the called function */

/* Repeats the call without end. After WARM calls, it stops before each. */
static void child(void)
{
    static char buffer[1];
    struct timespec zero = {0, 0}, shortest = {0, 1};
    struct iocb iocb, *list[1] = {&iocb};
    struct io_event event;
    io_context_t ctx = 0;
    int turn, fd = open("/dev/zero", O_RDONLY);
    /* After the fork: a library that was loaded before it might not reap in user space. */
    struct way way = load("", library);

    function = strcmp(what, "submit") == 0 ? (long)way.submit : (long)way.getevents;
    NEED(fd >= 0 && way.setup(1, &ctx) == 0);
    io_prep_pread(&iocb, fd, buffer, 1, 0);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(REFUSED);
    for (turn = 0;; turn++) {
        int takes = strcmp(what, "reap") == 0;
        if (takes)
            NEED(way.submit(ctx, 1, list) == 1);
        if (turn >= WARM)
            raise(SIGSTOP);
        if (strcmp(what, "submit") == 0) {
            NEED(way.submit(ctx, 1, list) == 1);
            NEED(way.getevents(ctx, 1, 1, &event, NULL) == 1);
        } else if (takes) {
            NEED(way.getevents(ctx, 1, 1, &event, NULL) == 1);
        } else if (strcmp(what, "wait") == 0) {
            NEED(way.getevents(ctx, 1, 1, &event, &shortest) == 0);
        } else {
            NEED(way.getevents(ctx, 0, 1, &event, &zero) == 0);
        }
    }
}

/* Executes one instruction of the child, and returns its registers. */
static struct user_regs_struct step(pid_t pid)
{
    struct user_regs_struct registers;
    int status;

    if (&__rseq_offset && &__rseq_size && __rseq_size) {
        char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
        NEED(ptrace(PTRACE_POKEDATA, pid, area + POINTER_TO_SEQUENCE, 0) == 0);
    }
    NEED(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
    NEED(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    NEED(ptrace(PTRACE_GETREGS, pid, NULL, &registers) == 0);
    return registers;
}

/* Steps the stopped child to the function, and counts until the function returns. */
static void count(pid_t pid, int *instructions, int *system_calls)
{
    uint64_t frame, before = 0, begin = (uint64_t)ptrace(PTRACE_PEEKDATA, pid, &function, NULL);
    struct user_regs_struct at;
    int steps = 0;

    do {
        at = step(pid);
        NEED(steps++ < MOST_STEPS);
    } while (at.rip != begin);
    frame = at.rsp;
    *instructions = *system_calls = 0;
    while (at.rsp <= frame) { /* a return pops the address, so the stack pointer is then above */
        if (at.rip != before) {
            long bytes = ptrace(PTRACE_PEEKTEXT, pid, at.rip, NULL);
            *system_calls += (bytes & 0xffff) == 0x050f;
            ++*instructions;
        }
        before = at.rip;
        at = step(pid);
        NEED(steps++ < MOST_STEPS);
    }
}

static void until_stopped(pid_t pid)
{
    int status;

    NEED(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status))
        exit(WEXITSTATUS(status));
    NEED(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

int main(int argc, char **argv)
{
    int least = 0, least_calls = 0, i;
    pid_t pid;

    NEED(argc == 3);
    library = argv[1];
    what = argv[2];
    NEED((pid = fork()) >= 0);
    if (pid == 0)
        child();
    until_stopped(pid);
    NEED(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL) == 0);
    for (i = 0; i < TIMES; i++) {
        int instructions, system_calls;
        count(pid, &instructions, &system_calls);
        if (i == 0 || instructions < least) {
            least = instructions;
            least_calls = system_calls;
        }
        NEED(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
        until_stopped(pid);
    }
    printf("%d\t%d\n", least, least_calls);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return 0;
}
#else
int main(void) { return REFUSED; }
#endif
