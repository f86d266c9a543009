#include "node/hello.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/json.h"
#include "node/sockets.h"

enum {
    ANSWER_MAX = 32 * 1024,
    CONNECT_LIMIT = 3, /* seconds */
    SILENCE = 200,     /* milliseconds */
};

static void set_limit(int fd, int option, long milliseconds) {
    struct timeval limit = {milliseconds / 1000, milliseconds % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit);
}

static int connected(const struct listener *where, long port) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    memcpy(&v4.sin_addr, where->address, sizeof v4.sin_addr);
    memcpy(&v6.sin6_addr, where->address, sizeof v6.sin6_addr);
    int fd = socket(where->ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    set_limit(fd, SO_SNDTIMEO, CONNECT_LIMIT * 1000L);
    int result = where->ipv6 ? connect(fd, (struct sockaddr *)&v6, sizeof v6)
                             : connect(fd, (struct sockaddr *)&v4, sizeof v4);
    if (result != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* What comes until nothing comes any more; the first byte may take longer. */
static size_t listen_to(int fd, char *answer) {
    size_t length = 0;
    ssize_t count;
    set_limit(fd, SO_RCVTIMEO, CONNECT_LIMIT * 1000L);
    while (length < ANSWER_MAX &&
           (count = recv(fd, answer + length, ANSWER_MAX - length, 0)) > 0) {
        length += (size_t)count;
        set_limit(fd, SO_RCVTIMEO, SILENCE);
    }
    return length;
}

int hello_answer(const struct options *options) {
    static char answer[ANSWER_MAX + 1];
    struct listener where;
    struct json json;
    if (options->address_count != 1 || !listener_at(&where, options->addresses[0])) {
        return fail(FAIL_USAGE, "hello needs one numeric address");
    }
    int fd = connected(&where, options->port);
    if (fd < 0) {
        return fail_errno("connect to", options->addresses[0]);
    }
    int result = write_all(fd, options->content, options->content_length, options->addresses[0]);
    size_t length = result == 0 ? listen_to(fd, answer) : 0;
    close(fd);
    if (result != 0) {
        return -1;
    }
    answer_begin(&json);
    json_bytes(&json, "answer", answer, length);
    return answer_end(&json);
}
