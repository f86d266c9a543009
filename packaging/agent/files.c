#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failure.h"

int path_join(char *out, const char *dir, const char *name) {
    int length = snprintf(out, PATH_SIZE, "%s/%s", dir, name);
    if (length < 0 || length >= PATH_SIZE) {
        return fail(FAIL_USAGE, "the path %.100s.../%.100s is too long", dir, name);
    }
    return 0;
}

int temporary_name(char *out, const char *name) {
    int length = snprintf(out, NAME_SIZE, ".%s.part", name);
    if (length < 0 || length >= NAME_SIZE) {
        return fail(FAIL_USAGE, "the file name %s is too long", name);
    }
    return 0;
}

int directory_sync(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno("open", path);
    }
    int result = fsync(fd) == 0 ? 0 : fail_errno("sync", path);
    close(fd);
    return result;
}

static int parent_sync(const char *path) {
    char parent[PATH_SIZE];
    const char *slash = strrchr(path, '/');
    snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    return directory_sync(parent[0] == '\0' ? "/" : parent);
}

int directory_make(const char *path) {
    struct stat facts;
    /* A component that runs as another user than root must be able to see its hold file. */
    if (mkdir(path, 0711) == 0) {
        return parent_sync(path);
    }
    if (errno != EEXIST) {
        return fail_errno("make directory", path);
    }
    if (lstat(path, &facts) != 0) {
        return fail_errno("look at", path);
    }
    if (!S_ISDIR(facts.st_mode)) {
        return fail(FAIL_IO, "%s is no directory", path);
    }
    return 0;
}

bool same_file_system(const char *from, const char *to) {
    struct stat a, b;
    char probe[PATH_SIZE], target[PATH_SIZE];
    if (stat(from, &a) != 0 || stat(to, &b) != 0 || a.st_dev != b.st_dev ||
        path_join(probe, from, ".selfhost-no-such-file") != 0 ||
        path_join(target, to, ".selfhost-no-such-file") != 0) {
        return false;
    }
    /* Two mounts of one device are told apart by the kernel before it looks for the file. */
    return rename(probe, target) == 0 || errno != EXDEV;
}

int file_read(const char *path, char *buffer, size_t size, size_t *length, bool *found) {
    *length = 0;
    *found = false;
    buffer[0] = '\0';
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT ? 0 : fail_errno("read", path);
    }
    int result = 0;
    for (;;) {
        ssize_t count = read(fd, buffer + *length, size - *length);
        if (count < 0) {
            result = fail_errno("read", path);
        }
        if (count <= 0) {
            break;
        }
        *length += (size_t)count;
        if (*length == size) {
            result = fail(FAIL_IO, "%s is larger than %d bytes", path, (int)size - 1);
            break;
        }
    }
    close(fd);
    if (result != 0) {
        *length = 0;
    }
    buffer[*length] = '\0';
    *found = result == 0;
    return result;
}

int write_all(int fd, const char *bytes, size_t count, const char *path) {
    while (count > 0) {
        ssize_t part = write(fd, bytes, count);
        if (part < 0 && errno == EINTR) {
            continue;
        }
        if (part <= 0) {
            return fail_errno("write", path);
        }
        bytes += part;
        count -= (size_t)part;
    }
    return 0;
}

static int write_new(const char *path, const char *content, size_t length) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_errno("write", path);
    }
    int result = write_all(fd, content, length, path);
    if (result == 0 && fsync(fd) != 0) {
        result = fail_errno("sync", path);
    }
    close(fd);
    if (result != 0) {
        unlink(path);
    }
    return result;
}

int file_replace(const char *dir, const char *name, const char *content, size_t length) {
    char hidden[NAME_SIZE], temporary[PATH_SIZE], path[PATH_SIZE];
    if (temporary_name(hidden, name) != 0 || path_join(temporary, dir, hidden) != 0 ||
        path_join(path, dir, name) != 0 || write_new(temporary, content, length) != 0) {
        return -1;
    }
    if (rename(temporary, path) != 0) {
        fail_errno("write", path);
        unlink(temporary);
        return -1;
    }
    return directory_sync(dir);
}

int file_overwrite(const char *dir, const char *name, const char *content, size_t length) {
    char path[PATH_SIZE];
    if (path_join(path, dir, name) != 0) {
        return -1;
    }
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno("write", path);
    }
    int result = write_all(fd, content, length, path);
    if (result == 0 && (ftruncate(fd, (off_t)length) != 0 || fsync(fd) != 0)) {
        result = fail_errno("write", path);
    }
    close(fd);
    return result;
}

int file_append(const char *dir, const char *name, const char *content, size_t length) {
    char path[PATH_SIZE];
    char last = '\n';
    if (path_join(path, dir, name) != 0) {
        return -1;
    }
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_errno("write", path);
    }
    off_t end = lseek(fd, 0, SEEK_END);
    if (end > 0 && pread(fd, &last, 1, end - 1) != 1) {
        last = '\n';
    }
    /* A line that a power cut left half written stays alone. */
    int result = last == '\n' ? 0 : write_all(fd, "\n", 1, path);
    if (result == 0) {
        result = write_all(fd, content, length, path);
    }
    if (result == 0 && fsync(fd) != 0) {
        result = fail_errno("sync", path);
    }
    if (result != 0 && ftruncate(fd, end) != 0) {
        /* Half a line is in there; the next one starts afresh. */
    }
    close(fd);
    return result == 0 && end == 0 ? directory_sync(dir) : result;
}

int file_touch(const char *dir, const char *name) {
    char path[PATH_SIZE];
    if (path_join(path, dir, name) != 0) {
        return -1;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_errno("write", path);
    }
    close(fd);
    return directory_sync(dir);
}

int file_remove(const char *dir, const char *name) {
    char path[PATH_SIZE];
    if (path_join(path, dir, name) != 0) {
        return -1;
    }
    if (unlink(path) != 0) {
        return errno == ENOENT ? 0 : fail_errno("remove", path);
    }
    return directory_sync(dir);
}

bool file_exists(const char *dir, const char *name) {
    char path[PATH_SIZE];
    struct stat facts;
    return path_join(path, dir, name) == 0 && lstat(path, &facts) == 0;
}
