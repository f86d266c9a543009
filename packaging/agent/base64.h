/* Content that an order carries (RFC 4648, with its padding, no line breaks). */
#ifndef BASE64_H
#define BASE64_H

#include <stddef.h>

/* Returns how many bytes came out, or -1 if the text is none or is too long for `size`. */
long base64_decode(const char *text, char *out, size_t size);

#endif
