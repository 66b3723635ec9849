/* runs: everywhere */
/* The header's inline functions: every byte of the iocb that they fill in. */
#include "helpers.h"

static void callback(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
    (void)ctx;
    (void)iocb;
    (void)res;
    (void)res2;
}

/* The callback's address varies from run to run: a fixed number is printed instead. */
static void dump(const char *name, struct iocb *iocb)
{
    const unsigned char *bytes = (const unsigned char *)iocb;
    size_t i;

    if (iocb->data == (void *)callback)
        iocb->data = (void *)0x7777;
    printf("%s:", name);
    for (i = 0; i < sizeof(*iocb); i++)
        printf("%s%02x", i % 8 ? "" : " ", bytes[i]);
    printf("\n");
    memset(iocb, 0xaa, sizeof(*iocb));
}

#define DUMP(call)                                                                                 \
    do {                                                                                           \
        call;                                                                                      \
        dump(#call, &i);                                                                           \
    } while (0)

int main(void)
{
    struct iocb i;
    void *buf = (void *)0x12345678;
    const struct iovec *vec = (const struct iovec *)0x23456789;

    memset(&i, 0xaa, sizeof(i));
    DUMP(io_prep_pread(&i, 3, buf, 0x1122, 0x112233445566));
    DUMP(io_prep_pwrite(&i, -1, buf, ~(size_t)0, -1));
    DUMP(io_prep_preadv(&i, 3, vec, 7, 0x112233445566));
    DUMP(io_prep_pwritev(&i, 3, vec, -7, -2));
    DUMP(io_prep_preadv2(&i, 3, vec, 7, 0x112233445566, 8));
    DUMP(io_prep_pwritev2(&i, 3, vec, 7, 0x112233445566, -8));
    DUMP(io_prep_poll(&i, 3, 0x11223344));
    DUMP(io_prep_fsync(&i, 3));
    DUMP(io_prep_fdsync(&i, 3));
    DUMP(io_set_callback(&i, callback));
    DUMP(io_set_callback(&i, NULL));
    DUMP(io_set_eventfd(&i, 5));
    memset(&i, 0, sizeof(i));
    DUMP(io_set_eventfd(&i, 5));
    memset(&i, 0, sizeof(i));
    i.u.c.flags = 2;
    DUMP(io_set_eventfd(&i, -1));

    /* These also submit, here without a context. */
    show("io_poll", io_poll(NULL, &i, callback, 3, 1));
    dump("io_poll", &i);
    show("io_fsync", io_fsync(NULL, &i, callback, 3));
    dump("io_fsync", &i);
    show("io_fdsync", io_fdsync(NULL, &i, callback, 3));
    dump("io_fdsync", &i);
    return 0;
}
