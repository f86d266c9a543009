/* How a failure travels: a function returns -1 (or false) after it has said here what went wrong;
 * main() prints it as the command's answer. */
#pragma once

/* Kinds of failure that the other side reacts to; the words are in failure.c. */
enum failure_code {
    FAIL_USAGE,
    FAIL_IO,
    FAIL_DISK_FULL,
    FAIL_NOT_FOUND,
    FAIL_CHANGED,
    FAIL_BUSY,
    FAIL_STATE,
    FAIL_SHARE,
    FAIL_SILENT, /* nothing listens yet */
};

/* Both return -1, so that a caller can write `return fail(...)`. */
int fail(enum failure_code code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "cannot <doing> <path>: <strerror>", with the code that fits errno. */
int fail_errno(const char *doing, const char *path);

const char *failure_text(void);
const char *failure_code(void);
enum failure_code failure_kind(void);
