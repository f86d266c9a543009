#include "journal.h"

#include "clock.h"
#include "failure.h"
#include "files.h"
#include "json.h"

int journal_add(const char *dir, const char *event, const struct state *state, const char *reason) {
    static char line[8192];
    char now[RFC3339_SIZE];
    struct json json;
    rfc3339_now(now);
    json_start(&json, line, sizeof line, -1);
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
    if (json_finish(&json) != 0) {
        return fail(FAIL_IO, "a line of the journal is too long");
    }
    return file_append(dir, "journal", line, json.length);
}
