#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"

void say(const char *format, ...) {
    char line[2560], now[RFC3339_SIZE];
    va_list arguments;
    rfc3339_now(now);
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    dprintf(STDOUT_FILENO, "%s %s\n", now, line);
}
