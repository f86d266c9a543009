/* What a name, a path, a digest, a number may look like, on the command line and in our files. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Anything but an empty text. */
bool is_given(const char *text);

/* Absolute, printable, and short enough for what is appended to it. */
bool is_path(const char *text);

/* A file of the manifests directory that the kubelet would read: not hidden, no folder. */
bool is_file_name(const char *text);

/* A Kubernetes name (DNS label), which also names a directory of ours. */
bool is_component(const char *text);

/* A SHA-256 in lower-case hexadecimal. */
bool is_digest(const char *text);

/* A pod's UID: an API server's (RFC 4122) or the kubelet's for a static pod (32 digits). At least 8
 * characters, so that none can match by accident what isn't meant. */
bool is_uid(const char *text);

/* A decimal number from `low` to `high`, of at most 17 digits, with nothing around it. */
bool is_number(const char *text, int64_t low, int64_t high, int64_t *value);

/* An address in 127.0.0.0/8. */
bool is_loopback(const char *text);

/* A way to share a port: "seamless", "steered" or "shared". */
bool is_way(const char *text);

/* Copies text for people: control characters become blanks, what is too long is cut off. */
void copy_text(char *out, size_t size, const char *text);

/* Copies a string that must fit; returns whether it did. */
bool copy_whole(char *out, size_t size, const char *text);

/* ---- UTF-8 (RFC 3629): neither overlong forms nor surrogates are valid ---- */

/* How many bytes the character at `text`, which ends with a NUL, has; 0 if it is not valid. */
size_t utf8_length(const char *text);
