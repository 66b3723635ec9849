/* runs: not inline: it refuses every poll, see poll.inline.differences */
/*
 * io_cancel: only a poll that still waits can be cancelled, with the address of its iocb, in its
 * context. io_cancel() in fs/aio.c looks for this address in the list of active requests.
 */
#include "helpers.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

static io_context_t ctx;
static struct iocb iocb;
static struct io_event event;
static int ends[2];

static void submit(struct iocb *request)
{
    struct iocb *list[1] = {request};
    CALL_AS("io_submit", io_submit(ctx, 1, list));
}

static void wait_for(struct iocb *expected)
{
    memset(&event, 0x55, sizeof(event));
    CALL_AS("io_getevents", io_getevents(ctx, 1, 1, &event, milliseconds(5000)));
    printf("  res %ld res2 %ld, %s, %s\n", (long)event.res, (long)event.res2,
           event.obj == expected ? "the request" : "another",
           event.data == (void *)0x1234 ? "its data" : "other data");
}

static void poll_the_pipe(struct iocb *request)
{
    io_prep_poll(request, ends[0], POLLIN);
    request->data = (void *)0x1234;
}

static long answer;
static void *waits(void *unused)
{
    (void)unused;
    answer = QUIETLY(io_getevents(ctx, 1, 1, &event, NULL));
    return NULL;
}

static void what_the_search_goes_by(void)
{
    io_context_t other = context();
    struct iocb copy;
    char *page;

    puts("- by its address, in its context, with key 0");
    poll_the_pipe(&iocb);
    CALL(io_cancel(ctx, &iocb, &event)); /* not yet submitted */
    submit(&iocb);
    copy = iocb;
    CALL(io_cancel(ctx, &copy, &event));
    CALL(io_cancel(other, &iocb, &event));
    iocb.key = 1;
    CALL(io_cancel(ctx, &iocb, &event));
    memset(&iocb, 0xee, sizeof(iocb)); /* io_cancel reads nothing else in it */
    CALL(io_cancel(ctx, &iocb, &event));
    iocb.key = 0;
    CALL(io_cancel(ctx, &iocb, &event));
    CALL(io_cancel(ctx, &iocb, &event)); /* it was taken off the list */
    wait_for(&iocb);
    CALL(io_cancel(ctx, &iocb, &event));

    puts("- the event is not written, so it may be anywhere; the request is only read");
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(page != MAP_FAILED);
    poll_the_pipe((struct iocb *)page);
    submit((struct iocb *)page);
    NEED(mprotect(page, 4096, PROT_READ) == 0);
    CALL_AS("io_cancel(.., no access)",
            io_cancel(ctx, (struct iocb *)page, (struct io_event *)no_access()));
    wait_for((struct iocb *)page);
    NEED(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
    poll_the_pipe((struct iocb *)page);
    submit((struct iocb *)page);
    NEED(mprotect(page, 4096, PROT_NONE) == 0);
    CALL_AS("io_cancel(.., the request cannot be read)",
            io_cancel(ctx, (struct iocb *)page, &event));
    NEED(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
    CALL_AS("io_cancel(.., it can again)", io_cancel(ctx, (struct iocb *)page, &event));
    wait_for((struct iocb *)page);
    CALL(io_destroy(other));
}

static void one_that_has_fired(void)
{
    char byte;

    puts("- a poll that has fired, its event not yet taken");
    poll_the_pipe(&iocb);
    submit(&iocb);
    NEED(write(ends[1], "x", 1) == 1);
    CALL(io_cancel(ctx, &iocb, &event));
    CALL_AS("io_getevents", io_getevents(ctx, 1, 1, &event, milliseconds(5000)));
    NEED(read(ends[0], &byte, 1) == 1);
}

int main(void)
{
    int counter = eventfd(0, EFD_NONBLOCK);
    pthread_t thread;
    uint64_t count = 0;

    start();
    ctx = context();
    NEED(pipe(ends) == 0);
    what_the_search_goes_by();
    one_that_has_fired();

    puts("- it counts in its eventfd");
    poll_the_pipe(&iocb);
    io_set_eventfd(&iocb, counter);
    submit(&iocb);
    CALL(io_cancel(ctx, &iocb, &event));
    wait_for(&iocb);
    NEED(read(counter, &count, sizeof(count)) == sizeof(count));
    printf("the counter says %d\n", (int)count);

    puts("- while a thread waits for it");
    poll_the_pipe(&iocb);
    submit(&iocb);
    NEED(pthread_create(&thread, NULL, waits, NULL) == 0);
    usleep(20000);
    CALL(io_cancel(ctx, &iocb, NULL));
    NEED(pthread_join(thread, NULL) == 0);
    show("the thread's io_getevents", answer);
    printf("  res %ld, %s\n", (long)event.res, event.obj == &iocb ? "the request" : "another");
    CALL(io_destroy(ctx));
    return 0;
}
