/* Feeds the agent's parsers with damaged and random input; the sanitizers watch. The same seed gives
 * the same inputs. Prints how many there were. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "options.h"
#include "process.h"
#include "state.h"

static unsigned long long seed = 1;

static unsigned chance(unsigned below) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % below;
}

static const char sample[] =
    "state=armed\ncomponent=kube-apiserver\ncontainer=kube-apiserver\nfile=a.yaml\n"
    "sha256=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
    "manifests=/etc/kubernetes/manifests\nreason=why\nstatic_uid=0123456789abcdef\n"
    "instance_uid=01234567-89ab\nlog_dir=/var/log/pods\nport=6443\nlimit=300\nlisten_limit=60\n"
    "starts=0\ndeadline=123456\nboot_id=x\narmed_at=2026-11-24T06:27:14Z\nend=1\n";

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

static void fuzz_state(void) {
    static char text[16384], printed[STATE_FILE_SIZE], again[STATE_FILE_SIZE];
    static struct state state;
    memcpy(text, sample, sizeof sample);
    size_t length = damage(text, sizeof sample - 1, sizeof text);
    char *copy = exact(text, length);
    if (state_parse(&state, copy) == 0) {
        /* What was understood is written so that it is understood the same. */
        assert(state_print(&state, printed, sizeof printed) > 0);
        assert(state_parse(&state, printed) == 0);
        assert(state_print(&state, again, sizeof again) > 0);
        assert(strcmp(printed, again) == 0);
    }
    free(copy);
}

static void fuzz_options(void) {
    static const char *const known[] = {"--dir", "--port", "--file", "--address", "--instance-uid",
                                        "--reason", "--limit", "--sha256", "/x", "1", "::1"};
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
    options_read(&options, count, words, chance(2) ? OPTION(DIR) : 0, ~0u);
    for (int i = 0; i < count; i++) {
        free(words[i]);
    }
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

static void fuzz_json(void) {
    char noise[64], *out = malloc(40);
    struct json json;
    size_t length = chance(sizeof noise - 1);
    for (size_t j = 0; j < length; j++) {
        noise[j] = (char)(1 + chance(255));
    }
    char *copy = exact(noise, length);
    json_start(&json, out, 40, -1);
    json_string(&json, NULL, copy);
    json_finish(&json);
    free(copy);
    free(out);
}

int main(int count, char **words) {
    int rounds = count > 1 ? atoi(words[1]) : 20000;
    for (int i = 0; i < rounds; i++) {
        fuzz_state();
        fuzz_options();
        fuzz_cgroup();
        fuzz_json();
    }
    printf("%d\n", rounds);
    return 0;
}
