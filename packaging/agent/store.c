/* The commands that put on a node what it needs after a reboot, and take it away. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "directory.h"
#include "failure.h"
#include "files.h"
#include "handover.h"
#include "json.h"
#include "program.h"
#include "recovery.h"

static char output[1024];

static int answer(const char *done, const char *file) {
    struct json json;
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_string(&json, done, file);
    json_close(&json, '}');
    return json_finish(&json) == 0 ? 0 : fail(FAIL_IO, "the answer could not be written");
}

int recovery_store(const struct options *options) {
    char folder[PATH_SIZE];
    if (directory_make(options->dir) != 0 ||
        path_join(folder, options->dir, RECOVERY_FOLDER) != 0 || directory_make(folder) != 0 ||
        file_replace(folder, options->file, options->content, options->content_length) != 0) {
        return -1;
    }
    return answer("stored", options->file);
}

int recovery_install(const struct options *options) {
    if (directory_make(options->dir) != 0 ||
        program_install(options->dir, options->sha256) != 0 ||
        file_remove(options->dir, GUARDIAN_OFF) != 0 ||
        file_replace(options->manifests, GUARDIAN_FILE, options->content,
                     options->content_length) != 0) {
        return -1;
    }
    return answer("installed", GUARDIAN_FILE);
}

int recovery_disable(const struct options *options) {
    /* The lock: when this returns, the guardian has done what it was about to do. */
    if (directory_make(options->dir) != 0 || handover_lock(options->dir) != 0 ||
        file_touch(options->dir, GUARDIAN_OFF) != 0 ||
        file_remove(options->manifests, GUARDIAN_FILE) != 0) {
        return -1;
    }
    return answer("disabled", GUARDIAN_FILE);
}

/* Removes the files whose names begin so. A directory that isn't there has none. */
static int remove_files(const char *path, const char *prefix) {
    struct directory directory;
    const char *name;
    int result = 0;
    if (directory_open(&directory, path) != 0) {
        return errno == ENOENT ? 0 : fail_errno("list", path);
    }
    while (result == 0 && (name = directory_next(&directory)) != NULL) {
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
            strncmp(name, prefix, strlen(prefix)) == 0) {
            result = file_remove(path, name);
        }
    }
    directory_close(&directory);
    return result;
}

int recovery_clear(const struct options *options) {
    char folder[PATH_SIZE];
    if (path_join(folder, options->dir, RECOVERY_FOLDER) != 0 ||
        file_remove(options->manifests, GUARDIAN_FILE) != 0 || remove_files(folder, "") != 0 ||
        remove_files(options->manifests, PLACED_PREFIX) != 0) {
        return -1;
    }
    if (rmdir(folder) != 0 && errno != ENOENT) {
        return fail_errno("remove", folder);
    }
    if (file_remove(options->dir, PROGRAM_FILE) != 0 ||
        file_remove(options->dir, GUARDIAN_OFF) != 0) {
        return -1;
    }
    return answer("cleared", RECOVERY_FOLDER);
}
