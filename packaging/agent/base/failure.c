#include "base/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const words[] = {
    [FAIL_USAGE] = "usage",         [FAIL_IO] = "io",
    [FAIL_DISK_FULL] = "disk-full", [FAIL_NOT_FOUND] = "not-found",
    [FAIL_CHANGED] = "changed",     [FAIL_BUSY] = "busy",
    [FAIL_STATE] = "state",         [FAIL_SHARE] = "share",
    [FAIL_SILENT] = "silent",
};

/* Long enough for two whole paths. */
static char text[2304];
static enum failure_code kind = FAIL_IO;

int fail(enum failure_code code, const char *format, ...) {
    /* The arguments may hold the former text. */
    static char fresh[sizeof text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fresh, sizeof fresh, format, arguments);
    va_end(arguments);
    memcpy(text, fresh, sizeof text);
    kind = code;
    return -1;
}

int fail_errno(const char *doing, const char *path) {
    int error = errno;
    enum failure_code code = FAIL_IO;
    if (error == ENOSPC || error == EDQUOT) {
        code = FAIL_DISK_FULL;
    } else if (error == ENOENT) {
        code = FAIL_NOT_FOUND;
    }
    return fail(code, "cannot %s %s: %s", doing, path, strerror(error));
}

const char *failure_text(void) { return text; }

const char *failure_code(void) { return words[kind]; }

enum failure_code failure_kind(void) { return kind; }
