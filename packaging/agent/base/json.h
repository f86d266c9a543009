/* Writes JSON. It can't be made to write anything invalid from
 * strings: what isn't UTF-8 in them comes out as \u00XX. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *out;
    bool separate; /* a value came before at this level */
};

/* `key` is NULL inside an array and for the outermost value. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);
void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, int64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

/* A file's content, any bytes: a string of two hexadecimal digits for each. */
void json_bytes(struct json *json, const char *key, const char *bytes, size_t length);

/* Adds a newline and flushes. Returns 0, or -1 if anything got lost on the way. */
int json_finish(struct json *json);

/* A command's answer: one object on stdout. Returns 0, or -1 after fail(). */
void answer_begin(struct json *json);
int answer_end(struct json *json);

/* An answer of one member. */
int answer_string(const char *key, const char *value);
int answer_number(const char *key, int64_t value);
