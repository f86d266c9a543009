/* Feeds the agent's parsers with damaged and random input; the sanitizers watch. The same seed gives
 * the same inputs. Prints how many there were. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/options.h"
#include "base/record.h"
#include "credentials/pem.h"
#include "guardian/recovery.h"
#include "handover/state.h"
#include "node/process.h"
#include "node/sockets.h"
#include "steward/order.h"

static unsigned long long seed = 1;

static unsigned chance(unsigned below) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % below;
}

static const char state_sample[] =
    "state=armed\ncomponent=kube-apiserver\ncontainer=kube-apiserver\nfile=a.yaml\n"
    "sha256=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
    "manifests=/etc/kubernetes/manifests\nreason=why\nstatic_uid=0123456789abcdef\n"
    "instance_uid=01234567-89ab\nlog_dir=/var/log/pods\nport=6443\nlimit=300\nlisten_limit=60\n"
    "starts=0\ndeadline=123456\nboot_id=x\nend=1\n";

/* A copy of exactly the text's size on the heap, so that reading past it is seen. */
static char *exact(const char *text, size_t length) {
    char *copy = malloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

static size_t damage(char *text, size_t length, size_t room) {
    for (unsigned times = 1 + chance(4); times > 0 && length > 1; times--) {
        size_t at = chance((unsigned)length);
        switch (chance(4)) {
        case 0:
            text[at] = (char)(1 + chance(255));
            break;
        case 1:
            memmove(text + at, text + at + 1, length - at - 1);
            length--;
            break;
        case 2:
            length = at;
            break;
        default: {
            size_t count = chance(2000);
            count = length + count < room ? count : room - length - 1;
            memmove(text + at + count, text + at, length - at);
            memset(text + at, "=\n/a-0"[chance(6)], count);
            length += count;
        }
        }
    }
    return length;
}

static const char order_sample[] =
    "number=5\nwanted=watching\ncomponent=kube-apiserver\npod_uid=0123456789abcdef\n"
    "instance_uid=01234567-89ab\nseamless=1\nshared_before=0\nipv6=1\nipv6_only=0\nport=6443\n"
    "uid=0\nold=123456\nprobe_address=127.0.0.2\nboot_id=x\nend=1\n";
static const char progress_sample[] =
    "number=5\nsteward=1\nreached=watching\nmigrate=1\nreason=why\nend=1\n";

/* A damaged copy of the sample, as file_read() would give it. */
static char *damaged(const char *sample_text, size_t size) {
    static char text[16384];
    memcpy(text, sample_text, size);
    return exact(text, damage(text, size - 1, sizeof text));
}

/* What was understood is written so that it is understood the same. */
static void fuzz_record(const struct record *record, const char *sample, size_t size, void *parsed,
                        size_t parsed_size) {
    static char printed[RECORD_SIZE], again[RECORD_SIZE];
    char *copy = damaged(sample, size);
    memset(parsed, 0, parsed_size);
    if (record_parse(record, parsed, copy) == 0) {
        assert(record_print(record, parsed, printed, sizeof printed) > 0);
        memcpy(again, printed, sizeof again);
        memset(parsed, 0, parsed_size);
        assert(record_parse(record, parsed, again) == 0);
        assert(record_print(record, parsed, again, sizeof again) > 0);
        assert(strcmp(printed, again) == 0);
    }
    free(copy);
}

#define ROUND_TRIP(type)                                                                      \
    do {                                                                                      \
        static struct type parsed;                                                            \
        fuzz_record(&type##_record, type##_sample, sizeof type##_sample, &parsed, sizeof parsed); \
    } while (0)

static void fuzz_files(void) {
    ROUND_TRIP(state);
    ROUND_TRIP(order);
    ROUND_TRIP(progress);
}

static void fuzz_recovery(void) {
    static const char list[] = "component=kube-apiserver\nport=6443\naddress=::\nfile=kube-apiserver.yaml\n"
                               "component=kube-scheduler\nport=10259\nend=1\n";
    static struct guarded_list guarded;
    char *copy = damaged(list, sizeof list);
    if (guarded_parse(&guarded, copy) == 0) {
        for (size_t i = 0; i < guarded.count; i++) {
            assert(guarded.list[i].port != 0 && guarded.list[i].component[0] != '\0');
        }
    }
    free(copy);
}

static void fuzz_sockets(void) {
    static const char line[] = "   0: 00000000000000000000000000000000:192B "
                               "00000000000000000000000000000000:0000 0A 00000000:00000000 "
                               "00:00000000 00000000     0        0 12345 1 0000 100 0 0 10 0";
    static const char link[] = "socket:[12345]";
    struct listener listener;
    char *copy = damaged(line, sizeof line);
    table_line_parse(copy, 6443, &listener);
    free(copy);
    copy = damaged(link, sizeof link);
    assert(socket_inode(copy) >= 0);
    free(copy);
}

static void fuzz_words(void) {
    static const char *const known[] = {"--dir", "--port", "--file", "--address", "--hold", "--proc",
                                        "--reason", "--limit", "--keep-backups", "--content",
                                        "--probe-address", "--way", "/x", "1", "::1"};
    struct options options;
    char *words[24];
    int count = (int)chance(24);
    for (int i = 0; i < count; i++) {
        char noise[300];
        size_t length = chance(sizeof noise);
        for (size_t j = 0; j < length; j++) {
            noise[j] = (char)(1 + chance(255));
        }
        const char *word = known[chance(sizeof known / sizeof known[0])];
        words[i] = chance(4) == 0 ? exact(noise, length) : exact(word, strlen(word));
    }
    if (options_read_words(&options, count, words) == 0) {
        options_check(&options, "fuzz", "dir", "port file");
    }
    for (int i = 0; i < count; i++) {
        free(words[i]);
    }
}

static void fuzz_order(void) {
    static const char sample_order[] =
        "order=share\ndir=/x\ncomponent=kube-apiserver\ninstance_uids=01234567-89ab\n"
        "instance_uids=01234567-89ac\nport=6443\nkeep_backups=1\nproc=/p\ncontent=00ff41\nlimit=9\n"
        "end=1\n";
    static struct options options;
    char *copy = damaged(sample_order, sizeof sample_order);
    if (options_read_order(&options, copy) == 0) {
        assert(options.instances <= INSTANCES_MAX && options.content_length < 16384);
        assert(options.order == NULL || strlen(options.order) > 0);
    }
    free(copy);
}

static void fuzz_cgroup(void) {
    static const char line[] = "0::/kubepods-pod01234567_89ab.slice/cri-containerd-1.scope\n";
    char text[4096];
    memcpy(text, line, sizeof line);
    size_t length = damage(text, sizeof line - 1, sizeof text);
    char *copy = exact(text, length);
    cgroup_is_of_pod(copy, "01234567-89ab");
    free(copy);
}

/* What is public stays as long as it was at most, and is a certificate's. */
static void fuzz_pem(void) {
    static const char pem[] =
        "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE----------BEGIN CERTIFICATE-----"
        "\nBA==\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n"
        "-----END PRIVATE KEY-----\n";
    static const char kubeconfig[] =
        "user: {client-certificate-data: \"AQID\", client-key-data: LS0tLS1CRUdJTiBQUklWQVRFIEtF"
        "WS0tLS0tCnMyVmpjbVYwCi0tLS0t\n";
    const char *sample = chance(2) ? pem : kubeconfig;
    char text[8192];
    strcpy(text, sample);
    size_t length = damage(text, strlen(sample), sizeof text);
    char *copy = exact(text, length), *again = exact(text, length);
    pem_key_has(copy, "secret", 6);
    pem_keep_public(again);
    assert(strlen(again) <= length);
    free(copy);
    free(again);
}

/* Whatever text is written, it is one line. */
static void fuzz_json(void) {
    char noise[64], *out = malloc(500);
    size_t length = chance(sizeof noise - 1);
    for (size_t j = 0; j < length; j++) {
        noise[j] = (char)chance(256);
    }
    char *copy = exact(noise, length);
    struct json json = {.out = fmemopen(out, 500, "w")};
    json_bytes(&json, NULL, copy, length);
    json_string(&json, NULL, copy);
    assert(json_finish(&json) == 0);
    size_t size = (size_t)ftell(json.out);
    fclose(json.out);
    assert(memchr(out, '\n', size) == out + size - 1);
    json = (struct json){.out = fmemopen(out, 40, "w")};
    json_string(&json, NULL, copy);
    json_finish(&json);
    fclose(json.out);
    free(copy);
    free(out);
}

int main(int count, char **words) {
    int rounds = count > 1 ? atoi(words[1]) : 20000;
    for (int i = 0; i < rounds; i++) {
        fuzz_files();
        fuzz_recovery();
        fuzz_sockets();
        fuzz_words();
        fuzz_order();
        fuzz_cgroup();
        fuzz_pem();
        fuzz_json();
    }
    printf("%d\n", rounds);
    return 0;
}
