/* The node agent of kubectl-selfhost.
 *
 * It runs on a control-plane node, in an image that holds nothing it could use, and does what must go
 * on while there is no API server: it takes a static pod's manifest away and, unless told in time
 * that the new instance serves, puts it back (serve). `order` is run beside it, in the same container,
 * for each order that it is given. `wait-port` is the init container of the DaemonSets' pods, `guard`
 * a static pod.
 *
 * base/      files, records, JSON, options: knows nothing of what the agent is for
 * node/      what is on a node: processes, sockets, ports, this program
 * handover/  a manifest goes and comes back; the dead man's switch (serve)
 * steward/   a port is shared, and its connections are steered
 * guardian/  what a node needs after a reboot
 * credentials/  certificates and keys: kept, exchanged, their public parts told
 *
 * `order` and `version` answer with one line of JSON; the others write a log.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/json.h"
#include "base/options.h"
#include "base/runtime.h"
#include "credentials/credentials.h"
#include "guardian/guard.h"
#include "guardian/recovery.h"
#include "handover/handover.h"
#include "handover/report.h"
#include "handover/serve.h"
#include "node/hello.h"
#include "node/port.h"
#include "node/process.h"
#include "steward/examine.h"
#include "steward/share.h"

enum {
    ORDER_MAX = 2 << 20, /* bytes: content whose every byte is written \u0000, and the rest */
    READ_LIMIT = 10000,  /* milliseconds; who gives an order waits for 15 s */
};

/* ---- the moves of a hand-over, which answer alike ---- */

static int move(int (*make)(const struct options *, struct state *, bool *),
                const struct options *options) {
    static struct state state;
    bool already = false;
    struct json json;
    if (make(options, &state, &already) != 0) {
        return -1;
    }
    answer_begin(&json);
    json_string(&json, "state", phase_word(state.phase));
    json_string(&json, "component", state.component);
    json_string(&json, "file", state.file);
    json_string(&json, "sha256", state.sha256);
    json_string(&json, "reason", state.reason);
    json_bool(&json, "already", already);
    return answer_end(&json);
}

static int arm(const struct options *options) { return move(handover_arm, options); }

static int place(const struct options *options) { return move(handover_place, options); }

static int exchange(const struct options *options) { return move(handover_exchange, options); }

static int confirm(const struct options *options) { return move(handover_confirm, options); }

static int put_back(const struct options *options) { return move(handover_put_back, options); }

static int hold(const struct options *options) {
    return handover_hold(options) == 0 ? answer_string("held", options->component) : -1;
}

/* ---- which orders there are ---- */

/* Each needs `order` and `dir` as well, and may have `proc`. */
static const struct kind {
    const char *name;
    int (*carry_out)(const struct options *);
    const char *needed;
    const char *allowed;
} kinds[] = {
    {"check", report_check, "manifests", "bytes"},
    {"list", report_list, "", "manifests"},
    {"status", report_status, "", ""},
    {"hold", hold, "component", ""},
    {"arm", arm, "manifests component file sha256 limit port",
     "listen_limit static_uid instance_uids log_dir container"},
    {"place", place, "manifests component file content sha256 limit port", ""},
    {"exchange", exchange, "manifests component file sha256 former limit port static_uid", ""},
    {"confirm", confirm, "component", ""},
    {"put-back", put_back, "component reason", "manifests"},
    {"can-share", examine_answer, "port pod_uid", "instance_uids"},
    {"share", share, "component port pod_uid way", "instance_uids probe_address"},
    {"release", release, "component", ""},
    {"steer", steer, "component", ""},
    {"unshare", unshare_port, "component", "instance_uids log_dir"},
    {"kill", kill_servers, "pod_uid", "by_name"},
    {"store", recovery_store, "file content", ""},
    {"install", recovery_install, "manifests content sha256", ""},
    {"disable", recovery_disable, "manifests", ""},
    {"clear", recovery_clear, "manifests", ""},
    {"tidy", tidy, "", "keep_backups"},
    {"certificates", credentials_certificates, "files", "from"},
    {"copy", credentials_copy, "files", "from to link"},
    {"holds", credentials_holds, "files content", "from"},
    {"sets", credentials_sets, "", ""},
    {"drop", credentials_drop, "from", ""},
    {"hello", hello_answer, "address port content", ""},
};

static const struct kind *kind_named(const char *name) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

/* ---- taking an order ---- */

static int wait_for_input(int64_t end) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int64_t left = end - boot_milliseconds();
    int ready = left > 0 ? poll(&input, 1, (int)left) : 0;
    if (ready < 0 && errno == EINTR) {
        return 0;
    }
    return ready > 0 ? 0
                     : fail(FAIL_USAGE, "no whole order came within %d s", READ_LIMIT / 1000);
}

/* The end of a line is the end of the order: the exec protocol before v5.channel.k8s.io (Kubernetes
 * 1.30) cannot close the input of a command. The time limit ends a command whose client is gone. */
static int read_line(char *line, size_t *length) {
    int64_t end = boot_milliseconds() + READ_LIMIT;
    *length = 0;
    while (*length < ORDER_MAX) {
        if (wait_for_input(end) != 0) {
            return -1;
        }
        ssize_t count = read(STDIN_FILENO, line + *length, ORDER_MAX - *length);
        if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (count <= 0) {
            return count < 0 ? fail_errno("read", "the order")
                             : fail(FAIL_USAGE, "the order ended before its line did");
        }
        char *newline = memchr(line + *length, '\n', (size_t)count);
        if (newline != NULL) {
            *newline = '\0';
            *length = (size_t)(newline - line);
            return 0;
        }
        *length += (size_t)count;
    }
    return fail(FAIL_USAGE, "the order is larger than %d bytes", ORDER_MAX);
}

static int check(const struct kind *kind, const struct options *order) {
    char needed[256], allowed[256];
    snprintf(needed, sizeof needed, "order dir %s", kind->needed);
    snprintf(allowed, sizeof allowed, "proc %s", kind->allowed);
    return options_check(order, kind->name, needed, allowed);
}

static int take_order(const struct options *options) {
    static char line[ORDER_MAX];
    static struct options order;
    size_t length;
    (void)options;
    if (read_line(line, &length) != 0 || options_read_order(&order, line, length) != 0) {
        return -1;
    }
    if (order.order == NULL) {
        return fail(FAIL_USAGE, "the order has no name: it needs the field order");
    }
    const struct kind *kind = kind_named(order.order);
    if (kind == NULL) {
        return fail(FAIL_USAGE, "there is no order '%.60s'", order.order);
    }
    if (check(kind, &order) != 0) {
        return -1;
    }
    contact_touch(order.dir);
    return kind->carry_out(&order);
}

/* ---- which commands there are ---- */

static int version(const struct options *options) {
    (void)options;
    return answer_string("version", AGENT_VERSION);
}

static const struct command {
    const char *name;
    int (*run)(const struct options *);
    const char *needed;
    const char *allowed;
} commands[] = {
    {"order", take_order, "", ""},
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
        return fail(FAIL_USAGE, "which command? One of order, serve, guard, wait-port, version");
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
    answer_begin(&json);
    json_string(&json, "error", failure_text());
    json_string(&json, "code", failure_code());
    answer_end(&json);
    return 1;
}
