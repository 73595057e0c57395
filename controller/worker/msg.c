/* See msg.h. Problems and phases travel by name: names are stable, numbers are not. */
#include "controller/worker/msg.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/str.h"
#include "proto/wire.h"

enum { TIMINGS = 9 };

_Static_assert(sizeof(struct session_timing) == TIMINGS * sizeof(uint64_t),
               "a time was added: send it too");

/* One message being written: a frame around a map. */
struct writer {
    struct wire_out w;
    struct buf *out;
    size_t mark;
};

static enum rc begin(struct writer *m, struct buf *out, uint8_t type, uint64_t id, size_t members)
{
    m->out = out;
    enum rc rc = frame_begin(out, type, id, &m->mark);
    if (rc != RC_OK)
        return rc;
    wire_out_init(&m->w, out);
    wire_put_map(&m->w, members);
    return RC_OK;
}

static enum rc end(struct writer *m)
{
    enum rc rc = wire_out_end(&m->w);
    if (rc == RC_OK)
        return frame_end(m->out, m->mark);
    frame_drop(m->out, m->mark);
    return rc;
}

static enum rc refuse(struct err *e, const struct frame *f, const char *field)
{
    return err_set(e, RC_PROTO, "message %u: %s is missing or out of range", f->type, field);
}

/* A reader of a map's members that keeps the first failure. */
struct reader {
    struct wire_map map;
    const struct frame *f;
    struct err *e;
    enum rc rc;
    size_t seen; /* members that were asked for and there */
};

static enum rc open_map(struct reader *r, const struct frame *f, struct err *e)
{
    r->f = f;
    r->e = e;
    r->rc = RC_OK;
    r->seen = 0;
    return wire_open(&r->map, f->payload, f->length, e);
}

/* Each result of wire_* goes through here. */
static void took(struct reader *r, enum rc rc, const char *field)
{
    if (rc == RC_OK)
        r->seen++;
    else if (r->rc == RC_OK)
        r->rc = refuse(r->e, r->f, field);
}

static uint64_t get_u64(struct reader *r, const char *key, uint64_t max)
{
    uint64_t v = 0;
    took(r, wire_u64(&r->map, key, max, &v), key);
    return v;
}

static bool get_bool(struct reader *r, const char *key)
{
    bool v = false;
    took(r, wire_bool(&r->map, key, &v), key);
    return v;
}

static void get_str(struct reader *r, const char *key, char *dst, size_t cap)
{
    dst[0] = '\0';
    took(r, wire_str_to(&r->map, key, dst, cap), key);
}

/* Text that people will see: whatever the sender did, it is escaped from here on. */
static void get_text(struct reader *r, const char *key, char *dst, size_t cap)
{
    const char *s = "";
    size_t n = 0;
    took(r, wire_str(&r->map, key, cap - 1, &s, &n), key);
    str_escape_to(dst, cap, s, n, 0);
}

static enum problem get_problem(struct reader *r)
{
    char name[64];
    get_str(r, "problem", name, sizeof name);
    int p = name[0] == '\0' ? PROBLEM_NONE : problem_by_name(name);
    if (p < 0 && r->rc == RC_OK)
        r->rc = refuse(r->e, r->f, "problem");
    return p < 0 ? PROBLEM_INTERNAL : (enum problem)p;
}

static enum phase get_phase(struct reader *r)
{
    char name[32];
    get_str(r, "phase", name, sizeof name);
    for (int p = 0; p < PHASE_COUNT; p++)
        if (strcmp(phase_name((enum phase)p), name) == 0)
            return (enum phase)p;
    if (r->rc == RC_OK)
        r->rc = refuse(r->e, r->f, "phase");
    return PHASE_NONE;
}

/* A member that nobody asked for is refused: sender and reader would not mean the same. */
static enum rc close_map(struct reader *r)
{
    if (r->rc == RC_OK && r->seen != wire_count(&r->map))
        r->rc = err_set(r->e, RC_PROTO, "message %u: a field that is not known", r->f->type);
    wire_close(&r->map);
    return r->rc;
}

enum rc msg_put_key(struct buf *out, unsigned id, const char *text, size_t len,
                    const char *passphrase, const char *label)
{
    if (len > MSG_MAX_KEY_TEXT || strlen(label) > MSG_MAX_LABEL ||
        (passphrase != NULL && strlen(passphrase) > MSG_MAX_PASSPHRASE))
        return RC_LIMIT;
    struct writer m;
    enum rc rc = begin(&m, out, MSG_KEY, id, passphrase != NULL ? 3 : 2);
    if (rc != RC_OK)
        return rc;
    wire_put_bin(&m.w, "text", text, len);
    wire_put_str(&m.w, "label", label);
    if (passphrase != NULL)
        wire_put_str(&m.w, "passphrase", passphrase);
    return end(&m);
}

enum rc msg_get_key(const struct frame *f, struct msg_key *m, struct err *e)
{
    struct reader r;
    enum rc rc = open_map(&r, f, e);
    if (rc != RC_OK)
        return rc;
    const void *text = NULL;
    m->len = 0;
    took(&r, wire_bin(&r.map, "text", MSG_MAX_KEY_TEXT, &text, &m->len), "text");
    m->text = text;
    get_text(&r, "label", m->label, sizeof m->label);
    m->passphrase[0] = '\0';
    rc = wire_str_to(&r.map, "passphrase", m->passphrase, sizeof m->passphrase);
    m->has_passphrase = rc == RC_OK;
    if (rc != RC_NOTFOUND)
        took(&r, rc, "passphrase");
    return close_map(&r);
}

void msg_key_wipe(struct msg_key *m)
{
    explicit_bzero(m, sizeof *m);
}

/* IPv4: 4 bytes; IPv6: 16, and its scope apart. */
static void put_addr(struct wire_out *w, const union resolve_addr *a)
{
    if (a->sa.sa_family == AF_INET6) {
        wire_put_bin(w, "addr", &a->in6.sin6_addr, 16);
        wire_put_u64(w, "port", ntohs(a->in6.sin6_port));
        wire_put_u64(w, "scope", a->in6.sin6_scope_id);
    } else {
        wire_put_bin(w, "addr", &a->in.sin_addr, 4);
        wire_put_u64(w, "port", ntohs(a->in.sin_port));
        wire_put_u64(w, "scope", 0);
    }
}

static void get_addr(struct reader *r, union resolve_addr *a)
{
    const void *p = NULL;
    size_t n = 0;
    took(r, wire_bin(&r->map, "addr", 16, &p, &n), "addr");
    uint16_t port = htons((uint16_t)get_u64(r, "port", 65535));
    uint32_t scope = (uint32_t)get_u64(r, "scope", UINT32_MAX);
    memset(a, 0, sizeof *a);
    if (n == 16) {
        a->in6.sin6_family = AF_INET6;
        memcpy(&a->in6.sin6_addr, p, 16);
        a->in6.sin6_port = port;
        a->in6.sin6_scope_id = scope;
    } else if (n == 4) {
        a->in.sin_family = AF_INET;
        memcpy(&a->in.sin_addr, p, 4);
        a->in.sin_port = port;
    } else if (r->rc == RC_OK) {
        r->rc = refuse(r->e, r->f, "addr");
    }
}

static enum rc check_spec(const struct session_spec *s)
{
    if (strlen(s->label) > MSG_MAX_LABEL || strlen(s->user) > MSG_MAX_USER ||
        strlen(s->hostkey_types) > MSG_MAX_TYPES || s->command_len > SESSION_MAX_COMMAND ||
        (s->via_job != 0 && strlen(s->via_host) > MSG_MAX_HOST) ||
        s->key_count > SESSION_MAX_KEYS || s->connect_budget_ms > MSG_MAX_MS ||
        s->tcp_budget_ms > MSG_MAX_MS || s->run_timeout_ms > MSG_MAX_MS ||
        s->silence_timeout_ms > MSG_MAX_MS || s->blob >= SESSION_MAX_BLOBS)
        return RC_LIMIT;
    return RC_OK;
}

enum rc msg_put_start(struct buf *out, uint64_t job, const struct session_spec *s)
{
    struct writer m;
    uint64_t keys[SESSION_MAX_KEYS];
    enum rc rc = check_spec(s);
    if (rc == RC_OK)
        rc = begin(&m, out, MSG_START, job, s->kind == SESSION_WARM ? 20 : 18);
    if (rc != RC_OK)
        return rc;
    for (unsigned i = 0; i < s->key_count; i++)
        keys[i] = s->keys[i];
    wire_put_u64(&m.w, "kind", s->kind);
    wire_put_str(&m.w, "label", s->label);
    put_addr(&m.w, &s->addr);
    wire_put_str(&m.w, "user", s->user);
    wire_put_u64s(&m.w, "keys", keys, s->key_count);
    wire_put_u64(&m.w, "via", s->via_job);
    wire_put_str(&m.w, "via_host", s->via_job != 0 ? s->via_host : "");
    wire_put_str(&m.w, "types", s->hostkey_types);
    wire_put_bool(&m.w, "legacy", s->legacy);
    wire_put_bin(&m.w, "command", s->command, s->command_len);
    wire_put_bool(&m.w, "stdin", s->use_stdin);
    wire_put_u64(&m.w, "connect_ms", s->connect_budget_ms);
    wire_put_u64(&m.w, "tcp_ms", s->tcp_budget_ms);
    wire_put_u64(&m.w, "run_ms", s->run_timeout_ms);
    wire_put_u64(&m.w, "silence_ms", s->silence_timeout_ms);
    wire_put_bool(&m.w, "password", s->has_password);
    if (s->kind == SESSION_WARM) {
        wire_put_u64(&m.w, "input", s->input);
        wire_put_u64(&m.w, "blob", s->blob);
    }
    return end(&m);
}

static void get_keys(struct reader *r, struct session_spec *s)
{
    uint64_t keys[SESSION_MAX_KEYS];
    size_t n = 0;
    took(r, wire_u64s(&r->map, "keys", SESSION_MAX_KEYS, UINT16_MAX, keys, &n), "keys");
    s->key_count = (unsigned)n;
    for (size_t i = 0; i < n; i++)
        s->keys[i] = (unsigned)keys[i];
}

/* A job through another one names the host for it, any other job does not. */
static void get_way(struct reader *r, struct msg_start *m)
{
    struct session_spec *s = &m->spec;
    s->via_job = get_u64(r, "via", UINT64_MAX);
    get_str(r, "via_host", m->via_host, sizeof m->via_host);
    s->via_host = m->via_host;
    if (r->rc == RC_OK && (s->via_job != 0) != (m->via_host[0] != '\0'))
        r->rc = refuse(r->e, r->f, "via_host");
}

static bool has_nul(const void *p, size_t n)
{
    return n > 0 && memchr(p, 0, n) != NULL;
}

/* A link has no command; a warm job's first one says what it reads. */
static void get_command(struct reader *r, struct session_spec *s)
{
    took(r, wire_bin(&r->map, "command", SESSION_MAX_COMMAND, &s->command, &s->command_len),
         "command");
    if (r->rc == RC_OK &&
        (has_nul(s->command, s->command_len) || (s->kind == SESSION_LINK && s->command_len != 0)))
        r->rc = refuse(r->e, r->f, "command");
    s->use_stdin = get_bool(r, "stdin");
    if (s->kind != SESSION_WARM)
        return;
    s->input = (enum input_kind)get_u64(r, "input", INPUT_KIND_COUNT - 1);
    s->blob = (unsigned)get_u64(r, "blob", SESSION_MAX_BLOBS - 1);
    if (r->rc == RC_OK && s->use_stdin)
        r->rc = refuse(r->e, r->f, "stdin");
}

enum rc msg_get_start(const struct frame *f, struct msg_start *m, struct err *e)
{
    struct reader r;
    enum rc rc = open_map(&r, f, e);
    if (rc != RC_OK)
        return rc;
    struct session_spec *s = &m->spec;
    memset(s, 0, sizeof *s);
    s->kind = (enum session_kind)get_u64(&r, "kind", SESSION_KIND_COUNT - 1);
    get_text(&r, "label", m->label, sizeof m->label);
    get_addr(&r, &s->addr);
    get_str(&r, "user", m->user, sizeof m->user);
    get_keys(&r, s);
    get_way(&r, m);
    get_str(&r, "types", m->hostkey_types, sizeof m->hostkey_types);
    s->legacy = get_bool(&r, "legacy");
    get_command(&r, s);
    s->connect_budget_ms = get_u64(&r, "connect_ms", MSG_MAX_MS);
    s->tcp_budget_ms = get_u64(&r, "tcp_ms", MSG_MAX_MS);
    s->run_timeout_ms = get_u64(&r, "run_ms", MSG_MAX_MS);
    s->silence_timeout_ms = get_u64(&r, "silence_ms", MSG_MAX_MS);
    s->has_password = get_bool(&r, "password");
    s->label = m->label;
    s->user = m->user;
    s->hostkey_types = m->hostkey_types;
    return close_map(&r);
}

enum rc msg_put_hostkey_answer(struct buf *out, uint64_t job, enum hostkey_answer a,
                               enum problem problem, const char *detail)
{
    struct writer m;
    char text[MSG_MAX_DETAIL];
    if (detail == NULL)
        detail = "";
    str_escape_to(text, sizeof text, detail, strlen(detail), 0);
    enum rc rc = begin(&m, out, MSG_HOSTKEY_ANSWER, job, 3);
    if (rc != RC_OK)
        return rc;
    wire_put_bool(&m.w, "accept", a == HOSTKEY_ACCEPT);
    wire_put_str(&m.w, "problem", problem_name(problem));
    wire_put_str(&m.w, "detail", text);
    return end(&m);
}

enum rc msg_get_hostkey_answer(const struct frame *f, struct msg_hostkey_answer *m, struct err *e)
{
    struct reader r;
    enum rc rc = open_map(&r, f, e);
    if (rc != RC_OK)
        return rc;
    m->answer = get_bool(&r, "accept") ? HOSTKEY_ACCEPT : HOSTKEY_REJECT;
    m->problem = get_problem(&r);
    get_text(&r, "detail", m->detail, sizeof m->detail);
    if (r.rc == RC_OK && m->answer == HOSTKEY_REJECT && m->problem == PROBLEM_NONE)
        r.rc = refuse(e, f, "problem");
    return close_map(&r);
}

enum rc msg_put_cancel(struct buf *out, uint64_t job, enum problem problem, bool now)
{
    struct writer m;
    enum rc rc = begin(&m, out, MSG_CANCEL, job, 2);
    if (rc != RC_OK)
        return rc;
    wire_put_str(&m.w, "problem", problem_name(problem));
    wire_put_bool(&m.w, "now", now);
    return end(&m);
}

enum rc msg_get_cancel(const struct frame *f, enum problem *problem, bool *now, struct err *e)
{
    struct reader r;
    enum rc rc = open_map(&r, f, e);
    if (rc != RC_OK)
        return rc;
    *problem = get_problem(&r);
    *now = get_bool(&r, "now");
    if (r.rc == RC_OK && *problem == PROBLEM_NONE)
        r.rc = refuse(e, f, "problem");
    return close_map(&r);
}

enum rc msg_put_empty(struct buf *out, enum msg_type type, uint64_t id)
{
    return frame_append(out, (uint8_t)type, id, NULL, 0);
}

enum rc msg_get_empty(const struct frame *f, struct err *e)
{
    return f->length == 0 ? RC_OK : refuse(e, f, "the empty payload");
}

enum rc msg_put_trouble(struct buf *out, enum rc code, const char *message)
{
    struct writer m;
    char text[sizeof(((struct msg_trouble *)0)->message)];
    str_escape_to(text, sizeof text, message, strlen(message), 0);
    enum rc rc = begin(&m, out, MSG_TROUBLE, 0, 2);
    if (rc != RC_OK)
        return rc;
    wire_put_str(&m.w, "rc", rc_name(code));
    wire_put_str(&m.w, "message", text);
    return end(&m);
}

enum rc msg_get_trouble(const struct frame *f, struct msg_trouble *m, struct err *e)
{
    struct reader r;
    enum rc rc = open_map(&r, f, e);
    if (rc != RC_OK)
        return rc;
    char name[32];
    get_str(&r, "rc", name, sizeof name);
    m->rc = RC_OK;
    for (int i = 1; i < RC_COUNT; i++)
        if (strcmp(rc_name((enum rc)i), name) == 0)
            m->rc = (enum rc)i;
    if (m->rc == RC_OK && r.rc == RC_OK)
        r.rc = refuse(e, f, "rc");
    get_text(&r, "message", m->message, sizeof m->message);
    return close_map(&r);
}

enum rc msg_put_hostkey(struct buf *out, uint64_t job, const char *key_type, const void *blob,
                        size_t len)
{
    struct writer m;
    if (strlen(key_type) > MSG_MAX_KEY_TYPE || len == 0 || len > MSG_MAX_BLOB)
        return RC_LIMIT;
    enum rc rc = begin(&m, out, MSG_HOSTKEY, job, 2);
    if (rc != RC_OK)
        return rc;
    wire_put_str(&m.w, "type", key_type);
    wire_put_bin(&m.w, "blob", blob, len);
    return end(&m);
}

/* The name goes into known_hosts, where a blank or a newline would start another field or line. */
static bool plain_word(const char *s)
{
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++)
        if (*s <= ' ' || *s > '~')
            return false;
    return true;
}

enum rc msg_get_hostkey(const struct frame *f, struct msg_hostkey *m, struct err *e)
{
    struct reader r;
    enum rc rc = open_map(&r, f, e);
    if (rc != RC_OK)
        return rc;
    get_str(&r, "type", m->key_type, sizeof m->key_type);
    if (r.rc == RC_OK && !plain_word(m->key_type))
        r.rc = refuse(e, f, "type");
    m->blob = NULL;
    m->len = 0;
    took(&r, wire_bin(&r.map, "blob", MSG_MAX_BLOB, &m->blob, &m->len), "blob");
    if (r.rc == RC_OK && m->len == 0)
        r.rc = refuse(e, f, "blob");
    return close_map(&r);
}

static enum rc put_result(struct buf *out, uint8_t type, uint64_t job,
                          const struct session_result *r)
{
    struct writer m;
    const struct outcome *o = &r->outcome;
    const struct session_timing *t = &r->timing;
    uint64_t times[TIMINGS] = {t->connected, t->banner, t->kex,        t->host_key, t->auth,
                               t->open,      t->sent,   t->first_byte, t->done};
    enum rc rc = begin(&m, out, type, job, 11);
    if (rc != RC_OK)
        return rc;
    wire_put_str(&m.w, "problem", problem_name(o->problem));
    wire_put_str(&m.w, "phase", phase_name(o->phase));
    wire_put_i64(&m.w, "exit", o->exit_code);
    wire_put_str(&m.w, "signal", o->signal);
    wire_put_bool(&m.w, "may_run", o->may_still_run);
    wire_put_bool(&m.w, "sent", o->sent);
    wire_put_str(&m.w, "detail", o->detail);
    wire_put_u64s(&m.w, "times", times, TIMINGS);
    wire_put_u64(&m.w, "stdout", r->stdout_bytes);
    wire_put_u64(&m.w, "stderr", r->stderr_bytes);
    wire_put_str(&m.w, "banner", r->server_banner);
    return end(&m);
}

enum rc msg_put_done(struct buf *out, uint64_t job, const struct session_result *r)
{
    return put_result(out, MSG_DONE, job, r);
}

enum rc msg_put_ended(struct buf *out, uint64_t job, const struct session_result *r)
{
    return put_result(out, MSG_ENDED, job, r);
}

static void get_times(struct reader *r, struct session_timing *t)
{
    uint64_t v[TIMINGS] = {0};
    size_t n = 0;
    took(r, wire_u64s(&r->map, "times", TIMINGS, MSG_MAX_MS * 1000, v, &n), "times");
    if (n != TIMINGS && r->rc == RC_OK)
        r->rc = refuse(r->e, r->f, "times");
    *t = (struct session_timing){.connected = v[0],
                                 .banner = v[1],
                                 .kex = v[2],
                                 .host_key = v[3],
                                 .auth = v[4],
                                 .open = v[5],
                                 .sent = v[6],
                                 .first_byte = v[7],
                                 .done = v[8]};
}

static void get_outcome(struct reader *r, struct outcome *o)
{
    outcome_init(o);
    o->problem = get_problem(r);
    o->phase = get_phase(r);
    int64_t code = -1;
    took(r, wire_i64(&r->map, "exit", -1, 255, &code), "exit");
    o->exit_code = (int)code;
    get_text(r, "signal", o->signal, sizeof o->signal);
    o->may_still_run = get_bool(r, "may_run");
    o->sent = get_bool(r, "sent");
    get_text(r, "detail", o->detail, sizeof o->detail);
}

/* A success that never sent the command, or whose exit code says otherwise, is a lie; a scan's ends
 * with the host's key, and that of a warm job between two commands. */
static bool outcome_holds(const struct outcome *o)
{
    if (o->problem == PROBLEM_NONE && (o->phase == PHASE_HOST_KEY || o->phase == PHASE_CLOSE))
        return !o->sent && o->exit_code == -1 && !o->may_still_run;
    if (o->problem == PROBLEM_NONE)
        return o->sent && o->exit_code == 0 && !o->may_still_run;
    if (o->problem == PROBLEM_EXIT_NONZERO)
        return o->sent && o->exit_code > 0;
    return true;
}

enum rc msg_get_done(const struct frame *f, struct session_result *s, struct err *e)
{
    struct reader r;
    enum rc rc = open_map(&r, f, e);
    if (rc != RC_OK)
        return rc;
    memset(s, 0, sizeof *s);
    get_outcome(&r, &s->outcome);
    get_times(&r, &s->timing);
    s->stdout_bytes = get_u64(&r, "stdout", UINT64_MAX);
    s->stderr_bytes = get_u64(&r, "stderr", UINT64_MAX);
    get_text(&r, "banner", s->server_banner, sizeof s->server_banner);
    if (r.rc == RC_OK && !outcome_holds(&s->outcome))
        r.rc = err_set(e, RC_PROTO, "message %u: the outcome contradicts itself", f->type);
    return close_map(&r);
}
