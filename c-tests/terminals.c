/* runs: everywhere */
/*
 * Terminals: reads of lines, reads with and without MIN and TIME, and reads and writes after the
 * other end was closed.
 */
#include "places.h"
#include <pthread.h>
#include <termios.h>

static char *buffer;
static struct iocb iocb;
static int master, terminal;

static void open_both(void)
{
    static char name[64];
    int lock = 0, number;

    master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || ioctl(master, TIOCSPTLCK, &lock) != 0 ||
        ioctl(master, TIOCGPTN, &number) != 0) {
        puts("SKIP terminals: there are none here");
        exit(77);
    }
    snprintf(name, sizeof(name), "/dev/pts/%d", number);
    terminal = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0) {
        puts("SKIP terminals: /dev/pts is not mounted");
        exit(77);
    }
}

static void set_mode(int is_canonical, int min, int time)
{
    struct termios mode;

    NEED(tcgetattr(terminal, &mode) == 0);
    mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    mode.c_oflag &= ~(tcflag_t)OPOST;
    if (is_canonical)
        mode.c_lflag |= ICANON;
    else {
        mode.c_cc[VMIN] = (cc_t)min;
        mode.c_cc[VTIME] = (cc_t)time;
    }
    NEED(tcsetattr(terminal, TCSANOW, &mode) == 0);
    printf("- %s", is_canonical ? "lines\n" : "");
    if (!is_canonical)
        printf("MIN %d, TIME %d\n", min, time);
}

static void types(const char *text) { NEED(write(master, text, strlen(text)) > 0); }

static void *type_later(void *text)
{
    usleep(30000);
    types(text);
    return NULL;
}

static void reads(struct place *place, const char *what, int fd, unsigned flags)
{
    long result;

    memset(buffer, 0, 100);
    io_prep_pread(&iocb, fd, buffer, 100, 0);
    iocb.aio_rw_flags = flags;
    result = asked_in(place, what, &iocb);
    if (result > 0 && buffer[result - 1] == '\n')
        buffer[result - 1] = '.';
    printf("%s%s\n", result > 0 ? ": " : "", result > 0 ? buffer : "");
}

/* A read that waits until something is typed. */
static void waits(struct place *place, const char *what, char *text)
{
    pthread_t thread;

    NEED(pthread_create(&thread, NULL, type_later, text) == 0);
    reads(place, what, terminal, 0);
    NEED(pthread_join(thread, NULL) == 0);
}

static void all(struct place *place)
{
    int again;

    open_both();
    place->kind = "terminal";
    set_mode(1, 0, 0);
    types("a line\nand another\n");
    reads(place, "two lines, the first", terminal, 0);
    reads(place, "the second", terminal, 0);
    types("a part ");
    waits(place, "a part of a line, and the rest later", "of a line\n");
    types("\004");
    reads(place, "the end of the file", terminal, 0);
    reads(place, "nothing, RWF_NOWAIT", terminal, 8);
    set_mode(0, 0, 0);
    reads(place, "nothing", terminal, 0);
    types("abc");
    reads(place, "three bytes", terminal, 0);
    set_mode(0, 0, 1);
    reads(place, "nothing", terminal, 0);
    types("abc");
    reads(place, "three bytes", terminal, 0);
    waits(place, "three bytes, later", "def");
    set_mode(0, 5, 0);
    types("abc");
    waits(place, "three bytes, and two later", "de");
    set_mode(0, 5, 1);
    types("abc");
    reads(place, "three bytes", terminal, 0);
    waits(place, "three bytes, later", "def");
    set_mode(0, 1, 0);
    io_prep_pwrite(&iocb, terminal, "written", 7, 0);
    ask_in(place, "write", &iocb);
    place->kind = "the other end";
    reads(place, "read", master, 0);
    place->kind = "terminal";
    io_prep_fsync(&iocb, terminal);
    ask_in(place, "fsync", &iocb);
    again = fcntl(terminal, F_GETFL);
    NEED(again >= 0 && fcntl(terminal, F_SETFL, again | O_NONBLOCK) == 0);
    reads(place, "nothing, O_NONBLOCK", terminal, 0);
    NEED(fcntl(terminal, F_SETFL, again) == 0);
    puts("- the other end has gone");
    close(master);
    reads(place, "read", terminal, 0);
    io_prep_pwrite(&iocb, terminal, "written", 7, 0);
    ask_in(place, "write", &iocb);
    close(terminal);
}

int main(void)
{
    int untaken;

    start();
    buffer = buffer_of(4096);
    for (untaken = 0; untaken <= UNTAKEN; untaken += UNTAKEN) {
        struct place place = new_place(untaken);

        all(&place);
        CALL(io_destroy(place.ctx));
    }
    return 0;
}
