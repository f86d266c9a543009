#include "base/text.h"

#include <string.h>

#include "base/agent.h"

static const char lower[] = "abcdefghijklmnopqrstuvwxyz";
static const char digits[] = "0123456789";

static bool one_of(char c, const char *set) { return c != '\0' && strchr(set, c) != NULL; }

static bool has_control_characters(const char *text) {
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

bool is_path(const char *text) {
    return text[0] == '/' && strlen(text) <= PATH_SIZE - 2 * NAME_SIZE - COMPONENT_SIZE &&
           !has_control_characters(text);
}

bool is_file_name(const char *text) {
    /* Room for the ".123" of an older one and the affixes of a temporary one. */
    return text[0] != '\0' && text[0] != '.' && strlen(text) <= NAME_SIZE - 16 &&
           strchr(text, '/') == NULL && !has_control_characters(text);
}

bool is_component(const char *text) {
    size_t length = strlen(text);
    if (length == 0 || length >= COMPONENT_SIZE || text[0] == '-') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (!one_of(*text, lower) && !one_of(*text, digits) && *text != '-') {
            return false;
        }
    }
    return true;
}

bool is_digest(const char *text) {
    size_t length = strspn(text, "0123456789abcdef");
    return length == DIGEST_SIZE - 1 && text[length] == '\0';
}

bool is_uid(const char *text) {
    size_t length = strspn(text, "0123456789abcdefABCDEF-");
    return length >= 8 && length < UID_SIZE && text[length] == '\0';
}

bool is_count(const char *text, int64_t *value) {
    size_t length = strspn(text, digits);
    if (length == 0 || length > 17 || text[length] != '\0') {
        return false;
    }
    for (*value = 0; *text != '\0'; text++) {
        *value = *value * 10 + (*text - '0');
    }
    return true;
}

bool is_number(const char *text, long low, long high, long *value) {
    int64_t number;
    if (strlen(text) > 9 || !is_count(text, &number)) {
        return false;
    }
    *value = (long)number;
    return low <= number && number <= high;
}

bool is_natural(const char *text, long *value) {
    int64_t number;
    if (!is_count(text, &number) || number > INT32_MAX) {
        return false;
    }
    *value = (long)number;
    return true;
}

bool is_loopback(const char *text, uint32_t *address) {
    *address = 0;
    for (int part = 0; part < 4; part++) {
        char number[4];
        long value;
        size_t length = strspn(text, digits);
        if (length == 0 || length >= sizeof number) {
            return false;
        }
        memcpy(number, text, length);
        number[length] = '\0';
        if (!is_number(number, 0, 255, &value) || text[length] != (part < 3 ? '.' : '\0')) {
            return false;
        }
        *address = *address << 8 | (uint32_t)value;
        text += length + (part < 3 ? 1 : 0);
    }
    return *address >> 24 == 127;
}

bool is_way(const char *text) {
    return strcmp(text, "seamless") == 0 || strcmp(text, "steered") == 0 ||
           strcmp(text, "shared") == 0;
}

void copy_text(char *out, size_t size, const char *text) {
    size_t length = 0;
    for (; text[length] != '\0' && length + 1 < size; length++) {
        unsigned char c = (unsigned char)text[length];
        out[length] = c < 0x20 || c == 0x7f ? ' ' : text[length];
    }
    out[length] = '\0';
}

bool copy_whole(char *out, size_t size, const char *text) {
    size_t length = strlen(text);
    if (length >= size) {
        return false;
    }
    memcpy(out, text, length + 1);
    return true;
}

/* ---- UTF-8 ---- */

size_t utf8_length(const char *text) {
    const unsigned char *s = (const unsigned char *)text;
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

size_t utf8_put(unsigned long code, char *out) {
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; code >>= 6) {
        out[i] = (char)(0x80 | (code & 0x3f));
    }
    out[0] = (char)(first[length] | code);
    return length;
}
