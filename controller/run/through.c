/* See through.h. One request a host: exec, or attach and then collect. */
#include "controller/run/through.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/run/run_internal.h"
#include "proto/wire.h"

enum {
    GRACE_MS = 10 * 1000,  /* from TERM to KILL, as without an agent */
    BECOME_MS = 20 * 1000, /* the agent's bound for the dialogue with sudo */
    INPUT_STEP = 64 * 1024,
    MAP_MAX = 512 * 1024,
};

/* ---- requests ---- */

static void put_become(const struct through *t, bool password, struct wire_out *w)
{
    wire_add_key(w, "become");
    wire_add_map(w, 3);
    wire_put_str(w, "user", t->become);
    wire_put_str(w, "method", "sudo");
    wire_put_bool(w, "password", password);
}

static void put_detach(const struct through *t, const struct attempt *a, struct wire_out *w)
{
    const struct run *r = a->run;
    wire_add_key(w, "detach");
    wire_add_map(w, 2);
    wire_put_str(w, "run", t->run != NULL ? t->run : record_id(r->record));
    wire_put_str(w, "host", attempt_target(a)->host->name);
}

/* The line that sshd would be given does as well for the agent's sh: it sets MUSTER_HOST and the
 * like, and means the same. */
static enum rc exec_request(const struct through *t, struct attempt *a, struct buf *map,
                            struct err *e)
{
    const struct run *r = a->run;
    const struct options *o = r->options;
    struct buf line;
    struct wire_out w;
    buf_init(&line, 2 * WRAP_MAX);
    enum rc rc =
        wrap_line(r->plan->command, attempt_target(a)->host->name, a->target, r->count, &line, e);
    bool detach = t->kind == THROUGH_DETACH;
    wire_out_init(&w, map);
    wire_put_map(&w, 6u + (t->become != NULL) + detach);
    wire_put_str(&w, "op", "exec");
    wire_put_bin(&w, "shell", line.data, line.len);
    wire_put_bool(&w, "stdin", r->plan->input != NULL);
    wire_put_u64(&w, "timeout_ms", detach ? 0 : o->timeout_ms);
    wire_put_u64(&w, "grace_ms", GRACE_MS);
    wire_put_str(&w, "on_disconnect", t->lives_on ? "continue" : "kill");
    if (t->become != NULL)
        put_become(t, attempt_target(a)->become_password != 0, &w);
    if (detach)
        put_detach(t, a, &w);
    buf_fini(&line);
    return rc == RC_OK ? wire_out_end(&w) : rc;
}

static enum rc attach_request(const struct through *t, const struct attempt *a, struct buf *map)
{
    struct wire_out w;
    wire_out_init(&w, map);
    wire_put_map(&w, 6);
    wire_put_str(&w, "op", "attach");
    wire_put_str(&w, "run", t->run);
    wire_put_str(&w, "host", attempt_target(a)->host->name);
    wire_put_u64(&w, "from_stdout", 0);
    wire_put_u64(&w, "from_stderr", 0);
    wire_put_bool(&w, "follow", t->follow);
    return wire_out_end(&w);
}

static void finish(struct run_host *h, enum problem problem, enum phase phase, const char *detail)
{
    struct outcome o;
    outcome_init(&o);
    o.problem = problem;
    o.phase = phase;
    snprintf(o.detail, sizeof o.detail, "%s", detail);
    run_host_finish(h, &o);
}

/* ---- input: first the password, then the run's ---- */

/* As much as is taken now; `room` comes for the rest. */
static void feed(struct run_host *h, struct attempt *a)
{
    const struct buf *in = a->run->plan->input;
    enum rc rc = RC_OK;
    if (in == NULL)
        return;
    while (rc == RC_OK && !a->fed_all) {
        size_t left = in->len - a->fed, n = left < INPUT_STEP ? left : INPUT_STEP, taken = 0;
        bool last = n == left;
        rc = run_host_input(h, a->request, in->data + a->fed, n, last, &taken);
        a->fed += taken;
        a->fed_all = last && taken == n;
        if (taken < n || (last && !a->fed_all))
            break;
    }
    if (rc != RC_OK)
        finish(h, PROBLEM_LOCAL_RESOURCE, PHASE_RUN, "out of memory");
}

/* The agent keeps it in locked memory and writes it to sudo's terminal, once. */
static enum rc send_password(struct run_host *h, struct attempt *a)
{
    size_t len = 0, taken = 0;
    const char *text =
        secrets_text(a->run->plan->secrets, attempt_target(a)->become_password, &len);
    become_sent(a);
    return run_host_input(h, a->request, text, len, a->run->plan->input == NULL, &taken);
}

/* ---- the conversation ---- */

/* The agent ends a command whose time is over; whether it does that is watched here. And sudo's
 * dialogue: others wait for what comes of the password. */
static void watch(const struct through *t, struct run_host *h, const struct attempt *a)
{
    uint64_t timeout = a->run->options->timeout_ms;
    if (a->become_out)
        run_host_bound(h, a->request, BECOME_MS + REMOTE_CANCEL_MS);
    else if (timeout > 0 && (t->kind != THROUGH_ATTACH || !t->follow))
        run_host_bound(h, a->request, timeout + GRACE_MS + REMOTE_CANCEL_MS);
    else
        run_host_bound(h, a->request, 0);
}

static void begin(const struct through *t, struct run_host *h, struct attempt *a)
{
    struct err e = {0};
    struct buf map;
    bool password = t->become != NULL && attempt_target(a)->become_password != 0;
    buf_init(&map, MAP_MAX);
    enum rc rc =
        t->kind == THROUGH_ATTACH ? attach_request(t, a, &map) : exec_request(t, a, &map, &e);
    if (rc == RC_OK)
        rc = run_host_request(h, map.data, map.len, &a->request);
    buf_fini(&map);
    if (rc == RC_OK && t->kind != THROUGH_ATTACH && password)
        rc = send_password(h, a);
    if (rc == RC_CANCELLED) /* this agent is gone: on_ready of the next one, or the job's end */
        return;
    if (rc != RC_OK)
        finish(h, PROBLEM_LOCAL_RESOURCE, PHASE_REQUEST, e.msg[0] != '\0' ? e.msg : rc_name(rc));
    else
        watch(t, h, a);
    if (rc == RC_OK && t->kind != THROUGH_ATTACH)
        feed(h, a);
}

static void go(struct attempt *a, const struct outcome *refused)
{
    if (refused != NULL)
        run_host_finish(a->host, refused);
    else
        begin(a->run->plan->agent->user, a->host, a);
}

static bool offers(const struct remote_hello *hello, const char *op)
{
    for (size_t i = 0; i < hello->op_count; i++)
        if (strcmp(hello->ops[i], op) == 0)
            return true;
    return false;
}

/* It comes again when the agent died and was started anew: a command that may have run does not run
 * a second time. */
static void on_ready(void *user, uint32_t target, struct run_host *h,
                     const struct remote_hello *hello)
{
    const struct through *t = user;
    struct attempt *a = run_host_attempt(h);
    (void)target;
    if (a->request != 0)
        finish(h, PROBLEM_CONNECTION_LOST, PHASE_RUN, "the agent died while the command ran");
    else if (!offers(hello, t->kind == THROUGH_ATTACH ? "attach" : "exec"))
        finish(h, PROBLEM_AGENT_REFUSED, PHASE_REQUEST,
               "the agent there may not run commands (its role allows stats only)");
    else if (t->become != NULL && t->kind != THROUGH_ATTACH)
        become_ask(a, go);
    else
        begin(t, h, a);
}

static void on_reply(void *user, uint32_t target, struct run_host *h, uint64_t id, const void *map,
                     size_t n)
{
    (void)target; /* "started": END or DATA says all that is shown */
    if (id == run_host_attempt(h)->request && run_host_attempt(h)->become_out) {
        become_started(run_host_attempt(h), map, n);
        watch(user, h, run_host_attempt(h));
    }
    run_host_consumed(h, id, n);
}

static void on_data(void *user, uint32_t target, struct run_host *h, uint64_t id, uint8_t stream,
                    const void *p, size_t n)
{
    (void)user, (void)target;
    shown_data(run_host_attempt(h), stream == 2, p, n);
    run_host_consumed(h, id, n);
}

static void on_room(void *user, uint32_t target, struct run_host *h, uint64_t id)
{
    (void)user, (void)target;
    if (id == run_host_attempt(h)->request)
        feed(h, run_host_attempt(h));
}

/* What a job's keeper did not keep, past max_output or on a full disk: results say that it is
 * missing. */
static void read_dropped(struct attempt *a, const struct wire_map *m)
{
    uint64_t n = 0;
    if (wire_u64(m, "stdout_dropped", UINT64_MAX, &n) == RC_OK)
        shown_missing(a, false, n);
    if (wire_u64(m, "stderr_dropped", UINT64_MAX, &n) == RC_OK)
        shown_missing(a, true, n);
}

/* What END says of the command, if it ran: exit, signal, and why the agent ended it. */
static void read_end(struct attempt *a, const struct remote_end *end, struct outcome *o)
{
    struct wire_map m;
    int64_t code = -1;
    char killed[AGENT_MAX_OP + 1] = "", name[sizeof o->signal] = "";
    if (end->map == NULL || wire_open(&m, end->map, end->map_len, NULL) != RC_OK)
        return;
    if (wire_i64(&m, "exit", -1, 255, &code) == RC_OK)
        o->exit_code = (int)code;
    if (wire_str_to(&m, "signal", name, sizeof name) == RC_OK)
        str_escape_to(o->signal, sizeof o->signal, name, strlen(name), 0);
    (void)wire_str_to(&m, "killed", killed, sizeof killed);
    (void)wire_bool(&m, "may_run", &o->may_still_run);
    read_dropped(a, &m);
    wire_close(&m);
    if (strcmp(killed, "timeout") == 0)
        o->problem = PROBLEM_RUN_TIMEOUT;
    else if (o->problem == PROBLEM_NONE && o->signal[0] != '\0')
        o->problem = PROBLEM_KILLED_BY_SIGNAL;
    else if (o->problem == PROBLEM_NONE && o->exit_code > 0)
        o->problem = PROBLEM_EXIT_NONZERO;
}

static bool is_before_run(enum problem p)
{
    return p == PROBLEM_AGENT_REFUSED || strncmp(problem_name(p), "become-", 7) == 0;
}

static void ask_to_collect(const struct through *t, struct run_host *h)
{
    struct buf map;
    struct wire_out w;
    uint64_t id;
    buf_init(&map, 1024);
    wire_out_init(&w, &map);
    wire_put_map(&w, 3);
    wire_put_str(&w, "op", "collect");
    wire_put_str(&w, "run", t->run);
    wire_put_str(&w, "host", attempt_target(run_host_attempt(h))->host->name);
    if (wire_out_end(&w) == RC_OK)
        (void)run_host_request(h, map.data, map.len,
                               &id); /* what stays is collected another time */
    buf_fini(&map);
}

static void on_end(void *user, uint32_t target, struct run_host *h, uint64_t id,
                   const struct remote_end *end)
{
    const struct through *t = user;
    struct outcome o;
    (void)target;
    if (id != run_host_attempt(h)->request)
        return;
    outcome_init(&o);
    o.problem = remote_end_problem(end);
    become_ended(run_host_attempt(h), o.problem);
    if (o.problem == PROBLEM_CANCELLED && !run_host_attempt(h)->cancelled)
        o.problem = PROBLEM_CONNECTION_LOST; /* the agent gave up by itself */
    o.phase = PHASE_RUN;
    o.sent = true;
    snprintf(o.detail, sizeof o.detail, "%s", end->detail);
    read_end(run_host_attempt(h), end, &o);
    if (is_before_run(o.problem)) {
        o.phase = o.problem == PROBLEM_AGENT_REFUSED ? PHASE_REQUEST : PHASE_BECOME;
        o.sent = false;
    }
    o.may_still_run |= end->status == REMOTE_LOST;
    if (t->kind == THROUGH_ATTACH && t->follow && end->status != REMOTE_LOST &&
        o.problem != PROBLEM_AGENT_REFUSED)
        ask_to_collect(t, h);
    run_host_finish(h, &o);
}

static bool on_cancel(void *user, uint32_t target, struct run_host *h)
{
    const struct through *t = user;
    uint64_t id = run_host_attempt(h)->request;
    (void)target;
    if (id == 0 || t->kind == THROUGH_ATTACH) /* leaving a job alone is what attach is for */
        return false;
    run_host_cancel(h, id, GRACE_MS);
    return true;
}

static void on_ended(void *user, uint32_t target, const struct outcome *o, const char *address)
{
    (void)user, (void)target, (void)o, (void)address; /* shown as any command's */
}

void through_init(struct through *t, struct run_agent *agent)
{
    agent->user = t;
    agent->commands = true;
    agent->only_looks = t->kind == THROUGH_ATTACH;
    agent->ready = on_ready;
    agent->reply = on_reply;
    agent->data = on_data;
    agent->room = on_room;
    agent->end = on_end;
    agent->cancel = on_cancel;
    agent->ended = on_ended;
}
