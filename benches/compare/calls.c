/*
 * calls WHAT COUNT: makes one kind of call so many times. callgrind counts the instructions of two
 * runs that differ in COUNT alone.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <libaio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    static char buffer[1];
    struct timespec zero = {0, 0}, shortest = {0, 1};
    struct iocb iocb, *list[1] = {&iocb};
    struct io_event event;
    io_context_t ctx = 0;
    int i, count, fd = open("/dev/zero", O_RDONLY);

    if (argc < 3 || fd < 0 || io_setup(1, &ctx) != 0)
        return 1;
    count = atoi(argv[2]);
    io_prep_pread(&iocb, fd, buffer, 1, 0);
    for (i = 0; i < count; i++) {
        if (strcmp(argv[1], "poll") == 0) {
            if (io_getevents(ctx, 0, 1, &event, &zero) != 0)
                return 1;
        } else if (strcmp(argv[1], "wait") == 0) {
            if (io_getevents(ctx, 1, 1, &event, &shortest) != 0)
                return 1;
        } else {
            if (io_submit(ctx, 1, list) != 1)
                return 1;
            if (strcmp(argv[1], "submit") == 0) {
                /* Taken as fio takes it, so that the call is alone. */
                unsigned *ring = (unsigned *)ctx;
                ring[2] = (ring[2] + 1) % ring[1];
            } else if (io_getevents(ctx, 1, 1, &event, NULL) != 1) {
                return 1;
            }
        }
    }
    return 0;
}
