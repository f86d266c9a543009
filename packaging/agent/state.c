#include "state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "failure.h"
#include "files.h"
#include "syntax.h"

static const char name[] = "state";
static const char *const words[] = {
    [IDLE] = "idle",
    [ARMED] = "armed",
    [CONFIRMED] = "confirmed",
    [PUTTING_BACK] = "putting-back",
    [PUT_BACK] = "put-back",
};
enum { PHASES = sizeof words / sizeof words[0] };

bool state_is_pending(const struct state *state) {
    return state->phase == ARMED || state->phase == PUTTING_BACK;
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

static bool set_deadline(struct state *state, const char *value) {
    int64_t number = 0;
    size_t length = strspn(value, "0123456789");
    if (length == 0 || length > 17 || value[length] != '\0') {
        return false;
    }
    for (; *value != '\0'; value++) {
        number = number * 10 + (*value - '0');
    }
    state->deadline = number;
    return true;
}

static bool add_instance(struct state *state, const char *value) {
    return state->instances < INSTANCES_MAX && is_uid(value) &&
           copy_whole(state->instance_uids[state->instances++], UID_SIZE, value);
}

/* Whether the value is one that the key can have. What a newer agent adds is passed over. */
static bool set(struct state *s, const char *key, const char *value) {
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
    if (strcmp(key, "deadline") == 0) {
        return set_deadline(s, value);
    }
    return strcmp(key, "state") == 0 ? set_phase(s, value) : true;
}

static int damaged(const char *line) {
    return fail(FAIL_STATE, "the state file is damaged at '%.60s'", line);
}

int state_parse(struct state *state, const char *text) {
    char line[PATH_SIZE + COMPONENT_SIZE];
    bool ended = false;
    *state = (struct state){.phase = IDLE};
    while (*text != '\0' && !ended) {
        size_t length = strcspn(text, "\n");
        if (length >= sizeof line || text[length] != '\n') {
            return damaged("a line without an end");
        }
        memcpy(line, text, length);
        line[length] = '\0';
        text += length + 1;
        char *value = strchr(line, '=');
        if (value == NULL) {
            return damaged(line);
        }
        *value++ = '\0';
        if (!set(state, line, value)) {
            return damaged(line);
        }
        ended = strcmp(line, "end") == 0;
    }
    bool complete = state->component[0] != '\0' && state->container[0] != '\0' &&
                    state->file[0] != '\0' && state->sha256[0] != '\0' &&
                    state->manifests[0] != '\0' && state->port != 0 && state->limit != 0 &&
                    state->listen_limit != 0;
    if (!ended || state->phase == IDLE || !complete) {
        return damaged("its end");
    }
    return 0;
}

struct printer {
    char *out;
    size_t size;
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct printer *p, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(p->out + p->length, p->size - p->length, format, arguments);
    va_end(arguments);
    if (count > 0) {
        p->length += (size_t)count < p->size - p->length ? (size_t)count : p->size - p->length;
    }
}

static void add_text(struct printer *printer, const char *key, const char *value) {
    if (value[0] != '\0') {
        add(printer, "%s=%s\n", key, value);
    }
}

int state_print(const struct state *state, char *out, size_t size) {
    struct printer printer = {.out = out, .size = size};
    add(&printer, "state=%s\n", words[state->phase]);
    add_text(&printer, "component", state->component);
    add_text(&printer, "container", state->container);
    add_text(&printer, "file", state->file);
    add_text(&printer, "sha256", state->sha256);
    add_text(&printer, "manifests", state->manifests);
    add_text(&printer, "reason", state->reason);
    add_text(&printer, "static_uid", state->static_uid);
    for (size_t i = 0; i < state->instances; i++) {
        add_text(&printer, "instance_uid", state->instance_uids[i]);
    }
    add_text(&printer, "log_dir", state->log_dir);
    add_text(&printer, "log_prefix", state->log_prefix);
    add(&printer, "port=%ld\nlimit=%ld\nlisten_limit=%ld\nstarts=%ld\ndeadline=%lld\n",
        state->port, state->limit, state->listen_limit, state->starts,
        (long long)state->deadline);
    add_text(&printer, "boot_id", state->boot_id);
    add_text(&printer, "armed_at", state->armed_at);
    add(&printer, "end=1\n");
    if (printer.length + 1 >= size) {
        return fail(FAIL_STATE, "the state is larger than %d bytes", (int)size);
    }
    return (int)printer.length;
}

int state_read(const char *dir, struct state *state) {
    static char text[STATE_FILE_SIZE];
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
    static char text[STATE_FILE_SIZE];
    if (state->phase == IDLE) {
        return file_remove(dir, name);
    }
    int length = state_print(state, text, sizeof text);
    if (length < 0) {
        return -1;
    }
    if (file_replace(dir, name, text, (size_t)length) == 0) {
        return 0;
    }
    if (failure_kind() != FAIL_DISK_FULL || !file_exists(dir, name)) {
        return -1;
    }
    return file_overwrite(dir, name, text, (size_t)length);
}
