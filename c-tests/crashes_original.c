/* runs: against .expected: the original dies in most of the calls */
/*
 * Calls in which the original reads or writes through a bad address and dies. libaio-rs returns an
 * error instead: see crashes_original.expected.
 */
#include "helpers.h"

static struct io_event events[2];
static io_context_t bad;
static struct timespec *bad_time;
static io_context_t *bad_destination;

static void wait_a_moment(void) { CALL(io_getevents(bad, 1, 1, events, milliseconds(1))); }
static void wait_for_ever(void) { CALL(io_getevents(bad, 1, 1, events, NULL)); }
static void poll_it(void) { CALL(io_getevents(bad, 0, 1, events, AT_ONCE)); }
static void poll_with_mask(void) { CALL(io_pgetevents(bad, 0, 1, events, AT_ONCE, NULL)); }
static void run_it(void) { CALL(io_queue_run(bad)); }
static void with_bad_time(void) { CALL(io_getevents(bad, 1, 1, events, bad_time)); }
static void mask_with_bad_time(void) { CALL(io_pgetevents(bad, 1, 1, events, bad_time, NULL)); }
static void init_it(void) { CALL(io_queue_init(1, bad_destination)); }

static void no_callback(void)
{
    struct iocb iocb, *list[1] = {&iocb};

    bad = context();
    io_prep_pread(&iocb, file_of(512, O_RDONLY), buffer_of(512), 100, 0);
    NEED(io_submit(bad, 1, list) == 1);
    CALL(io_queue_run(bad));
    CALL(io_queue_run(bad));
}

static void with_handle(const char *what, io_context_t handle)
{
    printf("- %s\n", what);
    bad = handle;
    in_child("child", wait_a_moment);
    in_child("child", wait_for_ever);
    in_child("child", poll_it);
    in_child("child", poll_with_mask);
    in_child("child", run_it);
}

static void with_time(const char *what, long time)
{
    printf("- timeout %s\n", what);
    bad_time = (struct timespec *)time;
    in_child("child", with_bad_time);
    in_child("child", mask_with_bad_time);
}

int main(void)
{
    io_context_t ctx;

    start();
    with_handle("the first page", (io_context_t)16);
    with_handle("no access", (io_context_t)no_access());
    with_handle("not aligned", (io_context_t)(no_access() + 1));
    with_handle("outside of user space", (io_context_t)-4096L);
#if __SIZEOF_POINTER__ == 8
    with_handle("no such address", (io_context_t)0x0123456789abc000);
#else /* every 32-bit number is an address: take another one of the kernel's */
    with_handle("no such address", (io_context_t)-8192L);
#endif
    ctx = context();
    NEED(io_destroy(ctx) == 0);
    with_handle("destroyed", ctx);

    bad = context();
    with_time("in the first page", 16);
    with_time("outside of user space", -4096);

    puts("- the handle cannot be written");
    bad_destination = NULL;
    in_child("child", init_it);
    bad_destination = (io_context_t *)16;
    in_child("child", init_it);
    bad_destination = (io_context_t *)-4096L;
    in_child("child", init_it);

    puts("- no callback");
    in_child("child", no_callback);
    return 0;
}
