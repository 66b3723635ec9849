/* runs: everywhere */
/* Making and destroying contexts: every error, reuse. */
#include "helpers.h"

int main(void)
{
    io_context_t ctx = 0, other = 0, first;
    int i, same = 0;

    start();
    CALL(io_setup(8, &ctx));
    printf("the handle is %s\n", ctx ? "set" : "not set");
    CALL(io_setup(8, &ctx));
    CALL(io_setup(0, &other));
    CALL(io_setup(-1, &other));
    CALL(io_setup(-2147483647 - 1, &other));
    CALL(io_setup(2147483647, &other));
    CALL(io_setup(0x10000000 / 2, &other));
    CALL(io_setup(1, NULL));
    CALL_AS("io_setup(1, no access)", io_setup(1, (io_context_t *)no_access()));
    CALL(io_setup(0, NULL));
    printf("the other handle is %s\n", other ? "set" : "not set");
    CALL(io_destroy(ctx));
    CALL(io_destroy(ctx));
    CALL(io_destroy(NULL));
    CALL(io_destroy((io_context_t)8));
    CALL(io_destroy((io_context_t)-1L));
    CALL_AS("io_destroy(a variable)", io_destroy((io_context_t)&other));
    CALL_AS("io_destroy(no access)", io_destroy((io_context_t)no_access()));

    /* io_queue_init checks the number before it clears the handle. */
    ctx = (io_context_t)5;
    CALL(io_queue_init(0, &ctx));
    CALL(io_queue_init(-1, &ctx));
    CALL(io_queue_init(0, NULL));
    printf("the handle is %s\n", ctx == (io_context_t)5 ? "as it was" : "changed");
    CALL(io_queue_init(2147483647, &ctx));
    printf("the handle is %s\n", ctx ? "set" : "cleared");
    ctx = (io_context_t)5;
    CALL(io_queue_init(1, &ctx));
    CALL(io_queue_release(ctx));
    CALL(io_queue_release(ctx));
    CALL(io_queue_release(NULL));

    /* The next context usually gets the same address, and must work as a new one does. */
    ctx = 0;
    CALL(io_setup(1, &ctx));
    first = ctx;
    CALL(io_destroy(ctx));
    for (i = 0; i < 5; i++) {
        ctx = 0;
        NEED(io_setup(1, &ctx) == 0);
        same += ctx == first;
        CALL_AS("poll of a new context", io_getevents(ctx, 0, 1, NULL, AT_ONCE));
        CALL(io_destroy(ctx));
    }
    fprintf(stderr, "same address %d of 5\n", same);
    return 0;
}
