#include "standstill.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "failure.h"
#include "files.h"
#include "handover.h"
#include "json.h"
#include "lock.h"
#include "pairs.h"
#include "process.h"
#include "syntax.h"
#include "watcher.h"

static const char name[] = "paused";

enum { LIMIT = 15 }; /* seconds */

static bool set(void *into, const char *key, const char *value) {
    struct standstill *s = into;
    if (strcmp(key, "since") == 0) {
        return pairs_number(value, &s->since);
    }
    if (strcmp(key, "limit") == 0) {
        return pairs_number(value, &s->limit);
    }
    if (strcmp(key, "component") == 0) {
        return is_component(value) && copy_whole(s->component, sizeof s->component, value);
    }
    if (strcmp(key, "instance_uid") == 0) {
        return s->instances < INSTANCES_MAX && is_uid(value) &&
               copy_whole(s->instance_uids[s->instances++], UID_SIZE, value);
    }
    if (strcmp(key, "boot_id") == 0) {
        return copy_whole(s->boot_id, sizeof s->boot_id, value);
    }
    return true;
}

int standstill_parse(struct standstill *standstill, const char *text) {
    *standstill = (struct standstill){.since = 0};
    return pairs_parse(text, name, set, standstill);
}

int standstill_print(const struct standstill *s, char *out, size_t size) {
    struct pairs pairs = {.out = out, .size = size};
    pairs_add(&pairs, "since=%lld\nlimit=%lld\n", (long long)s->since, (long long)s->limit);
    pairs_add_text(&pairs, "component", s->component);
    for (size_t i = 0; i < s->instances; i++) {
        pairs_add_text(&pairs, "instance_uid", s->instance_uids[i]);
    }
    pairs_add_text(&pairs, "boot_id", s->boot_id);
    return pairs_end(&pairs, name);
}

static int read_file(const char *dir, struct standstill *standstill) {
    bool found;
    *standstill = (struct standstill){.since = 0};
    return pairs_read(dir, name, set, standstill, &found);
}

bool standstill_is_on(const char *dir) { return file_exists(dir, name); }

static int count_servers(const char *proc, const struct standstill *s) {
    int servers = 0;
    for (size_t i = 0; i < s->instances; i++) {
        struct pod_processes processes = pod_processes(proc, s->instance_uids[i]);
        servers += pod_servers(&processes, false);
    }
    return servers;
}

static int stop_servers(const char *proc, const struct standstill *s) {
    int servers = count_servers(proc, s);
    for (size_t i = 0; i < s->instances; i++) {
        pod_signal_servers(proc, s->instance_uids[i], SIGSTOP);
    }
    return servers;
}

/* Lets every process of the pods go on: which of them were stopped is not remembered. Returns how many
 * servers there are. */
static int let_go_on(const char *proc, const struct standstill *s) {
    for (size_t i = 0; i < s->instances; i++) {
        pod_signal(proc, s->instance_uids[i], SIGCONT);
    }
    return count_servers(proc, s);
}

int standstill_end(const char *dir, const char *proc) {
    struct standstill standstill;
    /* Of what a damaged file has, everything that could be read is let go on. */
    int bad = read_file(dir, &standstill);
    int servers = let_go_on(proc, &standstill);
    return bad != 0 || file_remove(dir, name) != 0 ? -1 : servers;
}

static bool is_over(const char *proc, const struct standstill *s) {
    char boot_id[BOOT_ID_SIZE];
    int64_t passed = boot_milliseconds() - s->since;
    boot_id_read(proc, boot_id, sizeof boot_id);
    return passed < 0 || passed >= s->limit || strcmp(boot_id, s->boot_id) != 0;
}

int standstill_check(const char *dir, const char *proc, bool now) {
    struct standstill standstill;
    char path[PATH_SIZE];
    int fd, result = 0;
    if (!standstill_is_on(dir)) {
        return 0;
    }
    int bad = read_file(dir, &standstill);
    if (!now && bad == 0 && !is_over(proc, &standstill)) {
        return 0;
    }
    /* A command may hold the lock for seconds. The file goes when it can be had. */
    result = let_go_on(proc, &standstill);
    if (path_join(path, dir, HANDOVER_LOCK) == 0 && lock_take(path, false, &fd) == 0) {
        bad = read_file(dir, &standstill);
        if (now || bad != 0 || is_over(proc, &standstill)) {
            result = standstill_end(dir, proc);
        }
        close(fd);
    }
    return result;
}

/* ---- the commands ---- */

static int answer(const char *key, int count) {
    static char output[256];
    struct json json;
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_number(&json, key, count);
    json_close(&json, '}');
    return json_finish(&json) == 0 ? 0 : fail(FAIL_IO, "the answer could not be written");
}

int standstill_pause(const struct options *o) {
    static char text[PAIRS_FILE_SIZE];
    struct standstill standstill = {.since = boot_milliseconds(), .instances = o->instances};
    standstill.limit = (o->limit < LIMIT ? o->limit : LIMIT) * 1000;
    if (handover_lock(o->dir) != 0 || watcher_require(o->dir) != 0) {
        return -1;
    }
    boot_id_read(o->proc, standstill.boot_id, sizeof standstill.boot_id);
    copy_whole(standstill.component, sizeof standstill.component, o->component);
    for (size_t i = 0; i < o->instances; i++) {
        copy_whole(standstill.instance_uids[i], UID_SIZE, o->instance_uids[i]);
    }
    /* What another one was to remember must not be forgotten. */
    if (standstill_end(o->dir, o->proc) < 0) {
        file_remove(o->dir, name);
    }
    int length = standstill_print(&standstill, text, sizeof text);
    if (length < 0 || pairs_write(o->dir, name, text, (size_t)length) != 0) {
        return -1;
    }
    return answer("paused", stop_servers(o->proc, &standstill));
}

int standstill_resume(const struct options *o) {
    if (handover_lock(o->dir) != 0) {
        return -1;
    }
    int servers = standstill_is_on(o->dir) ? standstill_end(o->dir, o->proc) : 0;
    return servers < 0 ? -1 : answer("resumed", servers);
}
