#include "guardian/recovery.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/json.h"
#include "base/record.h"
#include "base/text.h"
#include "handover/handover.h"
#include "handover/state.h"
#include "node/program.h"

/* ---- which components there are ---- */

static const struct field fields[] = {
    RECORD_TEXT(guarded, component, true, is_component),
    RECORD_TEXT(guarded, file, false, is_file_name),
    RECORD_LONG(guarded, port, true, 1, 65535),
};
static const struct record record = RECORD(GUARDED_FILE, fields);

static int set(void *into, const char *key, char *value) {
    struct guarded_list *guarded = into;
    if (strcmp(key, "component") == 0) {
        if (guarded->count == GUARDED_MAX) {
            return fail(FAIL_USAGE, "it has too many components");
        }
        guarded->count++;
    }
    const struct field *field = record_field(&record, key);
    if (guarded->count == 0) {
        return field == NULL ? 0 : fail(FAIL_USAGE, "%s belongs to no component", key);
    }
    struct guarded *last = &guarded->list[guarded->count - 1];
    /* What a newer agent adds is passed over, and an address of another form. */
    if (strcmp(key, "address") == 0 && listener_at(&(struct listener){.inode = 0}, value)) {
        copy_whole(last->address, ADDRESS_SIZE, value);
    }
    return field == NULL ? 0 : record_set(field, last, value);
}

int guarded_parse(struct guarded_list *guarded, char *text) {
    memset(guarded, 0, sizeof *guarded);
    int result = record_lines(text, set, guarded);
    for (size_t i = 0; result == 0 && i < guarded->count; i++) {
        if (guarded->list[i].port == 0) {
            result = fail(FAIL_USAGE, "%s has no port", guarded->list[i].component);
        }
    }
    if (result != 0) {
        guarded->count = 0;
    }
    return result;
}

int guarded_read(const char *dir, struct guarded_list *guarded) {
    static char text[RECORD_SIZE];
    bool found;
    guarded->count = 0;
    if (record_text(dir, record.name, text, &found) != 0) {
        return -1;
    }
    return found && guarded_parse(guarded, text) != 0 ? record_damaged(dir, record.name) : 0;
}

/* ---- the copies ---- */

/* Their name in our directory. */
static void kept_name(char out[NAME_SIZE], const char *component) {
    snprintf(out, NAME_SIZE, RECOVERY_FOLDER "/%s.yaml", component);
}

/* Their name in the kubelet's directory. */
static void placed_name(char out[NAME_SIZE], const char *component) {
    snprintf(out, NAME_SIZE, PLACED_PREFIX "%s.yaml", component);
}

bool recovery_is_kept(const char *dir, const char *component) {
    char name[NAME_SIZE];
    kept_name(name, component);
    return file_exists(dir, name);
}

bool recovery_is_in_place(const char *manifests, const char *component) {
    char name[NAME_SIZE];
    placed_name(name, component);
    return file_exists(manifests, name);
}

/* What matters is done by now: a journal that can't be written must not undo it. */
static void note(const char *dir, const char *event, const char *component, const char *reason) {
    struct state said = {.phase = IDLE};
    char kept[NAME_SIZE];
    copy_text(said.component, sizeof said.component, component);
    placed_name(said.file, component);
    kept_name(kept, component);
    file_digest(dir, kept, said.sha256);
    journal_add(dir, event, &said, reason);
}

int recovery_place(const char *dir, const char *manifests, const char *component) {
    static char content[COPY_MAX];
    char path[PATH_SIZE], kept[NAME_SIZE], placed[NAME_SIZE];
    size_t length;
    bool found;
    kept_name(kept, component);
    placed_name(placed, component);
    if (path_join(path, dir, kept) != 0 ||
        file_read(path, content, sizeof content, &length, &found) != 0) {
        return -1;
    }
    if (!found) {
        return fail(FAIL_NOT_FOUND, "there is no %s", path);
    }
    if (file_replace(manifests, placed, content, length) != 0) {
        return -1;
    }
    note(dir, "recovery-placed", component, "nothing listened on its port");
    return 0;
}

int recovery_take(const char *dir, const char *manifests, const char *component,
                  const char *reason) {
    char placed[NAME_SIZE];
    placed_name(placed, component);
    if (file_remove(manifests, placed) != 0) {
        return -1;
    }
    note(dir, "recovery-taken", component, reason);
    return 0;
}

/* ---- the orders that put on a node what it needs after a reboot, and take it away ---- */

int recovery_store(const struct options *options) {
    char folder[PATH_SIZE];
    if (directory_make(options->dir) != 0 ||
        path_join(folder, options->dir, RECOVERY_FOLDER) != 0 || directory_make(folder) != 0 ||
        file_replace(folder, options->file, options->content, options->content_length) != 0) {
        return -1;
    }
    return answer_string("stored", options->file);
}

int recovery_install(const struct options *options) {
    if (directory_make(options->dir) != 0 ||
        program_install(options->dir, options->sha256) != 0 ||
        file_remove(options->dir, GUARDIAN_OFF) != 0 ||
        file_replace(options->manifests, GUARDIAN_FILE, options->content,
                     options->content_length) != 0) {
        return -1;
    }
    return answer_string("installed", GUARDIAN_FILE);
}

int recovery_disable(const struct options *options) {
    /* The lock: when this returns, the guardian has done what it was about to do. */
    if (directory_make(options->dir) != 0 || handover_lock(options->dir) != 0 ||
        file_touch(options->dir, GUARDIAN_OFF) != 0 ||
        file_remove(options->manifests, GUARDIAN_FILE) != 0) {
        return -1;
    }
    return answer_string("disabled", GUARDIAN_FILE);
}

int recovery_clear(const struct options *options) {
    char folder[PATH_SIZE];
    if (path_join(folder, options->dir, RECOVERY_FOLDER) != 0 ||
        file_remove(options->manifests, GUARDIAN_FILE) != 0 || directory_empty(folder, "") != 0 ||
        directory_empty(options->manifests, PLACED_PREFIX) != 0) {
        return -1;
    }
    if (rmdir(folder) != 0 && errno != ENOENT) {
        return fail_errno("remove", folder);
    }
    if (file_remove(options->dir, PROGRAM_FILE) != 0 ||
        file_remove(options->dir, GUARDIAN_OFF) != 0) {
        return -1;
    }
    return answer_string("cleared", RECOVERY_FOLDER);
}
