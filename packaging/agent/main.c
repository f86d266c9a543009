/* The node agent of kubectl-selfhost.
 *
 * It runs on a control-plane node, in an image that holds nothing it could use, and does what must go
 * on while there is no API server: it takes a static pod's manifest away and, unless told in time
 * that the new instance serves, puts it back (serve). `order` is run beside it, in the same container,
 * for each order that it is given. `wait-port` is the init container of the DaemonSets' pods, `guard`
 * a static pod.
 *
 * `order` and `version` answer with one line of JSON; the others write a log.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failure.h"
#include "guard.h"
#include "json.h"
#include "options.h"
#include "orders.h"
#include "port.h"
#include "serve.h"

static char output[4096];

static int version(const struct options *options) {
    struct json json;
    (void)options;
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_string(&json, "version", AGENT_VERSION);
    json_close(&json, '}');
    return json_finish(&json);
}

static const struct command {
    const char *name;
    int (*run)(const struct options *);
    const char *needed;
    const char *allowed;
} commands[] = {
    {"order", orders_take, "", ""},
    {"serve", serve, "dir manifests", "idle proc"},
    {"guard", guard, "dir manifests", "proc"},
    {"wait-port", port_wait, "port", "address hold user"},
    {"version", version, "", ""},
};

static const struct command *command_named(const char *name) {
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static int run(int count, char **words) {
    struct options options;
    if (count < 2) {
        return fail(FAIL_USAGE,
                    "which command? One of order, serve, guard, wait-port, version");
    }
    const struct command *command = command_named(words[1]);
    if (command == NULL) {
        return fail(FAIL_USAGE, "there is no command '%.60s'", words[1]);
    }
    if (options_read_words(&options, count - 2, words + 2) != 0 ||
        options_check(&options, command->name, command->needed, command->allowed) != 0) {
        return -1;
    }
    return command->run(&options);
}

int main(int count, char **words) {
    struct json json;
    prctl(PR_SET_NAME, AGENT_COMM);
    umask(022); /* whatever the runtime has set; files of ours are 0600 anyway */
    if (run(count, words) == 0) {
        return 0;
    }
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_string(&json, "error", failure_text());
    json_string(&json, "code", failure_code());
    json_close(&json, '}');
    json_finish(&json);
    return 1;
}
