/* runs: to name the library: shows that each way loads the library that it should */
/* Prints the path of the file that each function comes from. */
#include "helpers.h"
#include <dlfcn.h>

static void show_file(const char *name, void *function)
{
#ifdef STATIC
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    (void)function;
    NEED(maps);
    printf("%s: static\n", name);
    while (fgets(line, sizeof(line), maps))
        if (strstr(line, "libaio"))
            printf("%s", line);
    fclose(maps);
#else
    Dl_info info;
    char path[4096];
    NEED(dladdr(function, &info) && realpath(info.dli_fname, path));
    printf("%s: %s\n", name, path);
#endif
}

int main(void)
{
    show_file("io_setup", (void *)io_setup);
    show_file("io_destroy", (void *)io_destroy);
    show_file("io_submit", (void *)io_submit);
    show_file("io_cancel", (void *)io_cancel);
    show_file("io_getevents", (void *)io_getevents);
    show_file("io_pgetevents", (void *)io_pgetevents);
    show_file("io_queue_init", (void *)io_queue_init);
    show_file("io_queue_run", (void *)io_queue_run);
    show_file("io_queue_release", (void *)io_queue_release);
    return 0;
}
