/* Writes JSON, to a descriptor or into memory. It can't be made to write anything invalid from
 * strings: what isn't UTF-8 in them comes out as \u00XX. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
 * UTF-8 becomes a lone \udc80 to \udcff (see reader.h). */
void json_bytes(struct json *json, const char *key, const char *bytes, size_t length);

/* Adds a newline and flushes. Returns 0, or -1 if anything got lost on the way. */
int json_finish(struct json *json);

#endif
