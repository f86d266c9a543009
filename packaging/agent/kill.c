#include "kill.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

#include "clock.h"
#include "failure.h"
#include "json.h"
#include "process.h"

enum { PROCESSES_MAX = 64, DEAD_WITHIN = 5000 /* milliseconds */ };

struct processes {
    long ids[PROCESSES_MAX];
    size_t count;
};

static void add_server(const char *proc, long pid, void *argument) {
    struct processes *processes = argument;
    if (process_is_server(proc, pid) && processes->count < PROCESSES_MAX) {
        processes->ids[processes->count++] = pid;
    }
}

/* One that waits to be reaped does nothing any more. */
static bool any_lives(const char *proc, const struct processes *processes) {
    for (size_t i = 0; i < processes->count; i++) {
        if (kill((pid_t)processes->ids[i], 0) == 0 && !process_is_zombie(proc, processes->ids[i])) {
            return true;
        }
    }
    return false;
}

int kill_servers(const struct options *options) {
    static char output[256];
    static struct processes processes;
    struct json json;
    process_each(options->proc, options->pod_uid, add_server, &processes);
    for (size_t i = 0; i < processes.count; i++) {
        kill((pid_t)processes.ids[i], SIGKILL);
    }
    int64_t end = boot_milliseconds() + DEAD_WITHIN;
    while (any_lives(options->proc, &processes)) {
        if (boot_milliseconds() >= end) {
            return fail(FAIL_STATE, "a killed process of pod %s is not gone", options->pod_uid);
        }
        sleep_milliseconds(10);
    }
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_number(&json, "killed", (int64_t)processes.count);
    json_close(&json, '}');
    return json_finish(&json) == 0 ? 0 : fail(FAIL_IO, "the answer could not be written");
}
