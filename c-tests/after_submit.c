/* runs: everywhere */
/*
 * After io_submit has returned, a program may close the descriptor of a request or open another
 * file with the same number, overwrite or unmap the iocb and the vector, reuse the number of the
 * eventfd, and end the thread. Only the buffer must remain.
 */
#include "places.h"
#include <pthread.h>
#include <sys/eventfd.h>

enum { BLOCK = 4096, SIZE = 4 * BLOCK };
enum action { PREAD, PREADV, PWRITE, PWRITEV, FSYNC, ACTIONS };

static const char *const names[ACTIONS] = {"pread", "preadv", "pwrite", "pwritev", "fsync"};

struct request {
    struct iocb iocb;
    struct iovec parts[2];
};

/* How the submitting thread ends. */
enum end { RETURNS, PTHREAD_EXIT, SYS_EXIT };

static struct job {
    struct place *place;
    enum action action;
    enum end end;
    int flags;
    int kept, other; /* second descriptor of the file; the file that gets the first one's number */
    struct iocb *obj;
    long answer;
} job;

static char *buffer;

static void prepare(struct request *request, enum action action, int fd)
{
    request->parts[0] = (struct iovec){buffer, BLOCK};
    request->parts[1] = (struct iovec){buffer + BLOCK, BLOCK};
    switch (action) {
    case PREAD:
        io_prep_pread(&request->iocb, fd, buffer, SIZE, 0);
        break;
    case PREADV:
        io_prep_preadv(&request->iocb, fd, request->parts, 2, 0);
        break;
    case PWRITE:
        io_prep_pwrite(&request->iocb, fd, buffer, SIZE, 0);
        break;
    case PWRITEV:
        io_prep_pwritev(&request->iocb, fd, request->parts, 2, 0);
        break;
    default:
        io_prep_fsync(&request->iocb, fd);
    }
    request->iocb.data = buffer;
}

static int file_with(char byte, int flags, int *kept)
{
    static char content[SIZE];
    char path[] = "ctest.XXXXXX";
    int fd;

    *kept = mkstemp(path);
    memset(content, byte, SIZE);
    NEED(*kept >= 0 && pwrite(*kept, content, SIZE, 0) == SIZE && fsync(*kept) == 0);
    fd = open(path, O_RDWR | O_CLOEXEC | flags);
    if (fd < 0)
        fd = open(path, O_RDWR | O_CLOEXEC);
    NEED(fd >= 0);
    unlink(path);
    return fd;
}

/* Runs in a thread. The request is in memory that is unmapped after io_submit. */
static void *submit_and_end(void *unused)
{
    struct request *request = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                   -1, 0);
    struct iocb *list[1] = {&request->iocb};
    int fd = file_with('1', job.flags, &job.kept), other = file_with('2', 0, &job.other);

    NEED(request != MAP_FAILED);
    prepare(request, job.action, fd);
    job.obj = &request->iocb;
    leave_untaken(job.place);
    job.answer = io_submit(job.place->ctx, 1, list);
    /* Directly after io_submit, while the request may be in flight. */
    dup2(other, fd);
    memset(request, 0xee, sizeof(*request));
    munmap(request, BLOCK);
    list[0] = NULL;
    close(other);
    close(fd);
    if (job.end == PTHREAD_EXIT)
        pthread_exit(unused);
    return unused;
}

static char content_of(int fd)
{
    char content[SIZE];
    int i;

    NEED(pread(fd, content, SIZE, 0) == SIZE);
    for (i = 1; i < SIZE; i++)
        if (content[i] != content[0])
            return '?';
    return content[0];
}

/* Ends the thread by the system call, without the C library. */
static int end_at_once(void *unused)
{
    submit_and_end(unused);
    syscall(SYS_exit, 0);
    return 0;
}

static void one(struct place *place, enum action action, enum end end)
{
    struct io_event event;
    pthread_t thread;
    int reads = action == PREAD || action == PREADV;

    job.place = place;
    job.action = action;
    job.end = end;
    memset(buffer, reads ? '0' : '3', SIZE);
    if (end == SYS_EXIT) {
        char *stack = buffer_of(16 * BLOCK);
        pid_t child;

        /* It shares memory and files with this process. The C library does not know the thread,
         * so it frees nothing when the thread ends. */
        child = clone(end_at_once, stack + 16 * BLOCK, CLONE_VM | CLONE_FS | CLONE_FILES, NULL);
        NEED(child >= 0 && waitpid(child, NULL, __WALL) == child);
        free(stack);
    } else {
        NEED(pthread_create(&thread, NULL, submit_and_end, NULL) == 0);
        NEED(pthread_join(thread, NULL) == 0);
    }
    printf("%s%s, %s: io_submit %ld", place->untaken ? "full, " : "", place->kind, names[action],
           job.answer);
    memset(&event, 0x55, sizeof(event));
    event_of(place, job.obj, &event);
    printf(", event %ld%s; in the buffer %c %c, in the file ", (long)event.res,
           event.data == buffer ? "" : " WRONG DATA", buffer[0], buffer[SIZE - 1]);
    if (action == PWRITEV) {
        NEED(ftruncate(job.kept, 2 * BLOCK) == 0 && ftruncate(job.kept, SIZE) == 0);
        NEED(pwrite(job.kept, buffer, 2 * BLOCK, 2 * BLOCK) == 2 * BLOCK);
    }
    printf("%c, in the other %c\n", content_of(job.kept), content_of(job.other));
    close(job.kept);
    close(job.other);
}

/* The eventfd's number refers to another eventfd before the request has completed. */
static void counted(struct place *place, int flags)
{
    struct iocb iocb, *list[1] = {&iocb};
    struct io_event event;
    int kept, fd = file_with('1', flags, &kept);
    int counter = eventfd(0, EFD_NONBLOCK), same = dup(counter), other = eventfd(0, EFD_NONBLOCK);
    uint64_t value = 0;
    long answer;

    io_prep_pread(&iocb, fd, buffer, SIZE, 0);
    io_set_eventfd(&iocb, counter);
    leave_untaken(place);
    answer = io_submit(place->ctx, 1, list);
    dup2(other, counter);
    close(fd);
    printf("%s%s, eventfd: io_submit %ld", place->untaken ? "full, " : "", place->kind, answer);
    if (answer == 1) {
        event_of(place, &iocb, &event);
        printf(", event %ld", (long)event.res);
        /* The eventfd counts the event a moment after it is in the ring. */
        while (read(same, &value, 8) != 8 && errno == EAGAIN)
            usleep(100);
        printf(", counted %d", (int)value);
        printf(", by the other %s\n", read(other, &value, 8) == 8 ? "too" : "not");
    } else {
        puts("");
        take_untaken(place);
    }
    close(counter);
    close(same);
    close(other);
    close(kept);
}

int main(void)
{
    int untaken, action, end;

    start();
    buffer = buffer_of(SIZE);
    for (untaken = 0; untaken <= UNTAKEN; untaken += UNTAKEN) {
        struct place place = new_place(untaken);

        for (job.flags = 0; job.flags <= O_DIRECT; job.flags += O_DIRECT) {
            place.kind = job.flags ? "O_DIRECT" : "cached";
            for (action = 0; action < ACTIONS; action++)
                for (end = RETURNS; end <= SYS_EXIT; end++)
                    one(&place, (enum action)action, (enum end)end);
            counted(&place, job.flags);
        }
        CALL(io_destroy(place.ctx));
    }
    return 0;
}
