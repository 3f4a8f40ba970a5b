/* What the fake upstream and the load generator share: the clock, timers, buffers, and the text that is told. */
#ifndef COMMON_H
#define COMMON_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

#define MICROS 1000000ull

/* One record of the text is the token's number, the moment of its writing in CLOCK_MONOTONIC microseconds, and a word. */
#define NUMBER_DIGITS 5
#define STAMP_DIGITS 12
#define STAMPED (NUMBER_DIGITS + STAMP_DIGITS)
#define MOST_TOKENS 0xfffffu

struct word {
    const char *json; /* as upstream writes it */
    const char *text; /* what a reader must get */
};

/* What models tell: words, marks that JSON escapes, letters of two to four bytes. */
static const struct word WORDS[] = {
    {" the", " the"}, {" tide", " tide"},     {",", ","},           {" rises", " rises"},     {"\\n\\n", "\n\n"}, {" a", " a"},
    {" na\xc3\xafve", " na\xc3\xafve"},       {" \\\"moon\\\"", " \"moon\""},                 {".", "."},         {" streaming", " streaming"},
    {" \xe6\xbd\xae", " \xe6\xbd\xae"},       {"```", "```"},       {" of", " of"},           {" \\\\n", " \\n"}, {" water", " water"},
    {" \xf0\x9f\x8c\x8a", " \xf0\x9f\x8c\x8a"},
};
#define WORD_COUNT (sizeof WORDS / sizeof *WORDS)

static inline const struct word *word(unsigned number) { return &WORDS[number % WORD_COUNT]; }

static inline uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * MICROS + (uint64_t)t.tv_nsec / 1000;
}

static inline _Noreturn void die(const char *what) {
    perror(what);
    exit(1);
}

static inline void write_hex(char *out, uint64_t value, int digits) {
    while (digits--) {
        out[digits] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

/* Bytes that grow. */
struct buffer {
    char *data;
    size_t size, room;
};

static inline char *reserve(struct buffer *b, size_t more) {
    if (b->size + more > b->room) {
        b->room = (b->size + more) * 2;
        b->data = realloc(b->data, b->room);
        if (!b->data) die("realloc");
    }
    return b->data + b->size;
}

static inline void append(struct buffer *b, const void *data, size_t size) {
    memcpy(reserve(b, size), data, size);
    b->size += size;
}

static inline void append_text(struct buffer *b, const char *text) { append(b, text, strlen(text)); }

static inline void drop_front(struct buffer *b, size_t size) {
    b->size -= size;
    if (size && b->size) memmove(b->data, b->data + size, b->size);
}

/* Timers: a binary heap by moment. A timer stands first in what owns it; `place` is 0 while it is not set. */
struct timer {
    uint64_t at_us;
    size_t place;
};

struct timers {
    struct timer **heap; /* from 1 */
    size_t count, room;
    int fd;
};

static inline void put(struct timers *t, size_t place, struct timer *timer) {
    t->heap[place] = timer;
    timer->place = place;
}

static inline void sift(struct timers *t, size_t place) {
    struct timer *moved = t->heap[place];
    for (; place > 1 && t->heap[place / 2]->at_us > moved->at_us; place /= 2) put(t, place, t->heap[place / 2]);
    for (size_t child; (child = place * 2) <= t->count; place = child) {
        if (child < t->count && t->heap[child + 1]->at_us < t->heap[child]->at_us) child++;
        if (t->heap[child]->at_us >= moved->at_us) break;
        put(t, place, t->heap[child]);
    }
    put(t, place, moved);
}

static inline void unset(struct timers *t, struct timer *timer) {
    size_t place = timer->place;
    if (!place) return;
    struct timer *last = t->heap[t->count--];
    timer->place = 0;
    if (last != timer) {
        put(t, place, last);
        sift(t, place);
    }
}

static inline void set(struct timers *t, struct timer *timer, uint64_t at_us) {
    unset(t, timer);
    if (t->count + 2 > t->room) {
        t->room = t->room * 2 + 64;
        t->heap = realloc(t->heap, t->room * sizeof *t->heap);
        if (!t->heap) die("realloc");
    }
    timer->at_us = at_us;
    put(t, ++t->count, timer);
    sift(t, t->count);
}

/* The timer whose moment has come, unset, or NULL. */
static inline struct timer *due(struct timers *t) {
    if (!t->count || t->heap[1]->at_us > now_us()) return NULL;
    struct timer *first = t->heap[1];
    unset(t, first);
    return first;
}

/* Make epoll return when the earliest moment has come; edge-triggered, so that nothing needs to be read. */
static inline void arm(struct timers *t) {
    struct itimerspec when = {{0, 0}, {0, 0}};
    if (t->count) {
        when.it_value.tv_sec = (time_t)(t->heap[1]->at_us / MICROS);
        when.it_value.tv_nsec = (long)(t->heap[1]->at_us % MICROS) * 1000 + 1;
    }
    if (timerfd_settime(t->fd, TFD_TIMER_ABSTIME, &when, NULL)) die("timerfd_settime");
}

static inline void open_timers(struct timers *t, int epoll) {
    t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (t->fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, t->fd, &event)) die("timerfd");
}

#endif
