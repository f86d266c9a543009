#include "base/json.h"

#include "base/failure.h"
#include "base/text.h"

static void put_quoted(struct json *json, const char *text) {
    putc('"', json->out);
    for (size_t i = 0; text[i] != '\0';) {
        unsigned char c = (unsigned char)text[i];
        size_t length = utf8_length(text + i);
        if (c == '"' || c == '\\') {
            fprintf(json->out, "\\%c", c);
        } else if (length == 0 || c < 0x20 || c == 0x7f) {
            fprintf(json->out, "\\u%04x", c);
        } else {
            fwrite(text + i, 1, length, json->out);
        }
        i += length == 0 ? 1 : length;
    }
    putc('"', json->out);
}

static void put_key(struct json *json, const char *key) {
    if (json->separate) {
        putc(',', json->out);
    }
    json->separate = true;
    if (key != NULL) {
        put_quoted(json, key);
        putc(':', json->out);
    }
}

void json_open(struct json *json, const char *key, char bracket) {
    put_key(json, key);
    putc(bracket, json->out);
    json->separate = false;
}

void json_close(struct json *json, char bracket) {
    putc(bracket, json->out);
    json->separate = true;
}

void json_string(struct json *json, const char *key, const char *value) {
    put_key(json, key);
    put_quoted(json, value);
}

void json_number(struct json *json, const char *key, int64_t value) {
    put_key(json, key);
    fprintf(json->out, "%lld", (long long)value);
}

void json_bool(struct json *json, const char *key, bool value) {
    put_key(json, key);
    fputs(value ? "true" : "false", json->out);
}

void json_null(struct json *json, const char *key) {
    put_key(json, key);
    fputs("null", json->out);
}

void json_bytes(struct json *json, const char *key, const char *bytes, size_t length) {
    put_key(json, key);
    putc('"', json->out);
    for (size_t i = 0; i < length; i++) {
        fprintf(json->out, "%02x", (unsigned char)bytes[i]);
    }
    putc('"', json->out);
}

int json_finish(struct json *json) {
    putc('\n', json->out);
    return fflush(json->out) != 0 || ferror(json->out) ? -1 : 0;
}

/* ---- answers ---- */

void answer_begin(struct json *json) {
    *json = (struct json){.out = stdout};
    json_open(json, NULL, '{');
}

int answer_end(struct json *json) {
    json_close(json, '}');
    return json_finish(json) == 0 ? 0 : fail(FAIL_IO, "the answer could not be written");
}

int answer_string(const char *key, const char *value) {
    struct json json;
    answer_begin(&json);
    json_string(&json, key, value);
    return answer_end(&json);
}

int answer_number(const char *key, int64_t value) {
    struct json json;
    answer_begin(&json);
    json_number(&json, key, value);
    return answer_end(&json);
}
