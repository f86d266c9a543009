#include "state.h"

#include <string.h>

#include "failure.h"
#include "files.h"
#include "pairs.h"
#include "syntax.h"

static const char name[] = "state";
static const char *const words[] = {
    [IDLE] = "idle",
    [ARMED] = "armed",
    [CONFIRMED] = "confirmed",
    [PUTTING_BACK] = "putting-back",
    [PUT_BACK] = "put-back",
    [PLACED] = "placed",
    [TAKING_AWAY] = "taking-away",
    [TAKEN_AWAY] = "taken-away",
};
enum { PHASES = sizeof words / sizeof words[0] };

bool state_is_pending(const struct state *state) {
    return state->phase == ARMED || state->phase == PUTTING_BACK || state_is_placing(state);
}

bool state_is_placing(const struct state *state) {
    return state->phase == PLACED || state->phase == TAKING_AWAY;
}

const char *phase_word(enum phase phase) { return words[phase]; }

static bool set_phase(struct state *state, const char *value) {
    for (int phase = ARMED; phase < PHASES; phase++) {
        if (strcmp(value, words[phase]) == 0) {
            state->phase = (enum phase)phase;
            return true;
        }
    }
    return false;
}

static bool set_text(char *out, size_t size, const char *value, bool (*is_valid)(const char *)) {
    return (is_valid == NULL || is_valid(value)) && copy_whole(out, size, value);
}

static bool add_instance(struct state *state, const char *value) {
    return state->instances < INSTANCES_MAX && is_uid(value) &&
           copy_whole(state->instance_uids[state->instances++], UID_SIZE, value);
}

/* Whether the value is one that the key can have. What a newer agent adds is passed over. */
static bool set(void *into, const char *key, const char *value) {
    struct state *s = into;
#define TEXT(field, valid)             \
    if (strcmp(key, #field) == 0) {    \
        return set_text(s->field, sizeof s->field, value, valid); \
    }
#define NUMBER(field, low, high)       \
    if (strcmp(key, #field) == 0) {    \
        return is_number(value, low, high, &s->field); \
    }
    TEXT(component, is_component)
    TEXT(container, is_component)
    TEXT(file, is_file_name)
    TEXT(sha256, is_digest)
    TEXT(former, is_digest)
    TEXT(manifests, is_path)
    TEXT(reason, NULL)
    TEXT(static_uid, is_uid)
    TEXT(log_dir, is_path)
    TEXT(log_prefix, is_file_name)
    TEXT(boot_id, NULL)
    TEXT(armed_at, NULL)
    NUMBER(port, 1, 65535)
    NUMBER(limit, 1, 86400)
    NUMBER(listen_limit, 1, 86400)
    NUMBER(starts, 0, 999999999)
#undef TEXT
#undef NUMBER
    if (strcmp(key, "instance_uid") == 0) {
        return add_instance(s, value);
    }
    if (strcmp(key, "known_program") == 0) {
        s->known_program = strcmp(value, "1") == 0;
        return true;
    }
    if (strcmp(key, "deadline") == 0) {
        return pairs_number(value, &s->deadline);
    }
    return strcmp(key, "state") == 0 ? set_phase(s, value) : true;
}

int state_parse(struct state *state, const char *text) {
    *state = (struct state){.phase = IDLE};
    if (pairs_parse(text, name, set, state) != 0) {
        return -1;
    }
    bool complete = state->component[0] != '\0' && state->container[0] != '\0' &&
                    state->file[0] != '\0' && state->sha256[0] != '\0' &&
                    state->manifests[0] != '\0' && state->port != 0 && state->limit != 0 &&
                    state->listen_limit != 0;
    if (state->phase == IDLE || !complete) {
        return fail(FAIL_STATE, "the %s file is damaged at 'its end'", name);
    }
    return 0;
}

int state_print(const struct state *state, char *out, size_t size) {
    struct pairs pairs = {.out = out, .size = size};
    pairs_add(&pairs, "state=%s\n", words[state->phase]);
    pairs_add_text(&pairs, "component", state->component);
    pairs_add_text(&pairs, "container", state->container);
    pairs_add_text(&pairs, "file", state->file);
    pairs_add_text(&pairs, "sha256", state->sha256);
    pairs_add_text(&pairs, "former", state->former);
    pairs_add_text(&pairs, "manifests", state->manifests);
    pairs_add_text(&pairs, "reason", state->reason);
    pairs_add_text(&pairs, "static_uid", state->static_uid);
    for (size_t i = 0; i < state->instances; i++) {
        pairs_add_text(&pairs, "instance_uid", state->instance_uids[i]);
    }
    pairs_add(&pairs, "known_program=%d\n", state->known_program);
    pairs_add_text(&pairs, "log_dir", state->log_dir);
    pairs_add_text(&pairs, "log_prefix", state->log_prefix);
    pairs_add(&pairs, "port=%ld\nlimit=%ld\nlisten_limit=%ld\nstarts=%ld\ndeadline=%lld\n",
              state->port, state->limit, state->listen_limit, state->starts,
              (long long)state->deadline);
    pairs_add_text(&pairs, "boot_id", state->boot_id);
    pairs_add_text(&pairs, "armed_at", state->armed_at);
    return pairs_end(&pairs, name);
}

int state_read(const char *dir, struct state *state) {
    static char text[PAIRS_FILE_SIZE];
    char path[PATH_SIZE];
    size_t length;
    bool found;
    *state = (struct state){.phase = IDLE};
    if (path_join(path, dir, name) != 0 ||
        file_read(path, text, sizeof text, &length, &found) != 0) {
        return -1;
    }
    if (!found) {
        return 0;
    }
    if (state_parse(state, text) != 0) {
        *state = (struct state){.phase = IDLE};
        return fail(FAIL_STATE, "%s: %s", path, failure_text());
    }
    return 0;
}

int state_write(const char *dir, const struct state *state) {
    static char text[PAIRS_FILE_SIZE];
    if (state->phase == IDLE) {
        return file_remove(dir, name);
    }
    int length = state_print(state, text, sizeof text);
    if (length < 0) {
        return -1;
    }
    return pairs_write(dir, name, text, (size_t)length);
}
