#include "tally.h"

#include <stddef.h>
#include <unistd.h>

#include "json.h"

static const char *const words[OUTCOME_COUNT] = {
    [OUTCOME_OK] = "ok",
    [OUTCOME_REFUSED] = "refused",
    [OUTCOME_RESET] = "reset",
    [OUTCOME_CLOSED] = "closed",
    [OUTCOME_TIMEOUT] = "timeout",
    [OUTCOME_NO_ROUTE] = "no-route",
    [OUTCOME_BAD_ANSWER] = "bad-answer",
    [OUTCOME_NETWORK] = "network",
    [OUTCOME_NOT_SENT] = "not-sent",
};

static void keep_failure(struct tally *tally, int64_t began, enum outcome outcome) {
    struct run *last = tally->kept > 0 ? &tally->runs[tally->kept - 1] : NULL;
    if (last != NULL && tally->going_on && last->outcome == outcome) {
        last->to = began > last->to ? began : last->to;
        last->count++;
    } else if (tally->kept < RUNS_KEPT) {
        tally->runs[tally->kept++] = (struct run){began, began, outcome, 1};
    }
    tally->going_on = true;
}

void tally_add(struct tally *tally, int64_t began, int64_t ended, enum outcome outcome) {
    tally->counts[outcome]++;
    if (outcome != OUTCOME_OK) {
        keep_failure(tally, began, outcome);
        return;
    }
    tally->going_on = false;
    int64_t bucket = (ended - began) / BUCKET;
    tally->buckets[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    if (ended - began > tally->slowest) {
        tally->slowest = ended - began;
    }
    if (ended - tally->last_good > tally->gap) {
        tally->gap = ended - tally->last_good;
    }
    tally->last_good = ended;
}

/* The nearest rank, to a bucket; never more than the slowest. */
static int64_t percentile(const struct tally *tally, uint32_t percent) {
    uint64_t rank = ((uint64_t)tally->counts[OUTCOME_OK] * percent + 99) / 100, seen = 0;
    for (int64_t i = 0; i < BUCKETS; i++) {
        seen += tally->buckets[i];
        if (seen >= rank) {
            int64_t most = (i + 1) * BUCKET;
            return most < tally->slowest ? most : tally->slowest;
        }
    }
    return tally->slowest;
}

static void print_failures(const struct tally *tally, struct json *json) {
    json_open(json, "failures", '{');
    for (int i = OUTCOME_OK + 1; i < OUTCOME_COUNT; i++) {
        if (tally->counts[i] > 0) {
            json_number(json, words[i], tally->counts[i]);
        }
    }
    json_close(json, '}');
    json_open(json, "runs", '[');
    for (const struct run *run = tally->runs; run < tally->runs + tally->kept; run++) {
        json_open(json, NULL, '[');
        json_number(json, NULL, run->from / 1000);
        json_number(json, NULL, run->to / 1000);
        json_string(json, NULL, words[run->outcome]);
        json_number(json, NULL, run->count);
        json_close(json, ']');
    }
    json_close(json, ']');
}

static void print_latency(const struct tally *tally, struct json *json) {
    if (tally->counts[OUTCOME_OK] == 0) {
        json_null(json, "latency_us");
        return;
    }
    json_open(json, "latency_us", '{');
    json_number(json, "p50", percentile(tally, 50));
    json_number(json, "p90", percentile(tally, 90));
    json_number(json, "p99", percentile(tally, 99));
    json_number(json, "max", tally->slowest);
    json_close(json, '}');
}

int tally_print(const struct tally *tally, int64_t ended) {
    static char buffer[4096];
    struct json json;
    int64_t requests = 0, open = ended - tally->last_good;
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        requests += tally->counts[i];
    }
    json_start(&json, buffer, sizeof buffer, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_number(&json, "milliseconds", ended / 1000);
    json_number(&json, "requests", requests);
    json_number(&json, "longest_gap_ms", (open > tally->gap ? open : tally->gap) / 1000);
    print_latency(tally, &json);
    print_failures(tally, &json);
    json_close(&json, '}');
    return json_finish(&json);
}
