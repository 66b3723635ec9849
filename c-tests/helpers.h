/*
 * Shared by the programs in c-tests/. Each prints the results of library calls on standard output,
 * which must be the same, byte for byte, over the original and over libaio-rs: print no pointers,
 * times, process IDs or paths. Standard error is not compared. A line that starts with "SKIP " says
 * what could not be tested here; a program that cannot run at all exits with status 77.
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

/* For setup that is not under test: the program fails if the condition is false. */
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

/* Makes a call and checks that it leaves errno alone: the library must never change it. */
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
/* Makes a call and prints its text and its result. */
#define CALL(call) show(#call, QUIETLY(call))
/* The same with another text, for a call from a table or one that contains macros. */
#define CALL_AS(name, call) show(name, QUIETLY(call))

/* A timeout of zero: a poll. */
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

/* Ends a program that hangs: the default action of SIGALRM is to terminate it. */
UNUSED static void start(void)
{
    alarm(60);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

/*
 * Opens an unlinked file of `size` bytes in a directory. It holds a letter in each block of 512
 * bytes: 'a' in the first, 'b' in the second, and so on.
 */
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

/* Zeroed memory, aligned as O_DIRECT needs it. */
UNUSED static char *buffer_of(size_t size)
{
    void *buffer = NULL;
    NEED(posix_memalign(&buffer, 4096, size) == 0);
    memset(buffer, 0, size);
    return buffer;
}

/* A page that can be neither read nor written. */
UNUSED static char *no_access(void)
{
    static char *page;
    if (!page) {
        page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        NEED(page != MAP_FAILED);
    }
    return page;
}

/* The kernel gives each CPU room in batches; a thread that migrates cannot use the old CPU's. */
UNUSED static void stay_on_this_processor(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    NEED(sched_setaffinity(0, sizeof(set), &set) == 0);
}

/* Creates a context for 8 requests. */
UNUSED static io_context_t context(void)
{
    io_context_t ctx = 0;
    NEED(io_setup(8, &ctx) == 0);
    return ctx;
}

/* Submits one request. Prints the error if it is refused, or else its event. */
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

/* Runs a function in a forked child, and prints how the child ended if it failed. */
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
 * The same for a function that may hang: after `seconds`, it kills the child and prints "HANGS".
 * The child has no alarm, so that it can use the timer itself. It is killed if its parent dies.
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
