#include "base/text.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/agent.h"

static bool is_control(char c) { return (unsigned char)c < 0x20 || c == 0x7f; }

static bool is_printable(const char *text) {
    while (*text != '\0' && !is_control(*text)) {
        text++;
    }
    return *text == '\0';
}

/* Whether the text is `least` to `most` characters of `set`, and nothing else. */
static bool is_made_of(const char *text, const char *set, size_t least, size_t most) {
    size_t length = strspn(text, set);
    return least <= length && length <= most && text[length] == '\0';
}

bool is_given(const char *text) { return text[0] != '\0'; }

bool is_path(const char *text) {
    return text[0] == '/' && strlen(text) <= PATH_SIZE - 2 * NAME_SIZE - COMPONENT_SIZE &&
           is_printable(text);
}

bool is_file_name(const char *text) {
    /* Room for the ".123" of an older one and the affixes of a temporary one. */
    return text[0] != '\0' && text[0] != '.' && strlen(text) <= NAME_SIZE - 16 &&
           strchr(text, '/') == NULL && is_printable(text);
}

bool is_component(const char *text) {
    return text[0] != '-' && is_made_of(text, "abcdefghijklmnopqrstuvwxyz0123456789-", 1,
                                        COMPONENT_SIZE - 1);
}

bool is_digest(const char *text) {
    return is_made_of(text, "0123456789abcdef", DIGEST_SIZE - 1, DIGEST_SIZE - 1);
}

bool is_uid(const char *text) {
    return is_made_of(text, "0123456789abcdefABCDEF-", 8, UID_SIZE - 1);
}

bool is_number(const char *text, int64_t low, int64_t high, int64_t *value) {
    if (!is_made_of(text, "0123456789", 1, 17)) {
        return false;
    }
    *value = strtoll(text, NULL, 10);
    return low <= *value && *value <= high;
}

bool is_loopback(const char *text) {
    unsigned char address[4];
    return inet_pton(AF_INET, text, address) == 1 && address[0] == 127;
}

bool is_way(const char *text) {
    return strcmp(text, "seamless") == 0 || strcmp(text, "steered") == 0 ||
           strcmp(text, "shared") == 0;
}

void copy_text(char *out, size_t size, const char *text) {
    size_t length = 0;
    for (; text[length] != '\0' && length + 1 < size; length++) {
        out[length] = is_control(text[length]) ? ' ' : text[length];
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
