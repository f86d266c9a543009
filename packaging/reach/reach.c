/* What a client in the cluster meets at an address: new connections, each as far as a ServerHello.
 *
 *     reach --address ADDRESS --port PORT --rate CONNECTIONS-A-SECOND --duration SECONDS
 *
 * It asks until the duration is over or SIGTERM comes, then says in one line of JSON what it saw. It
 * runs without privilege, in the pod of `kubectl selfhost probe --in-cluster`, in an image that holds
 * nothing it could use. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    IN_FLIGHT_MAX = 256,
    LIMIT = 3000000, /* microseconds for a connection and its ServerHello */
    LINGER = 15,     /* seconds that it stays after SIGTERM: with its pod its log goes, too */
    ANSWER_SIZE = 6, /* a record's header and the handshake's type */
};

/* ---- the ClientHello: TLS 1.3 and 1.2, no server name ---- */

/* RFC 8446, section 4.1.2. The random and the key share are always the same: nothing is ever
 * encrypted, for the connection is closed once the server has said hello. */
static const uint8_t client_hello[] = {
    0x16, 0x03, 0x01, 0x00, 0x90, /* record: handshake, 144 bytes */
    0x01, 0x00, 0x00, 0x8c,       /* ClientHello, 140 bytes */
    0x03, 0x03,                   /* legacy version 1.2 */
    'k', 'u', 'b', 'e', 'c', 't', 'l', '-', 's', 'e', 'l', 'f', 'h', 'o', 's', 't', /* random */
    ' ', 'l', 'o', 'o', 'k', 's', ' ', 'w', 'h', 'o', ' ', 'i', 's', ' ', 'u', 'p',
    0x00,       /* no session */
    0x00, 0x0e, /* cipher suites: the three of TLS 1.3, then four ECDHE ones of 1.2 */
    0x13, 0x01, 0x13, 0x02, 0x13, 0x03,
    0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30,
    0x01, 0x00, /* no compression */
    0x00, 0x55, /* extensions, 85 bytes */
    0x00, 0x2b, 0x00, 0x05, 0x04, 0x03, 0x04, 0x03, 0x03, /* supported versions: 1.3, 1.2 */
    0x00, 0x0a, 0x00, 0x06, 0x00, 0x04, 0x00, 0x1d, 0x00, 0x17, /* groups: x25519, secp256r1 */
    0x00, 0x0b, 0x00, 0x02, 0x01, 0x00, /* point formats: uncompressed */
    0x00, 0x0d, 0x00, 0x0e, 0x00, 0x0c, /* signature algorithms: ECDSA, RSA-PSS, RSA */
    0x04, 0x03, 0x08, 0x04, 0x04, 0x01, 0x05, 0x03, 0x08, 0x05, 0x05, 0x01,
    0x00, 0x33, 0x00, 0x26, 0x00, 0x24, 0x00, 0x1d, 0x00, 0x20, /* key share: x25519 */
    9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* the base point, as good as any other */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};

/* ---- JSON on stdout; stdio would double the program's size ---- */

static char line[32768]; /* 200 runs have at most 12 KiB */
static size_t line_length;

static void put(const char *text) {
    size_t length = strlen(text);
    if (line_length + length <= sizeof line) {
        memcpy(line + line_length, text, length);
        line_length += length;
    }
}

/* Of a number that is not negative. */
static void put_number(const char *before, int64_t number) {
    char digits[24] = "";
    size_t at = sizeof digits - 1;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(before);
    put(digits + at);
}

static bool write_line(void) {
    put("\n");
    for (size_t done = 0; done < line_length;) {
        ssize_t count = write(STDOUT_FILENO, line + done, line_length - done);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return false;
        }
        done += (size_t)count;
    }
    return true;
}

static int refuse(const char *code, const char *what, const char *why) {
    put("{\"error\":\"");
    put(what); /* an option of ours: nothing to escape */
    put(why);
    put("\",\"code\":\"");
    put(code);
    put("\"}");
    write_line();
    return 1;
}

/* ---- the tally: what came of many calls; times in microseconds since the start ---- */

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

enum {
    RUNS_KEPT = 200,
    BUCKET = 100,    /* microseconds */
    BUCKETS = 32000, /* more than a call's limit */
};

static struct {
    uint32_t counts[OUTCOME_COUNT];
    uint32_t buckets[BUCKETS]; /* how many good answers took so long */
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
} tally;

static void keep_failure(int64_t began, enum outcome outcome) {
    struct run *last = tally.kept > 0 ? &tally.runs[tally.kept - 1] : NULL;
    if (last != NULL && tally.going_on && last->outcome == outcome) {
        last->to = began > last->to ? began : last->to;
        last->count++;
    } else if (tally.kept < RUNS_KEPT) {
        tally.runs[tally.kept++] = (struct run){began, began, outcome, 1};
    }
    tally.going_on = true;
}

/* A call that was due at `began` has ended at `ended`. */
static void count(int64_t began, int64_t ended, enum outcome outcome) {
    tally.counts[outcome]++;
    if (outcome != OUTCOME_OK) {
        keep_failure(began, outcome);
        return;
    }
    tally.going_on = false;
    int64_t bucket = (ended - began) / BUCKET;
    tally.buckets[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    if (ended - began > tally.slowest) {
        tally.slowest = ended - began;
    }
    if (ended - tally.last_good > tally.gap) {
        tally.gap = ended - tally.last_good;
    }
    tally.last_good = ended;
}

/* The nearest rank, to a bucket; never more than the slowest. */
static int64_t percentile(uint32_t percent) {
    uint64_t rank = ((uint64_t)tally.counts[OUTCOME_OK] * percent + 99) / 100, seen = 0;
    for (int64_t i = 0; i < BUCKETS; i++) {
        seen += tally.buckets[i];
        if (seen >= rank) {
            int64_t most = (i + 1) * BUCKET;
            return most < tally.slowest ? most : tally.slowest;
        }
    }
    return tally.slowest;
}

static void put_latency(void) {
    if (tally.counts[OUTCOME_OK] == 0) {
        put(",\"latency_us\":null");
        return;
    }
    put_number(",\"latency_us\":{\"p50\":", percentile(50));
    put_number(",\"p90\":", percentile(90));
    put_number(",\"p99\":", percentile(99));
    put_number(",\"max\":", tally.slowest);
    put("}");
}

static void put_failures(void) {
    const char *before = "\"";
    put(",\"failures\":{");
    for (int i = OUTCOME_OK + 1; i < OUTCOME_COUNT; i++) {
        if (tally.counts[i] > 0) {
            put(before);
            put(words[i]);
            put_number("\":", tally.counts[i]);
            before = ",\"";
        }
    }
    put("},\"runs\":[");
    for (const struct run *run = tally.runs; run < tally.runs + tally.kept; run++) {
        put_number(run == tally.runs ? "[" : ",[", run->from / 1000);
        put_number(",", run->to / 1000);
        put(",\"");
        put(words[run->outcome]);
        put_number("\",", run->count);
        put("]");
    }
    put("]");
}

/* `ended` is when nothing more was begun. */
static bool say_what_was_seen(int64_t ended) {
    int64_t requests = 0, open = ended - tally.last_good;
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        requests += tally.counts[i];
    }
    put_number("{\"milliseconds\":", ended / 1000);
    put_number(",\"requests\":", requests);
    put_number(",\"longest_gap_ms\":", (open > tally.gap ? open : tally.gap) / 1000);
    put_latency();
    put_failures();
    put("}");
    return write_line();
}

/* ---- the calls ---- */

struct call {
    int64_t due;
    bool said; /* the ClientHello is sent */
    size_t got;
    uint8_t answer[ANSWER_SIZE];
};

static struct call calls[IN_FLIGHT_MAX];
static struct pollfd polls[IN_FLIGHT_MAX]; /* those in flight come first, beside their calls */
static nfds_t in_flight;
static int64_t start;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000 - start;
}

static enum outcome outcome_of(int error) {
    switch (error) {
    case 0:
    case EINPROGRESS:
        return OUTCOME_OK;
    case ECONNREFUSED:
        return OUTCOME_REFUSED;
    case ECONNRESET:
    case EPIPE:
        return OUTCOME_RESET;
    case ETIMEDOUT:
        return OUTCOME_TIMEOUT;
    case EHOSTUNREACH:
    case ENETUNREACH:
        return OUTCOME_NO_ROUTE;
    default:
        return OUTCOME_NETWORK;
    }
}

/* The call in slot `i` is over: the last one in flight takes its place. */
static void end(nfds_t i, enum outcome outcome) {
    count(calls[i].due, now(), outcome);
    close(polls[i].fd);
    in_flight--;
    polls[i] = polls[in_flight];
    calls[i] = calls[in_flight];
}

static void begin(int64_t due, const struct sockaddr *address, socklen_t size) {
    int fd = in_flight == IN_FLIGHT_MAX
                 ? -1
                 : socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        count(due, now(), OUTCOME_NOT_SENT);
        return;
    }
    calls[in_flight] = (struct call){.due = due};
    polls[in_flight] = (struct pollfd){.fd = fd, .events = POLLOUT};
    in_flight++;
    int error = connect(fd, address, size) == 0 ? 0 : errno;
    if (outcome_of(error) != OUTCOME_OK) {
        end(in_flight - 1, outcome_of(error));
    }
}

/* The connection stands, or couldn't be made. Returns whether the call goes on. */
static bool say_hello(nfds_t i) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(polls[i].fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = errno;
    }
    /* A socket's first buffer takes the few bytes of a hello whole. */
    if (error == 0 && send(polls[i].fd, client_hello, sizeof client_hello, MSG_NOSIGNAL) < 0) {
        error = errno;
    }
    if (error != 0) {
        end(i, outcome_of(error));
        return false;
    }
    calls[i].said = true;
    polls[i].events = POLLIN;
    return true;
}

static bool hear_hello(nfds_t i) {
    struct call *call = &calls[i];
    ssize_t got = recv(polls[i].fd, call->answer + call->got, ANSWER_SIZE - call->got, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (got <= 0) {
        end(i, got == 0 ? OUTCOME_CLOSED : outcome_of(errno));
        return false;
    }
    call->got += (size_t)got;
    if (call->got < ANSWER_SIZE) {
        return true;
    }
    /* A handshake record (22) with a ServerHello (2); an alert, or plain HTTP, is none. */
    bool good = call->answer[0] == 22 && call->answer[5] == 2;
    end(i, good ? OUTCOME_OK : OUTCOME_BAD_ANSWER);
    return false;
}

/* Waits for at most `microseconds`, and serves what has come. */
static void serve_calls(int64_t microseconds) {
    int64_t wait = microseconds, here = now();
    for (nfds_t i = 0; i < in_flight; i++) {
        int64_t left = calls[i].due + LIMIT - here;
        wait = left < wait ? left : wait;
    }
    wait = wait < 0 ? 0 : wait;
    struct timespec limit = {wait / 1000000, (long)(wait % 1000000) * 1000};
    int ready = ppoll(polls, in_flight, &limit, NULL);
    for (nfds_t i = 0; i < in_flight;) {
        bool on = true;
        if (ready > 0 && polls[i].revents != 0) {
            polls[i].revents = 0;
            on = calls[i].said ? hear_hello(i) : say_hello(i);
        }
        if (on && now() - calls[i].due >= LIMIT) {
            end(i, OUTCOME_TIMEOUT);
            on = false;
        }
        i += on; /* else another call has come to this place */
    }
}

/* ---- the command line ---- */

struct options {
    const char *address;
    int64_t port, rate, duration; /* 0: not given */
};

/* A decimal number from 1 to `high`; 0 for anything else. */
static int64_t number_in(const char *text, int64_t high) {
    int64_t number = 0;
    for (; *text >= '0' && *text <= '9' && number <= high; text++) {
        number = number * 10 + (*text - '0');
    }
    return *text == '\0' && number <= high ? number : 0;
}

/* Returns what can't be used, or NULL. */
static const char *read_options(struct options *options, char **word) {
    static const char *const names[] = {"--address", "--port", "--rate", "--duration"};
    static const int64_t highest[] = {0, 65535, 1000, 604800};
    int64_t *const numbers[] = {NULL, &options->port, &options->rate, &options->duration};
    for (; word[0] != NULL && word[1] != NULL; word += 2) {
        size_t i = 0;
        while (i < 4 && strcmp(word[0], names[i]) != 0) {
            i++;
        }
        if (i == 4) {
            break;
        }
        if (i == 0) {
            options->address = word[1];
        } else {
            *numbers[i] = number_in(word[1], highest[i]);
        }
    }
    return word[0] != NULL            ? "a word"
           : options->address == NULL ? names[0]
           : options->port == 0       ? names[1]
           : options->rate == 0       ? names[2]
           : options->duration == 0   ? names[3]
                                      : NULL;
}

/* Returns the address' size; 0 if the text is none. */
static socklen_t set_address(const struct options *options, struct sockaddr_storage *address) {
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)address;
    if (inet_pton(AF_INET, options->address, &ipv4->sin_addr) == 1) {
        ipv4->sin_family = AF_INET;
        ipv4->sin_port = htons((uint16_t)options->port);
        return sizeof *ipv4;
    }
    if (inet_pton(AF_INET6, options->address, &ipv6->sin6_addr) == 1) {
        ipv6->sin6_family = AF_INET6;
        ipv6->sin6_port = htons((uint16_t)options->port);
        return sizeof *ipv6;
    }
    return 0;
}

static volatile sig_atomic_t stopped;

static void stop(int signal) {
    (void)signal;
    stopped++;
}

int main(int argument_count, char **arguments) {
    struct options options = {.address = NULL};
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    const char *bad = read_options(&options, argument_count > 0 ? arguments + 1 : arguments);
    if (bad != NULL) {
        return refuse("usage", bad, " can't be used, or is missing");
    }
    socklen_t size = set_address(&options, &address);
    if (size == 0) {
        return refuse("usage", "--address", " is no address");
    }
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = stop}, NULL);
    int64_t over = options.duration * 1000000, interval = 1000000 / options.rate;
    start = now();
    for (int64_t due = 0; now() < over && !stopped;) {
        if (now() >= due) {
            begin(due, (const struct sockaddr *)&address, size);
            due += interval;
        } else {
            serve_calls((due < over ? due : over) - now());
        }
    }
    int64_t ended = now();
    while (in_flight > 0) { /* asked before the end, so it counts */
        serve_calls(LIMIT);
    }
    if (!say_what_was_seen(ended)) {
        return 1;
    }
    for (int i = 0; stopped == 1 && i < LINGER; i++) {
        sleep(1);
    }
    return 0;
}
