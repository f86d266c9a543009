#include "reader.h"

#include <stdbool.h>
#include <string.h>

#include "failure.h"
#include "utf8.h"

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

/* ---- strings ---- */

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

/* ---- values ---- */

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
