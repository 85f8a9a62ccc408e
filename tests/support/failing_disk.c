/* A disk that is full or fails: loaded by LD_PRELOAD, it lets calls on files end in an error.

   FAILING_PATH   how the real paths of the files begin
   FAILING_CALL   read, write, fsync, rename, rename_folder (of folders only) or close (of a file that was open for
                  writing); unset for none
   FAILING_ERRNO  the error (5, EIO)

   The variables may change while the process runs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int fails(const char *call, const char *path)
{
    const char *begin = getenv("FAILING_PATH"), *failing = getenv("FAILING_CALL");
    if (!begin || !failing || strcmp(call, failing) || strncmp(path, begin, strlen(begin)))
        return 0;
    const char *number = getenv("FAILING_ERRNO");
    errno = number ? atoi(number) : EIO;
    return 1;
}

static int fails_at(const char *call, int descriptor)
{
    char link[64], path[PATH_MAX];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails(call, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_DESCRIPTOR(call, type, name, parameters, arguments, descriptor, failed) \
    type name parameters { return fails_at(call, descriptor) ? (failed) : REAL(name) arguments; }

ON_DESCRIPTOR("read", ssize_t, read, (int fd, void *to, size_t n), (fd, to, n), fd, -1)
ON_DESCRIPTOR("read", ssize_t, pread, (int fd, void *to, size_t n, off_t at), (fd, to, n, at), fd, -1)
ON_DESCRIPTOR("read", ssize_t, pread64, (int fd, void *to, size_t n, off64_t at), (fd, to, n, at), fd, -1)
ON_DESCRIPTOR("read", ssize_t, readv, (int fd, const struct iovec *to, int n), (fd, to, n), fd, -1)
ON_DESCRIPTOR("read", size_t, fread, (void *to, size_t size, size_t n, FILE *f), (to, size, n, f), fileno(f), 0)
ON_DESCRIPTOR("write", ssize_t, write, (int fd, const void *from, size_t n), (fd, from, n), fd, -1)
ON_DESCRIPTOR("write", ssize_t, pwrite, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at), fd, -1)
ON_DESCRIPTOR("write", ssize_t, pwrite64, (int fd, const void *from, size_t n, off64_t at), (fd, from, n, at), fd, -1)
ON_DESCRIPTOR("write", ssize_t, writev, (int fd, const struct iovec *from, int n), (fd, from, n), fd, -1)
ON_DESCRIPTOR("write", size_t, fwrite, (const void *from, size_t s, size_t n, FILE *f), (from, s, n, f), fileno(f), 0)
ON_DESCRIPTOR("write", int, ftruncate, (int fd, off_t size), (fd, size), fd, -1)
ON_DESCRIPTOR("write", int, ftruncate64, (int fd, off64_t size), (fd, size), fd, -1)
ON_DESCRIPTOR("fsync", int, fsync, (int fd), (fd), fd, -1)
ON_DESCRIPTOR("fsync", int, fdatasync, (int fd), (fd), fd, -1)
ON_DESCRIPTOR("close", int, fclose, (FILE *f), (f), fileno(f), (REAL(fclose)(f), errno = EIO, EOF))

int close(int fd)
{
    int failed = (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY && fails_at("close", fd), number = errno;
    int result = REAL(close)(fd); /* the descriptor is gone, as after a close that the disk let fail */
    return failed ? (errno = number, -1) : result;
}

int rename(const char *from, const char *to)
{
    struct stat state;
    int folder = !stat(from, &state) && S_ISDIR(state.st_mode);
    return fails("rename", to) || (folder && fails("rename_folder", to)) ? -1 : REAL(rename)(from, to);
}
