/* Reads one JSON object (RFC 8259) of strings, whole numbers, true, false and lists of strings.
 *
 * It is stricter than JSON: no null, no fraction, nothing nested deeper, and nothing that the last
 * bracket does not close. One thing is ours: a lone \udc80 to \udcff stands for the byte 0x80 to 0xff,
 * which is how Python names bytes that are not UTF-8 (PEP 383). So any file fits into a string. */
#ifndef READER_H
#define READER_H

#include <stddef.h>

#include "agent.h"

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
