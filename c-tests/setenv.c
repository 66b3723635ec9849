/* runs: everywhere */
/* The first io_setup of a process, while another thread changes the environment. */
#include "helpers.h"
#include <pthread.h>

#define PROCESSES 500
/* A process with a context takes long to exit, but little CPU time. */
#define AT_A_TIME 40

static int started;

/* Adds variables, so that setenv() moves their array again and again. */
static void *change_environment(void *unused)
{
    char name[32];
    int i;

    (void)unused;
    for (i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "CHANGED_%d", i);
        setenv(name, "with a value of some length", 1);
        __atomic_store_n(&started, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* Runs in a process that has not called the library yet. */
static int set_up(void)
{
    io_context_t ctx = 0;
    pthread_t thread;

    if (pthread_create(&thread, NULL, change_environment, NULL) != 0)
        return 1;
    while (!__atomic_load_n(&started, __ATOMIC_ACQUIRE))
        ;
    return io_setup(1, &ctx) != 0;
}

int main(void)
{
    int i, status, failed = 0, died = 0;

    start();
    for (i = 0; i < PROCESSES + AT_A_TIME; i++) {
        pid_t child = 0;
        if (i >= AT_A_TIME) {
            NEED(wait(&status) > 0);
            failed += WIFEXITED(status) && WEXITSTATUS(status) != 0;
            died += WIFSIGNALED(status);
        }
        if (i < PROCESSES) {
            child = fork();
            NEED(child >= 0);
            if (child == 0)
                _exit(set_up());
        }
    }
    printf("%d processes: %d failed, %d died\n", PROCESSES, failed, died);
    return 0;
}
