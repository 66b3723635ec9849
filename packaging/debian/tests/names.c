/* Loads the library by both names, checks that it is loaded once, and prints its file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

int main(void)
{
    void *handle = dlopen("libaio.so.1", RTLD_NOW);
    void *t64 = dlopen("libaio.so.1t64", RTLD_NOW);
    Dl_info found;

    if (!handle || !t64) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    if (handle != t64 || !dladdr(dlsym(t64, "io_submit"), &found)) {
        fprintf(stderr, "two libraries\n");
        return 1;
    }
    puts(found.dli_fname);
    return 0;
}
