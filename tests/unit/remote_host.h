/* A host that does what a test says, below one struct remote: for test_remote.c and fuzz_remote.c.
 * Keeps what the machine asked for and said, and checks with must() what may never happen: a word
 * after the last one, an end of a request that is not living, a command while one runs.
 */
#ifndef TESTS_UNIT_REMOTE_HOST_H
#define TESTS_UNIT_REMOTE_HOST_H

#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/mem.h"
#include "controller/remote/remote.h"
#include "proto/wire.h"

#define DIGEST_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

#define REPORT_OK "os=Linux arch=x86_64 bits=64 uid=1000 boot=b-1 tool=1 at=c free=5000 refused="
#define REPORT_NOWHERE(list)                                                                       \
    "os=Linux arch=x86_64 bits=64 uid=0 boot= tool=0 at= free= refused=" list

static const struct remote_blob host_blobs[] = {{"x86_64", 0, DIGEST_A, 200000},
                                                {"aarch64", 1, DIGEST_B, 300000}};

enum { HOST_MAX_LIVE = AGENT_MAX_REQUESTS };

struct host {
    struct remote *r;
    uint64_t now;
    /* the command that runs */
    bool running, hung;
    char line[SCRIPT_MAX];
    char nonce[AGENT_NONCE_HEX + 1];
    enum remote_input input;
    unsigned blob;
    struct buf sent;
    /* counts */
    unsigned execs, uploads, hang_ups, readies, replies, datas, rooms, ends, finals;
    size_t data_bytes;
    struct remote_hello hello;
    struct remote_failure failure;
    struct remote_end last_end;
    bool failed, closed;
    uint64_t live[HOST_MAX_LIVE], last_id;
    size_t live_count;
    enum rc exec_rc, send_rc;
    bool keep; /* do not give back what came (remote_consumed) */
    bool close_in_ready, close_in_end, ask_in_end;
};

static inline size_t host_request(struct host *h, const char *op);

static inline enum rc host_exec(void *user, const char *line, size_t len, enum remote_input input,
                                unsigned blob)
{
    struct host *h = user;
    must(!h->running && h->finals == 0 && len < sizeof h->line);
    if (h->exec_rc != RC_OK)
        return h->exec_rc;
    memcpy(h->line, line, len);
    h->line[len] = '\0';
    const char *at = strstr(h->line, "muster-nonce=");
    must(at != NULL);
    memcpy(h->nonce, at + 13, AGENT_NONCE_HEX);
    h->running = true;
    h->hung = false;
    h->input = input;
    h->blob = blob;
    h->execs++;
    h->uploads += input == REMOTE_INPUT_BLOB;
    buf_reset(&h->sent);
    return RC_OK;
}

static inline enum rc host_send(void *user, const void *p, size_t n)
{
    struct host *h = user;
    must(h->running && h->input == REMOTE_INPUT_DUPLEX && !h->hung && h->finals == 0);
    if (h->send_rc != RC_OK)
        return h->send_rc;
    return buf_append(&h->sent, p, n);
}

static inline void host_hang_up(void *user)
{
    struct host *h = user;
    must(h->running && !h->hung);
    h->hung = true;
    h->hang_ups++;
}

static inline void host_ready(void *user, const struct remote_hello *hello)
{
    struct host *h = user;
    must(h->finals == 0 && h->live_count == 0);
    h->hello = *hello;
    h->readies++;
    if (h->close_in_ready)
        remote_close(h->r, h->now);
}

static inline size_t host_living(struct host *h, uint64_t id)
{
    for (size_t i = 0; i < h->live_count; i++)
        if (h->live[i] == id)
            return i;
    return SIZE_MAX;
}

static inline void host_reply(void *user, uint64_t id, const void *map, size_t n)
{
    struct host *h = user;
    must(h->finals == 0 && host_living(h, id) != SIZE_MAX);
    must(wire_validate(map, n, NULL) == RC_OK);
    h->replies++;
    if (!h->keep)
        remote_consumed(h->r, h->now, id, n);
}

static inline void host_data(void *user, uint64_t id, uint8_t stream, const void *p, size_t n)
{
    struct host *h = user;
    (void)p;
    must(h->finals == 0 && host_living(h, id) != SIZE_MAX && (stream == 1 || stream == 2));
    must(n > 0 && n <= AGENT_PART_MAX);
    h->datas++;
    h->data_bytes += n;
    if (!h->keep)
        remote_consumed(h->r, h->now, id, n);
}

static inline void host_room(void *user, uint64_t id)
{
    struct host *h = user;
    must(h->finals == 0 && host_living(h, id) != SIZE_MAX);
    h->rooms++;
}

static inline void host_end(void *user, uint64_t id, const struct remote_end *end)
{
    struct host *h = user;
    size_t i = host_living(h, id);
    must(h->finals == 0 && i != SIZE_MAX);
    h->live[i] = h->live[--h->live_count];
    h->last_end = *end;
    h->last_end.map = NULL;
    h->ends++;
    for (const char *c = end->detail; *c != '\0'; c++)
        must((unsigned char)*c >= ' ');
    if (h->close_in_end)
        remote_close(h->r, h->now);
    if (h->ask_in_end)
        (void)host_request(h, "stats");
}

static inline void host_failed(void *user, const struct remote_failure *f)
{
    struct host *h = user;
    must(h->finals == 0 && h->live_count == 0 && f->problem != PROBLEM_NONE);
    for (const char *c = f->detail; *c != '\0'; c++)
        must((unsigned char)*c >= ' ');
    h->failure = *f;
    h->failed = true;
    h->finals++;
}

static inline void host_closed(void *user)
{
    struct host *h = user;
    must(h->finals == 0 && h->live_count == 0);
    h->closed = true;
    h->finals++;
}

static const struct remote_ops host_ops = {
    .exec = host_exec,
    .send = host_send,
    .hang_up = host_hang_up,
    .ready = host_ready,
    .reply = host_reply,
    .data = host_data,
    .room = host_room,
    .end = host_end,
    .failed = host_failed,
    .closed = host_closed,
};

static inline void host_init(struct host *h)
{
    memset(h, 0, sizeof *h);
    buf_init(&h->sent, 64 << 20);
    h->now = 1000;
}

static inline struct remote_spec host_spec(void)
{
    return (struct remote_spec){.blobs = host_blobs,
                                .blob_count = 2,
                                .nonce = {0xab, 0xcd, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9}};
}

static inline void host_fini(struct host *h)
{
    remote_free(h->r);
    buf_fini(&h->sent);
}

/* ---- what a host says ---------------------------------------------------------------------- */

static inline void host_out(struct host *h, const void *p, size_t n)
{
    remote_output(h->r, h->now, false, p, n);
}

static inline void host_text(struct host *h, const char *s)
{
    host_out(h, s, strlen(s));
}

static inline void host_ends(struct host *h, enum problem p, int code, const char *sig)
{
    struct outcome o;
    outcome_init(&o);
    o.problem = p != PROBLEM_NONE || (code == 0 && sig == NULL) ? p
                : sig != NULL                                   ? PROBLEM_KILLED_BY_SIGNAL
                                                                : PROBLEM_EXIT_NONZERO;
    o.phase = PHASE_RUN;
    o.exit_code = sig != NULL ? -1 : code;
    if (sig != NULL)
        snprintf(o.signal, sizeof o.signal, "%s", sig);
    h->running = false;
    remote_command_ended(h->r, h->now, &o);
}

static inline void host_report(struct host *h, const char *rest)
{
    char text[1200];
    snprintf(text, sizeof text, "muster-probe %s %s\n", h->nonce, rest);
    host_text(h, text);
    if (h->running)
        host_ends(h, PROBLEM_NONE, 0, NULL);
}

static inline void host_placed(struct host *h, const char *rest)
{
    char text[400];
    snprintf(text, sizeof text, "muster-placed %s %s\n", h->nonce, rest);
    host_text(h, text);
    if (h->running)
        host_ends(h, PROBLEM_NONE, 0, NULL);
}

static inline void host_preamble(struct host *h, char place)
{
    char text[80];
    uint8_t raw[AGENT_PREAMBLE_LEN];
    if (place != '\0') {
        snprintf(text, sizeof text, "muster-start %s at=%c\n", h->nonce, place);
        host_text(h, text);
    }
    memcpy(raw, agent_magic, AGENT_MAGIC_LEN);
    must(agent_nonce_parse(h->nonce, AGENT_NONCE_HEX, raw + AGENT_MAGIC_LEN) == RC_OK);
    host_out(h, raw, sizeof raw);
}

static inline void host_frame(struct host *h, uint8_t type, uint64_t id, const void *p, size_t n)
{
    struct buf b;
    buf_init(&b, FRAME_HEADER + FRAME_MAX);
    if (frame_append(&b, type, id, p, n) == RC_OK) /* else a test's allocation that fails */
        host_out(h, b.data, b.len);
    buf_fini(&b);
}

static inline void hello_map(struct buf *b, unsigned low, unsigned high, const char *digest)
{
    struct wire_out w;
    buf_init(b, 4096);
    wire_out_init(&w, b);
    wire_put_map(&w, 12);
    wire_put_u64(&w, "low", low);
    wire_put_u64(&w, "high", high);
    wire_put_str(&w, "agent", "1.0");
    wire_put_str(&w, "digest", digest);
    wire_put_str(&w, "arch", "x86_64");
    wire_put_u64(&w, "uid", 1000);
    wire_put_u64(&w, "pid", 77);
    wire_put_str(&w, "boot_id", "b-1");
    wire_put_u64(&w, "mono_ns", 5);
    wire_put_u64(&w, "real_ns", 6);
    wire_put_str(&w, "later", "unknown members are ignored");
    wire_add_key(&w, "ops");
    wire_add_array(&w, 2);
    wire_add_str(&w, "stats");
    wire_add_str(&w, "exec");
    (void)wire_out_end(&w);
}

static inline void host_hello(struct host *h)
{
    struct buf b;
    hello_map(&b, 1, 1, DIGEST_A);
    host_frame(h, AGENT_HELLO, 0, b.data, b.len);
    buf_fini(&b);
}

static inline void host_end_frame(struct host *h, uint64_t id, const char *status,
                                  const char *problem, const char *detail)
{
    struct buf b;
    struct wire_out w;
    buf_init(&b, 1024);
    wire_out_init(&w, &b);
    wire_put_map(&w, 4);
    wire_put_str(&w, "status", status);
    wire_put_str(&w, "problem", problem);
    wire_put_str(&w, "detail", detail);
    wire_put_i64(&w, "exit", 3);
    (void)wire_out_end(&w);
    host_frame(h, AGENT_END, id, b.data, b.len);
    buf_fini(&b);
}

static inline void host_pong(struct host *h, uint64_t id)
{
    struct buf b;
    struct wire_out w;
    buf_init(&b, 64);
    wire_out_init(&w, &b);
    wire_put_map(&w, 2);
    wire_put_u64(&w, "mono_ns", 1);
    wire_put_u64(&w, "real_ns", 2);
    (void)wire_out_end(&w);
    host_frame(h, AGENT_PONG, id, b.data, b.len);
    buf_fini(&b);
}

static const char figures[] = "\n=%s uptime\n100.50 7.00\n\n=%s loadavg\n1 2 3 1/2 3\n\n=%s end\n";

static inline void host_figures(struct host *h)
{
    char text[400];
    snprintf(text, sizeof text, figures, h->nonce, h->nonce, h->nonce);
    host_text(h, text);
    if (h->running)
        host_ends(h, PROBLEM_NONE, 0, NULL);
}

/* ---- what is asked of it ------------------------------------------------------------------- */

/* 1 when it was taken; its id is h->last_id. */
static inline size_t host_request(struct host *h, const char *op)
{
    struct buf b;
    struct wire_out w;
    uint64_t id = 0;
    buf_init(&b, 256);
    wire_out_init(&w, &b);
    wire_put_map(&w, 3);
    wire_put_str(&w, "op", op);
    wire_put_u64(&w, "window", 100000);
    wire_put_u64(&w, "count", 1);
    enum rc rc = wire_out_end(&w);
    if (rc == RC_OK)
        rc = remote_request(h->r, h->now, b.data, b.len, &id);
    buf_fini(&b);
    if (rc != RC_OK)
        return 0;
    must(h->finals == 0 && h->live_count < HOST_MAX_LIVE && host_living(h, id) == SIZE_MAX);
    h->live[h->live_count++] = id;
    h->last_id = id;
    return 1;
}

/* The i-th whole frame that was sent in this command; false when there are fewer. */
static inline bool host_sent(const struct host *h, size_t i, struct frame *f)
{
    size_t at = 0;
    for (;; i--) {
        long n = frame_parse(h->sent.data + at, h->sent.len - at, f);
        must(n >= 0);
        if (n == 0)
            return false;
        if (i == 0)
            return true;
        at += (size_t)n;
    }
}

static inline bool host_was_sent(const struct host *h, uint8_t type, struct frame *f)
{
    for (size_t i = 0; host_sent(h, i, f); i++)
        if (f->type == type)
            return true;
    return false;
}

#endif
