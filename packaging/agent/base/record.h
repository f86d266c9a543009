/* Our one format: lines of key=value, the last one "end=1", so that half is never taken for a whole. The
 * files that we keep on a node have it, and so have orders. A table of fields for each kind of structure
 * says how it is read and written.
 *
 * What a newer agent adds to a file is passed over: a key that the table lacks is no damage. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RECORD_SIZE = 8192 }; /* bytes of a file, with its end */

enum field_kind {
    FIELD_TEXT,   /* char[size]; not written while it is empty */
    FIELD_TEXTS,  /* char[][size], and how many there are: a line for each */
    FIELD_LONG,   /* long */
    FIELD_NUMBER, /* int64_t */
    FIELD_FLAG,   /* bool: 0 or 1 */
    FIELD_WORD,   /* enum: its number is the word's place in `words`, from `low` on */
    FIELD_BYTES,  /* const char *, and how many bytes there are: any bytes, in hexadecimal */
};

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
    bool required; /* a file without a value for it is damaged; a number may not be 0 then */
    size_t size;   /* of a text; 0: the member is a const char *, into what was read */
    bool (*is_valid)(const char *); /* of a text; NULL: any */
    size_t count_offset;            /* of FIELD_TEXTS and FIELD_BYTES: a size_t */
    int64_t low, high; /* of a number; `high` of FIELD_TEXTS and FIELD_BYTES: how many there can be */
    const char *const *words;
};

struct record {
    const char *name; /* of the file, in our directory */
    const struct field *fields;
    size_t count;
};

/* Rows of a table, for a member of `struct type`. */
#define RECORD_TEXT(type, member, needed, valid)                                               \
    {.key = #member, .kind = FIELD_TEXT, .offset = offsetof(struct type, member),              \
     .required = needed, .size = sizeof ((struct type *)0)->member, .is_valid = valid}
#define RECORD_UIDS(type, member, counter)                                                     \
    {.key = "instance_uid", .kind = FIELD_TEXTS, .offset = offsetof(struct type, member),      \
     .size = UID_SIZE, .is_valid = is_uid, .count_offset = offsetof(struct type, counter),     \
     .high = INSTANCES_MAX}
#define RECORD_LONG(type, member, needed, lowest, highest)                                     \
    {.key = #member, .kind = FIELD_LONG, .offset = offsetof(struct type, member),              \
     .required = needed, .low = lowest, .high = highest}
#define RECORD_NUMBER(type, member, needed, lowest, highest)                                   \
    {.key = #member, .kind = FIELD_NUMBER, .offset = offsetof(struct type, member),            \
     .required = needed, .low = lowest, .high = highest}
#define RECORD_FLAG(type, member)                                                              \
    {.key = #member, .kind = FIELD_FLAG, .offset = offsetof(struct type, member)}
#define RECORD_WORD(type, member, word, list, first, needed)                                   \
    {.key = word, .kind = FIELD_WORD, .offset = offsetof(struct type, member),                 \
     .required = needed, .words = list, .low = first, .high = sizeof list / sizeof list[0] - 1}
#define RECORD(name, fields) {name, fields, sizeof fields / sizeof fields[0]}

/* Text to structure; the text is changed. What was read before a damage stays in `into`, which is all zero
 * at first. A structure that lacks a value is damaged too. Returns 0, or -1 after fail(). */
int record_parse(const struct record *record, void *into, char *text);

/* Structure to text. Returns the length, or -1 after fail() if the text does not fit. */
int record_print(const struct record *record, const void *from, char *text, size_t size);

/* The same for the record's file in `dir`. `*found` is false, and nothing is set, where there is no
 * file. */
int record_read(const struct record *record, const char *dir, void *into, bool *found);

/* Lasting when it returns. On a full disk it overwrites the file that is there. */
int record_write(const struct record *record, const char *dir, const void *from);

/* ---- for what is read otherwise. What returns int gives 0, or -1 after fail(). ---- */

/* Calls `set` for each line but the last one; the text is changed, and the values point into it. */
int record_lines(char *text, int (*set)(void *into, const char *key, char *value), void *into);

/* NULL: the table has no such key. */
const struct field *record_field(const struct record *record, const char *key);

/* Sets the member of `into` to the value. */
int record_set(const struct field *field, void *into, char *value);

/* Reads the text of DIR/name into RECORD_SIZE bytes. */
int record_text(const char *dir, const char *name, char *text, bool *found);

/* Says that a file is damaged, and why: the failure so far. Returns -1. */
int record_damaged(const char *dir, const char *name);
