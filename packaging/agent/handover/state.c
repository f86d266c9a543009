#include "handover/state.h"

#include "base/failure.h"
#include "base/files.h"
#include "base/json.h"
#include "base/record.h"
#include "base/text.h"

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

bool state_is_pending(const struct state *state) {
    return state->phase == ARMED || state->phase == PUTTING_BACK || state_is_placing(state);
}

bool state_is_placing(const struct state *state) {
    return state->phase == PLACED || state->phase == TAKING_AWAY;
}

const char *phase_word(enum phase phase) { return words[phase]; }

static const struct field fields[] = {
    RECORD_WORD(state, phase, "state", words, ARMED, true),
    RECORD_TEXT(state, component, true, is_component),
    RECORD_TEXT(state, container, true, is_component),
    RECORD_TEXT(state, file, true, is_file_name),
    RECORD_TEXT(state, sha256, true, is_digest),
    RECORD_TEXT(state, former, false, is_digest),
    RECORD_TEXT(state, manifests, true, is_path),
    RECORD_TEXT(state, reason, false, NULL),
    RECORD_TEXT(state, static_uid, false, is_uid),
    RECORD_UIDS(state, instance_uids, instances),
    RECORD_FLAG(state, known_program),
    RECORD_TEXT(state, log_dir, false, is_path),
    RECORD_TEXT(state, log_prefix, false, is_file_name),
    RECORD_LONG(state, port, true, 1, 65535),
    RECORD_LONG(state, limit, true, 1, 86400),
    RECORD_LONG(state, listen_limit, true, 1, 86400),
    RECORD_LONG(state, starts, false, 0, 999999999),
    RECORD_NUMBER(state, deadline, false, 0, INT64_MAX),
    RECORD_TEXT(state, boot_id, false, NULL),
};
const struct record state_record = RECORD("state", fields);

int state_read(const char *dir, struct state *state) {
    bool found;
    *state = (struct state){.phase = IDLE};
    int result = record_read(&state_record, dir, state, &found);
    if (result != 0) {
        *state = (struct state){.phase = IDLE};
    }
    return result;
}

int state_write(const char *dir, const struct state *state) {
    return state->phase == IDLE ? file_remove(dir, state_record.name)
                                : record_write(&state_record, dir, state);
}

/* ---- in words ---- */

void state_tell(const struct state *s) {
    switch (s->phase) {
    case ARMED:
        say("%s: armed, %s is kept; it comes back unless confirmed within %ld s", s->component,
            s->file, s->limit);
        break;
    case CONFIRMED:
        say("%s: confirmed, the new instance serves", s->component);
        break;
    case PUTTING_BACK:
        say("%s: putting %s back: %s", s->component, s->file, s->reason);
        break;
    case PUT_BACK:
        say("%s: %s was put back: %s", s->component, s->file, s->reason);
        break;
    case PLACED:
        say("%s: %s is placed; it goes again unless confirmed within %ld s", s->component, s->file,
            s->limit);
        break;
    case TAKING_AWAY:
        say("%s: taking %s away: %s", s->component, s->file, s->reason);
        break;
    case TAKEN_AWAY:
        say("%s: %s was taken away: %s", s->component, s->file, s->reason);
        break;
    case IDLE:
        break;
    }
}

/* ---- the journal ---- */

int journal_add(const char *dir, const char *event, const struct state *state, const char *reason) {
    static char line[8192];
    char now[RFC3339_SIZE];
    struct json json = {.out = fmemopen(line, sizeof line, "w")};
    if (json.out == NULL) {
        return fail_errno("write", "a line of the journal");
    }
    rfc3339_now(now);
    json_open(&json, NULL, '{');
    json_string(&json, "time", now);
    json_string(&json, "event", event);
    json_string(&json, "component", state->component);
    json_string(&json, "file", state->file);
    json_string(&json, "sha256", state->sha256);
    if (reason != NULL && reason[0] != '\0') {
        json_string(&json, "reason", reason);
    }
    json_close(&json, '}');
    int result = json_finish(&json);
    long length = ftell(json.out);
    fclose(json.out);
    return result == 0 ? file_append(dir, "journal", line, (size_t)length)
                       : fail(FAIL_IO, "a line of the journal is too long");
}
