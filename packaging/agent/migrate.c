#include "migrate.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "syntax.h"

static const char name[] = "sys/net/ipv4/tcp_migrate_req";

/* The first version, and the function that came with it: a kernel to which it was back-ported has it. */
enum { MAJOR = 5, MINOR = 14 };
static const char symbol[] = "reuseport_migrate_sock";

static bool is_new_enough(const char *proc) {
    char path[PATH_SIZE], text[128], *rest;
    size_t length;
    bool found;
    if (path_join(path, proc, "sys/kernel/osrelease") != 0 ||
        file_read(path, text, sizeof text, &length, &found) != 0 || !found) {
        return false;
    }
    long major = strtol(text, &rest, 10);
    long minor = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;
    return major > MAJOR || (major == MAJOR && minor >= MINOR);
}

/* "ffffffff81ea2e30 T reuseport_migrate_sock", and of a module its name in brackets. */
static bool is_symbol(char *line) {
    char *word = strchr(line, ' ');
    word = word == NULL ? NULL : strchr(word + 1, ' ');
    if (word == NULL) {
        return false;
    }
    word[1 + strcspn(word + 1, "\t")] = '\0';
    return strcmp(word + 1, symbol) == 0;
}

static bool has_symbol(const char *proc) {
    static char block[4096];
    char path[PATH_SIZE], line[256];
    size_t length = 0;
    ssize_t count;
    bool found = false;
    int fd = path_join(path, proc, "kallsyms") == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    while (fd >= 0 && !found && (count = read(fd, block, sizeof block)) > 0) {
        for (ssize_t i = 0; i < count && !found; i++) {
            if (block[i] == '\n') {
                line[length] = '\0';
                length = 0;
                found = is_symbol(line);
            } else if (length + 1 < sizeof line) {
                line[length++] = block[i];
            }
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return found;
}

bool migrate_works(const char *proc) {
    return file_exists(proc, name) && (is_new_enough(proc) || has_symbol(proc));
}

static bool put(const char *proc, int64_t value) {
    char path[PATH_SIZE], text[24];
    int fd = path_join(path, proc, name) == 0 ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return false;
    }
    int length = snprintf(text, sizeof text, "%lld\n", (long long)value);
    bool done = write(fd, text, (size_t)length) == length;
    close(fd);
    return done;
}

int64_t migrate_on(const char *proc) {
    char path[PATH_SIZE], text[24];
    size_t length;
    bool found;
    long before;
    if (!migrate_works(proc) || path_join(path, proc, name) != 0 ||
        file_read(path, text, sizeof text, &length, &found) != 0 || !found) {
        return 0;
    }
    text[strcspn(text, "\n")] = '\0';
    return is_number(text, 0, 255, &before) && put(proc, 1) ? before + 1 : 0;
}

void migrate_restore(const char *proc, int64_t before) {
    if (before > 0) {
        put(proc, before - 1);
    }
}
