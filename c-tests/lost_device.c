/* runs: everywhere */
/*
 * A device that loses some of its blocks while it is in use: a loop device whose file is truncated,
 * or is on a full file system. fsync reports each error once.
 */
#include "places.h"

enum { BLOCK = 4096, BLOCKS = 256 };

static char *buffer;
static struct iocb iocb;

static void reads(struct place *place, const char *what, int fd, size_t size, long offset)
{
    io_prep_pread(&iocb, fd, buffer, size, offset);
    ask_in(place, what, &iocb);
}

static void writes(struct place *place, const char *what, int fd, size_t size, long offset)
{
    io_prep_pwrite(&iocb, fd, buffer, size, offset);
    ask_in(place, what, &iocb);
}

static void syncs(struct place *place, const char *what, int fd)
{
    io_prep_fsync(&iocb, fd);
    ask_in(place, what, &iocb);
    io_prep_fdsync(&iocb, fd);
    ask_in(place, "and then fdsync", &iocb);
}

/* A vector whose second part is in the lost blocks. */
static void vector(struct place *place, int fd, long offset)
{
    struct iovec parts[2] = {{buffer, BLOCK}, {buffer + BLOCK, 3 * BLOCK}};

    io_prep_preadv(&iocb, fd, parts, 2, offset);
    ask_in(place, "a vector into what is lost", &iocb);
}

static void truncated(struct place *place, int flags)
{
    int file = file_of(BLOCKS * BLOCK, O_RDWR), device = loop_device(file, O_RDWR | flags);

    NEED(device >= 0);
    printf("- its file is truncated%s\n", flags ? ", O_DIRECT" : "");
    place->kind = flags ? "O_DIRECT" : "cached";
    NEED(posix_fadvise(device, 0, 0, POSIX_FADV_RANDOM) == 0);
    reads(place, "before it is truncated", device, BLOCK, 100 * BLOCK);
    NEED(ftruncate(file, 64 * BLOCK) == 0);
    reads(place, "the same again", device, BLOCK, 100 * BLOCK);
    reads(place, "what is not lost", device, BLOCK, 10 * BLOCK);
    reads(place, "what is lost", device, BLOCK, 200 * BLOCK);
    reads(place, "into what is lost", device, 4 * BLOCK, 62 * BLOCK);
    vector(place, device, 62 * BLOCK);
    syncs(place, "fsync", device);
    close(device);
    close(file);
}

static void without_room(struct place *place, int flags)
{
    const char *directory = mount_point();
    int file, device;

    NEED(mount("ctest", directory, "tmpfs", 0, "size=64k") == 0);
    file = file_in(directory, 0, O_RDWR);
    NEED(file >= 0 && ftruncate(file, BLOCKS * BLOCK) == 0);
    device = loop_device(file, O_RDWR | flags);
    NEED(device >= 0);
    printf("- its file has no room%s\n", flags ? ", O_DIRECT" : "");
    place->kind = flags ? "O_DIRECT" : "cached";
    writes(place, "where there is room", device, BLOCK, 0);
    writes(place, "where there is none", device, 64 * BLOCK, BLOCK);
    /* The device does not report the first write, which was short. */
    writes(place, "where there is none, again", device, 64 * BLOCK, 100 * BLOCK);
    syncs(place, "fsync", device);
    reads(place, "what was written", device, BLOCK, 0);
    close(device);
    close(file);
    NEED(umount2(directory, MNT_DETACH) == 0);
}

int main(void)
{
    int untaken, file, device;

    start();
    file = file_of(BLOCK, O_RDWR);
    device = own_mounts() ? loop_device(file, O_RDWR) : -1;
    if (device < 0) {
        puts("SKIP devices that are lost: there are no loop devices here");
        return 77;
    }
    close(device);
    close(file);
    buffer = buffer_of(64 * BLOCK);
    for (untaken = 0; untaken <= UNTAKEN; untaken += UNTAKEN) {
        struct place place = new_place(untaken);

        truncated(&place, 0);
        truncated(&place, O_DIRECT);
        without_room(&place, 0);
        without_room(&place, O_DIRECT);
        CALL(io_destroy(place.ctx));
    }
    return 0;
}
