/*
 * What the programs here share: a library's functions, a clock, and a check that ends the program.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <libaio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* One way to do asynchronous reads. */
struct way {
    const char *name;
    int (*setup)(int, io_context_t *);
    int (*destroy)(io_context_t);
    int (*submit)(io_context_t, long, struct iocb **);
    int (*getevents)(io_context_t, long, long, struct io_event *, struct timespec *);
};

static inline struct way load(const char *name, const char *path)
{
    struct way way = {.name = name};
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    *(void **)&way.setup = dlsym(library, "io_setup");
    *(void **)&way.destroy = dlsym(library, "io_destroy");
    *(void **)&way.submit = dlsym(library, "io_submit");
    *(void **)&way.getevents = dlvsym(library, "io_getevents", "LIBAIO_0.4");
    NEED(way.setup && way.destroy && way.submit && way.getevents);
    return way;
}

/* Nanoseconds. */
static inline double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}
