/* UTF-8 (RFC 3629): neither overlong forms nor surrogates are valid. */
#ifndef UTF8_H
#define UTF8_H

#include <stddef.h>

/* How many bytes the character at `text`, which ends with a NUL, has; 0 if it is not valid. */
size_t utf8_length(const char *text);

/* Writes a character, of at most 4 bytes. Returns how many it has. */
size_t utf8_put(unsigned long code, char *out);

#endif
