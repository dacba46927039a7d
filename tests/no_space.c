/* A disk that fills up, for LD_PRELOAD: while the file $NO_SPACE_FLAG exists, nothing can be written below the folder
 * $NO_SPACE_ROOT. As on a real disk, a write may store half of its bytes before the next one fails with ENOSPC. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int below(const char *path) {
    const char *flag = getenv("NO_SPACE_FLAG"), *root = getenv("NO_SPACE_ROOT");
    return flag && root && !strncmp(path, root, strlen(root)) && !access(flag, F_OK);
}

static int is_full(int descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

ssize_t write(int descriptor, const void *data, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    static unsigned calls;
    if (!real) real = dlsym(RTLD_NEXT, "write");
    int saved = errno;
    if (descriptor > 2 && is_full(descriptor)) {
        if (count > 1 && calls++ % 2 == 0) return real(descriptor, data, count / 2);
        errno = ENOSPC;
        return -1;
    }
    errno = saved;
    return real(descriptor, data, count);
}

static int refused(const char *path, int flags) {
    int saved = errno, full = (flags & O_CREAT) && access(path, F_OK) && below(path);
    errno = full ? ENOSPC : saved;
    return full;
}

#define OPEN(name)                                                    \
    int name(const char *path, int flags, ...) {                      \
        static int (*real)(const char *, int, ...);                   \
        if (!real) real = dlsym(RTLD_NEXT, #name);                    \
        va_list rest;                                                 \
        va_start(rest, flags);                                        \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;     \
        va_end(rest);                                                 \
        return refused(path, flags) ? -1 : real(path, flags, mode);   \
    }
OPEN(open)
OPEN(open64)
