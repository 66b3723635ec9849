/*
 * refuse WHAT PROGRAM [ARGUMENT...]: starts a program under a seccomp filter that refuses the
 * system calls of kernel AIO. Nothing else on the machine changes. WHAT is one of these:
 *
 * enosys   All calls return ENOSYS, as under qemu-user and rr, and without CONFIG_AIO.
 * eperm    All calls return EPERM, as in a sandbox that denies what it does not list.
 * limit=N  io_setup returns EAGAIN for more than N requests, as if fs.aio-max-nr had no more room.
 *          As in the kernel, the number has 32 bits and no sign. The other calls work.
 * kill     Every call kills the process with SIGSYS.
 *
 * The filter covers all system call interfaces of the machine, so it also works for 32-bit
 * programs. An architecture that is not in the table kills. Children inherit the filter. Link this
 * program statically, so that LD_PRELOAD and LD_LIBRARY_PATH affect only the other program.
 */
#include <endian.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* io_setup is first. If an architecture has only one io_pgetevents call, it is in the row twice. */
enum { SETUP, DESTROY, SUBMIT, CANCEL, GETEVENTS, PGETEVENTS, PGETEVENTS_TIME64, CALLS };

static const struct interface {
    unsigned architecture;
    unsigned calls[CALLS];
} interfaces[] = {
#if defined(__x86_64__) || defined(__i386__)
#define X32 0x40000000
    {AUDIT_ARCH_X86_64, {206, 207, 209, 210, 208, 333, 333}},
    {AUDIT_ARCH_X86_64,
     {X32 | 543, X32 | 207, X32 | 544, X32 | 210, X32 | 208, X32 | 333, X32 | 333}},
    {AUDIT_ARCH_I386, {245, 246, 248, 249, 247, 385, 416}},
#elif defined(__aarch64__) || defined(__arm__)
    {AUDIT_ARCH_AARCH64, {0, 1, 2, 3, 4, 292, 292}},
    {AUDIT_ARCH_ARM, {243, 244, 246, 247, 245, 399, 416}},
#elif defined(__s390x__)
    {AUDIT_ARCH_S390X, {243, 244, 246, 247, 245, 382, 382}},
    {AUDIT_ARCH_S390, {243, 244, 246, 247, 245, 382, 416}},
#else
#error "What are the numbers of the system calls here?"
#endif
};
enum { INTERFACES = sizeof(interfaces) / sizeof(interfaces[0]) };

static struct sock_filter code[INTERFACES * (CALLS + 8) + 8];
static unsigned short length;

static void add(unsigned short what, unsigned operand, unsigned char if_true,
                unsigned char if_false)
{
    code[length++] = (struct sock_filter){what, if_true, if_false, operand};
}

static void load(size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0); }

static void answer(unsigned action) { add(BPF_RET | BPF_K, action, 0, 0); }

/* Each part is skipped as a whole if it is for another interface or call. */
static void kill_for_unknown_architectures(void)
{
    int i;

    load(offsetof(struct seccomp_data, arch));
    for (i = 0; i < INTERFACES; i++)
        add(BPF_JMP | BPF_JEQ | BPF_K, interfaces[i].architecture, (unsigned char)(INTERFACES - i),
            0);
    answer(SECCOMP_RET_KILL_PROCESS);
}

static void refuse_calls(const struct interface *its, unsigned action)
{
    int i;

    load(offsetof(struct seccomp_data, arch));
    add(BPF_JMP | BPF_JEQ | BPF_K, its->architecture, 0, CALLS + 2);
    load(offsetof(struct seccomp_data, nr));
    for (i = 0; i < CALLS; i++)
        add(BPF_JMP | BPF_JEQ | BPF_K, its->calls[i], (unsigned char)(CALLS - 1 - i),
            i == CALLS - 1 ? 1 : 0);
    answer(action);
}

static void refuse_more_than(const struct interface *its, unsigned limit)
{
    /* The lower half of the first argument. */
    size_t count = offsetof(struct seccomp_data, args) + (BYTE_ORDER == BIG_ENDIAN ? 4 : 0);

    load(offsetof(struct seccomp_data, arch));
    add(BPF_JMP | BPF_JEQ | BPF_K, its->architecture, 0, 5);
    load(offsetof(struct seccomp_data, nr));
    add(BPF_JMP | BPF_JEQ | BPF_K, its->calls[SETUP], 0, 3);
    load(count);
    add(BPF_JMP | BPF_JGT | BPF_K, limit, 0, 1);
    answer(SECCOMP_RET_ERRNO | EAGAIN);
}

static int build(const char *what)
{
    unsigned action = 0, limit = 0;
    int has_limit = 0, i;
    char more;

    if (strcmp(what, "enosys") == 0)
        action = SECCOMP_RET_ERRNO | ENOSYS;
    else if (strcmp(what, "eperm") == 0)
        action = SECCOMP_RET_ERRNO | EPERM;
    else if (strcmp(what, "kill") == 0)
        action = SECCOMP_RET_KILL_PROCESS;
    else if (sscanf(what, "limit=%u%c", &limit, &more) == 1)
        has_limit = 1;
    else
        return 0;
    kill_for_unknown_architectures();
    for (i = 0; i < INTERFACES; i++)
        if (has_limit)
            refuse_more_than(&interfaces[i], limit);
        else
            refuse_calls(&interfaces[i], action);
    answer(SECCOMP_RET_ALLOW);
    return 1;
}

int main(int argc, char **argv)
{
    struct sock_fprog filter = {0, code};

    if (argc < 3 || !build(argv[1])) {
        fprintf(stderr, "usage: %s enosys|eperm|limit=N|kill PROGRAM [ARGUMENT...]\n", argv[0]);
        return 125;
    }
    filter.len = length;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) {
        perror("refuse: seccomp");
        return 125;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
