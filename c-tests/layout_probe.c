/* runs: only in tests/header.rs: what a compiler finds in the header; it makes no call */
/*
 * Prints what a compiler finds in libaio.h: sizes, offsets, types and constants, one per line. It
 * must print the same when it is built with the original's header and with ours.
 */
#include <libaio.h>
#include <stddef.h>
#include <stdio.h>

/* clang-format off */
#define TYPE_NAME(x)                                                                               \
    _Generic((x), void *: "void *", const void *: "const void *", int: "int",                      \
             unsigned: "unsigned", short: "short", long: "long", unsigned long: "unsigned long",   \
             long long: "long long", struct sockaddr *: "struct sockaddr *",                       \
             const struct iovec *: "const struct iovec *", struct iocb *: "struct iocb *",         \
             default: "another type")
/* clang-format on */
#define FIELD(type, field)                                                                         \
    do {                                                                                           \
        type object;                                                                               \
        printf(#type "." #field ": offset %u, size %u, %s\n", (unsigned)offsetof(type, field),     \
               (unsigned)sizeof(object.field), TYPE_NAME(object.field));                           \
    } while (0)
#define SIZE(type)                                                                                 \
    printf(#type ": size %u, alignment %u\n", (unsigned)sizeof(type), (unsigned)_Alignof(type))
#define CONSTANT(name) printf(#name ": %d, size %u\n", (int)(name), (unsigned)sizeof(name))
/* Whether a function has exactly the type that its documentation gives. */
#define FUNCTION(name, result, ...)                                                                \
    printf(#name ": %s\n",                                                                         \
           __builtin_types_compatible_p(__typeof__(&name), result (*)(__VA_ARGS__))                \
               ? "as expected"                                                                     \
               : "another type")
#define MACRO(name)                                                                                \
    printf(#name " is %s\n", sizeof(#name) == sizeof(TEXT(name)) ? "no macro" : "a macro")
#define TEXT(name) #name

int main(void)
{
    typedef struct iovec iov;
    SIZE(io_context_t);
    SIZE(io_iocb_cmd_t);
    SIZE(enum io_iocb_cmd);
    SIZE(io_callback_t);
    SIZE(struct iocb);
    SIZE(struct io_event);
    SIZE(struct io_iocb_common);
    SIZE(struct io_iocb_vector);
    SIZE(struct io_iocb_poll);
    SIZE(struct io_iocb_sockaddr);
    SIZE(struct io_sigset);
    SIZE(struct io_sigset_compat);

    FIELD(struct iocb, data);
    FIELD(struct iocb, key);
    FIELD(struct iocb, aio_rw_flags);
    FIELD(struct iocb, aio_lio_opcode);
    FIELD(struct iocb, aio_reqprio);
    FIELD(struct iocb, aio_fildes);
    FIELD(struct iocb, u);
    FIELD(struct iocb, u.c);
    FIELD(struct iocb, u.c.buf);
    FIELD(struct iocb, u.c.nbytes);
    FIELD(struct iocb, u.c.offset);
    FIELD(struct iocb, u.c.__pad3);
    FIELD(struct iocb, u.c.flags);
    FIELD(struct iocb, u.c.resfd);
    FIELD(struct iocb, u.v);
    FIELD(struct iocb, u.v.vec);
    FIELD(struct iocb, u.v.nr);
    FIELD(struct iocb, u.v.offset);
    FIELD(struct iocb, u.poll);
    FIELD(struct iocb, u.poll.events);
    FIELD(struct iocb, u.poll.__pad1);
    FIELD(struct iocb, u.saddr);
    FIELD(struct iocb, u.saddr.addr);
    FIELD(struct iocb, u.saddr.len);
    FIELD(struct io_event, data);
    FIELD(struct io_event, obj);
    FIELD(struct io_event, res);
    FIELD(struct io_event, res2);
    FIELD(struct io_sigset, ss);
    FIELD(struct io_sigset, ss_len);
    FIELD(struct io_sigset_compat, ss);
    FIELD(struct io_sigset_compat, ss_len);
#if __SIZEOF_LONG__ == 4
    FIELD(struct iocb, __pad1);
    FIELD(struct iocb, u.c.__pad1);
    FIELD(struct iocb, u.c.__pad2);
    FIELD(struct iocb, u.v.__pad1);
    FIELD(struct iocb, u.v.__pad2);
    FIELD(struct iocb, u.saddr.__pad1);
    FIELD(struct iocb, u.saddr.__pad2);
    FIELD(struct io_event, __pad1);
    FIELD(struct io_event, __pad2);
    FIELD(struct io_event, __pad3);
    FIELD(struct io_event, __pad4);
    FIELD(struct io_sigset_compat, __ss_pad);
#endif

    CONSTANT(IO_CMD_PREAD);
    CONSTANT(IO_CMD_PWRITE);
    CONSTANT(IO_CMD_FSYNC);
    CONSTANT(IO_CMD_FDSYNC);
    CONSTANT(IO_CMD_POLL);
    CONSTANT(IO_CMD_NOOP);
    CONSTANT(IO_CMD_PREADV);
    CONSTANT(IO_CMD_PWRITEV);

    FUNCTION(io_queue_init, int, int, io_context_t *);
    FUNCTION(io_queue_release, int, io_context_t);
    FUNCTION(io_queue_run, int, io_context_t);
    FUNCTION(io_setup, int, int, io_context_t *);
    FUNCTION(io_destroy, int, io_context_t);
    FUNCTION(io_submit, int, io_context_t, long, struct iocb **);
    FUNCTION(io_cancel, int, io_context_t, struct iocb *, struct io_event *);
    FUNCTION(io_getevents, int, io_context_t, long, long, struct io_event *, struct timespec *);
    FUNCTION(io_pgetevents, int, io_context_t, long, long, struct io_event *, struct timespec *,
             sigset_t *);
    FUNCTION(io_set_callback, void, struct iocb *, io_callback_t);
    FUNCTION(io_set_eventfd, void, struct iocb *, int);
    FUNCTION(io_prep_pread, void, struct iocb *, int, void *, size_t, long long);
    FUNCTION(io_prep_pwrite, void, struct iocb *, int, void *, size_t, long long);
    FUNCTION(io_prep_preadv, void, struct iocb *, int, const iov *, int, long long);
    FUNCTION(io_prep_pwritev, void, struct iocb *, int, const iov *, int, long long);
    FUNCTION(io_prep_preadv2, void, struct iocb *, int, const iov *, int, long long, int);
    FUNCTION(io_prep_pwritev2, void, struct iocb *, int, const iov *, int, long long, int);
    FUNCTION(io_prep_poll, void, struct iocb *, int, int);
    FUNCTION(io_prep_fsync, void, struct iocb *, int);
    FUNCTION(io_prep_fdsync, void, struct iocb *, int);
    FUNCTION(io_poll, int, io_context_t, struct iocb *, io_callback_t, int, int);
    FUNCTION(io_fsync, int, io_context_t, struct iocb *, io_callback_t, int);
    FUNCTION(io_fdsync, int, io_context_t, struct iocb *, io_callback_t, int);
    printf("io_callback_t: %s\n",
           __builtin_types_compatible_p(io_callback_t,
                                        void (*)(io_context_t, struct iocb *, long, long))
               ? "as expected"
               : "another type");

    MACRO(PADDED);
    MACRO(PADDEDptr);
    MACRO(PADDEDul);
    MACRO(__LIBAIO_H);
    return 0;
}
