/* A fake upstream: OpenAI's chat completions over HTTP/1.1 with keep-alive, streamed or whole.
 *
 * `upstream` listens on a free loopback port and prints it. What a request wants stands in one of its messages:
 * "bench tokens=N interval_us=N delay_us=N": after the delay come the head, the role and the first token, then a token at
 * each interval, one write each; with interval 0 as many as the connection takes. Moments count from the start, so that
 * no lateness adds up. */
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

#define AT_ONCE (64 * 1024) /* bytes made before they are written, at full speed */
#define READ_SIZE (64 * 1024)

struct connection {
    struct timer timer;
    int fd;
    struct buffer in, out;
    bool blocked; /* the peer takes nothing at present */
    bool answering, streamed, usage, begun;
    unsigned tokens, told;
    uint64_t start_us, interval_us;
    char id[48];
};

static int epoll_fd;
static struct timers timers;
static uint64_t requests;

#define MODEL "\"created\":1767225600,\"model\":\"gpt-4.1-mini-2025-04-14\","
#define USAGE "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":%u,\"total_tokens\":%u}"

static void close_connection(struct connection *c) {
    unset(&timers, &c->timer);
    close(c->fd);
    free(c->in.data);
    free(c->out.data);
    free(c);
}

/* One event in one HTTP chunk: `data: ` and a chunk object around `delta`. */
static void add_event(struct connection *c, const char *choices, size_t size, bool null_usage) {
    char event[768];
    int length = snprintf(event, sizeof event,
                          "data: {\"id\":\"%s\",\"object\":\"chat.completion.chunk\"," MODEL "\"system_fingerprint\":\"fp_0123456789\",%.*s%s}\n\n",
                          c->id, (int)size, choices, null_usage && c->usage ? ",\"usage\":null" : "");
    char head[16];
    append(&c->out, head, (size_t)snprintf(head, sizeof head, "%x\r\n", length));
    append(&c->out, event, (size_t)length);
    append(&c->out, "\r\n", 2);
}

/* The token's record, as JSON text; the number of bytes. */
static size_t record(char *out, unsigned number) {
    write_hex(out, number, NUMBER_DIGITS);
    write_hex(out + NUMBER_DIGITS, now_us(), STAMP_DIGITS);
    size_t size = strlen(word(number)->json);
    memcpy(out + STAMPED, word(number)->json, size);
    return STAMPED + size;
}

static void add_token(struct connection *c) {
    static const char before[] = "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"", after[] = "\"},\"logprobs\":null,\"finish_reason\":null}]";
    char choices[256];
    size_t size = sizeof before - 1;
    memcpy(choices, before, size);
    size += record(choices + size, c->told++);
    memcpy(choices + size, after, sizeof after - 1);
    add_event(c, choices, size + sizeof after - 1, true);
}

static void add_head(struct connection *c) {
    static const char role[] = "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}]";
    append_text(&c->out, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n");
    add_event(c, role, sizeof role - 1, true);
}

static void add_end(struct connection *c) {
    static const char stop[] = "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]";
    add_event(c, stop, sizeof stop - 1, true);
    if (c->usage) {
        char usage[160];
        add_event(c, usage, (size_t)snprintf(usage, sizeof usage, "\"choices\":[]," USAGE, c->tokens, c->tokens + 9), false);
    }
    append_text(&c->out, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

static void add_whole(struct connection *c) {
    struct buffer body = {0};
    char text[512];
    append(&body, text, (size_t)snprintf(text, sizeof text,
        "{\"id\":\"%s\",\"object\":\"chat.completion\"," MODEL "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"", c->id));
    while (c->told < c->tokens) append(&body, text, record(text, c->told++));
    append(&body, text, (size_t)snprintf(text, sizeof text,
        "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}]," USAGE ",\"system_fingerprint\":\"fp_0123456789\"}", c->tokens, c->tokens + 9));
    append(&c->out, text, (size_t)snprintf(text, sizeof text,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n", body.size));
    append(&c->out, body.data, body.size);
    free(body.data);
}

/* Write what is there. False when the connection is lost. */
static bool flush(struct connection *c) {
    while (c->out.size) {
        ssize_t written = send(c->fd, c->out.data, c->out.size, MSG_NOSIGNAL);
        if (written < 0 && errno == EAGAIN) {
            c->blocked = true;
            return true;
        }
        if (written < 0) return false;
        drop_front(&c->out, (size_t)written);
    }
    c->blocked = false;
    return true;
}

/* The next write: a token when paced, the end an interval after the last one; otherwise as much as goes at once. */
static void add_next(struct connection *c) {
    if (!c->begun && c->streamed) add_head(c);
    c->begun = true;
    if (!c->streamed) {
        add_whole(c);
        c->answering = false;
        return;
    }
    bool ending = c->told == c->tokens;
    while (c->told < c->tokens && c->out.size < AT_ONCE) {
        add_token(c);
        if (c->interval_us) return;
    }
    if (ending || (c->told == c->tokens && !c->interval_us)) {
        add_end(c);
        c->answering = false;
    }
}

/* Tell what is due by now, and set the timer for what is not. False when the connection is lost. */
static bool tell(struct connection *c) {
    while (c->answering && !c->blocked) {
        uint64_t due_us = c->start_us + c->told * c->interval_us;
        if (now_us() < due_us) {
            set(&timers, &c->timer, due_us);
            return true;
        }
        add_next(c);
        if (!flush(c)) return false;
    }
    return true;
}

static uint64_t parameter(const char *name, uint64_t otherwise, const char *body, size_t size) {
    const char *found = memmem(body, size, name, strlen(name));
    return found ? strtoull(found + strlen(name), NULL, 10) : otherwise;
}

static bool is_true(const char *name, const char *body, size_t size) {
    const char *found = memmem(body, size, name, strlen(name));
    if (!found) return false;
    for (found += strlen(name); *found == ' ' || *found == ':';) found++;
    return *found == 't';
}

static bool begin(struct connection *c, const char *body, size_t size) {
    uint64_t now = now_us();
    snprintf(c->id, sizeof c->id, "chatcmpl-%029llx", (unsigned long long)(++requests * 0x9e3779b97f4a7c15ull));
    c->tokens = (unsigned)parameter("tokens=", 1, body, size);
    c->interval_us = parameter("interval_us=", 0, body, size);
    c->start_us = now + parameter("delay_us=", 0, body, size);
    c->streamed = is_true("\"stream\"", body, size);
    c->usage = is_true("\"include_usage\"", body, size);
    c->told = 0;
    c->begun = false;
    c->answering = true;
    return tell(c);
}

static bool refuse(struct connection *c) {
    append_text(&c->out, "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}");
    return flush(c);
}

/* Take whole requests from what has been read. False when the connection is lost. */
static bool take(struct connection *c) {
    while (!c->answering && c->in.size) {
        *reserve(&c->in, 1) = 0;
        char *end = memmem(c->in.data, c->in.size, "\r\n\r\n", 4);
        if (!end) return true;
        size_t head = (size_t)(end - c->in.data) + 4;
        const char *length = strcasestr(c->in.data, "\r\ncontent-length:");
        size_t body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
        if (c->in.size < head + body) return true;
        bool alive = body ? begin(c, c->in.data + head, body) : refuse(c);
        drop_front(&c->in, head + body);
        if (!alive) return false;
    }
    return true;
}

static bool receive(struct connection *c) {
    ssize_t size;
    while ((size = recv(c->fd, reserve(&c->in, READ_SIZE), READ_SIZE - 1, 0)) > 0) c->in.size += (size_t)size;
    return size < 0 && errno == EAGAIN && take(c);
}

static void accept_all(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
    }
}

static int listen_somewhere(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) die("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &epoll_fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event)) die("epoll_ctl");
    return listener;
}

/* Edge-triggered: everything that is there is read, and what was kept back is written. */
static void serve(struct connection *c, uint32_t events) {
    bool alive = !(events & (EPOLLHUP | EPOLLERR));
    if (alive && c->blocked && events & EPOLLOUT) alive = flush(c) && tell(c) && take(c);
    if (alive && events & EPOLLIN) alive = receive(c);
    if (!alive || events & EPOLLRDHUP) close_connection(c);
}

int main(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(0);
    open_timers(&timers, epoll_fd);
    int listener = listen_somewhere();
    for (;;) {
        struct epoll_event events[256];
        arm(&timers);
        int count = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &epoll_fd) accept_all(listener);
            else if (events[i].data.ptr) serve(events[i].data.ptr, events[i].events);
        }
        for (struct timer *timer; (timer = due(&timers));) {
            struct connection *c = (struct connection *)timer;
            if (!tell(c) || !take(c)) close_connection(c);
        }
    }
}
