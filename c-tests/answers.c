/* runs: only in tests/differential/refusals.rs: it is for kernels that refuse system calls */
/*
 * answers CALL [COUNT]: makes one call, through the library or as a system call, and prints its
 * answer. COUNT is for io_setup.
 */
#include "helpers.h"

/* Makes the call as a 32-bit program does. The kernel may not support that. */
static long io_setup_of_32_bits(long count)
{
#if defined(__x86_64__)
    static io_context_t *low;
    long answer;

    low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    NEED((void *)low != MAP_FAILED);
    __asm__ volatile("int $0x80"
                     : "=a"(answer)
                     : "a"(245L), "b"(count), "c"(low)
                     : "memory", "r8", "r9", "r10", "r11");
    return answer;
#else
    (void)count;
    return -EXDEV;
#endif
}

int main(int argc, char **argv)
{
    const char *call = argc > 1 ? argv[1] : "";
    int count = argc > 2 ? atoi(argv[2]) : 1;
    struct iocb iocb, *list[1] = {&iocb};
    struct io_event event;
    io_context_t ctx = 0;
    sigset_t none;
    long answer;

    start();
    sigemptyset(&none);
    memset(&iocb, 0, sizeof(iocb));
    if (strcmp(call, "io_setup") == 0)
        answer = io_setup(count, &ctx);
    else if (strcmp(call, "io_setup(2)") == 0)
        answer = syscall(SYS_io_setup, count, &ctx) == 0 ? 0 : -errno;
    else if (strcmp(call, "io_setup(2), 32 bits") == 0)
        answer = io_setup_of_32_bits(count);
    else if (strcmp(call, "io_destroy") == 0)
        answer = io_destroy(NULL);
    else if (strcmp(call, "io_submit") == 0)
        answer = io_submit(NULL, 1, list);
    else if (strcmp(call, "io_cancel") == 0)
        answer = io_cancel(NULL, &iocb, &event);
    else if (strcmp(call, "io_getevents") == 0)
        answer = io_getevents(NULL, 1, 1, &event, NULL);
    else if (strcmp(call, "io_pgetevents") == 0)
        answer = io_pgetevents(NULL, 1, 1, &event, NULL, &none);
    else
        return 1;
    show(call, answer);
    return 0;
}
