#include "base/record.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/agent.h"
#include "base/failure.h"
#include "base/files.h"
#include "base/text.h"

static int damaged(const char *name, const char *line) {
    return fail(FAIL_STATE, "the %s file is damaged at '%.60s'", name, line);
}

/* ---- reading ---- */

int record_lines(const char *name, const char *text,
                 bool (*set)(void *into, const char *key, const char *value), void *into) {
    char line[PATH_SIZE + COMPONENT_SIZE];
    bool ended = false;
    while (*text != '\0' && !ended) {
        size_t length = strcspn(text, "\n");
        if (length >= sizeof line || text[length] != '\n') {
            return damaged(name, "a line without an end");
        }
        memcpy(line, text, length);
        line[length] = '\0';
        text += length + 1;
        char *value = strchr(line, '=');
        if (value == NULL) {
            return damaged(name, line);
        }
        *value++ = '\0';
        if (!set(into, line, value)) {
            return damaged(name, line);
        }
        ended = strcmp(line, "end") == 0;
    }
    return ended ? 0 : damaged(name, "its end");
}

static bool set_word(const struct field *field, void *member, const char *value) {
    for (int64_t i = field->low; i <= field->high; i++) {
        if (strcmp(value, field->words[i]) == 0) {
            *(int *)member = (int)i;
            return true;
        }
    }
    return false;
}

static bool set_text(const struct field *field, char *member, const char *value) {
    return (field->is_valid == NULL || field->is_valid(value)) &&
           copy_whole(member, field->size, value);
}

static bool set_field(const struct field *field, char *into, const char *value) {
    void *member = into + field->offset;
    void *counter = into + field->count_offset;
    size_t *count = counter;
    int64_t number;
    switch (field->kind) {
    case FIELD_TEXT:
        return set_text(field, member, value);
    case FIELD_TEXTS:
        return *count < (size_t)field->high &&
               set_text(field, (char *)member + (*count)++ * field->size, value);
    case FIELD_LONG:
    case FIELD_NUMBER:
        if (!is_count(value, &number) || number < field->low || number > field->high) {
            return false;
        }
        if (field->kind == FIELD_LONG) {
            *(long *)member = (long)number;
        } else {
            *(int64_t *)member = number;
        }
        return true;
    case FIELD_FLAG:
        *(bool *)member = strcmp(value, "1") == 0;
        return *(bool *)member || strcmp(value, "0") == 0;
    case FIELD_WORD:
        return set_word(field, member, value);
    case FIELD_ADDRESS:
        return is_loopback(value, member);
    }
    return false;
}

struct reading {
    const struct record *record;
    void *into;
};

static bool set_line(void *into, const char *key, const char *value) {
    const struct reading *reading = into;
    for (size_t i = 0; i < reading->record->count; i++) {
        if (strcmp(key, reading->record->fields[i].key) == 0) {
            return set_field(&reading->record->fields[i], reading->into, value);
        }
    }
    return true;
}

static int64_t number_of(const struct field *field, const void *member) {
    switch (field->kind) {
    case FIELD_LONG:
        return *(const long *)member;
    case FIELD_NUMBER:
        return *(const int64_t *)member;
    case FIELD_FLAG:
        return *(const bool *)member;
    case FIELD_WORD:
        return *(const int *)member;
    case FIELD_ADDRESS:
        return *(const uint32_t *)member;
    default:
        return 0;
    }
}

static bool is_set(const struct field *field, const char *from) {
    const char *member = from + field->offset;
    return field->kind == FIELD_TEXT ? *member != '\0' : number_of(field, member) != 0;
}

int record_parse(const struct record *record, void *into, const char *text) {
    struct reading reading = {record, into};
    if (record_lines(record->name, text, set_line, &reading) != 0) {
        return -1;
    }
    for (size_t i = 0; i < record->count; i++) {
        if (record->fields[i].required && !is_set(&record->fields[i], into)) {
            return fail(FAIL_STATE, "the %s file is damaged: it has no %s", record->name,
                        record->fields[i].key);
        }
    }
    return 0;
}

int record_text(const char *dir, const char *name, char *text, bool *found) {
    char path[PATH_SIZE];
    size_t length;
    *found = false;
    return path_join(path, dir, name) == 0 ? file_read(path, text, RECORD_SIZE, &length, found)
                                           : -1;
}

int record_read(const struct record *record, const char *dir, void *into, bool *found) {
    static char text[RECORD_SIZE];
    if (record_text(dir, record->name, text, found) != 0) {
        return -1;
    }
    if (*found && record_parse(record, into, text) != 0) {
        return fail(FAIL_STATE, "%s/%s: %s", dir, record->name, failure_text());
    }
    return 0;
}

/* ---- writing ---- */

struct printing {
    char *out;
    size_t size;
    size_t length;
};

static void add(struct printing *printing, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct printing *printing, const char *format, ...) {
    va_list arguments;
    size_t room = printing->size - printing->length;
    va_start(arguments, format);
    int count = vsnprintf(printing->out + printing->length, room, format, arguments);
    va_end(arguments);
    if (count > 0) {
        printing->length += (size_t)count < room ? (size_t)count : room;
    }
}

static void add_field(struct printing *printing, const struct field *field, const char *from) {
    const char *member = from + field->offset;
    size_t count = 1;
    int64_t number = number_of(field, member);
    switch (field->kind) {
    case FIELD_TEXTS:
        memcpy(&count, from + field->count_offset, sizeof count);
        /* fall through */
    case FIELD_TEXT:
        for (size_t i = 0; i < count; i++, member += field->size) {
            if (*member != '\0') {
                add(printing, "%s=%s\n", field->key, member);
            }
        }
        break;
    case FIELD_LONG:
    case FIELD_NUMBER:
    case FIELD_FLAG:
        /* A number that a reader would refuse is not written: it is not set. */
        if (number != 0 || field->low == 0) {
            add(printing, "%s=%lld\n", field->key, (long long)number);
        }
        break;
    case FIELD_WORD:
        add(printing, "%s=%s\n", field->key, field->words[number]);
        break;
    case FIELD_ADDRESS:
        add(printing, "%s=%d.%d.%d.%d\n", field->key, (int)(number >> 24), (int)(number >> 16 & 255),
            (int)(number >> 8 & 255), (int)(number & 255));
        break;
    }
}

int record_print(const struct record *record, const void *from, char *out, size_t size) {
    struct printing printing = {.out = out, .size = size};
    for (size_t i = 0; i < record->count; i++) {
        add_field(&printing, &record->fields[i], from);
    }
    add(&printing, "end=1\n");
    if (printing.length + 1 >= size) {
        return fail(FAIL_STATE, "the %s file is larger than %d bytes", record->name, (int)size);
    }
    return (int)printing.length;
}

int record_write(const struct record *record, const char *dir, const void *from) {
    static char text[RECORD_SIZE];
    int length = record_print(record, from, text, sizeof text);
    if (length < 0) {
        return -1;
    }
    if (file_replace(dir, record->name, text, (size_t)length) == 0) {
        return 0;
    }
    if (failure_kind() != FAIL_DISK_FULL || !file_exists(dir, record->name)) {
        return -1;
    }
    return file_overwrite(dir, record->name, text, (size_t)length);
}
