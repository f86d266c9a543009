#include "credentials/seal.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/json.h"
#include "base/sha256.h"
#include "credentials/credentials.h"

enum {
    HALF = 32, /* bytes of each of the two keys */
    BLOCK = 64,
    NONCE = 16,
    HEAD = NONCE + SHA256_SIZE,
    FACTS = 64, /* the line of mode, owner and group */
    SEALED_MAX = HEAD + FACTS + CREDENTIAL_MAX,
};

struct keys {
    uint8_t encrypt[HALF], authenticate[HALF];
};

/* ---- HMAC (RFC 2104) ---- */

struct mac {
    struct sha256 inner;
    uint8_t outer[BLOCK];
};

static void mac_start(struct mac *mac, const uint8_t key[HALF]) {
    uint8_t inner[BLOCK];
    for (size_t i = 0; i < BLOCK; i++) {
        uint8_t byte = i < HALF ? key[i] : 0;
        inner[i] = byte ^ 0x36;
        mac->outer[i] = byte ^ 0x5c;
    }
    sha256_start(&mac->inner);
    sha256_add(&mac->inner, inner, sizeof inner);
}

static void mac_finish(struct mac *mac, uint8_t out[SHA256_SIZE]) {
    struct sha256 outer;
    sha256_bytes(&mac->inner, out);
    sha256_start(&outer);
    sha256_add(&outer, mac->outer, sizeof mac->outer);
    sha256_add(&outer, out, SHA256_SIZE);
    sha256_bytes(&outer, out);
}

/* ---- what is sealed ---- */

static void apply_stream(const struct keys *keys, const uint8_t nonce[NONCE], uint8_t *bytes,
                         size_t count) {
    struct mac mac;
    uint8_t stream[SHA256_SIZE], number[4];
    for (size_t i = 0; i < count; i++) {
        size_t block = i / SHA256_SIZE;
        if (i % SHA256_SIZE == 0) {
            for (size_t b = 0; b < sizeof number; b++) {
                number[b] = (uint8_t)(block >> (24 - 8 * b));
            }
            mac_start(&mac, keys->encrypt);
            sha256_add(&mac.inner, nonce, NONCE);
            sha256_add(&mac.inner, number, sizeof number);
            mac_finish(&mac, stream);
        }
        bytes[i] ^= stream[i % SHA256_SIZE];
    }
}

static void authenticate(const struct keys *keys, const char *label, const uint8_t *sealed,
                         size_t length, uint8_t tag[SHA256_SIZE]) {
    struct mac mac;
    mac_start(&mac, keys->authenticate);
    sha256_add(&mac.inner, label, strlen(label));
    sha256_add(&mac.inner, sealed, NONCE);
    sha256_add(&mac.inner, sealed + HEAD, length - HEAD);
    mac_finish(&mac, tag);
}

/* Without a branch on what differs: time tells nothing of the right tag. */
static bool same(const uint8_t *a, const uint8_t *b, size_t count) {
    unsigned different = 0;
    for (size_t i = 0; i < count; i++) {
        different |= a[i] ^ b[i];
    }
    return different == 0;
}

static int read_keys(struct keys *keys, const char *path) {
    char content[sizeof *keys + 2];
    size_t length;
    bool found;
    if (file_read(path, content, sizeof content, &length, &found) != 0) {
        return -1;
    }
    if (length != sizeof *keys) {
        return fail(FAIL_STATE, "%s has no key", path);
    }
    memcpy(keys, content, sizeof *keys);
    return 0;
}

static int make_label(char *out, size_t size, const char *direction, const struct options *options,
                      const char *what) {
    if (options->file_count != 1) {
        return fail(FAIL_USAGE, "a seal is for one file");
    }
    int length = snprintf(out, size, "%s\n%s\n%s\n", direction, options->files[0], what);
    return (size_t)length < size ? 0 : fail(FAIL_USAGE, "the label is too long");
}

/* ---- from the node ---- */

/* A regular file with the line of its facts before it. Returns the length, 0 after fail(). */
static size_t load(const struct options *options, char *out, size_t size) {
    char folder[PATH_SIZE], path[PATH_SIZE];
    struct stat facts;
    size_t length;
    bool found;
    if (credentials_folder(folder, options, NULL) != 0 ||
        credentials_path(path, folder, options->files[0]) != 0) {
        return 0;
    }
    if (lstat(path, &facts) != 0 || !S_ISREG(facts.st_mode)) {
        fail(FAIL_NOT_FOUND, "%s is no regular file", path);
        return 0;
    }
    int line = snprintf(out, size, "%04o %u %u\n", (unsigned)facts.st_mode & 07777,
                        (unsigned)facts.st_uid, (unsigned)facts.st_gid);
    if (file_read(path, out + line, size - (size_t)line, &length, &found) != 0) {
        return 0;
    }
    if (!found) {
        fail(FAIL_NOT_FOUND, "%s is gone", path);
        return 0;
    }
    return (size_t)line + length;
}

int seal_file(const struct options *options) {
    static uint8_t sealed[SEALED_MAX];
    char label[2 * PATH_SIZE];
    struct keys keys;
    struct json json;
    if (make_label(label, sizeof label, "from the node", options, options->reason) != 0 ||
        read_keys(&keys, options->key) != 0) {
        return -1;
    }
    size_t count = load(options, (char *)sealed + HEAD, sizeof sealed - HEAD);
    if (count == 0) {
        return -1;
    }
    if (getrandom(sealed, NONCE, 0) != NONCE) {
        return fail_errno("get", "random bytes");
    }
    apply_stream(&keys, sealed, sealed + HEAD, count);
    authenticate(&keys, label, sealed, HEAD + count, sealed + NONCE);
    answer_begin(&json);
    json_bytes(&json, "sealed", (const char *)sealed, HEAD + count);
    return answer_end(&json);
}

/* ---- to the node ---- */

static int store(const struct options *options, char *bytes, size_t length) {
    char folder[PATH_SIZE], path[PATH_SIZE], parent[PATH_SIZE];
    unsigned mode, owner, group;
    char *end = memchr(bytes, '\n', length);
    if (end == NULL || sscanf(bytes, "%o %u %u\n", &mode, &owner, &group) != 3 || mode > 07777) {
        return fail(FAIL_USAGE, "mode, owner and group are not said");
    }
    if (credentials_make(options, options->to) != 0 ||
        credentials_folder(folder, options, options->to) != 0 ||
        credentials_path(path, folder, options->files[0]) != 0) {
        return -1;
    }
    snprintf(parent, sizeof parent, "%s", path);
    credentials_parent(parent);
    if (file_replace(parent, strrchr(path, '/') + 1, end + 1,
                     length - (size_t)(end + 1 - bytes)) != 0) {
        return -1;
    }
    if (chown(path, owner, group) != 0) {
        return fail_errno("set the owner of", path);
    }
    return chmod(path, mode) == 0 ? 0 : fail_errno("set the mode of", path);
}

int seal_open(const struct options *options) {
    static uint8_t sealed[SEALED_MAX + 1]; /* with an end */
    uint8_t tag[SHA256_SIZE];
    char label[2 * PATH_SIZE];
    struct keys keys;
    if (make_label(label, sizeof label, "to the node", options, options->to) != 0 ||
        read_keys(&keys, options->key) != 0) {
        return -1;
    }
    size_t length = options->content_length;
    if (length < HEAD || length > SEALED_MAX) {
        return fail(FAIL_USAGE, "nothing is sealed");
    }
    memcpy(sealed, options->content, length);
    authenticate(&keys, label, sealed, length, tag);
    if (!same(tag, sealed + NONCE, sizeof tag)) {
        return fail(FAIL_CHANGED, "the seal of %.200s is broken", options->files[0]);
    }
    apply_stream(&keys, sealed, sealed + HEAD, length - HEAD);
    sealed[length] = '\0';
    return store(options, (char *)sealed + HEAD, length - HEAD) == 0
               ? answer_string("stored", options->files[0])
               : -1;
}
