#include "handover/watcher.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/runtime.h"
#include "handover/handover.h"

/* All in milliseconds. */
enum {
    START_WAIT = 2000,  /* for an agent that has just been started */
    ANSWER_WAIT = 5000, /* for one that watches: it looks ten times a second on an idle machine */
    POLL = 20,
};

/* A line of the file; empty where there is none that is whole. */
static void read_line(const char *dir, const char *name, char out[QUESTION_SIZE]) {
    char path[PATH_SIZE];
    size_t length = 0;
    bool found;
    if (path_join(path, dir, name) == 0) {
        file_read(path, out, QUESTION_SIZE, &length, &found);
    }
    out[length > 0 && out[length - 1] == '\n' ? length : 0] = '\0';
}

/* ---- the agent's side ---- */

int watcher_start(struct watcher *watcher, const char *dir) {
    char path[PATH_SIZE];
    *watcher = (struct watcher){.dir = dir, .fd = -1};
    if (path_join(path, dir, AGENT_LOCK) != 0 || lock_take(path, false, &watcher->fd) != 0) {
        return -1;
    }
    /* What an earlier agent answered is no answer of this one. */
    if (ftruncate(watcher->fd, 0) != 0) {
        return fail_errno("empty", path);
    }
    return 0;
}

bool watcher_answer(struct watcher *watcher) {
    char path[PATH_SIZE], question[QUESTION_SIZE];
    if (path_join(path, watcher->dir, AGENT_LOCK) != 0 || !lock_is_at(watcher->fd, path)) {
        return !lock_is_held(path);
    }
    read_line(watcher->dir, HANDOVER_LOCK, question);
    if (question[0] != '\0' && strcmp(question, watcher->answered) != 0) {
        size_t length = strlen(question);
        if (pwrite(watcher->fd, question, length, 0) == (ssize_t)length) {
            memcpy(watcher->answered, question, sizeof question);
        }
    }
    return true;
}

/* ---- for the others ---- */

bool watcher_is_there(const char *dir) {
    char path[PATH_SIZE];
    return path_join(path, dir, AGENT_LOCK) == 0 && lock_is_held(path);
}

/* The lines have one length, so that a new one covers an old one whole. */
static int ask(const char *dir, char question[QUESTION_SIZE]) {
    char path[PATH_SIZE];
    int length = snprintf(question, QUESTION_SIZE, "%020lld %010d\n",
                          (long long)boot_milliseconds(), (int)getpid());
    int fd = path_join(path, dir, HANDOVER_LOCK) == 0
                 ? open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC)
                 : -1;
    if (fd < 0) {
        return fail_errno("write", path);
    }
    int result = write_all(fd, question, (size_t)length, path);
    close(fd);
    return result;
}

int watcher_require(const char *dir) {
    char question[QUESTION_SIZE], answer[QUESTION_SIZE];
    int64_t start = boot_milliseconds();
    if (ask(dir, question) != 0) {
        return -1;
    }
    for (;;) {
        read_line(dir, AGENT_LOCK, answer);
        if (strcmp(answer, question) == 0) {
            return 0;
        }
        int64_t waited = boot_milliseconds() - start;
        if (waited >= START_WAIT && !watcher_is_there(dir)) {
            return fail(FAIL_STATE, "no agent watches %s: nobody would take it back", dir);
        }
        if (waited >= ANSWER_WAIT) {
            return fail(FAIL_STATE, "the agent that watches %s did not answer within %d s", dir,
                        ANSWER_WAIT / 1000);
        }
        sleep_milliseconds(POLL);
    }
}

bool watcher_answers(const char *dir) {
    return watcher_is_there(dir) && watcher_require(dir) == 0;
}
