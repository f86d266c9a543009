/* Files of key=value lines, the last one "end=1", so that half a file is never taken for a whole. */
#ifndef PAIRS_H
#define PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAIRS_FILE_SIZE = 8192 };

/* ---- reading ---- */

/* Calls `set` for every line; it returns whether the value is one that the key can have. Returns 0,
 * or -1 after fail() ("the <what> file is damaged at ..."). */
int pairs_parse(const char *text, const char *what,
                bool (*set)(void *into, const char *key, const char *value), void *into);

/* The same for DIR/name. `*found` is false, and nothing is set, where there is no file. */
int pairs_read(const char *dir, const char *name,
               bool (*set)(void *into, const char *key, const char *value), void *into,
               bool *found);

/* A decimal number that may be larger than is_number() takes; at most 17 digits. */
bool pairs_number(const char *value, int64_t *number);

/* ---- writing ---- */

struct pairs {
    char *out;
    size_t size;
    size_t length;
};

void pairs_add(struct pairs *pairs, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Nothing for an empty value. */
void pairs_add_text(struct pairs *pairs, const char *key, const char *value);

/* Adds the end. Returns the length, or -1 after fail() if it didn't fit. */
int pairs_end(struct pairs *pairs, const char *what);

/* Lasting when it returns. On a full disk it overwrites the file that is there. */
int pairs_write(const char *dir, const char *name, const char *text, size_t length);

#endif
