#include "json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* How many bytes the UTF-8 character at `s` has; 0 if there is no valid one. */
static size_t utf8_length(const unsigned char *s) {
    if (s[0] < 0x80) {
        return 1;
    }
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) { /* also the end of the string */
            return 0;
        }
    }
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool beyond = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
    return overlong || beyond ? 0 : length;
}

static void put_quoted(struct json *json, const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    put(json, "\"", 1);
    while (*s != '\0') {
        size_t length = utf8_length(s);
        if (*s == '"' || *s == '\\') {
            char escaped[2] = {'\\', (char)*s};
            put(json, escaped, 2);
        } else if (length == 0 || *s < 0x20 || *s == 0x7f) {
            char escaped[8];
            snprintf(escaped, sizeof escaped, "\\u%04x", *s);
            put(json, escaped, 6);
        } else {
            put(json, (const char *)s, length);
        }
        s += length == 0 ? 1 : length;
    }
    put(json, "\"", 1);
}

static void put_key(struct json *json, const char *key) {
    if (json->separate) {
        put(json, ",", 1);
    }
    json->separate = true;
    if (key != NULL) {
        put_quoted(json, key);
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
    put_quoted(json, value);
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

void json_base64(struct json *json, const char *key, const uint8_t *bytes, size_t length) {
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    put_key(json, key);
    put(json, "\"", 1);
    for (size_t i = 0; i < length; i += 3) {
        size_t count = length - i < 3 ? length - i : 3;
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= count > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= count > 2 ? bytes[i + 2] : 0;
        char digits[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63],
                          count > 1 ? alphabet[group >> 6 & 63] : '=',
                          count > 2 ? alphabet[group & 63] : '='};
        put(json, digits, sizeof digits);
    }
    put(json, "\"", 1);
}

int json_finish(struct json *json) {
    put(json, "\n", 1);
    if (json->fd >= 0) {
        flush(json);
    }
    return json->failed ? -1 : 0;
}
