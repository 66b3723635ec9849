/*
 * The only process of an emulated machine. Loads the modules in the initramfs, mounts the disk,
 * runs every program on the list there, writes their output to the disk, and switches the machine
 * off. With an argument, which can be on the kernel's command line, it only switches off. See
 * boot.sh.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Limit for a program that hangs. A program's own alarm, if it has one, comes earlier. */
enum { SECONDS_FOR_ONE = 180 };

static void need(int answer, const char *what)
{
    if (answer < 0)
        printf("init: %s: %s\n", what, strerror(errno));
}

static void load(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    need(fd, path);
    /* A module that is already loaded, or has no device, is not an error. */
    if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST && errno != ENODEV)
        need(-1, path);
    close(fd);
}

/* Calls action with each line of a file, without the newline. */
static void for_each_line(const char *path, void (*action)(const char *))
{
    char line[256];
    FILE *file = fopen(path, "re");

    need(file ? 0 : -1, path);
    while (file && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = 0;
        action(line);
    }
    if (file)
        fclose(file);
}

/* Sets the variables that come first, and executes the program that follows them. */
static void become(char **words)
{
    while (*words && **words != '/')
        putenv(*words++);
    if (*words)
        execv(*words, words);
}

/*
 * A line is the path of a program below /disk, and its arguments. Or it is a name for the output,
 * "=", variables (NAME=VALUE), the whole path of a program, and its arguments.
 */
static void run(const char *line)
{
    char path[300], copy[256], *name, *arguments[12];
    size_t count = 0;
    int status = 0, seconds;
    FILE *file;
    pid_t child;

    printf("init: %s\n", line);
    snprintf(copy, sizeof(copy), "%s", line);
    name = strtok(copy, " ");
    do
        arguments[count] = count ? strtok(NULL, " ") : name;
    while (arguments[count] && ++count < 11);
    arguments[count] = NULL;
    child = fork();
    need(child, "fork");
    if (child == 0) {
        setsid();
        need(chdir("/disk/work"), "work");
        snprintf(path, sizeof(path), "/disk/%s.out", name);
        need(dup2(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644), 1), path);
        snprintf(path, sizeof(path), "/disk/%s", name);
        if (count > 1 && strcmp(arguments[1], "=") == 0)
            become(arguments + 2);
        else
            execv(path, arguments);
        _exit(126);
    }
    for (seconds = 0; waitpid(child, &status, WNOHANG) == 0; seconds++) {
        const struct timespec some = {0, 100000000};
        if (seconds == 10 * SECONDS_FOR_ONE)
            kill(-child, SIGKILL);
        nanosleep(&some, NULL);
    }
    snprintf(path, sizeof(path), "/disk/%s.status", name);
    file = fopen(path, "we");
    need(file ? 0 : -1, path);
    if (file) {
        fprintf(file, "%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        fclose(file);
    }
}

static void switch_off(void)
{
    puts("init: done");
    reboot(RB_POWER_OFF);
}

int main(int argc, char **argv)
{
    struct utsname system;
    int tries;

    (void)argv;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1)
        switch_off();
    need(uname(&system), "uname");
    printf("init: Linux %s, %s\n", system.release, system.version);
    putenv("NOTHING_ELSE_RUNS=1");
    need(mount("proc", "/proc", "proc", 0, NULL), "proc");
    /* For how many processors there may be. */
    need(mount("sysfs", "/sys", "sysfs", 0, NULL), "sysfs");
    if (mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) < 0 && errno != EBUSY)
        need(-1, "devtmpfs");
    mkdir("/dev/pts", 0755);
    need(mount("devpts", "/dev/pts", "devpts", 0, NULL), "devpts");
    mkdir("/dev/shm", 01777);
    need(mount("tmpfs", "/dev/shm", "tmpfs", 0, NULL), "tmpfs");
    need(mount("tmpfs", "/tmp", "tmpfs", 0, NULL), "tmpfs");
    for_each_line("/modules/list", load);
    for (tries = 0; tries < 100 && access("/dev/vda", F_OK) != 0; tries++)
        usleep(100000);
    need(mount("/dev/vda", "/disk", "ext4", 0, NULL), "/dev/vda");
    for_each_line("/disk/list", run);
    sync();
    need(umount("/disk"), "umount");
    switch_off();
    return 0;
}
