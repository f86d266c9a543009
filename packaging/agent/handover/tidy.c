/* The order `tidy`: takes our directory off the node, at the very end of the way back. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/json.h"
#include "base/text.h"
#include "credentials/credentials.h"
#include "handover/handover.h"
#include "handover/state.h"
#include "steward/order.h"
#include "steward/steering.h"

/* Of the directory itself; the locks last, for as long as they are there nobody else begins. */
static const char *const names[] = {"state",   "steward",  "steward-progress",
                                    "contact", AGENT_LOCK, HANDOVER_LOCK};

static bool is_kind(const char *path, mode_t kind) {
    struct stat facts;
    return lstat(path, &facts) == 0 && (facts.st_mode & S_IFMT) == kind;
}

static int remove_component(const char *path, bool keep) {
    char placed[PATH_SIZE];
    if (path_join(placed, path, PLACED_DIRECTORY) != 0 || directory_empty(placed, "") != 0 ||
        file_remove(path, HOLD_FILE) != 0 || (!keep && directory_empty(path, "") != 0)) {
        return -1;
    }
    rmdir(placed);
    rmdir(path); /* not, if something is left in it */
    return 0;
}

static int remove_components(const char *dir, bool keep) {
    const char *name;
    char path[PATH_SIZE];
    int result = 0;
    DIR *directory = opendir(dir);
    if (directory == NULL) {
        return fail_errno("read", dir);
    }
    while (result == 0 && (name = directory_next(directory)) != NULL) {
        if (is_component(name) && path_join(path, dir, name) == 0 && is_kind(path, S_IFDIR)) {
            result = remove_component(path, keep);
        }
    }
    directory_close(directory);
    return result;
}

static int require_rest(const struct options *options) {
    struct state state;
    struct order order;
    if (state_read(options->dir, &state) != 0 ||
        order_read(options->dir, options->proc, &order) != 0) {
        return -1;
    }
    if (state_is_pending(&state)) {
        return fail(FAIL_STATE, "a hand-over of %s is under way", state.component);
    }
    if (order.number != 0) {
        return fail(FAIL_STATE, "the port of %s is being shared", order.component);
    }
    return 0;
}

/* What the files remember goes before the files: an agent that was killed has left it to the next one. */
static void make_good(const struct options *options) {
    struct progress progress;
    if (progress_read(options->dir, &progress) == 0) {
        migrate_restore(options->proc, progress.migrate);
    }
}

static int remove_all(const struct options *options) {
    bool keep = options->keep_backups;
    if (handover_lock(options->dir) != 0 || require_rest(options) != 0) {
        return -1;
    }
    make_good(options);
    if ((!keep && credentials_clear(options) != 0) || remove_components(options->dir, keep) != 0 ||
        (!keep && file_remove(options->dir, "journal") != 0)) {
        return -1;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (file_remove(options->dir, names[i]) != 0) {
            return -1;
        }
    }
    rmdir(options->dir); /* not, if something is kept, or is none of ours */
    return 0;
}

int tidy(const struct options *options) {
    struct json json;
    if (is_kind(options->dir, S_IFDIR) && remove_all(options) != 0) {
        return -1;
    }
    answer_begin(&json);
    json_bool(&json, "left", is_kind(options->dir, S_IFDIR));
    return answer_end(&json);
}
