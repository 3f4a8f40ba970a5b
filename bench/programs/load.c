/* A load generator for streamed and whole chat completions that checks every byte of every answer.
 *
 * `load name=value ...`; see `options`. Lines of JSON on standard output: {"event":"steady"} when every connection has its
 * first token, {"event":"ending"} when the first answer is over, both with the tokens received so far, and at the end one
 * with the figures. Times are CLOCK_MONOTONIC; the moment of receipt is taken after each read. */
#define _GNU_SOURCE
#include "common.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (64 * 1024)
#define GOLDEN 0.6180339887498949

static struct {
    const char *path, *key, *model;
    double port, connections, requests, tokens, rate, delay_ms, ramp_ms, pause_ms, limit_s, plain, reconnect, drop_every, bytes_per_second, spread;
} options = {.path = "/v1/chat/completions", .key = "none", .model = "bench", .connections = 1, .requests = 1, .tokens = 1, .limit_s = 60, .spread = 1};

struct answer {
    bool head_read, chunked, in_trailer, body_over, done, finished;
    long left; /* bytes of this HTTP chunk or body; -1: until the connection closes */
    unsigned told, frames;
    uint64_t last_us;
    char record[STAMPED + 32];
    size_t record_size;
    char stream_id[128];
};

struct connection {
    struct timer timer;
    int fd; /* -1: not connected */
    unsigned number, requests_left;
    struct buffer in, line;
    struct answer answer;
    uint64_t sent_us, delay_us;
    bool first_came, waiting, resuming;
    unsigned frames_at_drop;
};

/* Samples, in microseconds. */
struct samples {
    uint32_t *values;
    size_t count, room;
};

static int epoll_fd;
static struct timers timers;
static struct connection *connections;
static struct samples first_token, latency, gap, whole;
static uint64_t tokens_received, bytes_received, reads, complete, failed, resumed, open_connections, with_first_token;
static bool steady_told, ending_told;
static char first_failure[300];
static uint64_t received_us; /* when the read returned whose bytes are looked at */

static void add_sample(struct samples *s, uint64_t value) {
    if (s->count == s->room) {
        s->room = s->room * 2 + 4096;
        s->values = realloc(s->values, s->room * sizeof *s->values);
        if (!s->values) die("realloc");
    }
    s->values[s->count++] = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static void tell_event(const char *name) {
    printf("{\"event\":\"%s\",\"tokens\":%llu,\"at_us\":%llu}\n", name, (unsigned long long)tokens_received, (unsigned long long)now_us());
    fflush(stdout);
}

static void ask(struct connection *c);

static void disconnect(struct connection *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->in.size = c->line.size = 0;
}

/* The answer is over, well or not: the next request of this connection, if it has one. */
static void next(struct connection *c) {
    if (!ending_told && steady_told) {
        ending_told = true;
        tell_event("ending");
    }
    if (--c->requests_left == 0) {
        disconnect(c);
        open_connections--;
        return;
    }
    if (options.reconnect) disconnect(c);
    c->waiting = true;
    set(&timers, &c->timer, now_us() + (uint64_t)(options.pause_ms * 1000));
}

static void fail(struct connection *c, const char *why, const char *data, size_t size) {
    failed++;
    if (!*first_failure) {
        size_t length = (size_t)snprintf(first_failure, sizeof first_failure, "%s after %u of %u tokens: ", why, c->answer.told, (unsigned)options.tokens);
        for (size_t i = 0; i < size && length < sizeof first_failure - 1; i++) {
            char byte = data[i];
            first_failure[length++] = byte < ' ' || byte == '"' || byte == '\\' || byte == 127 ? '.' : byte;
        }
    }
    disconnect(c);
    next(c);
}

/* One whole record: number, stamp, word. */
static bool take_record(struct connection *c) {
    struct answer *a = &c->answer;
    char digits[STAMP_DIGITS + 1] = "";
    memcpy(digits, a->record, NUMBER_DIGITS);
    if (strtoul(digits, NULL, 16) != a->told) return false;
    if (memcmp(a->record + STAMPED, word(a->told)->text, a->record_size - STAMPED)) return false;
    memcpy(digits, a->record + NUMBER_DIGITS, STAMP_DIGITS);
    uint64_t stamp = strtoull(digits, NULL, 16);
    if (stamp > received_us) return false;
    add_sample(&latency, received_us - stamp);
    if (a->told) add_sample(&gap, received_us - a->last_us);
    else add_sample(&first_token, received_us > c->sent_us + c->delay_us ? received_us - c->sent_us - c->delay_us : 0);
    a->last_us = received_us;
    a->record_size = 0;
    a->told++;
    tokens_received++;
    if (!c->first_came) {
        c->first_came = true;
        if (++with_first_token == (uint64_t)options.connections) {
            steady_told = true;
            tell_event("steady");
        }
    }
    return true;
}

static bool take_byte(struct connection *c, char byte) {
    struct answer *a = &c->answer;
    if (a->told >= options.tokens || a->record_size == sizeof a->record) return false;
    a->record[a->record_size++] = byte;
    return a->record_size < STAMPED + strlen(word(a->told)->text) || take_record(c);
}

static bool take_code_point(struct connection *c, unsigned code) {
    if (code < 0x80) return take_byte(c, (char)code);
    if (code < 0x800) return take_byte(c, (char)(0xc0 | code >> 6)) && take_byte(c, (char)(0x80 | (code & 63)));
    if (code < 0x10000)
        return take_byte(c, (char)(0xe0 | code >> 12)) && take_byte(c, (char)(0x80 | (code >> 6 & 63))) && take_byte(c, (char)(0x80 | (code & 63)));
    return take_byte(c, (char)(0xf0 | code >> 18)) && take_byte(c, (char)(0x80 | (code >> 12 & 63))) &&
           take_byte(c, (char)(0x80 | (code >> 6 & 63))) && take_byte(c, (char)(0x80 | (code & 63)));
}

static unsigned four_hex(const char *digits) {
    char text[5] = "";
    memcpy(text, digits, 4);
    return (unsigned)strtoul(text, NULL, 16);
}

/* A JSON string's inside, up to its closing quote; false when it is not what upstream told. */
static bool take_string(struct connection *c, const char *at, const char *end) {
    for (; at < end && *at != '"'; at++) {
        if (*at != '\\') {
            if (!take_byte(c, *at)) return false;
            continue;
        }
        if (++at >= end) return false;
        static const char escapes[] = "n\nt\tr\rb\bf\f";
        const char *escape = strchr(escapes, *at);
        if (*at != 'u') {
            if (!take_byte(c, escape ? escape[1] : *at)) return false;
            continue;
        }
        if (end - at < 5) return false;
        unsigned code = four_hex(at + 1);
        at += 4;
        if (code >= 0xd800 && code < 0xdc00 && end - at >= 7) {
            code = 0x10000 + ((code & 0x3ff) << 10) + (four_hex(at + 3) & 0x3ff);
            at += 6;
        }
        if (!take_code_point(c, code)) return false;
    }
    return true;
}

/* The text value of a name in a JSON object, or NULL when it has none. */
static const char *string_value(const char *json, size_t size, const char *name) {
    const char *end = json + size, *at = memmem(json, size, name, strlen(name));
    if (!at) return NULL;
    for (at += strlen(name); at < end && (*at == ' ' || *at == ':');) at++;
    return at < end && *at == '"' ? at + 1 : NULL;
}

static bool take_json(struct connection *c, const char *json, size_t size) {
    const char *content = string_value(json, size, "\"content\"");
    if (content && !take_string(c, content, json + size)) return false;
    if (string_value(json, size, "\"finish_reason\"")) c->answer.finished = true;
    return true;
}

/* A line of the event stream, without its end. */
static bool take_line(struct connection *c, const char *line, size_t size) {
    if (size < 5 || memcmp(line, "data:", 5)) return true;
    line += 5, size -= 5;
    while (size && *line == ' ') line++, size--;
    if (c->answer.done) return false;
    c->answer.frames++;
    if (size == 6 && !memcmp(line, "[DONE]", 6)) {
        c->answer.done = true;
        return true;
    }
    return take_json(c, line, size);
}

/* Body bytes, free of their transfer encoding. */
static bool take_body(struct connection *c, const char *data, size_t size) {
    if (options.plain) {
        append(&c->line, data, size);
        return true;
    }
    while (size) {
        const char *end = memchr(data, '\n', size);
        if (!end) {
            append(&c->line, data, size);
            return true;
        }
        size_t length = (size_t)(end - data);
        bool good;
        if (c->line.size) {
            append(&c->line, data, length);
            size_t whole_line = c->line.size - (c->line.data[c->line.size - 1] == '\r');
            good = take_line(c, c->line.data, whole_line);
            c->line.size = 0;
        } else {
            good = take_line(c, data, length - (length && data[length - 1] == '\r'));
        }
        if (!good) {
            fail(c, "not what upstream told", data, length);
            return false;
        }
        data += length + 1, size -= length + 1;
    }
    return true;
}

static void over(struct connection *c, bool reusable) {
    struct answer *a = &c->answer;
    if (options.plain && !take_json(c, c->line.data, c->line.size)) return fail(c, "not what upstream told", c->line.data, c->line.size);
    if (a->told != (unsigned)options.tokens || a->record_size || !a->finished || (!options.plain && !a->done))
        return fail(c, "not whole", c->line.data, c->line.size);
    add_sample(&whole, received_us - c->sent_us);
    complete++;
    if (!reusable) disconnect(c);
    next(c);
}

static bool take_head(struct connection *c) {
    char *end = memmem(c->in.data, c->in.size, "\r\n\r\n", 4);
    if (!end) return false;
    end[2] = 0;
    struct answer *a = &c->answer;
    const char *id = strcasestr(c->in.data, "\r\nx-stream-id:"), *length = strcasestr(c->in.data, "\r\ncontent-length:");
    if (id) sscanf(id + 14, " %127[^\r\n]", a->stream_id);
    a->chunked = strcasestr(c->in.data, "\r\ntransfer-encoding: chunked") != NULL;
    a->left = a->chunked ? 0 : length ? strtol(length + 17, NULL, 10) : -1;
    a->head_read = true;
    if (strncmp(c->in.data, "HTTP/1.1 200", 12)) {
        fail(c, "refused", c->in.data, c->in.size);
        return false;
    }
    drop_front(&c->in, (size_t)(end - c->in.data) + 4);
    return true;
}

/* The next HTTP chunk's size line; false when it is not there yet. */
static bool take_size(struct connection *c, size_t *position) {
    char *line = c->in.data + *position, *end = memchr(line, '\n', c->in.size - *position);
    if (end && end - line <= 1) { /* the line end after the chunk before */
        *position += (size_t)(end - line) + 1;
        return take_size(c, position);
    }
    if (!end) return false;
    c->answer.left = strtol(line, NULL, 16);
    *position += (size_t)(end - line) + 1;
    if (c->answer.left == 0) c->answer.body_over = true;
    return true;
}

/* Everything that has been read. */
static void take(struct connection *c) {
    struct answer *a = &c->answer;
    if (!a->head_read && !take_head(c)) return;
    size_t position = 0;
    while (position < c->in.size && !a->body_over) {
        if (a->chunked && !a->left && !take_size(c, &position)) break;
        if (a->body_over) break;
        size_t size = c->in.size - position;
        if (a->left >= 0 && size > (size_t)a->left) size = (size_t)a->left;
        if (!take_body(c, c->in.data + position, size)) return;
        position += size;
        if (a->left > 0) {
            a->left -= (long)size;
            if (!a->chunked && !a->left) a->body_over = true;
        }
    }
    drop_front(&c->in, position);
    if (a->body_over) over(c, true);
}

static void resume(struct connection *c) {
    resumed++;
    disconnect(c);
    c->resuming = true;
    c->frames_at_drop = c->answer.frames;
    c->waiting = true;
    set(&timers, &c->timer, now_us() + (uint64_t)(options.pause_ms * 1000));
}

static void receive(struct connection *c) {
    size_t most = options.bytes_per_second ? (size_t)(options.bytes_per_second / 10) : READ_SIZE;
    ssize_t size = recv(c->fd, reserve(&c->in, most + 1), most, 0);
    received_us = now_us();
    if (size < 0 && errno == EAGAIN) {
        if (options.bytes_per_second) set(&timers, &c->timer, received_us + MICROS / 10);
        return;
    }
    if (size <= 0) {
        if (size == 0 && c->answer.head_read && c->answer.left == -1) return over(c, false);
        return fail(c, "closed", c->in.data, c->in.size);
    }
    reads++;
    bytes_received += (uint64_t)size;
    c->in.size += (size_t)size;
    c->in.data[c->in.size] = 0;
    int fd = c->fd;
    take(c);
    if (c->fd != fd || c->waiting) return;
    if (options.drop_every && c->answer.frames - c->frames_at_drop >= options.drop_every) return resume(c);
    if (options.bytes_per_second) set(&timers, &c->timer, received_us + MICROS / 10);
}

static void connect_to_server(struct connection *c) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int on = 1, small = 64 * 1024;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options.bytes_per_second) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (c->fd < 0 || (connect(c->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)) die("connect");
    /* A slow reader reads when its timer says so. */
    struct epoll_event event = {.events = (options.bytes_per_second ? 0 : EPOLLIN) | EPOLLOUT | EPOLLONESHOT, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl");
}

static void send_request(struct connection *c) {
    char body[512], request[1400];
    int size, body_size = 0;
    if (c->resuming) {
        size = snprintf(request, sizeof request, "GET /v1/streams/%s?starting_after=%u HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer %s\r\n\r\n",
                        c->answer.stream_id, c->answer.frames, options.key);
        c->answer.head_read = c->answer.chunked = c->answer.body_over = false;
    } else {
        body_size = snprintf(body, sizeof body,
            "{\"model\":\"%s\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},{\"role\":\"user\",\"content\":"
            "\"bench tokens=%u interval_us=%llu delay_us=%llu\"}],\"stream\":%s}",
            options.model, (unsigned)options.tokens, (unsigned long long)(options.rate > 0 ? MICROS / options.rate : 0),
            (unsigned long long)c->delay_us, options.plain ? "false" : "true");
        size = snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\n"
                        "content-length: %d\r\n\r\n%s", options.path, options.key, body_size, body);
        memset(&c->answer, 0, sizeof c->answer);
        c->line.size = c->in.size = 0;
        c->frames_at_drop = 0;
        c->sent_us = now_us();
    }
    c->resuming = false;
    if (send(c->fd, request, (size_t)size, MSG_NOSIGNAL) != size) return fail(c, "cannot send", "", 0);
    if (options.bytes_per_second) set(&timers, &c->timer, now_us() + MICROS / 10);
}

static void ask(struct connection *c) {
    c->waiting = false;
    if (c->fd < 0) return connect_to_server(c); /* epoll says when it stands */
    send_request(c);
}

static void on_ready(struct connection *c, uint32_t events) {
    if (events & EPOLLOUT && !(events & (EPOLLERR | EPOLLHUP))) {
        struct epoll_event event = {.events = options.bytes_per_second ? 0 : EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
        send_request(c);
    } else if (c->fd >= 0 && c->waiting) {
        disconnect(c); /* closed while idle: the next request opens another one */
    } else if (c->fd >= 0) {
        receive(c);
    }
}

static void on_timer(struct connection *c) {
    if (c->fd >= 0 && !c->waiting) receive(c);
    else ask(c);
}

static int compare(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static void print_samples(const char *name, struct samples *s) {
    qsort(s->values, s->count, sizeof *s->values, compare);
    printf(",\"%s\":{\"count\":%zu", name, s->count);
    static const double parts[] = {0.5, 0.95, 0.99, 1};
    static const char *names[] = {"p50", "p95", "p99", "max"};
    for (int i = 0; s->count && i < 4; i++) {
        size_t place = (size_t)(parts[i] * (double)s->count);
        printf(",\"%s\":%u", names[i], s->values[place < s->count ? place : s->count - 1]);
    }
    printf("}");
}

static void report(uint64_t began_us) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("{\"event\":\"end\",\"seconds\":%.6f,\"complete\":%llu,\"failed\":%llu,\"unfinished\":%llu,\"resumed\":%llu,\"tokens\":%llu,\"bytes\":%llu,"
           "\"reads\":%llu,\"cpu_us\":%llu,\"first_failure\":\"%s\"",
           (double)(now_us() - began_us) / MICROS, (unsigned long long)complete, (unsigned long long)failed, (unsigned long long)open_connections,
           (unsigned long long)resumed, (unsigned long long)tokens_received, (unsigned long long)bytes_received, (unsigned long long)reads,
           (unsigned long long)((use.ru_utime.tv_sec + use.ru_stime.tv_sec) * MICROS + use.ru_utime.tv_usec + use.ru_stime.tv_usec), first_failure);
    print_samples("first_token_us", &first_token);
    print_samples("latency_us", &latency);
    print_samples("gap_us", &gap);
    print_samples("whole_us", &whole);
    printf("}\n");
}

static void read_option(char *argument) {
    static const struct {
        const char *name;
        double *number;
        const char **text;
    } known[] = {
        {"port", &options.port, NULL},
        {"path", NULL, &options.path},
        {"key", NULL, &options.key},
        {"model", NULL, &options.model},
        {"connections", &options.connections, NULL}, /* each asks one request after another */
        {"requests", &options.requests, NULL},       /* of each connection */
        {"tokens", &options.tokens, NULL},           /* of each answer */
        {"rate", &options.rate, NULL},               /* tokens per second; 0: at full speed */
        {"delay_ms", &options.delay_ms, NULL},       /* upstream's, before the first token */
        {"ramp_ms", &options.ramp_ms, NULL},         /* the connections begin spread over it */
        {"pause_ms", &options.pause_ms, NULL},       /* between two requests, and before a resume */
        {"limit_s", &options.limit_s, NULL},         /* then what is open is given up */
        {"plain", &options.plain, NULL},             /* 1: not streamed */
        {"reconnect", &options.reconnect, NULL},     /* 1: a new connection for each request */
        {"drop_every", &options.drop_every, NULL},   /* frames after which the connection is dropped and the stream resumed */
        {"spread", &options.spread, NULL},           /* 0: the tokens of all streams come in step */
        {"bytes_per_second", &options.bytes_per_second, NULL}, /* how fast a slow reader reads */
    };
    char *value = strchr(argument, '=');
    for (size_t i = 0; value && i < sizeof known / sizeof *known; i++) {
        if ((size_t)(value - argument) != strlen(known[i].name) || strncmp(argument, known[i].name, strlen(known[i].name))) continue;
        if (known[i].number) *known[i].number = strtod(value + 1, NULL);
        else *known[i].text = value + 1;
        return;
    }
    fprintf(stderr, "load: no such option: %s\n", argument);
    exit(2);
}

/* The connections begin spread over the ramp, and their tokens come spread over the interval. */
static void begin_all(void) {
    uint64_t now = now_us();
    double interval_us = options.rate > 0 ? MICROS / options.rate : 0;
    if (interval_us > MICROS || !options.spread) interval_us = 0;
    connections = calloc((size_t)options.connections, sizeof *connections);
    for (unsigned i = 0; i < (unsigned)options.connections; i++) {
        struct connection *c = &connections[i];
        double phase = i * GOLDEN;
        c->fd = -1;
        c->number = i;
        c->waiting = true;
        c->requests_left = (unsigned)options.requests;
        c->delay_us = (uint64_t)(options.delay_ms * 1000 + (phase - (unsigned)phase) * interval_us);
        set(&timers, &c->timer, now + (uint64_t)(options.ramp_ms * 1000 * i / options.connections));
        open_connections++;
    }
}

int main(int count, char **arguments) {
    while (--count) read_option(*++arguments);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(0);
    open_timers(&timers, epoll_fd);
    uint64_t began_us = now_us(), end_us = began_us + (uint64_t)(options.limit_s * MICROS);
    begin_all();
    while (open_connections && now_us() < end_us) {
        struct epoll_event events[256];
        arm(&timers);
        int ready = epoll_wait(epoll_fd, events, 256, 100);
        for (int i = 0; i < ready; i++)
            if (events[i].data.ptr) on_ready(events[i].data.ptr, events[i].events);
        for (struct timer *timer; (timer = due(&timers));) on_timer((struct connection *)timer);
    }
    report(began_us);
}
