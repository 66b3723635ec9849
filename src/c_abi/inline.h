#if defined(__LIBAIO_32) &&                                                                        \
    (defined(_REDIR_TIME64) || (defined(__USE_TIME_BITS64) && __TIMESIZE == 32))
/*
 * struct timespec has a 64-bit time here (glibc with _TIME_BITS=64, or musl), so the functions that
 * take a timespec are those of version LIBAIO_0.6.
 */
extern __typeof__(io_getevents) io_getevents __asm__("io_getevents_time64");
extern __typeof__(io_pgetevents) io_pgetevents __asm__("io_pgetevents_time64");
#endif

/* Sets the file descriptor and the opcode, and everything else to 0. */
static inline void __libaio_prep(struct iocb *iocb, int fd, int opcode)
{
    memset(iocb, 0, sizeof(*iocb));
    iocb->aio_fildes = fd;
    iocb->aio_lio_opcode = (short)opcode;
}

/* Sets all fields of a read or write. */
static inline void __libaio_prep_rw(struct iocb *iocb, int fd, int opcode, void *buf,
                                    unsigned long nbytes, long long offset, int flags)
{
    __libaio_prep(iocb, fd, opcode);
    iocb->u.c.buf = buf;
    iocb->u.c.nbytes = nbytes;
    iocb->u.c.offset = offset;
    iocb->aio_rw_flags = (unsigned int)flags;
}

/**
 * Fill in a request. The io_prep_* functions set every field, so call io_set_callback() and
 * io_set_eventfd() afterwards, and set iocb->data afterwards. They do not fail and make no system
 * call: io_submit() or the event reports what is wrong with a request.
 *
 * count and offset are in bytes; buf must stay valid until the request's event has been reaped.
 * With O_DIRECT, buf, count and offset must be aligned to the file's logical block size.
 */
static inline void io_prep_pread(struct iocb *iocb, int fd, void *buf, size_t count,
                                 long long offset)
{
    __libaio_prep_rw(iocb, fd, IO_CMD_PREAD, buf, count, offset, 0);
}

static inline void io_prep_pwrite(struct iocb *iocb, int fd, void *buf, size_t count,
                                  long long offset)
{
    __libaio_prep_rw(iocb, fd, IO_CMD_PWRITE, buf, count, offset, 0);
}

/** The same with a vector of up to 1024 buffers; io_submit() copies the vector. */
static inline void io_prep_preadv(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt,
                                  long long offset)
{
    __libaio_prep_rw(iocb, fd, IO_CMD_PREADV, (void *)iov, (unsigned long)iovcnt, offset, 0);
}

static inline void io_prep_pwritev(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt,
                                   long long offset)
{
    __libaio_prep_rw(iocb, fd, IO_CMD_PWRITEV, (void *)iov, (unsigned long)iovcnt, offset, 0);
}

/** The same with RWF_* flags, as for preadv2(2) and pwritev2(2); since Linux 4.13. */
static inline void io_prep_preadv2(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt,
                                   long long offset, int flags)
{
    __libaio_prep_rw(iocb, fd, IO_CMD_PREADV, (void *)iov, (unsigned long)iovcnt, offset, flags);
}

static inline void io_prep_pwritev2(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt,
                                    long long offset, int flags)
{
    __libaio_prep_rw(iocb, fd, IO_CMD_PWRITEV, (void *)iov, (unsigned long)iovcnt, offset, flags);
}

/** fsync(2) and fdatasync(2); since Linux 4.18. */
static inline void io_prep_fsync(struct iocb *iocb, int fd)
{
    __libaio_prep(iocb, fd, IO_CMD_FSYNC);
}

static inline void io_prep_fdsync(struct iocb *iocb, int fd)
{
    __libaio_prep(iocb, fd, IO_CMD_FDSYNC);
}

/** Wait once for any of the poll(2) events; since Linux 4.19. */
static inline void io_prep_poll(struct iocb *iocb, int fd, int events)
{
    __libaio_prep(iocb, fd, IO_CMD_POLL);
    iocb->u.poll.events = events;
}

/** Set the function that io_queue_run() calls for this request. It is stored in iocb->data. */
static inline void io_set_callback(struct iocb *iocb, io_callback_t cb)
{
    memcpy(&iocb->data, &cb, sizeof(cb)); /* ISO C has no cast from function to object pointer */
}

/** Make the kernel add 1 to an eventfd(2) after the request's event has become visible. */
static inline void io_set_eventfd(struct iocb *iocb, int eventfd)
{
    iocb->u.c.flags |= IOCB_FLAG_RESFD;
    iocb->u.c.resfd = (unsigned int)eventfd;
}

/** Fill in a request with a callback and submit it. Returns 1, or an error of io_submit(). */
static inline int io_poll(io_context_t ctx, struct iocb *iocb, io_callback_t cb, int fd, int events)
{
    io_prep_poll(iocb, fd, events);
    io_set_callback(iocb, cb);
    return io_submit(ctx, 1, &iocb);
}

static inline int io_fsync(io_context_t ctx, struct iocb *iocb, io_callback_t cb, int fd)
{
    io_prep_fsync(iocb, fd);
    io_set_callback(iocb, cb);
    return io_submit(ctx, 1, &iocb);
}

static inline int io_fdsync(io_context_t ctx, struct iocb *iocb, io_callback_t cb, int fd)
{
    io_prep_fdsync(iocb, fd);
    io_set_callback(iocb, cb);
    return io_submit(ctx, 1, &iocb);
}

#undef __LIBAIO_BIG_ENDIAN
#undef __LIBAIO_LITTLE_ENDIAN
#undef __LIBAIO_32
#undef __LIBAIO_64

#ifdef __cplusplus
}
#endif

#endif /* __LIBAIO_H */
