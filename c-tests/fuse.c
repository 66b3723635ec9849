/* runs: everywhere */
/*
 * A file system in user space (FUSE), as an example of files that a server provides: short, late
 * and interrupted replies, every error that a server can return, and the operations that the server
 * receives for each request.
 */
#include "places.h"
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>

/* Older versions of linux/fuse.h lack them. */
#ifndef FOPEN_STREAM
#define FOPEN_STREAM (1 << 4)
#endif

enum { BLOCK = 4096, PART = 65536, SIZE = 1 << 24 };

/* The files' node numbers; the root has 1. */
enum { CACHED = 2, DIRECT, NONSEEKABLE, STREAM, FILES };
static const char *const names[FILES] = {"", "", "cached", "direct", "nonseekable", "stream"};

/* Shared with the server: what it does, and a log of the operations that it has received. */
struct control {
    volatile int error; /* the reply to all operations from this offset on: */
    volatile long after;
    volatile long at_most;  /* the most bytes that a reply has */
    volatile int delay;     /* of each reply, in milliseconds, unless interrupted */
    volatile int listens;   /* whether the server writes the log */
    volatile int to_signal; /* the process that gets a signal when the next operation arrives */
    volatile int heard, interrupted;
    struct {
        unsigned opcode, size;
        long offset;
    } log[64];
};

static struct control *control;
static char *buffer;
static struct iocb iocb;

static char byte_at(long offset) { return (char)('a' + offset / 512 % 26); }

/* - The server */

static int device;

static void reply(const struct fuse_in_header *request, int error, const void *data, size_t size)
{
    struct fuse_out_header header = {(unsigned)(sizeof(header) + size), error, request->unique};
    struct iovec parts[2] = {{&header, sizeof(header)}, {(void *)data, size}};

    /* ENOENT: the kernel has given up the request in the meantime. */
    if (writev(device, parts, 2) < 0 && errno != ENOENT)
        perror("fuse: reply");
}

static void fill(struct fuse_attr *attributes, unsigned long node)
{
    memset(attributes, 0, sizeof(*attributes));
    attributes->ino = node;
    attributes->mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
    attributes->size = node == FUSE_ROOT_ID ? 0 : SIZE;
    attributes->nlink = 1;
    attributes->blksize = 4096;
}

static void serve_one(const struct fuse_in_header *request);

/* Waits for the delay; true if an interrupt arrives. Ignores other operations meanwhile. */
static int is_interrupted(const struct fuse_in_header *request)
{
    static char other[FUSE_MIN_READ_BUFFER + PART];
    const struct fuse_in_header *header = (const struct fuse_in_header *)other;
    double end = seconds_now() + control->delay / 1e3;
    struct pollfd poll_in = {device, POLLIN, 0};

    while (control->delay && seconds_now() < end) {
        if (poll(&poll_in, 1, 1) != 1 || read(device, other, sizeof(other)) <= 0)
            continue;
        if (header->opcode == FUSE_INTERRUPT &&
            ((const struct fuse_interrupt_in *)(header + 1))->unique == request->unique) {
            control->interrupted++;
            return 1;
        }
        serve_one(header);
    }
    return 0;
}

static void transfer(const struct fuse_in_header *request, long offset, unsigned size)
{
    static char data[PART];
    struct fuse_write_out written = {0, 0};
    unsigned i;

    if (control->to_signal) {
        kill(control->to_signal, SIGUSR1);
        control->to_signal = 0;
    }
    if (is_interrupted(request)) {
        reply(request, -EINTR, NULL, 0);
        return;
    }
    if (control->error && offset >= control->after) {
        reply(request, -control->error, NULL, 0);
        return;
    }
    if (offset >= SIZE && request->opcode == FUSE_READ)
        size = 0;
    if (control->at_most >= 0 && size > (unsigned long)control->at_most)
        size = (unsigned)control->at_most;
    if (request->opcode == FUSE_WRITE) {
        written.size = size;
        reply(request, 0, &written, sizeof(written));
        return;
    }
    for (i = 0; i < size; i++)
        data[i] = byte_at(offset + i);
    reply(request, 0, data, size);
}

static void take_down(unsigned opcode, long offset, unsigned size)
{
    int place = control->heard;

    /* Not what follows a close, which may arrive at any time. */
    if (!control->listens || place >= 64 || opcode == FUSE_INTERRUPT || opcode == FUSE_FORGET ||
        opcode == FUSE_FLUSH || opcode == FUSE_RELEASE)
        return;
    control->log[place].opcode = opcode;
    control->log[place].offset = offset;
    control->log[place].size = size;
    control->heard = place + 1;
}

static void serve_one(const struct fuse_in_header *request)
{
    static const unsigned modes[FILES] = {
        0,
        0,
        0,
        FOPEN_DIRECT_IO,
        FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE,
        FOPEN_DIRECT_IO | FOPEN_STREAM,
    };
    const void *body = request + 1;
    const struct fuse_read_in *read_in = body;
    const struct fuse_write_in *write_in = body;
    struct fuse_init_out init;
    struct fuse_entry_out entry;
    struct fuse_attr_out attributes;
    struct fuse_open_out open_out;
    struct fuse_statfs_out statfs_out;
    unsigned long node;

    switch (request->opcode) {
    case FUSE_READ:
        take_down(FUSE_READ, (long)read_in->offset, read_in->size);
        transfer(request, (long)read_in->offset, read_in->size);
        return;
    case FUSE_WRITE:
        take_down(FUSE_WRITE, (long)write_in->offset, write_in->size);
        transfer(request, (long)write_in->offset, write_in->size);
        return;
    }
    take_down(request->opcode, 0, 0);
    switch (request->opcode) {
    case FUSE_INIT:
        memset(&init, 0, sizeof(init));
        init.major = FUSE_KERNEL_VERSION;
        init.minor = 31;
        init.max_readahead = PART;
        init.max_write = PART;
        init.max_background = 16;
        init.congestion_threshold = 12;
        init.flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO;
        reply(request, 0, &init, sizeof(init));
        break;
    case FUSE_LOOKUP:
        for (node = FUSE_ROOT_ID + 1; node < FILES && strcmp(names[node], body) != 0;)
            node++;
        if (node == FILES) {
            reply(request, -ENOENT, NULL, 0);
            break;
        }
        memset(&entry, 0, sizeof(entry));
        entry.nodeid = node;
        entry.entry_valid = entry.attr_valid = 3600;
        fill(&entry.attr, node);
        reply(request, 0, &entry, sizeof(entry));
        break;
    case FUSE_GETATTR:
        memset(&attributes, 0, sizeof(attributes));
        attributes.attr_valid = 3600;
        fill(&attributes.attr, request->nodeid);
        reply(request, 0, &attributes, sizeof(attributes));
        break;
    case FUSE_OPEN:
        memset(&open_out, 0, sizeof(open_out));
        open_out.open_flags = modes[request->nodeid];
        reply(request, 0, &open_out, sizeof(open_out));
        break;
    case FUSE_STATFS:
        memset(&statfs_out, 0, sizeof(statfs_out));
        reply(request, 0, &statfs_out, sizeof(statfs_out));
        break;
    case FUSE_FSYNC:
        reply(request, -control->error, NULL, 0);
        break;
    case FUSE_FLUSH:
    case FUSE_RELEASE:
        reply(request, 0, NULL, 0);
        break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        break; /* no answer is wanted */
    default:
        reply(request, -ENOSYS, NULL, 0);
    }
}

static void serve(void)
{
    static char request[FUSE_MIN_READ_BUFFER + PART];

    for (;;) {
        if (read(device, request, sizeof(request)) > 0)
            serve_one((struct fuse_in_header *)request);
        else if (errno == ENODEV)
            _exit(0); /* unmounted */
        else if (errno != EINTR && errno != ENOENT)
            _exit(1);
    }
}

/* Mounts the file system. False if that cannot be done here. */
static int is_mounted(void)
{
    char options[128];

    control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                   0);
    NEED(control != MAP_FAILED);
    control->at_most = -1;
    device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device < 0 || !own_mounts())
        return 0;
    snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,max_read=%d",
             device, PART);
    if (mount("ctest", mount_point(), "fuse.ctest", MS_NOSUID | MS_NODEV, options) != 0)
        return 0;
    fflush(stdout);
    switch (fork()) {
    case -1:
        NEED(!"fork");
        break;
    case 0:
        NEED(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        alarm(0);
        serve();
    }
    close(device);
    return 1;
}

static int file(int which, int flags)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", mount_point(), names[which]);
    fd = open(path, flags | O_CLOEXEC);
    NEED(fd >= 0);
    return fd;
}

/* - The requests */

static void begin(void)
{
    control->heard = 0;
    control->listens = 1;
}

static const char *opcode_name(unsigned opcode)
{
    switch (opcode) {
    case FUSE_READ:
        return "read";
    case FUSE_WRITE:
        return "write";
    case FUSE_FSYNC:
        return "fsync";
    case FUSE_GETATTR:
        return "getattr";
    case FUSE_STATFS:
        return "statfs";
    case FUSE_LSEEK:
        return "lseek";
    case FUSE_POLL:
        return "poll";
    }
    return "another";
}

/* Prints the log, with sizes and offsets in blocks. */
static void end(void)
{
    int i;

    control->listens = 0;
    for (i = 0; i < control->heard; i++) {
        int is_same = i && control->log[i].opcode == control->log[i - 1].opcode;

        printf("%s%s", i ? ", " : "; served: ", is_same ? "" : opcode_name(control->log[i].opcode));
        if (control->log[i].size)
            printf("%s%u at %ld", is_same ? "" : " ", control->log[i].size / BLOCK,
                   control->log[i].offset / BLOCK);
    }
    puts("");
}

static void check_data(long result, long offset)
{
    long i;

    for (i = 0; i < result; i++)
        if (buffer[i] != byte_at(offset + i)) {
            printf(" WRONG BYTE %ld", i);
            return;
        }
}

/* One read. Prints the log only if `tell`: for cached files it depends on the read-ahead. */
static void reads(struct place *place, const char *what, int fd, size_t size, long offset, int tell)
{
    long result;

    memset(buffer, 0, size);
    io_prep_pread(&iocb, fd, buffer, size, offset);
    begin();
    result = asked_in(place, what, &iocb);
    check_data(result, offset);
    if (tell)
        end();
    else
        puts("");
}

static void writes(struct place *place, const char *what, int fd, size_t size, long offset)
{
    io_prep_pwrite(&iocb, fd, buffer, size, offset);
    begin();
    asked_in(place, what, &iocb);
    end();
}

static void syncs(struct place *place, const char *what, int fd)
{
    io_prep_fsync(&iocb, fd);
    begin();
    asked_in(place, what, &iocb);
    end();
}

static void as_usual(struct place *place, int fd)
{
    reads(place, "read", fd, 4096, 8192, 1);
    reads(place, "large read", fd, 3 * PART, 4 * PART, 0);
    writes(place, "write", fd, 4096, 4096);
    writes(place, "write, again", fd, 4096, 4096);
    writes(place, "large write", fd, 3 * PART, 0);
    reads(place, "read across the end", fd, 8192, SIZE - 4096, 0);
    reads(place, "read beyond the end", fd, 8192, SIZE + 4096, 1);
    syncs(place, "fsync", fd);
}

static void shortened(struct place *place, int fd)
{
    puts("- answers are short");
    control->at_most = 1000;
    reads(place, "read", fd, 4096, 16 * PART, 0);
    writes(place, "write", fd, 4096, 0);
    control->at_most = 0;
    reads(place, "read, of nothing", fd, 4096, 20 * PART, 0);
    writes(place, "write, of nothing", fd, 4096, 0);
    control->at_most = -1;
}

static void failing_later(struct place *place, int fd)
{
    puts("- the third part fails");
    control->error = EIO;
    control->after = 32 * PART;
    reads(place, "read", fd, 4 * PART, 30 * PART, 0);
    control->after = 42 * PART;
    writes(place, "write", fd, 4 * PART, 40 * PART);
    control->error = 0;
}

/* Error numbers below this one; the kernel accepts them all from a server. */
enum { MOST_ERRORS = 140 };

static void every_error(struct place *place, int fd, int is_cached)
{
    char what[32];
    int error;

    puts("- every error");
    control->after = 0;
    for (error = 1; error < MOST_ERRORS; error++) {
        control->error = error;
        snprintf(what, sizeof(what), "%d: read", error);
        /* At an offset that the kernel has not read ahead. */
        reads(place, what, fd, 4096, is_cached ? SIZE / 2 + (error + place->untaken) * 8192 : 0,
              !is_cached);
        snprintf(what, sizeof(what), "%d: write", error);
        writes(place, what, fd, 4096, 0);
        if (error != ENOSYS) { /* after it, the kernel sends no more fsync to the server */
            snprintf(what, sizeof(what), "%d: fsync", error);
            syncs(place, what, fd);
        }
    }
    control->error = 0;
}

static volatile sig_atomic_t handled;

static void count(int number)
{
    (void)number;
    handled++;
}

/* The server delays its replies, and ends an operation when it receives an interrupt. */
static void late(struct place *place, int fd, int patience)
{
    puts("- answers are late");
    control->delay = 30;
    reads(place, "read", fd, 4096, 50 * PART + place->untaken * 8192, 1);
    writes(place, "write", fd, 4096, 0);
    handled = 0;
    control->to_signal = getpid();
    reads(place, "read, with a signal", fd, 4096, 60 * PART + place->untaken * 8192, 1);
    control->delay = patience;
    control->to_signal = getpid();
    writes(place, "write, with a signal", fd, 4096, 0);
    printf("handlers: %d\n", (int)handled);
    control->delay = 0;
}

/* Before the server replies, the descriptor is closed, the iocb overwritten, the thread ended. */
static void *submit_and_go(void *unused)
{
    struct iocb own, *list[1] = {&own};
    struct place *place = unused;
    int fd = file(DIRECT, O_RDONLY | O_DIRECT);

    io_prep_pread(&own, fd, buffer, 4096, 8192);
    leave_untaken(place);
    CALL(io_submit(place->ctx, 1, list));
    close(fd);
    memset(&own, 0xee, sizeof(own));
    iocb.data = &own;
    return NULL;
}

static void submitter_is_gone(struct place *place)
{
    struct io_event event;
    pthread_t thread;

    puts("- its thread, its descriptor and its request are gone before the answer");
    control->delay = 30;
    memset(buffer, 0, 4096);
    NEED(pthread_create(&thread, NULL, submit_and_go, place) == 0);
    NEED(pthread_join(thread, NULL) == 0);
    memset(&event, 0x55, sizeof(event));
    event_of(place, iocb.data, &event);
    printf("event %ld", (long)event.res);
    check_data(4096, 8192);
    puts("");
    control->delay = 0;
}

/* A signal ends the program before the server replies. */
static void terminated(struct place *place, int fd)
{
    struct iocb *list[1] = {&iocb};
    int status, tries;
    pid_t child;

    control->delay = 200;
    control->heard = control->interrupted = 0;
    control->listens = 1;
    fflush(stdout);
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        struct place own = new_place(place->untaken);

        leave_untaken(&own);
        io_prep_pwrite(&iocb, fd, buffer, 4096, 0);
        io_submit(own.ctx, 1, list);
        _exit(1);
    }
    for (tries = 0; tries < 5000 && !control->heard; tries++)
        usleep(1000);
    NEED(kill(child, SIGTERM) == 0);
    NEED(waitpid(child, &status, 0) == child);
    printf("%sterminated in io_submit: %s, the server gets %s\n", place->untaken ? "full, " : "",
           WIFSIGNALED(status) ? "killed" : "not killed",
           control->interrupted ? "an interrupt" : "no interrupt");
    control->delay = 0;
    control->listens = 0;
}

int main(void)
{
    struct sigaction action;
    int untaken;

    start();
    if (!is_mounted()) {
        puts("SKIP a file system in user space: it cannot be mounted here");
        return 77;
    }
    memset(&action, 0, sizeof(action));
    action.sa_handler = count;
    action.sa_flags = SA_RESTART;
    NEED(sigaction(SIGUSR1, &action, NULL) == 0);
    buffer = buffer_of(4 * PART);
    for (untaken = 0; untaken <= UNTAKEN; untaken += UNTAKEN) {
        struct place place = new_place(untaken);
        int cached = file(CACHED, O_RDWR), direct = file(DIRECT, O_RDWR);
        int o_direct = file(CACHED, O_RDWR | O_DIRECT);
        int both = file(DIRECT, O_RDWR | O_DIRECT);

        NEED(posix_fadvise(cached, 0, 0, POSIX_FADV_RANDOM) == 0);
        place.kind = "direct_io";
        as_usual(&place, direct);
        shortened(&place, direct);
        failing_later(&place, direct);
        late(&place, direct, 30);
        every_error(&place, direct, 0);
        submitter_is_gone(&place);
        place.kind = "O_DIRECT";
        as_usual(&place, o_direct);
        shortened(&place, o_direct);
        failing_later(&place, o_direct);
        late(&place, o_direct, 30);
        place.kind = "both";
        as_usual(&place, both);
        shortened(&place, both);
        failing_later(&place, both);
        place.kind = "cached";
        late(&place, cached, 200);
        terminated(&place, cached);
        every_error(&place, cached, 1);
        place.kind = "not seekable";
        as_usual(&place, file(NONSEEKABLE, O_RDWR));
        place.kind = "a stream";
        as_usual(&place, file(STREAM, O_RDWR));
        CALL(io_destroy(place.ctx));
    }
    NEED(umount2(mount_point(), MNT_DETACH) == 0);
    return 0;
}
