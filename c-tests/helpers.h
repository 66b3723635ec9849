/*
 * What the programs in c-tests/ share. Each prints the library's answers on standard output, and
 * must print the same over the original and over libaio-rs, byte for byte: no pointers, times,
 * process numbers or paths. Standard error is free. A line that starts with "SKIP " says what
 * could not be asked here; a program that cannot run at all exits with 77.
 */
#ifndef HELPERS_H
#define HELPERS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

/* Set-up that is not under test: if it fails, so does the program. */
#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

UNUSED static const char *error_name(long answer)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
        {EPERM, "EPERM"},   {EINTR, "EINTR"},           {EIO, "EIO"},
        {EBADF, "EBADF"},   {EAGAIN, "EAGAIN"},         {ENOMEM, "ENOMEM"},
        {EFAULT, "EFAULT"}, {EINVAL, "EINVAL"},         {EFBIG, "EFBIG"},
        {ENOSPC, "ENOSPC"}, {EPIPE, "EPIPE"},           {ENOSYS, "ENOSYS"},
        {ESPIPE, "ESPIPE"}, {EOPNOTSUPP, "EOPNOTSUPP"}, {EINPROGRESS, "EINPROGRESS"},
    };
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (-answer == names[i].number)
            return names[i].name;
    return "";
}

UNUSED static void show(const char *what, long answer)
{
    if (answer < 0)
        printf("%s = %ld %s\n", what, answer, error_name(answer));
    else
        printf("%s = %ld\n", what, answer);
    fflush(stdout);
}

/* The library must leave errno alone, whatever it answers. */
#define ERRNO_MARK 4711
#define QUIETLY(call)                                                                              \
    __extension__({                                                                                \
        long answer_;                                                                              \
        errno = ERRNO_MARK;                                                                        \
        answer_ = (call);                                                                          \
        if (errno != ERRNO_MARK)                                                                   \
            printf("ERRNO CHANGED by %s\n", #call);                                                \
        answer_;                                                                                   \
    })
/* Makes a call and prints it with its answer. */
#define CALL(call) show(#call, QUIETLY(call))
/* The same under another name, for calls in a table or with macros in them. */
#define CALL_AS(name, call) show(name, QUIETLY(call))

static const struct timespec at_once_ = {0, 0};
#define AT_ONCE ((struct timespec *)&at_once_)

UNUSED static struct timespec *milliseconds(long count)
{
    static struct timespec time;
    time.tv_sec = count / 1000;
    time.tv_nsec = count % 1000 * 1000000;
    return &time;
}

UNUSED static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Nothing here may hang: the default action of SIGALRM ends the program. */
UNUSED static void start(void)
{
    alarm(60);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

/* A file without a name, in this directory, of so many bytes, each its offset's block number. */
UNUSED static int file_in(const char *directory, size_t size, int flags)
{
    char path[256];
    size_t done;
    int fd, again;

    snprintf(path, sizeof(path), "%s/ctest.XXXXXX", directory);
    fd = mkstemp(path);
    NEED(fd >= 0);
    for (done = 0; done < size; done += 512) {
        char block[512];
        memset(block, 'a' + (int)(done / 512 % 26), sizeof(block));
        NEED(write(fd, block, size - done < 512 ? size - done : 512) > 0);
    }
    NEED(fsync(fd) == 0);
    again = open(path, flags);
    unlink(path);
    close(fd);
    return again;
}

UNUSED static int file_of(size_t size, int flags)
{
    int fd = file_in(".", size, flags);
    NEED(fd >= 0);
    return fd;
}

/* Memory that O_DIRECT takes. */
UNUSED static char *buffer_of(size_t size)
{
    void *buffer = NULL;
    NEED(posix_memalign(&buffer, 4096, size) == 0);
    memset(buffer, 0, size);
    return buffer;
}

/* Addresses that cannot be read or written: a page without access, and one that is not there. */
UNUSED static char *no_access(void)
{
    static char *page;
    if (!page) {
        page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        NEED(page != MAP_FAILED);
    }
    return page;
}

/* The kernel gives out room in batches, one for each processor; a thread that moves leaves some. */
UNUSED static void stay_on_this_processor(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    NEED(sched_setaffinity(0, sizeof(set), &set) == 0);
}

/* A context of the usual size. */
UNUSED static io_context_t context(void)
{
    io_context_t ctx = 0;
    NEED(io_setup(8, &ctx) == 0);
    return ctx;
}

/* Submits one request and prints the answer or, if it was taken, its event. */
UNUSED static void ask(io_context_t ctx, const char *what, struct iocb *iocb)
{
    struct iocb *list[1] = {iocb};
    struct io_event event;
    long answer = QUIETLY(io_submit(ctx, 1, list));

    if (answer != 1) {
        printf("%s: submit %ld %s\n", what, answer, error_name(answer));
        return;
    }
    memset(&event, 0x55, sizeof(event));
    answer = QUIETLY(io_getevents(ctx, 1, 1, &event, milliseconds(2000)));
    if (answer != 1) {
        printf("%s: no event\n", what);
        return;
    }
    printf("%s: event %ld %s%s%s res2 %ld\n", what, (long)event.res, error_name((long)event.res),
           event.obj == iocb ? "" : " WRONG OBJ", event.data == iocb->data ? "" : " WRONG DATA",
           (long)event.res2);
}

/* Runs something in a forked child and says how it ended. */
UNUSED static void in_child(const char *what, void (*body)(void))
{
    int status;
    pid_t child;

    fflush(stdout);
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        alarm(30);
        body();
        fflush(stdout);
        _exit(0);
    }
    NEED(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status))
        printf("%s: killed by signal %d\n", what, WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        printf("%s: exit status %d\n", what, WEXITSTATUS(status));
}

/*
 * The same for what may hang, which is then a line of the output. The child is without the alarm of
 * start(), so that it may use the timer itself, and does not outlive its parent.
 */
UNUSED static void in_child_for(int seconds, const char *what, void (*body)(void))
{
    double end = seconds_now() + seconds;
    int status;
    pid_t child, ended;

    fflush(stdout);
    alarm(60 + (unsigned)seconds);
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        NEED(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        body();
        fflush(stdout);
        _exit(0);
    }
    while ((ended = waitpid(child, &status, WNOHANG)) == 0 && seconds_now() < end)
        usleep(1000);
    if (ended == 0) {
        NEED(kill(child, SIGKILL) == 0);
        NEED(waitpid(child, &status, 0) == child);
        printf("%s: HANGS\n", what);
    } else if (WIFSIGNALED(status)) {
        printf("%s: killed by signal %d\n", what, WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
        printf("%s: exit status %d\n", what, WEXITSTATUS(status));
    }
}

#endif
