#include "base/options.h"

#include <string.h>

#include "base/failure.h"
#include "base/record.h"
#include "base/text.h"

/* A text that isn't copied: struct options points to it. */
#define POINT(member, valid) \
    {.key = #member, .kind = FIELD_TEXT, .offset = offsetof(struct options, member), .is_valid = valid}
#define POINTS(name, member, counter, valid)                                                    \
    {.key = name, .kind = FIELD_TEXTS, .offset = offsetof(struct options, member),              \
     .is_valid = valid, .count_offset = offsetof(struct options, counter), .high = LIST_MAX}
#define WITHIN(member, lowest, highest) RECORD_LONG(options, member, false, lowest, highest)

static const struct field fields[] = {
    POINT(order, is_given),
    POINT(dir, is_path),
    POINT(manifests, is_path),
    POINT(component, is_component),
    POINT(container, is_component),
    POINT(file, is_file_name),
    POINT(sha256, is_digest),
    POINT(reason, is_given),
    POINT(static_uid, is_uid),
    POINTS("instance_uids", instance_uids, instances, is_uid),
    POINT(pod_uid, is_uid),
    POINT(way, is_way),
    POINT(probe_address, is_loopback),
    POINT(log_dir, is_path),
    POINTS("address", addresses, address_count, is_given),
    POINT(former, is_digest),
    POINT(from, is_component),
    POINT(to, is_component),
    POINTS("files", files, file_count, is_path),
    POINT(hold, is_path),
    POINT(key, is_path),
    POINT(proc, is_path),
    {.key = "content", .kind = FIELD_BYTES, .offset = offsetof(struct options, content),
     .count_offset = offsetof(struct options, content_length), .high = CONTENT_MAX},
    WITHIN(port, 1, 65535),
    WITHIN(user, 0, INT32_MAX),
    WITHIN(limit, 1, 86400),
    WITHIN(listen_limit, 1, 86400),
    WITHIN(idle, 1, 86400),
    RECORD_FLAG(options, keep_backups),
    RECORD_FLAG(options, by_name),
    RECORD_FLAG(options, link),
};
static const struct record table = RECORD("order", fields);

_Static_assert(sizeof fields / sizeof fields[0] <= 64, "a bit of options.given for each field");

static void start(struct options *options) {
    *options = (struct options){
        .proc = "/proc", .probe_address = "127.0.0.1", .static_uid = "", .log_dir = "",
        .former = "", .limit = 300, .listen_limit = 60,
        .idle = 600, .user = -1};
}

static uint64_t bit_of(const struct field *field) { return (uint64_t)1 << (field - fields); }

static int keep(void *into, const char *key, char *value) {
    struct options *options = into;
    const struct field *field = record_field(&table, key);
    if (field == NULL) {
        return fail(FAIL_USAGE, "there is no option '%.60s'", key);
    }
    if ((options->given & bit_of(field)) && field->kind != FIELD_TEXTS) {
        return fail(FAIL_USAGE, "%s is given twice", key);
    }
    options->given |= bit_of(field);
    return record_set(field, options, value);
}

int options_read_words(struct options *options, int count, char *const *words) {
    start(options);
    for (int i = 0; i < count; i += 2) {
        char key[64];
        if (strncmp(words[i], "--", 2) != 0 || !copy_whole(key, sizeof key, words[i] + 2)) {
            return fail(FAIL_USAGE, "there is no option '%.60s'", words[i]);
        }
        for (char *c = key; *c != '\0'; c++) {
            *c = *c == '-' ? '_' : *c;
        }
        if (i + 1 == count) {
            return fail(FAIL_USAGE, "%s needs a value", words[i]);
        }
        if (keep(options, key, words[i + 1]) != 0) {
            return -1;
        }
    }
    return 0;
}

int options_read_order(struct options *options, char *text) {
    start(options);
    return record_lines(text, keep, options);
}

/* ---- which ones ---- */

static bool is_named(const char *names, const char *name) {
    size_t length = strlen(name);
    for (; *names != '\0'; names += strspn(names, " ")) {
        size_t count = strcspn(names, " ");
        if (count == length && memcmp(names, name, length) == 0) {
            return true;
        }
        names += count;
    }
    return false;
}

int options_check(const struct options *options, const char *who, const char *needed,
                  const char *allowed) {
    for (size_t i = 0; i < table.count; i++) {
        const char *key = fields[i].key;
        bool given = options->given & bit_of(&fields[i]), needs = is_named(needed, key);
        if (needs && !given) {
            return fail(FAIL_USAGE, "%s needs %s", who, key);
        }
        if (given && !needs && !is_named(allowed, key)) {
            return fail(FAIL_USAGE, "%s takes no %s", who, key);
        }
    }
    return 0;
}
