/*
 * For programs that test special files and errors: a mount namespace of their own, loop devices,
 * and contexts in which the kernel has no room left.
 */
#ifndef PLACES_H
#define PLACES_H

#include "helpers.h"
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

/* Creates a mount namespace, which ends with this process. False if that is not permitted. */
UNUSED static int own_mounts(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* A mount point, in the program's temporary directory. */
UNUSED static const char *mount_point(void)
{
    NEED(mkdir("mounted", 0700) == 0 || errno == EEXIST);
    return "mounted";
}

/*
 * Opens a loop device on a file. Closing its last descriptor removes it. Returns -1 if the machine
 * has no loop devices.
 */
UNUSED static int loop_device(int file, int flags)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), device = -1, tries, number;
    struct loop_info64 info;
    char path[64];

    for (tries = 0; control >= 0 && device < 0 && tries < 1000; tries++) {
        number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0)
            break;
        snprintf(path, sizeof(path), "/dev/loop%d", number);
        device = open(path, O_RDWR | O_CLOEXEC);
        if (device < 0 && errno == ENOENT)
            break;
        /* Another program may have taken this device in the meantime. */
        if (device >= 0 && ioctl(device, LOOP_SET_FD, file) != 0) {
            close(device);
            device = -1;
            usleep(1000);
        }
    }
    if (control >= 0)
        close(control);
    if (device < 0)
        return -1;
    memset(&info, 0, sizeof(info));
    info.lo_flags = LO_FLAGS_AUTOCLEAR;
    NEED(ioctl(device, LOOP_SET_STATUS64, &info) == 0);
    number = open(path, flags | O_CLOEXEC);
    NEED(number >= 0);
    close(device);
    return number;
}

/*
 * Each program makes its requests twice: in a new context, and in one with UNTAKEN events that are
 * not taken. On rung 3 these fill the smallest ring, so that the library carries out the request.
 * Its event arrives last.
 */
enum { ASKED = 256, UNTAKEN = 240 };

struct place {
    io_context_t ctx;
    int untaken; /* 0 or UNTAKEN */
    int null;
    const char *kind; /* of the file, for the output */
};

UNUSED static struct place new_place(int untaken)
{
    struct place place = {0, untaken, open("/dev/zero", O_RDONLY | O_CLOEXEC), "file"};

    stay_on_this_processor();
    NEED(place.null >= 0 && io_setup(ASKED, &place.ctx) == 0);
    printf("- %s\n", untaken ? "full of events that are not taken" : "a new context");
    return place;
}

UNUSED static void leave_untaken(struct place *place)
{
    static struct iocb iocb;
    static struct iocb *list[UNTAKEN];
    static char byte;
    int i;

    if (!place->untaken)
        return;
    io_prep_pread(&iocb, place->null, &byte, 1, 0);
    for (i = 0; i < UNTAKEN; i++)
        list[i] = &iocb;
    NEED(io_submit(place->ctx, UNTAKEN, list) == UNTAKEN);
}

/* Takes them again, if the request after them was refused. */
UNUSED static void take_untaken(struct place *place)
{
    static struct io_event events[UNTAKEN];
    int taken = 0, answer;

    for (; taken<place->untaken; taken += answer> 0 ? answer : 0) {
        answer = io_getevents(place->ctx, 1, place->untaken - taken, events, NULL);
        NEED(answer > 0 || answer == -EINTR);
    }
}

/* Takes all events and copies that of the request. `event` is unchanged if there is none. */
UNUSED static int event_of(struct place *place, struct iocb *iocb, struct io_event *event)
{
    static struct io_event events[ASKED];
    int wanted = place->untaken + 1, taken = 0, found = 0, i, answer;

    /* Again if a signal handler ended the wait before all events were there. */
    do {
        answer = (int)QUIETLY(
            io_getevents(place->ctx, wanted - taken, ASKED, events, milliseconds(5000)));
        for (i = 0; i < answer; i++)
            if (events[i].obj == iocb) {
                *event = events[i];
                found++;
            }
        taken += answer > 0 ? answer : 0;
    } while (answer == -EINTR || (answer > 0 && taken < wanted));
    if (taken != wanted || found != 1)
        printf("%d EVENTS, %d OF THE REQUEST ", taken, found);
    return found;
}

/* Submits a request, and prints its error or its event, without the end of the line. */
UNUSED static long asked_in(struct place *place, const char *what, struct iocb *iocb)
{
    const char *full = place->untaken ? "full, " : "";
    struct iocb *list[1] = {iocb};
    struct io_event event;
    long answer;

    leave_untaken(place);
    answer = QUIETLY(io_submit(place->ctx, 1, list));
    if (answer != 1) {
        printf("%s%s: %s: submit %ld %s", full, place->kind, what, answer, error_name(answer));
        take_untaken(place);
        return answer;
    }
    memset(&event, 0x55, sizeof(event));
    event_of(place, iocb, &event);
    printf("%s%s: %s: event %ld%s%s%s%s", full, place->kind, what, (long)event.res,
           (long)event.res < 0 ? " " : "", error_name((long)event.res),
           event.data == iocb->data ? "" : " WRONG DATA", event.res2 ? " RES2" : "");
    return (long)event.res;
}

UNUSED static long ask_in(struct place *place, const char *what, struct iocb *iocb)
{
    long result = asked_in(place, what, iocb);
    puts("");
    return result;
}

#endif
