#include "json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "utf8.h"

static void flush(struct json *json) {
    size_t done = 0;
    while (done < json->length) {
        ssize_t count = write(json->fd, json->buffer + done, json->length - done);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            json->failed = true;
            break;
        }
        done += (size_t)count;
    }
    json->length = 0;
}

static void put(struct json *json, const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (json->length == json->size && json->fd >= 0) {
            flush(json);
        }
        if (json->length == json->size) {
            json->failed = true;
            return;
        }
        json->buffer[json->length++] = bytes[i];
    }
}

static void put_text(struct json *json, const char *text) { put(json, text, strlen(text)); }

/* `lost` is what a byte that is not UTF-8 becomes, together with it. */
static void put_quoted(struct json *json, const char *text, size_t size, unsigned lost) {
    put(json, "\"", 1);
    for (size_t i = 0; i < size;) {
        unsigned char c = (unsigned char)text[i];
        size_t length = utf8_length(text + i);
        char escaped[8];
        if (c == '"' || c == '\\') {
            snprintf(escaped, sizeof escaped, "\\%c", c);
            put_text(json, escaped);
        } else if (length == 0 || c < 0x20 || c == 0x7f) {
            snprintf(escaped, sizeof escaped, "\\u%04x", length == 0 ? lost | c : c);
            put_text(json, escaped);
        } else {
            put(json, text + i, length);
        }
        i += length == 0 ? 1 : length;
    }
    put(json, "\"", 1);
}

static void put_key(struct json *json, const char *key) {
    if (json->separate) {
        put(json, ",", 1);
    }
    json->separate = true;
    if (key != NULL) {
        put_quoted(json, key, strlen(key), 0);
        put(json, ":", 1);
    }
}

void json_start(struct json *json, char *buffer, size_t size, int fd) {
    *json = (struct json){.buffer = buffer, .size = size, .fd = fd};
}

void json_open(struct json *json, const char *key, char bracket) {
    put_key(json, key);
    put(json, &bracket, 1);
    json->separate = false;
}

void json_close(struct json *json, char bracket) {
    put(json, &bracket, 1);
    json->separate = true;
}

void json_string(struct json *json, const char *key, const char *value) {
    put_key(json, key);
    put_quoted(json, value, strlen(value), 0);
}

void json_number(struct json *json, const char *key, int64_t value) {
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    put_key(json, key);
    put_text(json, digits);
}

void json_bool(struct json *json, const char *key, bool value) {
    put_key(json, key);
    put_text(json, value ? "true" : "false");
}

void json_null(struct json *json, const char *key) {
    put_key(json, key);
    put_text(json, "null");
}

void json_bytes(struct json *json, const char *key, const char *bytes, size_t length) {
    put_key(json, key);
    put_quoted(json, bytes, length, 0xdc00);
}

int json_finish(struct json *json) {
    put(json, "\n", 1);
    if (json->fd >= 0) {
        flush(json);
    }
    return json->failed ? -1 : 0;
}
