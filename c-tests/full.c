/* runs: everywhere */
/*
 * File systems and block devices that become full in the middle of a request: the request writes
 * and reports what had room, and the next one gets ENOSPC.
 */
#include "places.h"
#include <spawn.h>

extern char **environ;

enum { BLOCK = 4096, MOST = 256 * BLOCK };

static char *buffer;
static struct iocb iocb;

static void writes(struct place *place, const char *what, int fd, size_t size, long offset)
{
    io_prep_pwrite(&iocb, fd, buffer, size, offset);
    ask_in(place, what, &iocb);
}

static void reads(struct place *place, const char *what, int fd, size_t size, long offset)
{
    long i, result, wrong = 0;

    memset(buffer, 0, size);
    io_prep_pread(&iocb, fd, buffer, size, offset);
    result = ask_in(place, what, &iocb);
    for (i = 0; i < result; i++)
        wrong += buffer[i] != 'x';
    if (wrong)
        printf("%ld bytes are not what was written\n", wrong);
    memset(buffer, 'x', MOST);
}

static void show_size(int fd)
{
    struct stat status;

    NEED(fstat(fd, &status) == 0);
    printf("  %ld bytes\n", (long)status.st_size);
}

static void syncs(struct place *place, int fd)
{
    io_prep_fsync(&iocb, fd);
    ask_in(place, "fsync", &iocb);
    io_prep_fdsync(&iocb, fd);
    ask_in(place, "fdsync", &iocb);
}

/* Fills a file system, which must have room for fewer than MOST bytes. */
static void fill_up(struct place *place, const char *directory, int flags)
{
    struct iovec parts[3] = {{buffer, BLOCK}, {buffer + BLOCK, BLOCK}, {buffer, BLOCK}};
    int fd = file_in(directory, 0, O_RDWR | flags), other = file_in(directory, 0, O_RDWR | flags);
    long done = 0, result;

    NEED(fd >= 0 && other >= 0);
    /* Large writes until the file system is full; the last one is short. */
    do {
        io_prep_pwrite(&iocb, fd, buffer, 40 * BLOCK, done);
        result = ask_in(place, "40 blocks", &iocb);
        done += result > 0 ? result : 0;
    } while (result > 0 && done < MOST);
    show_size(fd);
    writes(place, "another block", fd, BLOCK, done);
    writes(place, "a block of another file", other, BLOCK, 0);
    writes(place, "a written block", fd, BLOCK, 0);
    writes(place, "a written block and a new one", fd, 2 * BLOCK, done - BLOCK);
    io_prep_pwritev(&iocb, fd, parts, 3, done - BLOCK);
    ask_in(place, "the same, a vector", &iocb);
    NEED(ftruncate(fd, done - 2 * BLOCK) == 0 && fsync(fd) == 0);
    writes(place, "4 blocks where there is room for 2", fd, 4 * BLOCK, done - 2 * BLOCK);
    show_size(fd);
    reads(place, "the end", fd, 4 * BLOCK, done - 2 * BLOCK);
    syncs(place, fd);
    close(fd);
    close(other);
}

static void tmpfs(struct place *place)
{
    const char *directory = mount_point();

    puts("- tmpfs");
    place->kind = "tmpfs";
    NEED(mount("ctest", directory, "tmpfs", 0, "size=400k") == 0);
    fill_up(place, directory, 0);
    NEED(umount(directory) == 0);
}

/* Makes a file system of 1 MiB in a file. False if there is no mke2fs. */
static int make_ext4(const char *path)
{
    const char *arguments[] = {"mke2fs", "-q",           "-F", "-t", "ext4", "-b", "4096",
                               "-O",     "^has_journal", "-N", "16", path,   "1M", NULL};
    static char places[] = "PATH=/usr/sbin:/sbin:/usr/bin:/bin";
    int status, fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    pid_t child;

    NEED(fd >= 0 && ftruncate(fd, MOST) == 0 && close(fd) == 0);
    putenv(places);
    if (posix_spawnp(&child, "mke2fs", NULL, NULL, (char **)arguments, environ) != 0)
        return 0;
    NEED(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void ext4(struct place *place)
{
    const char *directory = mount_point(), *path = "small.ext4";
    int flags, file, device;
    char source[64];

    for (flags = 0; flags <= O_DIRECT; flags += O_DIRECT) {
        /* Before a machine without mke2fs boots, a script adds the file. It is not removed then. */
        int is_made = access(path, F_OK) != 0;

        if (is_made && !make_ext4(path)) {
            unlink(path);
            puts("SKIP a full ext4: there is no mke2fs");
            return;
        }
        printf("- ext4%s\n", flags ? ", O_DIRECT" : "");
        place->kind = flags ? "ext4, O_DIRECT" : "ext4";
        file = open(path, O_RDWR | O_CLOEXEC);
        NEED(file >= 0);
        device = loop_device(file, O_RDONLY);
        if (device < 0) {
            puts("SKIP a full ext4: there are no loop devices");
            return;
        }
        snprintf(source, sizeof(source), "/proc/self/fd/%d", device);
        NEED(mount(source, directory, "ext4", 0, NULL) == 0);
        fill_up(place, directory, flags);
        NEED(umount(directory) == 0);
        close(device);
        close(file);
        if (is_made)
            unlink(path);
    }
}

/* Writes at and beyond the end of a block device, which cannot grow. */
static void block_device(struct place *place)
{
    int file = file_of(16 * BLOCK, O_RDWR), flags, device;

    for (flags = 0; flags <= O_DIRECT; flags += O_DIRECT) {
        device = loop_device(file, O_RDWR | flags);
        if (device < 0) {
            puts("SKIP the end of a block device: there are no loop devices");
            return;
        }
        printf("- a block device%s\n", flags ? ", O_DIRECT" : "");
        place->kind = "block device";
        writes(place, "all of it", device, 16 * BLOCK, 0);
        writes(place, "across its end", device, 4 * BLOCK, 14 * BLOCK);
        writes(place, "at its end", device, BLOCK, 16 * BLOCK);
        writes(place, "beyond its end", device, BLOCK, 20 * BLOCK);
        writes(place, "nothing at its end", device, 0, 16 * BLOCK);
        reads(place, "read across its end", device, 4 * BLOCK, 14 * BLOCK);
        reads(place, "read at its end", device, BLOCK, 16 * BLOCK);
        syncs(place, device);
        close(device);
    }
    close(file);
}

int main(void)
{
    int untaken;

    start();
    if (!own_mounts()) {
        puts("SKIP full file systems: nothing can be mounted here");
        return 77;
    }
    buffer = buffer_of(MOST);
    memset(buffer, 'x', MOST);
    for (untaken = 0; untaken <= UNTAKEN; untaken += UNTAKEN) {
        struct place place = new_place(untaken);

        tmpfs(&place);
        ext4(&place);
        block_device(&place);
        CALL(io_destroy(place.ctx));
    }
    return 0;
}
