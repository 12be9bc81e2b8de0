/* Kills the process it is preloaded into right before its n-th call that writes: to a file, a folder or a socket.
 *   PRESCALE_KILL_AT=n     before which call; 0 for none
 *   PRESCALE_KILL_COUNT=f  where the number of calls is written at the end
 * Programs that the process starts are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;
static long kill_at;
static char count_file[4096];

__attribute__((constructor)) static void begin(void) {
  const char *at = getenv("PRESCALE_KILL_AT"), *file = getenv("PRESCALE_KILL_COUNT");
  kill_at = at ? atol(at) : 0;
  snprintf(count_file, sizeof count_file, "%s", file ? file : "");
  unsetenv("LD_PRELOAD");
}

__attribute__((destructor)) static void end(void) {
  long counted = atomic_load(&calls);
  FILE *file = count_file[0] ? fopen(count_file, "w") : NULL;
  if (file) {
    fprintf(file, "%ld\n", counted);
    fclose(file);
  }
}

static void writes(void) {
  if (atomic_fetch_add(&calls, 1) + 1 == kill_at) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
}

/* Pipes, terminals and the runtime's own wake-ups reach nothing that outlives the process. */
static void writes_to(int fd) {
  struct stat found;
  if (fd > 2 && fstat(fd, &found) == 0 && (S_ISREG(found.st_mode) || S_ISSOCK(found.st_mode))) writes();
}

#define NEXT(result, name, ...)                                   \
  static result (*next)(__VA_ARGS__);                             \
  if (!next) next = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define OPENS(name)                                               \
  int name(const char *path, int flags, ...) {                    \
    NEXT(int, #name, const char *, int, ...);                     \
    va_list rest;                                                 \
    va_start(rest, flags);                                        \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                 \
    if (flags & (O_CREAT | O_TRUNC)) writes();                    \
    return next(path, flags, mode);                               \
  }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                            \
  int name(int folder, const char *path, int flags, ...) {        \
    NEXT(int, #name, int, const char *, int, ...);                \
    va_list rest;                                                 \
    va_start(rest, flags);                                        \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                 \
    if (flags & (O_CREAT | O_TRUNC)) writes();                    \
    return next(folder, path, flags, mode);                       \
  }
OPENS_AT(openat)
OPENS_AT(openat64)

#define PATHS(name, parameters, arguments)                        \
  int name parameters {                                           \
    static int(*next) parameters;                                 \
    if (!next) next = (int(*) parameters)dlsym(RTLD_NEXT, #name); \
    writes();                                                     \
    return next arguments;                                        \
  }
PATHS(rename, (const char *from, const char *to), (from, to))
PATHS(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
PATHS(renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags))
PATHS(link, (const char *from, const char *to), (from, to))
PATHS(linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
PATHS(symlink, (const char *from, const char *to), (from, to))
PATHS(unlink, (const char *path), (path))
PATHS(unlinkat, (int folder, const char *path, int flags), (folder, path, flags))
PATHS(mkdir, (const char *path, mode_t mode), (path, mode))
PATHS(mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode))
PATHS(rmdir, (const char *path), (path))
PATHS(truncate, (const char *path, off_t length), (path, length))

#define BYTES(result, name, parameters, arguments)                \
  result name parameters {                                        \
    static result(*next) parameters;                              \
    if (!next) next = (result(*) parameters)dlsym(RTLD_NEXT, #name); \
    writes_to(fd);                                                \
    return next arguments;                                        \
  }
BYTES(ssize_t, write, (int fd, const void *bytes, size_t n), (fd, bytes, n))
BYTES(ssize_t, writev, (int fd, const struct iovec *parts, int n), (fd, parts, n))
BYTES(ssize_t, pwrite, (int fd, const void *bytes, size_t n, off_t at), (fd, bytes, n, at))
BYTES(ssize_t, pwrite64, (int fd, const void *bytes, size_t n, off_t at), (fd, bytes, n, at))
BYTES(int, ftruncate, (int fd, off_t length), (fd, length))
BYTES(int, ftruncate64, (int fd, off_t length), (fd, length))
BYTES(ssize_t, send, (int fd, const void *bytes, size_t n, int flags), (fd, bytes, n, flags))
BYTES(ssize_t, sendto, (int fd, const void *bytes, size_t n, int flags, const struct sockaddr *to, socklen_t length), (fd, bytes, n, flags, to, length))
BYTES(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
BYTES(ssize_t, copy_file_range, (int from, off_t *a, int fd, off_t *b, size_t n, unsigned flags), (from, a, fd, b, n, flags))
