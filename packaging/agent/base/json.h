/* Writes JSON, to a descriptor or into memory. It can't be made to write anything invalid from
 * strings: what isn't UTF-8 in them comes out as \u00XX. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/agent.h"

struct json {
    char *buffer;
    size_t size;
    size_t length;
    int fd;         /* -1: stays in the buffer */
    bool failed;    /* it didn't fit, or the descriptor took no more */
    bool separate;  /* a value came before at this level */
};

/* A writer into `buffer`; with `fd` >= 0 the buffer is only flushed through it. */
void json_start(struct json *json, char *buffer, size_t size, int fd);

/* `key` is NULL inside an array and for the outermost value. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);
void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, int64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

/* A file's content, which a NUL follows: any bytes, so that the reader gets the same ones. What isn't
 * UTF-8 becomes a lone \udc80 to \udcff (see below). */
void json_bytes(struct json *json, const char *key, const char *bytes, size_t length);

/* Adds a newline and flushes. Returns 0, or -1 if anything got lost on the way. */
int json_finish(struct json *json);

/* A command's answer: one object on stdout. Returns 0, or -1 after fail(). */
void answer_begin(struct json *json);
int answer_end(struct json *json);

/* An answer of one member. */
int answer_string(const char *key, const char *value);
int answer_number(const char *key, int64_t value);

/* Reads one JSON object (RFC 8259) of strings, whole numbers, true, false and lists of strings.
 *
 * It is stricter than JSON: no null, no fraction, nothing nested deeper, and nothing that the last
 * bracket does not close. One thing is ours: a lone \udc80 to \udcff stands for the byte 0x80 to 0xff,
 * which is how Python names bytes that are not UTF-8 (PEP 383). So any file fits into a string. */

/* A string. A NUL follows its last byte; a NUL may be one of its bytes as well. */
struct text {
    const char *bytes;
    size_t length;
};

enum value_kind { VALUE_STRING, VALUE_NUMBER, VALUE_BOOL, VALUE_LIST };

struct value {
    enum value_kind kind;
    struct text strings[LIST_MAX]; /* the first one is the string */
    size_t count;                  /* of a list */
    long number;                   /* of a bool: 0 or 1 */
};

/* Takes a member of the object. Returns 0, or -1 after fail(). */
typedef int (*reader_member)(void *into, const char *key, const struct value *value);

/* Calls `member` for each member of the object in `text`, which is `length` bytes with a NUL after
 * them. Strings are decoded where they are: `text` is changed, and the values point into it. Returns
 * 0, or -1 after fail(); the failure quotes nothing of the text, which may be a secret. */
int reader_object(char *text, size_t length, reader_member member, void *into);

#endif
