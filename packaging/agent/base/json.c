#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/text.h"

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

/* ---- answers ---- */

void answer_begin(struct json *json) {
    static char buffer[8192];
    json_start(json, buffer, sizeof buffer, STDOUT_FILENO);
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

/* ---- reading ---- */

struct reader {
    const char *start;
    char *at; /* a NUL ends the text, and nothing that is read goes on over one */
};

static int malformed(const struct reader *r, const char *wanted) {
    return fail(FAIL_USAGE, "the order is not valid JSON at byte %ld: %s is missing",
                (long)(r->at - r->start), wanted);
}

static void skip_blanks(struct reader *r) { r->at += strspn(r->at, " \t\r\n"); }

/* Whether `c` comes next; if so, it is read. */
static bool take(struct reader *r, char c) {
    skip_blanks(r);
    if (*r->at != c) {
        return false;
    }
    r->at++;
    return true;
}

/* its strings */

/* Four hexadecimal digits, or -1. */
static long read_code(const char *digits) {
    static const char known[] = "0123456789abcdefABCDEF";
    long code = 0;
    for (int i = 0; i < 4; i++) {
        const char *digit = digits[i] == '\0' ? NULL : strchr(known, digits[i]);
        if (digit == NULL) {
            return -1;
        }
        long value = digit - known;
        code = code << 4 | (value < 16 ? value : value - 6);
    }
    return code;
}

static int read_unicode(struct reader *r, char **out) {
    long code = r->at[1] == 'u' ? read_code(r->at + 2) : -1;
    if (code < 0) {
        return malformed(r, "a valid escape");
    }
    r->at += 6;
    if (0xdc80 <= code && code <= 0xdcff) {
        *(*out)++ = (char)(code - 0xdc00);
        return 0;
    }
    if (0xd800 <= code && code <= 0xdbff) { /* the first half of a pair */
        long low = r->at[0] == '\\' && r->at[1] == 'u' ? read_code(r->at + 2) : -1;
        if (low < 0xdc00 || low > 0xdfff) {
            return malformed(r, "the second half of a surrogate pair");
        }
        r->at += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (0xdc00 <= code && code <= 0xdfff) {
        return malformed(r, "the first half of a surrogate pair");
    }
    *out += utf8_put((unsigned long)code, *out);
    return 0;
}

static int read_escape(struct reader *r, char **out) {
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *name = r->at[1] == '\0' ? NULL : strchr(names, r->at[1]);
    if (name == NULL) {
        return read_unicode(r, out);
    }
    *(*out)++ = meant[name - names];
    r->at += 2;
    return 0;
}

/* No character is longer than what stands for it, so that `out` never overtakes what is read. */
static int read_string(struct reader *r, struct text *text) {
    if (!take(r, '"')) {
        return malformed(r, "a string");
    }
    char *out = r->at;
    text->bytes = out;
    while (*r->at != '"') {
        size_t length = utf8_length(r->at);
        if (length == 0 || (unsigned char)*r->at < 0x20) { /* the end of the text as well */
            return malformed(r, "the end of a string");
        }
        if (*r->at == '\\') {
            if (read_escape(r, &out) != 0) {
                return -1;
            }
            continue;
        }
        memmove(out, r->at, length);
        out += length;
        r->at += length;
    }
    r->at++;
    text->length = (size_t)(out - text->bytes);
    *out = '\0';
    return 0;
}

/* its values */

static int read_list(struct reader *r, struct value *value) {
    value->kind = VALUE_LIST;
    r->at++;
    if (take(r, ']')) {
        return 0;
    }
    do {
        if (value->count == LIST_MAX) {
            return fail(FAIL_USAGE, "a list of the order is longer than %d", LIST_MAX);
        }
        if (read_string(r, &value->strings[value->count]) != 0) {
            return -1;
        }
        value->count++;
    } while (take(r, ','));
    return take(r, ']') ? 0 : malformed(r, "the end of a list");
}

static int read_number(struct reader *r, struct value *value) {
    size_t length = strspn(r->at, "0123456789");
    if (length == 0 || length > 9 || (length > 1 && r->at[0] == '0')) {
        return malformed(r, "a string, a list, true, false or a whole number");
    }
    value->kind = VALUE_NUMBER;
    while (length-- > 0) {
        value->number = value->number * 10 + (*r->at++ - '0');
    }
    return 0;
}

static int read_value(struct reader *r, struct value *value) {
    *value = (struct value){.kind = VALUE_STRING};
    skip_blanks(r);
    if (*r->at == '"') {
        return read_string(r, &value->strings[0]);
    }
    if (*r->at == '[') {
        return read_list(r, value);
    }
    bool yes = strncmp(r->at, "true", 4) == 0;
    if (yes || strncmp(r->at, "false", 5) == 0) {
        value->kind = VALUE_BOOL;
        value->number = yes;
        r->at += yes ? 4 : 5;
        return 0;
    }
    return read_number(r, value);
}

static int read_member(struct reader *r, reader_member member, void *into) {
    struct text key;
    struct value value;
    if (read_string(r, &key) != 0) {
        return -1;
    }
    if (!take(r, ':')) {
        return malformed(r, "':'");
    }
    return read_value(r, &value) == 0 ? member(into, key.bytes, &value) : -1;
}

int reader_object(char *text, size_t length, reader_member member, void *into) {
    struct reader r = {.start = text, .at = text};
    if (!take(&r, '{')) {
        return malformed(&r, "'{'");
    }
    if (!take(&r, '}')) {
        do {
            if (read_member(&r, member, into) != 0) {
                return -1;
            }
        } while (take(&r, ','));
        if (!take(&r, '}')) {
            return malformed(&r, "'}'");
        }
    }
    skip_blanks(&r);
    return r.at == text + length ? 0 : malformed(&r, "the end of the order");
}
