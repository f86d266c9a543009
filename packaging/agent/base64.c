#include "base64.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit(char c) {
    const char *at = c == '\0' ? NULL : strchr(alphabet, c);
    return at == NULL ? -1 : (int)(at - alphabet);
}

long base64_decode(const char *text, char *out, size_t size) {
    size_t length = strlen(text), count = 0;
    size_t padding = length == 0 ? 0 : (text[length - 1] == '=') + (length > 1 && text[length - 2] == '=');
    if (length % 4 != 0 || length / 4 * 3 - padding > size) {
        return -1;
    }
    for (size_t i = 0; i < length; i += 4) {
        size_t digits = i + 4 == length ? 4 - padding : 4;
        uint32_t bits = 0;
        for (size_t j = 0; j < 4; j++) {
            int value = j < digits ? digit(text[i + j]) : 0;
            if (value < 0) {
                return -1;
            }
            bits = bits << 6 | (uint32_t)value;
        }
        for (size_t j = 0; j + 1 < digits; j++) {
            out[count++] = (char)(bits >> (16 - 8 * j));
        }
    }
    return (long)count;
}
