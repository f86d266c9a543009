#include "pairs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"
#include "failure.h"
#include "files.h"

static int damaged(const char *what, const char *line) {
    return fail(FAIL_STATE, "the %s file is damaged at '%.60s'", what, line);
}

int pairs_parse(const char *text, const char *what,
                bool (*set)(void *into, const char *key, const char *value), void *into) {
    char line[PATH_SIZE + COMPONENT_SIZE];
    bool ended = false;
    while (*text != '\0' && !ended) {
        size_t length = strcspn(text, "\n");
        if (length >= sizeof line || text[length] != '\n') {
            return damaged(what, "a line without an end");
        }
        memcpy(line, text, length);
        line[length] = '\0';
        text += length + 1;
        char *value = strchr(line, '=');
        if (value == NULL) {
            return damaged(what, line);
        }
        *value++ = '\0';
        if (!set(into, line, value)) {
            return damaged(what, line);
        }
        ended = strcmp(line, "end") == 0;
    }
    return ended ? 0 : damaged(what, "its end");
}

int pairs_read(const char *dir, const char *name,
               bool (*set)(void *into, const char *key, const char *value), void *into,
               bool *found) {
    static char text[PAIRS_FILE_SIZE];
    char path[PATH_SIZE];
    size_t length;
    *found = false;
    if (path_join(path, dir, name) != 0 ||
        file_read(path, text, sizeof text, &length, found) != 0) {
        return -1;
    }
    if (*found && pairs_parse(text, name, set, into) != 0) {
        return fail(FAIL_STATE, "%s: %s", path, failure_text());
    }
    return 0;
}

bool pairs_number(const char *value, int64_t *number) {
    size_t length = strspn(value, "0123456789");
    if (length == 0 || length > 17 || value[length] != '\0') {
        return false;
    }
    for (*number = 0; *value != '\0'; value++) {
        *number = *number * 10 + (*value - '0');
    }
    return true;
}

void pairs_add(struct pairs *pairs, const char *format, ...) {
    va_list arguments;
    size_t room = pairs->size - pairs->length;
    va_start(arguments, format);
    int count = vsnprintf(pairs->out + pairs->length, room, format, arguments);
    va_end(arguments);
    if (count > 0) {
        pairs->length += (size_t)count < room ? (size_t)count : room;
    }
}

void pairs_add_text(struct pairs *pairs, const char *key, const char *value) {
    if (value[0] != '\0') {
        pairs_add(pairs, "%s=%s\n", key, value);
    }
}

int pairs_end(struct pairs *pairs, const char *what) {
    pairs_add(pairs, "end=1\n");
    if (pairs->length + 1 >= pairs->size) {
        return fail(FAIL_STATE, "the %s file is larger than %d bytes", what, (int)pairs->size);
    }
    return (int)pairs->length;
}

int pairs_write(const char *dir, const char *name, const char *text, size_t length) {
    if (file_replace(dir, name, text, length) == 0) {
        return 0;
    }
    if (failure_kind() != FAIL_DISK_FULL || !file_exists(dir, name)) {
        return -1;
    }
    return file_overwrite(dir, name, text, length);
}
