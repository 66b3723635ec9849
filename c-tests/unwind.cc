/* runs: not musl: there is no C++ library for it here */
// A callback may leave io_queue_run by a C++ exception or by pthread_exit: the unwinder must be
// able to pass through the library's frames.
#include <libaio.h>

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static io_context_t ctx;
static struct iocb iocb;
static char buffer[512];

struct Guard {
    const char *name;
    ~Guard() { std::printf("destroyed: %s\n", name); }
};

static void submit(io_callback_t callback)
{
    static int fd = open("/dev/zero", O_RDONLY);
    struct iocb *list[1] = {&iocb};
    io_prep_pread(&iocb, fd, buffer, sizeof(buffer), 0);
    io_set_callback(&iocb, callback);
    if (io_submit(ctx, 1, list) != 1)
        std::exit(1);
}

static void throws(io_context_t, struct iocb *, long res, long)
{
    Guard guard = {"in the callback"};
    throw res;
}

// The cleanup handler in the callback must run before the one in the thread.
static void clean(void *name) { std::printf("cleaned up: %s\n", static_cast<const char *>(name)); }

static char in_callback[] = "in the callback", in_thread[] = "in the thread";

static void exits(io_context_t, struct iocb *, long, long)
{
    Guard guard = {"in the callback that exits"};
    pthread_cleanup_push(clean, in_callback);
    pthread_exit(buffer);
    pthread_cleanup_pop(0);
}

// The exception passes through two calls of io_queue_run.
static void runs_inside(io_context_t, struct iocb *, long, long)
{
    Guard guard = {"in the callback that runs the queue"};
    io_queue_run(ctx);
    std::puts("not reached");
}

static void *thread(void *)
{
    Guard guard = {"in the thread"};
    pthread_cleanup_push(clean, in_thread);
    submit(exits);
    io_queue_run(ctx);
    std::puts("not reached");
    pthread_cleanup_pop(0);
    return nullptr;
}

int main()
{
    pthread_t id;
    void *result;

    alarm(60); // nothing here may hang
    std::printf("io_setup = %d\n", io_setup(1, &ctx));
    submit(throws);
    try {
        Guard guard = {"around io_queue_run"};
        io_queue_run(ctx);
        std::puts("not reached");
    } catch (long res) {
        std::printf("caught %ld\n", res);
    }
    std::printf("io_queue_run = %d\n", io_queue_run(ctx));
    submit(runs_inside);
    submit(throws); // the event keeps the callback that the iocb had when it was submitted
    try {
        io_queue_run(ctx);
        std::puts("not reached");
    } catch (long res) {
        std::printf("caught %ld through two\n", res);
    }
    std::printf("io_queue_run = %d\n", io_queue_run(ctx));
    pthread_create(&id, nullptr, thread, nullptr);
    pthread_join(id, &result);
    std::printf("the thread %s\n", result == buffer ? "exited" : "returned");
    std::printf("io_queue_run = %d\n", io_queue_run(ctx));
    std::printf("io_destroy = %d\n", io_destroy(ctx));
}
