#include "base/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/agent.h"
#include "base/failure.h"
#include "base/files.h"
#include "base/text.h"

/* ---- reading ---- */

int record_lines(char *text, int (*set)(void *into, const char *key, char *value), void *into) {
    for (int number = 1; *text != '\0'; number++) {
        char *line = text, *end = strchr(line, '\n');
        char *value = strchr(line, '=');
        if (end == NULL || value == NULL || value > end) {
            return fail(FAIL_USAGE, "line %d is no key=value with an end", number);
        }
        *end = *value++ = '\0';
        text = end + 1;
        if (strcmp(line, "end") == 0) {
            return 0; /* what follows is of an older file, which was overwritten */
        }
        if (set(into, line, value) != 0) {
            return -1;
        }
    }
    return fail(FAIL_USAGE, "the end is missing");
}

static bool set_word(const struct field *field, int *member, const char *value) {
    for (int64_t i = field->low; i <= field->high; i++) {
        if (strcmp(value, field->words[i]) == 0) {
            *member = (int)i;
            return true;
        }
    }
    return false;
}

/* A text without a size isn't copied: the member points to it. */
static bool set_text(const struct field *field, void *member, const char *value) {
    if (field->is_valid != NULL && !field->is_valid(value)) {
        return false;
    }
    if (field->size > 0) {
        return copy_whole(member, field->size, value);
    }
    *(const char **)member = value;
    return true;
}

static bool set_number(const struct field *field, void *member, const char *value) {
    int64_t number;
    if (!is_number(value, field->low, field->high, &number)) {
        return false;
    }
    if (field->kind == FIELD_LONG) {
        *(long *)member = (long)number;
    } else {
        *(int64_t *)member = number;
    }
    return true;
}

/* Two hexadecimal digits for each byte; the bytes take the digits' place. */
static bool set_bytes(const struct field *field, const char **member, size_t *count, char *value) {
    size_t length = strlen(value);
    if (length % 2 != 0 || length / 2 > (size_t)field->high ||
        strspn(value, "0123456789abcdef") != length) {
        return false;
    }
    for (size_t i = 0; i < length / 2; i++) {
        char digits[] = {value[2 * i], value[2 * i + 1], '\0'};
        value[i] = (char)strtol(digits, NULL, 16);
    }
    *member = value;
    *count = length / 2;
    return true;
}

static bool set_member(const struct field *field, char *into, char *value) {
    void *member = into + field->offset, *counter = into + field->count_offset;
    size_t *count = counter, stride = field->size > 0 ? field->size : sizeof(const char *);
    switch (field->kind) {
    case FIELD_TEXT:
        return set_text(field, member, value);
    case FIELD_TEXTS:
        return set_text(field, (char *)member + (*count)++ * stride, value);
    case FIELD_LONG:
    case FIELD_NUMBER:
        return set_number(field, member, value);
    case FIELD_FLAG:
        *(bool *)member = strcmp(value, "1") == 0;
        return *(bool *)member || strcmp(value, "0") == 0;
    case FIELD_WORD:
        return set_word(field, member, value);
    case FIELD_BYTES:
        return set_bytes(field, member, count, value);
    }
    return false;
}

int record_set(const struct field *field, void *into, char *value) {
    void *counter = (char *)into + field->count_offset;
    if (field->kind == FIELD_TEXTS && *(size_t *)counter == (size_t)field->high) {
        return fail(FAIL_USAGE, "%s is given more than %d times", field->key, (int)field->high);
    }
    if (set_member(field, into, value)) {
        return 0;
    }
    if (field->kind != FIELD_BYTES) {
        return fail(FAIL_USAGE, "%s can't be '%.200s'", field->key, value);
    }
    /* It may be a secret. */
    return strlen(value) > 2 * (size_t)field->high
               ? fail(FAIL_USAGE, "%s is larger than %d bytes", field->key, (int)field->high)
               : fail(FAIL_USAGE, "%s isn't in hexadecimal", field->key);
}

const struct field *record_field(const struct record *record, const char *key) {
    for (size_t i = 0; i < record->count; i++) {
        if (strcmp(key, record->fields[i].key) == 0) {
            return &record->fields[i];
        }
    }
    return NULL;
}

struct reading {
    const struct record *record;
    void *into;
};

static int set_known(void *into, const char *key, char *value) {
    const struct reading *reading = into;
    const struct field *field = record_field(reading->record, key);
    return field != NULL ? record_set(field, reading->into, value) : 0;
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
    default:
        return 0;
    }
}

static bool is_set(const struct field *field, const char *from) {
    const char *member = from + field->offset;
    return field->kind == FIELD_TEXT ? *member != '\0' : number_of(field, member) != 0;
}

int record_parse(const struct record *record, void *into, char *text) {
    struct reading reading = {record, into};
    if (record_lines(text, set_known, &reading) != 0) {
        return -1;
    }
    for (size_t i = 0; i < record->count; i++) {
        if (record->fields[i].required && !is_set(&record->fields[i], into)) {
            return fail(FAIL_USAGE, "it has no %s", record->fields[i].key);
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

int record_damaged(const char *dir, const char *name) {
    return fail(FAIL_STATE, "%s/%s is damaged: %s", dir, name, failure_text());
}

int record_read(const struct record *record, const char *dir, void *into, bool *found) {
    static char text[RECORD_SIZE];
    if (record_text(dir, record->name, text, found) != 0) {
        return -1;
    }
    return *found && record_parse(record, into, text) != 0 ? record_damaged(dir, record->name) : 0;
}

/* ---- writing ---- */

static void print_field(FILE *out, const struct field *field, const char *from) {
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
                fprintf(out, "%s=%s\n", field->key, member);
            }
        }
        break;
    case FIELD_LONG:
    case FIELD_NUMBER:
    case FIELD_FLAG:
        /* A number that a reader would refuse is not written: it is not set. */
        if (number != 0 || field->low == 0) {
            fprintf(out, "%s=%lld\n", field->key, (long long)number);
        }
        break;
    case FIELD_WORD:
        fprintf(out, "%s=%s\n", field->key, field->words[number]);
        break;
    case FIELD_BYTES: /* no file has any */
        break;
    }
}

int record_print(const struct record *record, const void *from, char *text, size_t size) {
    FILE *out = fmemopen(text, size, "w");
    if (out == NULL) {
        return fail_errno("write", record->name);
    }
    for (size_t i = 0; i < record->count; i++) {
        print_field(out, &record->fields[i], from);
    }
    fputs("end=1\n", out);
    bool whole = fflush(out) == 0 && !ferror(out);
    int length = (int)ftell(out);
    fclose(out);
    return whole ? length
                 : fail(FAIL_STATE, "the %s file is larger than %d bytes", record->name, (int)size);
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
