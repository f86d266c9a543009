#include "recovery.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "failure.h"
#include "files.h"
#include "journal.h"
#include "move.h"
#include "pairs.h"
#include "syntax.h"

/* ---- which components there are ---- */

static bool set(void *into, const char *key, const char *value) {
    struct guarded_list *guarded = into;
    if (strcmp(key, "component") == 0) {
        return guarded->count < GUARDED_MAX && is_component(value) &&
               copy_whole(guarded->list[guarded->count++].component, COMPONENT_SIZE, value);
    }
    if (guarded->count == 0) {
        return strcmp(key, "port") != 0 && strcmp(key, "file") != 0;
    }
    struct guarded *last = &guarded->list[guarded->count - 1];
    if (strcmp(key, "port") == 0) {
        return is_number(value, 1, 65535, &last->port);
    }
    if (strcmp(key, "file") == 0) {
        return is_file_name(value) && copy_whole(last->file, NAME_SIZE, value);
    }
    if (strcmp(key, "address") == 0 && listener_at(&(struct listener){.inode = 0}, value)) {
        return copy_whole(last->address, ADDRESS_SIZE, value);
    }
    return true; /* what a newer agent adds is passed over, and an address of another form */
}

int guarded_parse(struct guarded_list *guarded, const char *text) {
    memset(guarded, 0, sizeof *guarded);
    int result = pairs_parse(text, GUARDED_FILE, set, guarded);
    for (size_t i = 0; result == 0 && i < guarded->count; i++) {
        if (guarded->list[i].port == 0) {
            result = fail(FAIL_STATE, "the %s file is damaged at '%.60s'", GUARDED_FILE,
                          guarded->list[i].component);
        }
    }
    if (result != 0) {
        guarded->count = 0;
    }
    return result;
}

int guarded_read(const char *dir, struct guarded_list *guarded) {
    static char text[PAIRS_FILE_SIZE];
    char path[PATH_SIZE];
    size_t length;
    bool found;
    guarded->count = 0;
    if (path_join(path, dir, RECOVERY_FOLDER "/" GUARDED_FILE) != 0 ||
        file_read(path, text, sizeof text, &length, &found) != 0) {
        return -1;
    }
    return found ? guarded_parse(guarded, text) : 0;
}

/* ---- the copies ---- */

/* Their name in DIR/recovery. */
static void kept_name(char out[NAME_SIZE], const char *component) {
    snprintf(out, NAME_SIZE, "%s.yaml", component);
}

/* Their name in the kubelet's directory. */
static void placed_name(char out[NAME_SIZE], const char *component) {
    snprintf(out, NAME_SIZE, PLACED_PREFIX "%s.yaml", component);
}

bool recovery_is_kept(const char *dir, const char *component) {
    char folder[PATH_SIZE], name[NAME_SIZE];
    kept_name(name, component);
    return path_join(folder, dir, RECOVERY_FOLDER) == 0 && file_exists(folder, name);
}

bool recovery_is_in_place(const char *manifests, const char *component) {
    char name[NAME_SIZE];
    placed_name(name, component);
    return file_exists(manifests, name);
}

/* What matters is done by now: a journal that can't be written must not undo it. */
static void note(const char *dir, const char *event, const char *component, const char *path,
                 const char *reason) {
    static struct state said;
    struct stat facts;
    memset(&said, 0, sizeof said);
    copy_text(said.component, sizeof said.component, component);
    placed_name(said.file, component);
    if (file_digest(path, said.sha256, &facts) != 0) {
        said.sha256[0] = '\0';
    }
    journal_add(dir, event, &said, reason);
}

int recovery_place(const char *dir, const char *manifests, const char *component) {
    static char content[COPY_MAX];
    char folder[PATH_SIZE], path[PATH_SIZE], kept[NAME_SIZE], placed[NAME_SIZE];
    size_t length;
    bool found;
    kept_name(kept, component);
    placed_name(placed, component);
    if (path_join(folder, dir, RECOVERY_FOLDER) != 0 || path_join(path, folder, kept) != 0 ||
        file_read(path, content, sizeof content, &length, &found) != 0) {
        return -1;
    }
    if (!found) {
        return fail(FAIL_NOT_FOUND, "there is no %s", path);
    }
    if (file_replace(manifests, placed, content, length) != 0) {
        return -1;
    }
    note(dir, "recovery-placed", component, path, "nothing listened on its port");
    return 0;
}

int recovery_take(const char *dir, const char *manifests, const char *component,
                  const char *reason) {
    char folder[PATH_SIZE], path[PATH_SIZE], kept[NAME_SIZE], placed[NAME_SIZE];
    kept_name(kept, component);
    placed_name(placed, component);
    if (file_remove(manifests, placed) != 0) {
        return -1;
    }
    if (path_join(folder, dir, RECOVERY_FOLDER) == 0 && path_join(path, folder, kept) == 0) {
        note(dir, "recovery-taken", component, path, reason);
    }
    return 0;
}
