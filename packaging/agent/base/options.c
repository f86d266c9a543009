#include "base/options.h"

#include <stdio.h>
#include <string.h>

#include "base/failure.h"
#include "base/json.h"
#include "base/text.h"

enum syntax {
    PATH,
    FILE_NAME,
    COMPONENT,
    DIGEST,
    UID,
    TEXT,
    WAY,
    LOOPBACK,
    CONTENT,
    NUMBER,
    FLAG,
};

/* Where in struct options a value goes. */
static const struct row {
    const char *name;
    enum syntax syntax;
    size_t offset;
    size_t count;   /* where a list's length is; 0: it is no list */
    long low, high; /* of a number */
} table[] = {
#define ONE(name, syntax) {#name, syntax, offsetof(struct options, name), 0, 0, 0}
#define LIST(name, syntax, list, count) \
    {name, syntax, offsetof(struct options, list), offsetof(struct options, count), 0, 0}
#define IN(name, low, high) {#name, NUMBER, offsetof(struct options, name), 0, low, high}
    ONE(order, TEXT),
    ONE(dir, PATH),
    ONE(manifests, PATH),
    ONE(component, COMPONENT),
    ONE(container, COMPONENT),
    ONE(file, FILE_NAME),
    ONE(sha256, DIGEST),
    ONE(reason, TEXT),
    ONE(static_uid, UID),
    LIST("instance_uids", UID, instance_uids, instances),
    ONE(pod_uid, UID),
    ONE(way, WAY),
    ONE(probe_address, LOOPBACK),
    ONE(log_dir, PATH),
    LIST("address", TEXT, addresses, address_count),
    ONE(content, CONTENT),
    ONE(former, DIGEST),
    ONE(from, COMPONENT),
    ONE(to, COMPONENT),
    LIST("files", PATH, files, file_count),
    ONE(hold, PATH),
    ONE(proc, PATH),
    IN(port, 1, 65535),
    IN(user, 0, INT32_MAX),
    IN(limit, 1, 86400),
    IN(listen_limit, 1, 86400),
    IN(idle, 1, 86400),
    IN(bytes, 1, 64 << 20),
    ONE(keep_backups, FLAG),
    ONE(by_name, FLAG),
    ONE(link, FLAG),
#undef ONE
#undef LIST
#undef IN
};
enum { ROWS = sizeof table / sizeof table[0] };

_Static_assert(ROWS <= 64, "a bit of options.given for each row");

static bool fits(enum syntax syntax, const struct text *text) {
    uint32_t address;
    if (syntax == CONTENT) {
        return text->length <= CONTENT_MAX;
    }
    if (strlen(text->bytes) != text->length) {
        return false;
    }
    switch (syntax) {
    case PATH:
        return is_path(text->bytes);
    case FILE_NAME:
        return is_file_name(text->bytes);
    case COMPONENT:
        return is_component(text->bytes);
    case DIGEST:
        return is_digest(text->bytes);
    case UID:
        return is_uid(text->bytes);
    case TEXT:
        return text->length > 0;
    case WAY:
        return is_way(text->bytes);
    case LOOPBACK:
        return is_loopback(text->bytes, &address);
    default:
        return false;
    }
}

static void *member(struct options *options, size_t offset) { return (char *)options + offset; }

static int keep_text(struct options *options, const struct row *row, const struct text *text) {
    const char **texts = member(options, row->offset);
    size_t *count = row->count == 0 ? NULL : member(options, row->count);
    if (!fits(row->syntax, text)) {
        return row->syntax == CONTENT
                   ? fail(FAIL_USAGE, "%s is larger than %d bytes", row->name, CONTENT_MAX)
                   : fail(FAIL_USAGE, "%s can't be '%.200s'", row->name, text->bytes);
    }
    if (row->syntax == CONTENT) {
        options->content_length = text->length;
    }
    if (count == NULL) {
        *texts = text->bytes;
        return 0;
    }
    if (*count == LIST_MAX) {
        return fail(FAIL_USAGE, "%s is given more than %d times", row->name, LIST_MAX);
    }
    texts[(*count)++] = text->bytes;
    return 0;
}

static int keep_number(struct options *options, const struct row *row, long number) {
    if (number < row->low || number > row->high) {
        return fail(FAIL_USAGE, "%s can't be %ld", row->name, number);
    }
    *(long *)member(options, row->offset) = number;
    return 0;
}

static void start(struct options *options) {
    *options = (struct options){
        .proc = "/proc", .probe_address = "127.0.0.1", .static_uid = "", .log_dir = "",
        .former = "", .limit = 300, .listen_limit = 60,
        .idle = 600, .bytes = 65536, .user = -1};
}

static uint64_t bit_of(const struct row *row) { return (uint64_t)1 << (row - table); }

/* ---- words ---- */

/* The row that "--name" means; a name's words are joined by '-' there. */
static const struct row *row_of_word(const char *word) {
    for (const struct row *row = table; row < table + ROWS; row++) {
        char name[64];
        snprintf(name, sizeof name, "--%s", row->name);
        for (char *c = name; *c != '\0'; c++) {
            *c = *c == '_' ? '-' : *c;
        }
        if (strcmp(name, word) == 0) {
            return row;
        }
    }
    return NULL;
}

static int keep_word(struct options *options, const struct row *row, const char *word) {
    struct text text = {word, strlen(word)};
    long number;
    if (row->syntax != NUMBER) {
        return keep_text(options, row, &text);
    }
    return is_natural(word, &number)
               ? keep_number(options, row, number)
               : fail(FAIL_USAGE, "%s can't be '%.200s'", row->name, word);
}

int options_read_words(struct options *options, int count, char *const *words) {
    start(options);
    for (int i = 0; i < count; i += 2) {
        const struct row *row = row_of_word(words[i]);
        if (row == NULL) {
            return fail(FAIL_USAGE, "there is no option '%.60s'", words[i]);
        }
        if (i + 1 == count) {
            return fail(FAIL_USAGE, "%s needs a value", words[i]);
        }
        if (keep_word(options, row, words[i + 1]) != 0) {
            return -1;
        }
        options->given |= bit_of(row);
    }
    return 0;
}

/* ---- an order ---- */

static int keep_list(struct options *options, const struct row *row, const struct value *value) {
    for (size_t i = 0; i < value->count; i++) {
        if (keep_text(options, row, &value->strings[i]) != 0) {
            return -1;
        }
    }
    return 0;
}

static int keep_value(struct options *options, const struct row *row, const struct value *value) {
    if (row->syntax == NUMBER && value->kind == VALUE_NUMBER) {
        return keep_number(options, row, value->number);
    }
    if (row->syntax == FLAG && value->kind == VALUE_BOOL) {
        *(bool *)member(options, row->offset) = value->number != 0;
        return 0;
    }
    bool is_text = row->syntax != NUMBER && row->syntax != FLAG;
    if (is_text && row->count == 0 && value->kind == VALUE_STRING) {
        return keep_text(options, row, &value->strings[0]);
    }
    if (is_text && row->count != 0 && value->kind == VALUE_LIST) {
        return keep_list(options, row, value);
    }
    const char *wanted = row->syntax == NUMBER ? "a whole number"
                         : row->syntax == FLAG ? "true or false"
                         : row->count != 0     ? "a list of strings"
                                               : "a string";
    return fail(FAIL_USAGE, "%s must be %s", row->name, wanted);
}

static int keep_member(void *into, const char *key, const struct value *value) {
    struct options *options = into;
    for (const struct row *row = table; row < table + ROWS; row++) {
        if (strcmp(row->name, key) != 0) {
            continue;
        }
        if (options->given & bit_of(row)) {
            return fail(FAIL_USAGE, "%s is given twice", row->name);
        }
        options->given |= bit_of(row);
        return keep_value(options, row, value);
    }
    return fail(FAIL_USAGE, "there is no field '%.60s'", key);
}

int options_read_order(struct options *options, char *text, size_t length) {
    start(options);
    return reader_object(text, length, keep_member, options);
}

/* ---- which ones ---- */

static bool is_named(const char *names, const char *name) {
    size_t length = strlen(name);
    while (*names != '\0') {
        size_t count = strcspn(names, " ");
        if (count == length && memcmp(names, name, length) == 0) {
            return true;
        }
        names += count + strspn(names + count, " ");
    }
    return false;
}

int options_check(const struct options *options, const char *who, const char *needed,
                  const char *allowed) {
    for (const struct row *row = table; row < table + ROWS; row++) {
        bool given = options->given & bit_of(row), needs = is_named(needed, row->name);
        if (needs && !given) {
            return fail(FAIL_USAGE, "%s needs %s", who, row->name);
        }
        if (given && !needs && !is_named(allowed, row->name)) {
            return fail(FAIL_USAGE, "%s takes no %s", who, row->name);
        }
    }
    return 0;
}
