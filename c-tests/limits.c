/* runs: everywhere */
/*
 * Writes under RLIMIT_FSIZE: a write across the limit is short, a write beyond it fails, and the
 * thread that submits it gets SIGXFSZ.
 */
#include "places.h"
#include <pthread.h>
#include <setjmp.h>
#include <sys/resource.h>

#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif

enum { LIMIT = 8192 };

static char *buffer;
static struct iocb iocb;
static volatile sig_atomic_t handled, by_submitter;
static volatile pid_t submitter;
static sigjmp_buf back;

static void on_limit(int number)
{
    (void)number;
    handled++;
    by_submitter += syscall(SYS_gettid) == submitter;
}

static void jump(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

static void handle(void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    NEED(sigaction(SIGXFSZ, &action, NULL) == 0);
}

static void set_limit(rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};
    NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void show_size(int fd)
{
    struct stat status;

    NEED(fstat(fd, &status) == 0);
    printf("; %ld bytes, signals: %d, %d of the thread's\n", (long)status.st_size, (int)handled,
           (int)by_submitter);
    handled = by_submitter = 0;
}

static void writes(struct place *place, const char *what, int fd, size_t size, long offset)
{
    io_prep_pwrite(&iocb, fd, buffer, size, offset);
    asked_in(place, what, &iocb);
    show_size(fd);
}

static void vectors(struct place *place, const char *what, int fd, long offset)
{
    struct iovec parts[3] = {{buffer, 1000}, {buffer + 1000, 1000}, {buffer + 2000, 1000}};

    io_prep_pwritev(&iocb, fd, parts, 3, offset);
    asked_in(place, what, &iocb);
    show_size(fd);
}

static void all_kinds(struct place *place)
{
    int fd = file_of(4096, O_RDWR), append = file_of(4096, O_RDWR | O_APPEND), number;
    int direct = file_in(".", 4096, O_RDWR | O_DIRECT);

    if (direct < 0)
        direct = file_of(4096, O_RDWR);
    submitter = (pid_t)syscall(SYS_gettid);
    place->kind = "a file";
    writes(place, "below the limit", fd, 4096, 0);
    writes(place, "up to it", fd, 4096, 4096);
    writes(place, "across it", fd, 4096, 6000);
    writes(place, "at it", fd, 4096, LIMIT);
    writes(place, "beyond it", fd, 4096, 20000);
    writes(place, "of nothing beyond it", fd, 0, 20000);
    vectors(place, "a vector across it, in the second part", fd, LIMIT - 1500);
    vectors(place, "a vector beyond it", fd, LIMIT);
    place->kind = "a file to append to";
    for (number = 0; number < 4; number++)
        writes(place, "3000 bytes", append, 3000, 0);
    place->kind = "a file, RWF_APPEND";
    io_prep_pwrite(&iocb, fd, buffer, 100, 0);
    iocb.aio_rw_flags = RWF_APPEND;
    asked_in(place, "100 bytes", &iocb);
    show_size(fd);
    place->kind = "O_DIRECT";
    writes(place, "across it", direct, LIMIT, 4096);
    writes(place, "at it", direct, 4096, LIMIT);
    place->kind = "a larger file";
    set_limit(100);
    writes(place, "below the limit", fd, 100, 0);
    writes(place, "across it", fd, 4096, 0);
    writes(place, "at its end", fd, 100, LIMIT);
    set_limit(LIMIT);
    close(fd);
    close(append);
    close(direct);
}

/* Several requests in one call: each write within the limit is done, and one signal arrives. */
static void several(struct place *place)
{
    static struct iocb iocbs[4];
    struct iocb *list[4];
    struct io_event events[4];
    int fd = file_of(4096, O_RDWR), i, answer;

    place->kind = "a file";
    puts("- several at once");
    for (i = 0; i < 4; i++) {
        io_prep_pwrite(&iocbs[i], fd, buffer, 100, i % 2 ? LIMIT : 100 * i);
        list[i] = &iocbs[i];
    }
    leave_untaken(place);
    CALL(io_submit(place->ctx, 4, list));
    printf("before the events are taken");
    show_size(fd);
    for (i = 0; i<place->untaken; i += answer> 0 ? answer : place->untaken)
        answer = io_getevents(place->ctx, 1, place->untaken - i < 4 ? place->untaken - i : 4,
                              events, NULL);
    CALL(io_getevents(place->ctx, 4, 4, events, NULL));
    for (i = 0; i < 4; i++)
        printf("%s%ld", i ? " " : "", (long)events[i].res);
    puts("");
    close(fd);
}

/* Another thread does not get the signal, although it does not block it. */
static void *just_wait(void *ends)
{
    char byte;

    NEED(read(*(int *)ends, &byte, 1) == 0);
    return NULL;
}

static void beside_a_thread(struct place *place)
{
    int fd = file_of(4096, O_RDWR), ends[2];
    pthread_t thread;

    puts("- beside another thread");
    NEED(pipe(ends) == 0);
    NEED(pthread_create(&thread, NULL, just_wait, &ends[0]) == 0);
    writes(place, "beyond it", fd, 4096, LIMIT);
    close(ends[1]);
    NEED(pthread_join(thread, NULL) == 0);
    close(ends[0]);
    close(fd);
}

/* If the program blocks the signal, it stays blocked and becomes pending. */
static void blocked(struct place *place)
{
    int fd = file_of(4096, O_RDWR);
    sigset_t limit, found;

    puts("- with the signal blocked");
    sigemptyset(&limit);
    sigaddset(&limit, SIGXFSZ);
    NEED(sigprocmask(SIG_BLOCK, &limit, NULL) == 0);
    writes(place, "beyond it", fd, 4096, LIMIT);
    NEED(sigpending(&found) == 0);
    printf("pending: %d, ", sigismember(&found, SIGXFSZ));
    NEED(sigprocmask(SIG_SETMASK, NULL, &found) == 0);
    printf("blocked: %d, and another: %d\n", sigismember(&found, SIGXFSZ),
           sigismember(&found, SIGUSR1));
    NEED(sigprocmask(SIG_UNBLOCK, &limit, NULL) == 0);
    printf("handled then: %d\n", (int)handled);
    handled = by_submitter = 0;
    close(fd);
}

/* If the handler leaves by a jump, the event is in the ring nevertheless. */
static void jumped(struct place *place)
{
    struct iocb *list[1] = {&iocb};
    struct io_event event;
    int fd = file_of(4096, O_RDWR);

    puts("- the handler jumps");
    handle(jump);
    io_prep_pwrite(&iocb, fd, buffer, 100, LIMIT);
    leave_untaken(place);
    if (sigsetjmp(back, 1) == 0) {
        io_submit(place->ctx, 1, list);
        puts("the handler did not jump");
    }
    memset(&event, 0x55, sizeof(event));
    event_of(place, &iocb, &event);
    printf("event %ld\n", (long)event.res);
    handle(on_limit);
    close(fd);
}

static struct place the_place;

/* The signal ends the process, but only after io_submit has done the other writes of the call. */
static void ended(void)
{
    struct iocb iocbs[2], *list[2] = {&iocbs[0], &iocbs[1]};
    struct place place = new_place(the_place.untaken);

    handle(SIG_DFL);
    io_prep_pwrite(&iocbs[0], the_place.null, buffer, 100, LIMIT);
    io_prep_pwrite(&iocbs[1], the_place.null, buffer, 100, 0);
    leave_untaken(&place);
    io_submit(place.ctx, 2, list);
    puts("io_submit returned");
}

int main(void)
{
    int untaken;

    start();
    buffer = buffer_of(LIMIT);
    memset(buffer, 'x', LIMIT);
    set_limit(LIMIT);
    for (untaken = 0; untaken <= UNTAKEN; untaken += UNTAKEN) {
        struct place place = new_place(untaken);
        char byte = 0;

        puts("- ignored");
        handle(SIG_IGN);
        all_kinds(&place);
        puts("- handled");
        handle(on_limit);
        all_kinds(&place);
        several(&place);
        beside_a_thread(&place);
        blocked(&place);
        jumped(&place);
        puts("- by default");
        the_place.untaken = untaken;
        the_place.null = file_of(0, O_RDWR);
        in_child("a child", ended);
        NEED(pread(the_place.null, &byte, 1, 0) >= 0);
        printf("the other write is %s\n", byte == 'x' ? "done" : "not done");
        CALL(io_destroy(place.ctx));
    }
    return 0;
}
