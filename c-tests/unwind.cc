// A callback may leave io_queue_run by a C++ exception or by pthread_exit: the frames in between
// are the library's, and an unwinder must find its way through them.
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

static void exits(io_context_t, struct iocb *, long, long)
{
    Guard guard = {"in the callback that exits"};
    pthread_exit(buffer);
}

static void *thread(void *)
{
    Guard guard = {"in the thread"};
    submit(exits);
    io_queue_run(ctx);
    std::puts("not reached");
    return nullptr;
}

int main()
{
    pthread_t id;
    void *result;

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
    pthread_create(&id, nullptr, thread, nullptr);
    pthread_join(id, &result);
    std::printf("the thread %s\n", result == buffer ? "exited" : "returned");
    std::printf("io_queue_run = %d\n", io_queue_run(ctx));
    std::printf("io_destroy = %d\n", io_destroy(ctx));
}
