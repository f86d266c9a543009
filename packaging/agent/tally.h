/* What came of many calls: counted, and their latencies kept in a histogram. Times in microseconds. */
#ifndef TALLY_H
#define TALLY_H

#include <stdbool.h>
#include <stdint.h>

enum outcome {
    OUTCOME_OK,
    OUTCOME_REFUSED,
    OUTCOME_RESET,
    OUTCOME_CLOSED,
    OUTCOME_TIMEOUT,
    OUTCOME_NO_ROUTE,
    OUTCOME_BAD_ANSWER,
    OUTCOME_NETWORK,  /* any other error of a socket */
    OUTCOME_NOT_SENT, /* too many are in flight */
    OUTCOME_COUNT,
};

enum {
    RUNS_KEPT = 200,
    BUCKET = 100,        /* microseconds */
    BUCKETS = 32000,     /* more than a call's limit */
};

struct tally {
    uint32_t counts[OUTCOME_COUNT];
    uint32_t buckets[BUCKETS];
    int64_t slowest;
    int64_t last_good; /* when the latest good answer came */
    int64_t gap;       /* the longest time between two */
    /* Failures of one kind with no good answer between them: the first's beginning, the last's. */
    struct run {
        int64_t from, to;
        enum outcome outcome;
        uint32_t count;
    } runs[RUNS_KEPT];
    uint32_t kept;
    bool going_on; /* no good answer came since the last run's latest */
};

/* A call that was due at `began` has ended at `ended`, both since the start. */
void tally_add(struct tally *tally, int64_t began, int64_t ended, enum outcome outcome);

/* One line of JSON on stdout; `ended` is when nothing more was begun. Returns 0 or -1. */
int tally_print(const struct tally *tally, int64_t ended);

#endif
