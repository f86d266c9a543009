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
    return own_path(path) == 0 ? file_digest("", path + 1, hex) : -1; /* the path is absolute */
}

int program_kept_digest(const char *dir, char hex[DIGEST_SIZE]) {
    return file_digest(dir, PROGRAM_FILE, hex) == 0 || failure_kind() == FAIL_NOT_FOUND ? 0 : -1;
}

int program_install(const char *dir, const char *sha256) {
    char own[PATH_SIZE], hidden[NAME_SIZE], copy[PATH_SIZE], hex[DIGEST_SIZE];
    if (own_path(own) != 0 || temporary_name(hidden, PROGRAM_FILE) != 0 ||
        path_join(copy, dir, hidden) != 0 || file_copy(own, copy) != 0) {
        return -1;
    }
    /* The digest is the copy's: what was read for it is what the guardian will run. */
    int result = file_digest(dir, hidden, hex);
    if (result == 0 && strcmp(hex, sha256) != 0) {
        result = fail(FAIL_CHANGED, "the program that runs here has the SHA-256 %s", hex);
    }
    if (result == 0 && chmod(copy, 0755) != 0) {
        result = fail_errno("set the mode of", copy);
    }
    if (result != 0) {
        unlink(copy);
        return -1;
    }
    return file_take_place(copy, dir, PROGRAM_FILE);
}
