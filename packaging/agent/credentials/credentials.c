#include "credentials/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/json.h"
#include "base/text.h"
#include "credentials/pem.h"

enum { ANSWER_MAX = 2 * CREDENTIAL_MAX }; /* bytes */

static const char SETS[] = "credentials";
/* Where files of a set are, from the innermost on. */
static const char *const folders[] = {"/pki/etcd", "/pki", ""};
enum { FOLDERS = sizeof folders / sizeof folders[0] };

/* ---- where a set is ---- */

void credentials_parent(char *path) {
    char *slash = strrchr(path, '/');
    if (slash != NULL && slash != path) {
        *slash = '\0';
    }
}

int credentials_folder(char out[PATH_SIZE], const struct options *options, const char *name) {
    char sets[PATH_SIZE];
    if (name == NULL) {
        snprintf(out, PATH_SIZE, "%s", options->dir);
        credentials_parent(out);
        return 0;
    }
    return path_join(sets, options->dir, SETS) == 0 ? path_join(out, sets, name) : -1;
}

int credentials_path(char out[PATH_SIZE], const char *folder, const char *file) {
    if (strstr(file, "/.") != NULL) {
        return fail(FAIL_USAGE, "files can't be '%.200s'", file);
    }
    int length = snprintf(out, PATH_SIZE, "%s%s", folder, file);
    return length < PATH_SIZE ? 0 : fail(FAIL_USAGE, "the path %.200s is too long", file);
}

static int folder_make(const char *path) {
    if (directory_make(path) != 0) {
        return -1;
    }
    return chmod(path, 0700) == 0 ? 0 : fail_errno("set the mode of", path);
}

int credentials_make(const struct options *options, const char *name) {
    char path[PATH_SIZE], set[PATH_SIZE];
    if (directory_make(options->dir) != 0 || path_join(path, options->dir, SETS) != 0 ||
        folder_make(path) != 0 || credentials_folder(set, options, name) != 0) {
        return -1;
    }
    for (size_t i = FOLDERS; i-- > 0;) {
        if (credentials_path(path, set, folders[i]) != 0 || folder_make(path) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- certificates ---- */

static int tell(struct json *json, const char *folder, const char *file) {
    static char content[CREDENTIAL_MAX];
    char path[PATH_SIZE], hex[DIGEST_SIZE], mode[8];
    struct stat facts;
    size_t length;
    bool found;
    if (credentials_path(path, folder, file) != 0 ||
        file_read(path, content, sizeof content, &length, &found) != 0) {
        return -1;
    }
    if (!found) {
        return 0;
    }
    if (file_digest(folder, file + 1, hex) != 0) {
        return -1;
    }
    if (lstat(path, &facts) != 0) {
        return fail_errno("look at", path);
    }
    pem_keep_public(content);
    snprintf(mode, sizeof mode, "%04o", (unsigned)facts.st_mode & 07777);
    json_open(json, NULL, '{');
    json_string(json, "file", file);
    json_string(json, "mode", mode);
    json_number(json, "uid", facts.st_uid);
    json_number(json, "gid", facts.st_gid);
    json_string(json, "sha256", hex);
    json_number(json, "changed", facts.st_ctim.tv_sec);
    json_bytes(json, "public", content, strlen(content));
    json_close(json, '}');
    return 0;
}

int credentials_certificates(const struct options *options) {
    static char buffer[ANSWER_MAX];
    char folder[PATH_SIZE];
    struct json json;
    if (credentials_folder(folder, options, options->from) != 0) {
        return -1;
    }
    /* In memory until it is whole: a file that can't be read is the answer then. */
    json = (struct json){.out = fmemopen(buffer, sizeof buffer, "w")};
    if (json.out == NULL) {
        return fail_errno("write", "the answer");
    }
    json_open(&json, NULL, '{');
    json_open(&json, "files", '[');
    int result = 0;
    for (size_t i = 0; result == 0 && i < options->file_count; i++) {
        result = tell(&json, folder, options->files[i]);
    }
    json_close(&json, ']');
    json_close(&json, '}');
    if (json_finish(&json) != 0 && result == 0) {
        result = fail(FAIL_IO, "the certificates are larger than %d bytes", ANSWER_MAX);
    }
    long length = ftell(json.out);
    fclose(json.out);
    return result == 0 ? write_all(STDOUT_FILENO, buffer, (size_t)length, "the answer") : -1;
}

/* ---- copy ---- */

struct pair {
    char from[PATH_SIZE], copy[PATH_SIZE], folder[PATH_SIZE], name[NAME_SIZE];
};

static int pair_fill(struct pair *pair, const char *from, const char *to, const char *file) {
    char hidden[NAME_SIZE], target[PATH_SIZE];
    if (credentials_path(pair->from, from, file) != 0 || credentials_path(target, to, file) != 0) {
        return -1;
    }
    snprintf(pair->name, sizeof pair->name, "%s", strrchr(target, '/') + 1);
    snprintf(pair->folder, sizeof pair->folder, "%s", target);
    credentials_parent(pair->folder);
    return temporary_name(hidden, pair->name) == 0 ? path_join(pair->copy, pair->folder, hidden)
                                                  : -1;
}

static int pair_copy(const struct pair *pair, bool as_link) {
    if (!as_link) {
        return file_copy(pair->from, pair->copy);
    }
    unlink(pair->copy); /* what an interrupted copy left */
    return link(pair->from, pair->copy) == 0 ? 0 : fail_errno("link", pair->from);
}

static int copy_all(const struct options *options, const char *from, const char *to) {
    static struct pair pairs[LIST_MAX];
    size_t made = 0, placed = 0, count = options->file_count;
    while (made < count && pair_fill(&pairs[made], from, to, options->files[made]) == 0 &&
           pair_copy(&pairs[made], options->link) == 0) {
        made++;
    }
    while (made == count && placed < count &&
           file_take_place(pairs[placed].copy, pairs[placed].folder, pairs[placed].name) == 0) {
        placed++;
    }
    /* Also what is in place: rename(2) leaves two names of one file as they are. */
    for (size_t i = 0; i < made; i++) {
        unlink(pairs[i].copy);
    }
    return placed == count ? 0 : -1;
}

int credentials_copy(const struct options *options) {
    char from[PATH_SIZE], to[PATH_SIZE];
    if ((options->to != NULL && credentials_make(options, options->to) != 0) ||
        credentials_folder(from, options, options->from) != 0 ||
        credentials_folder(to, options, options->to) != 0 || copy_all(options, from, to) != 0) {
        return -1;
    }
    return answer_number("copied", (int64_t)options->file_count);
}

/* ---- holds ---- */

int credentials_holds(const struct options *options) {
    static char content[CREDENTIAL_MAX];
    char folder[PATH_SIZE], path[PATH_SIZE];
    struct json json;
    size_t length;
    bool found;
    if (options->file_count != 1) {
        return fail(FAIL_USAGE, "holds needs one file");
    }
    if (credentials_folder(folder, options, options->from) != 0 ||
        credentials_path(path, folder, options->files[0]) != 0 ||
        file_read(path, content, sizeof content, &length, &found) != 0) {
        return -1;
    }
    bool holds = pem_key_has(content, options->content, options->content_length);
    answer_begin(&json);
    json_bool(&json, "holds", holds);
    return answer_end(&json);
}

/* ---- sets ---- */

int credentials_sets(const struct options *options) {
    char path[PATH_SIZE];
    const char *name;
    struct json json;
    if (path_join(path, options->dir, SETS) != 0) {
        return -1;
    }
    DIR *directory = opendir(path);
    if (directory == NULL && errno != ENOENT) {
        return fail_errno("read", path);
    }
    answer_begin(&json);
    json_open(&json, "sets", '[');
    while ((name = directory_next(directory)) != NULL) {
        if (is_component(name)) {
            json_string(&json, NULL, name);
        }
    }
    json_close(&json, ']');
    directory_close(directory);
    return answer_end(&json);
}

static int drop(const struct options *options, const char *name) {
    char set[PATH_SIZE], path[PATH_SIZE];
    if (credentials_folder(set, options, name) != 0) {
        return -1;
    }
    for (size_t i = 0; i < FOLDERS; i++) {
        if (credentials_path(path, set, folders[i]) != 0 || directory_empty(path, "") != 0) {
            return -1;
        }
        if (rmdir(path) != 0 && errno != ENOENT) {
            return fail_errno("remove", path);
        }
    }
    return 0;
}

int credentials_drop(const struct options *options) {
    return drop(options, options->from) == 0 ? answer_string("dropped", options->from) : -1;
}

int credentials_clear(const struct options *options) {
    char path[PATH_SIZE];
    const char *name;
    int result = path_join(path, options->dir, SETS);
    DIR *directory = result == 0 ? opendir(path) : NULL; /* NULL: there are none */
    while (result == 0 && (name = directory_next(directory)) != NULL) {
        if (is_component(name)) {
            result = drop(options, name);
        }
    }
    if (directory != NULL) {
        directory_close(directory);
        rmdir(path); /* not, if something is left in it */
    }
    return result;
}
