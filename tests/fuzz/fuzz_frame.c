/* What comes over the socket between coordinator and worker: frames, msgpack and each message.
 * The input is a stream; each whole frame in it goes through the decoder of its type. What a
 * decoder lets through must be within its bounds, and what it took apart must go together again.
 */
#include <stdint.h>
#include <string.h>

#include "common/err.h"
#include "controller/worker/msg.h"
#include "proto/show.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct buf *b, struct frame *f)
{
    must(frame_parse(b->data, b->len, f) == (long)b->len);
}

static void try_key(const struct frame *f)
{
    static struct msg_key m, n;
    struct frame g;
    struct buf b;
    if (msg_get_key(f, &m, NULL) != RC_OK)
        return;
    must(m.len <= MSG_MAX_KEY_TEXT && strlen(m.label) <= MSG_MAX_LABEL);
    buf_init(&b, MSG_KEY_ROOM(m.len));
    must(msg_put_key(&b, (unsigned)f->id, m.text, m.len, m.has_passphrase ? m.passphrase : NULL,
                     m.label) == RC_OK);
    again(&b, &g);
    must(msg_get_key(&g, &n, NULL) == RC_OK && n.len == m.len);
    buf_fini(&b);
}

static void try_start(const struct frame *f)
{
    static struct msg_start m, n;
    struct frame g;
    struct buf b;
    if (msg_get_start(f, &m, NULL) != RC_OK)
        return;
    must(m.spec.key_count <= SESSION_MAX_KEYS && m.spec.command_len <= SESSION_MAX_COMMAND);
    must(m.spec.kind < SESSION_KIND_COUNT);
    must((m.spec.via_job != 0) == (m.via_host[0] != '\0'));
    must(m.spec.input < INPUT_KIND_COUNT && m.spec.blob < SESSION_MAX_BLOBS);
    must(m.spec.kind == SESSION_WARM || (m.spec.input == INPUT_NONE && m.spec.blob == 0));
    must(m.spec.addr.sa.sa_family == AF_INET || m.spec.addr.sa.sa_family == AF_INET6);
    buf_init(&b, FRAME_MAX);
    must(msg_put_start(&b, f->id, &m.spec) == RC_OK);
    again(&b, &g);
    must(msg_get_start(&g, &n, NULL) == RC_OK);
    must(m.spec.via_job == n.spec.via_job && strcmp(m.via_host, n.via_host) == 0);
    must(strcmp(m.label, n.label) == 0 && m.spec.command_len == n.spec.command_len);
    buf_fini(&b);
}

static void try_exec(const struct frame *f)
{
    struct session_command c, d;
    struct frame g;
    struct buf b;
    if (msg_get_exec(f, &c, NULL) != RC_OK)
        return;
    must(c.len <= SESSION_MAX_COMMAND && (c.len == 0 || memchr(c.text, 0, c.len) == NULL));
    must(c.input < INPUT_KIND_COUNT && c.blob < SESSION_MAX_BLOBS);
    must(c.run_timeout_ms <= MSG_MAX_MS && c.silence_timeout_ms <= MSG_MAX_MS);
    buf_init(&b, FRAME_MAX);
    must(msg_put_exec(&b, f->id, &c) == RC_OK);
    again(&b, &g);
    must(msg_get_exec(&g, &d, NULL) == RC_OK && c.len == d.len && c.input == d.input);
    must(c.blob == d.blob && c.run_timeout_ms == d.run_timeout_ms);
    buf_fini(&b);
}

static void try_done(const struct frame *f)
{
    struct session_result r, s;
    struct frame g;
    struct buf b;
    if (msg_get_done(f, &r, NULL) != RC_OK)
        return;
    must(r.outcome.exit_code >= -1 && r.outcome.exit_code <= 255);
    must(r.outcome.problem != PROBLEM_NONE || r.outcome.sent || r.outcome.phase == PHASE_HOST_KEY ||
         r.outcome.phase == PHASE_CLOSE);
    for (const char *c = r.outcome.detail; *c != '\0'; c++)
        must((unsigned char)*c >= ' ' && *c != 0x7f);
    buf_init(&b, FRAME_MAX);
    must(msg_put_done(&b, f->id, &r) == RC_OK);
    again(&b, &g);
    must(msg_get_done(&g, &s, NULL) == RC_OK);
    must(strcmp(r.outcome.detail, s.outcome.detail) == 0 && r.stdout_bytes == s.stdout_bytes);
    buf_fini(&b);
}

static void try_identity(const struct frame *f)
{
    static struct msg_identity m, n;
    struct frame g;
    struct buf b;
    if (msg_get_identity(f, &m, NULL) != RC_OK)
        return;
    must(m.len > 0 && m.len <= MSG_MAX_BLOB && strlen(m.label) <= MSG_MAX_LABEL);
    buf_init(&b, FRAME_MAX);
    must(msg_put_identity(&b, (unsigned)f->id, &m) == RC_OK);
    again(&b, &g);
    must(msg_get_identity(&g, &n, NULL) == RC_OK && n.len == m.len && n.base == m.base);
    buf_fini(&b);
}

static void try_sign(const struct frame *f)
{
    struct msg_sign sign;
    struct msg_signed answer;
    if (f->type == MSG_SIGN && msg_get_sign(f, &sign, NULL) == RC_OK)
        must(sign.len > 0 && sign.len <= MSG_MAX_SIGN_DATA && sign.key <= UINT16_MAX);
    if (f->type == MSG_SIGNED && msg_get_signed(f, &answer, NULL) == RC_OK)
        must(answer.len <= MSG_MAX_SIGNATURE && (answer.len > 0) == (answer.answer == SIGN_OK));
}

static void try_others(const struct frame *f)
{
    struct msg_hostkey_answer answer;
    struct msg_trouble trouble;
    struct msg_hostkey hostkey;
    enum problem problem;
    const void *p;
    const char *text;
    size_t n;
    unsigned ms;
    bool flag;
    switch (f->type) {
    case MSG_STDIN:
        if (msg_get_stdin(f, &p, &n, &flag, NULL) == RC_OK)
            must(n <= MSG_STDIN_PART && f->id < SESSION_MAX_BLOBS);
        break;
    case MSG_INPUT:
        if (msg_get_input(f, &p, &n, &flag, NULL) == RC_OK)
            must(n <= MSG_INPUT_PART && (n > 0 || flag));
        break;
    case MSG_TAKEN:
        if (msg_get_taken(f, &n, NULL) == RC_OK)
            must(n > 0 && n <= SESSION_MAX_INPUT);
        break;
    case MSG_CALM:
        if (msg_get_calm(f, &ms, NULL) == RC_OK)
            must(ms <= MSG_MAX_CALM_MS);
        break;
    case MSG_HOSTKEY_ANSWER:
        if (msg_get_hostkey_answer(f, &answer, NULL) == RC_OK)
            must(answer.answer == HOSTKEY_ACCEPT || answer.problem != PROBLEM_NONE);
        break;
    case MSG_SECRET:
        if (msg_get_secret(f, &text, &n, NULL) == RC_OK)
            must(n <= SECRETS_MAX_TEXT && (n == 0 || memchr(text, 0, n) == NULL));
        break;
    case MSG_CANCEL:
        if (msg_get_cancel(f, &problem, &flag, NULL) == RC_OK)
            must((unsigned)problem < PROBLEM_COUNT);
        break;
    case MSG_TROUBLE:
        if (msg_get_trouble(f, &trouble, NULL) == RC_OK)
            must(trouble.rc != RC_OK && (unsigned)trouble.rc < RC_COUNT);
        break;
    case MSG_HOSTKEY:
        if (msg_get_hostkey(f, &hostkey, NULL) == RC_OK)
            must(hostkey.len > 0 && strpbrk(hostkey.key_type, " \n") == NULL);
        break;
    case MSG_DATA:
        if (msg_get_data(f, &flag, &p, &n, NULL) == RC_OK)
            must(n > 0 && n <= MSG_DATA_PART);
        break;
    default: msg_get_empty(f, NULL); break;
    }
}

/* Whatever it is, the text of it can do nothing to a terminal. */
static void try_show(const uint8_t *data, size_t size)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    enum rc rc = show_stream(&b, data, size);
    must(rc == RC_OK || rc == RC_LIMIT);
    for (size_t i = 0; i < b.len; i++)
        must(b.data[i] == '\n' || (b.data[i] >= ' ' && b.data[i] != 0x7f));
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame f;
    (void)wire_validate(data, size, NULL);
    try_show(data, size);
    for (long n; (n = frame_parse(data, size, &f)) > 0; data += n, size -= (size_t)n) {
        switch (f.type) {
        case MSG_KEY: try_key(&f); break;
        case MSG_START: try_start(&f); break;
        case MSG_ENDED:
        case MSG_DONE: try_done(&f); break;
        case MSG_EXEC: try_exec(&f); break;
        case MSG_IDENTITY: try_identity(&f); break;
        case MSG_SIGN:
        case MSG_SIGNED: try_sign(&f); break;
        default: try_others(&f); break;
        }
    }
    return 0;
}
