#include "reach.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "failure.h"
#include "hello.h"
#include "json.h"
#include "tally.h"

enum {
    IN_FLIGHT_MAX = 256,
    LIMIT = 3000000,  /* microseconds for a connection and its ServerHello */
    LINGER = 15,      /* seconds */
    ANSWER_SIZE = 6,  /* a record's header and the handshake's type */
};

struct call {
    int64_t due; /* microseconds since the start */
    bool said;   /* the ClientHello is sent */
    size_t got;
    uint8_t answer[ANSWER_SIZE];
};

static struct call calls[IN_FLIGHT_MAX];
static struct pollfd polls[IN_FLIGHT_MAX]; /* those in flight come first, beside their calls */
static nfds_t in_flight;
static struct tally tally;
static int64_t start;

static volatile sig_atomic_t stopped;

static void stop(int signal) {
    (void)signal;
    stopped++;
}

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
    tally_add(&tally, calls[i].due, now(), outcome);
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
        tally_add(&tally, due, now(), OUTCOME_NOT_SENT);
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
    if (error == 0 && send(polls[i].fd, client_hello, client_hello_size, MSG_NOSIGNAL) < 0) {
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
    ssize_t count = recv(polls[i].fd, call->answer + call->got, ANSWER_SIZE - call->got, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (count <= 0) {
        end(i, count == 0 ? OUTCOME_CLOSED : outcome_of(errno));
        return false;
    }
    call->got += (size_t)count;
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

static int read_address(const struct options *options, struct sockaddr_storage *address,
                        socklen_t *size) {
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)address;
    const char *text = options->addresses[0];
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &ipv4->sin_addr) == 1) {
        ipv4->sin_family = AF_INET;
        ipv4->sin_port = htons((uint16_t)options->port);
        *size = sizeof *ipv4;
        return 0;
    }
    if (inet_pton(AF_INET6, text, &ipv6->sin6_addr) == 1) {
        ipv6->sin6_family = AF_INET6;
        ipv6->sin6_port = htons((uint16_t)options->port);
        *size = sizeof *ipv6;
        return 0;
    }
    return fail(FAIL_USAGE, "--address can't be '%.100s'", text);
}

int reach(const struct options *options) {
    struct sockaddr_storage address;
    socklen_t size;
    int64_t over = (int64_t)options->duration * 1000000, interval = 1000000 / options->rate;
    if (read_address(options, &address, &size) != 0) {
        return -1;
    }
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = stop}, NULL);
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
    if (tally_print(&tally, ended) != 0) {
        return fail(FAIL_IO, "the answer could not be written");
    }
    for (int i = 0; stopped == 1 && i < LINGER; i++) {
        sleep(1);
    }
    return 0;
}
