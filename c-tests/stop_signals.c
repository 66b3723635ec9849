/* runs: not time64: io_pgetevents(2), the only system call there, resumes after a stop signal */
/* runs: not inline: a futex wait resumes after a stop signal */
/* runs: not short-ring: a futex wait resumes after a stop signal */
/*
 * A stop signal ends a wait in io_getevents(2), although no handler runs. It does not end a wait in
 * io_pgetevents(2), the only system call for 32-bit programs with 64-bit times.
 */
#include "helpers.h"

static void wait_in_child(void)
{
    struct io_event event;
    io_context_t own = context();
    CALL_AS("in the child", io_getevents(own, 1, 1, &event, NULL));
}

int main(void)
{
    int status;
    pid_t child;

    start();
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        alarm(30);
        wait_in_child();
        fflush(stdout);
        _exit(0);
    }
    usleep(100000);
    kill(child, SIGSTOP);
    NEED(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    kill(child, SIGCONT);
    NEED(waitpid(child, &status, 0) == child);
    printf("the child's status: %d\n", status);
    return 0;
}
