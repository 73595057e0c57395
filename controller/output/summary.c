/* What people read at the end, on the info sink: the failures by cause, why the run stopped early,
 * hints, and the totals. Results (what hosts printed) are not here.
 */
#include <string.h>

#include <sodium.h>

#include "common/num.h"
#include "controller/output/group.h"

enum {
    STATUS_WIDTH = 11,
    COUNT_WIDTH = 3,
    HOSTS_WIDTH = 19,
    HOSTS_MOST = 160,
    CAUSE_WIDTH = 7,
    CAUSE_MOST = 28,
    MESSAGES_MOST = 3, /* causes with more different messages than this are one row */
};

#define IN_PART "only the beginning of the output was kept: "

/* group.note: how many different messages the row stands for. */

/* What the row says after the cause: last words of the host, or ours. */
static const char *message_of(const struct output *o, uint32_t target)
{
    const struct done_host *h = &o->hosts[target];
    if (h->sent && h->message[0] != '\0')
        return h->message;
    bool timeout = strstr(problem_name(h->problem), "timeout") != NULL;
    if (h->problem == PROBLEM_EXIT_NONZERO || h->problem == PROBLEM_KILLED_BY_SIGNAL ||
        (h->status == STATUS_NOT_STARTED && h->problem != PROBLEM_NOT_STARTED_JUMP) ||
        (timeout && !h->may_still_run && o->opts.verbose == 0))
        return "";
    return h->detail;
}

/* Where there was no connection to speak of, details differ by nothing but the address: a rack that
 * is down is one row. Not so with bastions: each that is dead is a row. */
static bool tells_apart(const struct output *o, uint32_t target)
{
    const struct done_host *h = &o->hosts[target];
    return h->sent || h->problem == PROBLEM_JUMP_UNREACHABLE ||
           h->problem == PROBLEM_NOT_STARTED_JUMP ||
           (h->phase > PHASE_CONNECT && h->problem != PROBLEM_CONNECTION_RESET);
}

static void row_key(const struct output *o, uint32_t target, bool with_message,
                    uint8_t key[STORE_KEY])
{
    const struct done_host *h = &o->hosts[target];
    crypto_generichash_state state;
    int32_t exit_code = h->exit_code;
    crypto_generichash_init(&state, NULL, 0, STORE_KEY);
    crypto_generichash_update(&state, &h->problem, 1);
    crypto_generichash_update(&state, (const uint8_t *)&exit_code, sizeof exit_code);
    crypto_generichash_update(&state, (const uint8_t *)h->signal,
                              strnlen(h->signal, sizeof h->signal));
    if (with_message && tells_apart(o, target)) {
        const char *message = message_of(o, target);
        crypto_generichash_update(&state, (const uint8_t *)message, strlen(message));
    }
    crypto_generichash_final(&state, key, STORE_KEY);
}

static bool in_table(const struct output *o, uint32_t target)
{
    return o->hosts[target].done && o->hosts[target].status != STATUS_OK;
}

static bool same_message(const struct output *o, const struct groups *gs, const struct group *g)
{
    const char *first = message_of(o, g->head);
    for (uint32_t i = groups_next(gs, g->head); i != GROUP_NONE; i = groups_next(gs, i))
        if (strcmp(message_of(o, i), first) != 0)
            return false;
    return true;
}

/* Rows by cause and message; causes with too many messages by cause alone. */
static enum rc make_rows(struct output *o, struct groups *rows)
{
    struct groups fine, coarse;
    uint32_t n = o->done_count - o->counts[STATUS_OK], targets = o->run.host_count;
    uint8_t key[STORE_KEY];
    if (groups_init(&fine, n, targets) != RC_OK)
        return RC_NOMEM;
    if (groups_init(&coarse, n, targets) != RC_OK || groups_init(rows, n, targets) != RC_OK) {
        groups_fini(&coarse);
        groups_fini(&fine);
        return RC_NOMEM;
    }
    for (uint32_t i = 0; i < targets; i++) {
        if (!in_table(o, i))
            continue;
        row_key(o, i, true, key);
        bool fresh = groups_add(&fine, key, i)->count == 1;
        row_key(o, i, false, key);
        groups_add(&coarse, key, i)->note += fresh;
    }
    for (uint32_t i = 0; i < targets; i++) {
        if (!in_table(o, i))
            continue;
        row_key(o, i, false, key);
        uint32_t messages = groups_find(&coarse, key)->note;
        if (messages <= MESSAGES_MOST)
            row_key(o, i, true, key);
        groups_add(rows, key, i)->note = messages <= MESSAGES_MOST ? 1 : messages;
    }
    groups_fini(&fine);
    groups_fini(&coarse);
    return RC_OK;
}

/* The width of a row's hosts, by writing them to a buffer; 0 when that cannot be done. */
static size_t hosts_width(struct output *o, const struct groups *gs, const struct group *g,
                          struct buf *scratch, struct text *t)
{
    buf_reset(scratch);
    t->buf = scratch;
    t->failed = RC_OK;
    phrase_hosts(o, gs, g, 2, o->opts.verbose > 0 ? 0 : HOSTS_MOST, t);
    t->buf = NULL;
    return t->failed != RC_OK
               ? 0
               : text_width(t, buf_cstr(scratch) != NULL ? (char *)scratch->data : "");
}

static enum text_style style_of(enum status s)
{
    return s == STATUS_NOT_STARTED || s == STATUS_CANCELLED ? TEXT_YELLOW : TEXT_RED;
}

struct widths {
    size_t count, hosts, cause;
};

static void row_message(struct output *o, const struct groups *gs, const struct group *g)
{
    struct text *t = &o->err;
    const char *message = message_of(o, g->head);
    char count[NUM_TEXT];
    if (message[0] == '\0' && g->note <= 1)
        return;
    text_puts(t, "  ");
    if (g->note > 1)
        text_printf(t, "%s different messages, ", num_count_text(count, g->note));
    if (g->note > 1 || !same_message(o, gs, g)) { /* one host's words are not everyone's */
        text_puts(t, "such as ");
        text_escape_str(t, output_name(o, g->head));
        text_puts(t, ": ");
    }
    text_escape_str(t, message);
}

static void row(struct output *o, const struct groups *gs, const struct group *g,
                const struct widths *w, struct buf *scratch)
{
    struct text *t = &o->err;
    const struct done_host *h = &o->hosts[g->head];
    char count[NUM_TEXT], cause[128];
    uint32_t attempts = h->attempts;
    for (uint32_t i = g->head; i != GROUP_NONE; i = groups_next(gs, i))
        if (o->hosts[i].attempts > attempts)
            attempts = o->hosts[i].attempts;
    text_style(t, style_of(h->status));
    text_printf(t, "%-*s", STATUS_WIDTH, status_name(h->status));
    text_style(t, TEXT_PLAIN);
    text_printf(t, " %*s  ", (int)w->count, num_count_text(count, g->count));
    size_t width = hosts_width(o, gs, g, scratch, t);
    phrase_hosts(o, gs, g, 2, o->opts.verbose > 0 ? 0 : HOSTS_MOST, t);
    text_spaces(t, 2 + (width < w->hosts ? w->hosts - width : 0));
    phrase_cause(o, g->head, cause, sizeof cause);
    text_escape_str(t, cause);
    bool more = g->note > 1 || message_of(o, g->head)[0] != '\0' || attempts > 1;
    size_t cause_width = text_width(t, cause);
    if (more && cause_width < w->cause)
        text_spaces(t, w->cause - cause_width);
    if (attempts > 1)
        text_printf(t, "  (%s%u attempts)", g->count > 1 ? "up to " : "", (unsigned)attempts);
    row_message(o, gs, g);
    text_puts(t, "\n");
}

static int by_size(const void *a, const void *b)
{
    return group_by_size(a, b);
}

static void table_widths(struct output *o, const struct groups *gs, struct widths *w,
                         struct buf *scratch)
{
    char cause[128], count[NUM_TEXT];
    *w = (struct widths){.count = COUNT_WIDTH, .hosts = HOSTS_WIDTH, .cause = CAUSE_WIDTH};
    for (size_t i = 0; i < gs->count; i++) {
        const struct group *g = &gs->items[i];
        size_t n = strlen(num_count_text(count, g->count));
        w->count = n > w->count ? n : w->count;
        n = hosts_width(o, gs, g, scratch, &o->err);
        w->hosts = n > w->hosts && n <= 40 ? n : w->hosts;
        phrase_cause(o, g->head, cause, sizeof cause);
        n = strlen(cause);
        bool more = g->note > 1 || message_of(o, g->head)[0] != '\0';
        w->cause = more && n > w->cause && n <= CAUSE_MOST ? n : w->cause;
    }
}

static void table(struct output *o)
{
    struct groups rows;
    struct widths w = {COUNT_WIDTH, HOSTS_WIDTH, CAUSE_WIDTH};
    struct buf scratch;
    if (o->done_count == o->counts[STATUS_OK])
        return;
    buf_init(&scratch, 1024 * 1024);
    if (make_rows(o, &rows) != RC_OK) { /* no memory: one row a host */
        for (uint32_t i = 0; i < o->run.host_count; i++) {
            struct group one = {.head = i, .tail = i, .count = 1, .note = 1};
            if (in_table(o, i))
                row(o, NULL, &one, &w, &scratch);
        }
        buf_fini(&scratch);
        return;
    }
    groups_sort(&rows, by_size);
    table_widths(o, &rows, &w, &scratch);
    for (int s = 0; s < STATUS_COUNT; s++)
        for (size_t i = 0; i < rows.count; i++)
            if (o->hosts[rows.items[i].head].status == s)
                row(o, &rows, &rows.items[i], &w, &scratch);
    groups_fini(&rows);
    buf_fini(&scratch);
}

static void not_started(const struct output *o, struct text *t, const char *before)
{
    char n[NUM_TEXT];
    if (o->counts[STATUS_NOT_STARTED] > 0)
        text_printf(t, "%s%s not started", before,
                    num_count_text(n, o->counts[STATUS_NOT_STARTED]));
}

static void breaker(struct output *o, const struct output_end *end)
{
    struct text *t = &o->err;
    char a[NUM_TEXT], b[NUM_TEXT];
    uint32_t shared = 0, started = 0;
    for (uint32_t i = 0; i < o->run.host_count; i++) {
        const struct done_host *h = &o->hosts[i];
        started += h->done && h->attempts > 0;
        shared += h->done && h->attempts > 0 && h->problem == end->breaker_problem;
    }
    text_printf(t, "%s of %s %s", num_count_text(a, shared), num_count_text(b, started),
                problem_name(end->breaker_problem));
    not_started(o, t, ", ");
    text_puts(t, "; --no-breaker\n");
}

static void why_stopped(struct output *o, const struct output_end *end)
{
    struct text *t = &o->err;
    char n[NUM_TEXT];
    if (end->stopped == PROBLEM_NOT_STARTED_BREAKER) {
        breaker(o, end);
        return;
    }
    if (end->stopped == PROBLEM_NONE && !end->interrupted)
        return;
    text_style(t, TEXT_YELLOW);
    if (end->stopped == PROBLEM_NOT_STARTED_BUDGET)
        text_puts(t, o->opts.serial_budget ? "stopped by --serial, which implies --max-fail 0"
                                           : "stopped by --max-fail");
    else if (end->stopped == PROBLEM_NOT_STARTED_DEADLINE || end->stopped == PROBLEM_DEADLINE)
        text_puts(t, "stopped by --deadline");
    else
        text_puts(t,
                  end->interrupted ? "interrupted" : "stopped: nobody reads the output any more");
    text_style(t, TEXT_PLAIN);
    const char *before = ": ";
    if (o->counts[STATUS_CANCELLED] > 0) {
        text_printf(t, ": %s %s", num_count_text(n, o->counts[STATUS_CANCELLED]),
                    o->run.looks ? "left" : "cancelled");
        before = ", ";
    }
    not_started(o, t, before);
    text_puts(t, "\n");
}

/* What was started goes on, or what was looked at. */
static bool goes_on(const struct output *o)
{
    if (!o->run.looks)
        return o->counts[STATUS_OK] > 0;
    for (uint32_t i = 0; i < o->run.host_count; i++)
        if (o->hosts[i].done && o->hosts[i].may_still_run)
            return true;
    return false;
}

static bool may_still_run(const struct output *o, uint32_t target)
{
    return o->hosts[target].may_still_run;
}

static bool kept_in_part(const struct output *o, uint32_t target)
{
    return store_size(o->store, target, false).skipped ||
           store_size(o->store, target, true).skipped;
}

/* A line that names all hosts of which it is true, if there are any. */
static void say_which(struct output *o, const char *what,
                      bool (*is)(const struct output *o, uint32_t target))
{
    static const uint8_t key[STORE_KEY];
    struct groups gs;
    struct group *g = NULL;
    if (groups_init(&gs, 1, o->run.host_count) != RC_OK)
        return;
    for (uint32_t i = 0; i < o->run.host_count; i++)
        if (o->hosts[i].done && is(o, i))
            g = groups_add(&gs, key, i);
    if (g != NULL) {
        text_puts(&o->err, what);
        phrase_hosts(o, &gs, g, 1, o->opts.verbose > 0 ? 0 : 1000, &o->err);
        text_puts(&o->err, "\n");
    }
    groups_fini(&gs);
}

static void totals(struct output *o, const struct output_end *end)
{
    struct text *t = &o->err;
    char n[NUM_TEXT];
    bool first = true;
    for (int s = 0; s < STATUS_COUNT; s++) {
        if (o->counts[s] == 0)
            continue;
        text_puts(t, first ? "" : ", ");
        text_style(t, s == STATUS_OK ? TEXT_GREEN : style_of(s));
        text_printf(t, "%s %s", num_count_text(n, o->counts[s]), status_name(s));
        text_style(t, TEXT_PLAIN);
        if (s == STATUS_OK && o->retried_ok > 0)
            text_printf(t, " (%s after a retry)", num_count_text(n, o->retried_ok));
        first = false;
    }
    text_puts(t, first ? "no host has ended" : "");
    if (end->duration_ms > 0) /* the record of a run without an end has none */
        text_printf(t, " in %s", num_duration_text(n, end->duration_ms));
    text_puts(t, "\n");
}

void summary_render(struct output *o, const struct output_end *end)
{
    bool all_ok =
        o->done_count == o->counts[STATUS_OK] && end->stopped == PROBLEM_NONE && !end->interrupted;
    char n[NUM_TEXT];
    if (all_ok && o->opts.quiet) {
        say_which(o, IN_PART, kept_in_part);
        return;
    }
    bool blocks = o->opts.mode == OUTPUT_GROUP || o->opts.mode == OUTPUT_TABLE;
    if (blocks && o->out.written > 0)
        text_puts(&o->err, "\n");
    table(o);
    why_stopped(o, end);
    say_which(o, "may still run on: ", may_still_run);
    say_which(o, IN_PART, kept_in_part);
    if (!o->opts.quiet)
        hints_render(o);
    if (filter_gave_up(o->filter) > 0)
        text_printf(&o->err,
                    "warning: %s lines took too long to match against --match, --ignore or "
                    "--tally and count as not matching\n",
                    num_count_text(n, filter_gave_up(o->filter)));
    totals(o, end);
    if (o->run.attach_hint != NULL && goes_on(o)) {
        text_puts(&o->err, "attach with: ");
        text_escape_str(&o->err, o->run.attach_hint);
        text_puts(&o->err, "\n");
    }
    if (!all_ok && o->run.retry_hint != NULL) {
        text_puts(&o->err, "retry with: ");
        text_escape_str(&o->err, o->run.retry_hint);
        text_puts(&o->err, "\n");
    }
}
