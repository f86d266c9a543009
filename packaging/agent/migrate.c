#include "migrate.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "syntax.h"

static const char name[] = "sys/net/ipv4/tcp_migrate_req";

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
    if (path_join(path, proc, name) != 0 ||
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
