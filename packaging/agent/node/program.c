#include "node/program.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/files.h"

/* The path and not the link itself: files are opened without following links. */
static int own_path(char path[PATH_SIZE]) {
    ssize_t length = readlink("/proc/self/exe", path, PATH_SIZE - 1);
    if (length < 0) {
        return fail_errno("read", "/proc/self/exe");
    }
    path[length] = '\0';
    return 0;
}

int program_digest(char hex[DIGEST_SIZE]) {
    char path[PATH_SIZE];
    struct stat facts;
    return own_path(path) != 0 ? -1 : file_digest(path, hex, &facts);
}

int program_kept_digest(const char *dir, char hex[DIGEST_SIZE]) {
    char path[PATH_SIZE];
    struct stat facts;
    hex[0] = '\0';
    if (path_join(path, dir, PROGRAM_FILE) != 0) {
        return -1;
    }
    if (file_digest(path, hex, &facts) != 0) {
        hex[0] = '\0';
        return failure_kind() == FAIL_NOT_FOUND ? 0 : -1;
    }
    return 0;
}

/* The digest is the copy's: what was read for it is what the guardian will run. */
static int copy_of(const char *own, const char *copy, const char *sha256) {
    char hex[DIGEST_SIZE];
    struct stat facts;
    if (file_copy(own, copy) != 0 || file_digest(copy, hex, &facts) != 0) {
        return -1;
    }
    if (strcmp(hex, sha256) != 0) {
        return fail(FAIL_CHANGED, "the program that runs here has the SHA-256 %s", hex);
    }
    return chmod(copy, 0755) == 0 ? 0 : fail_errno("set the mode of", copy);
}

int program_install(const char *dir, const char *sha256) {
    char own[PATH_SIZE], hidden[NAME_SIZE], copy[PATH_SIZE];
    if (own_path(own) != 0 || temporary_name(hidden, PROGRAM_FILE) != 0 ||
        path_join(copy, dir, hidden) != 0) {
        return -1;
    }
    if (copy_of(own, copy, sha256) != 0) {
        unlink(copy);
        return -1;
    }
    return file_take_place(copy, dir, PROGRAM_FILE);
}
