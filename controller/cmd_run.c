/* muster run: one command on many hosts. From options to a plan; the run itself is controller/run.
 */
#include "controller/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "controller/plan.h"
#include "controller/run/run.h"
#include "controller/run/through.h"
#include "controller/run/wrap.h"

enum { INPUT_MAX = 64 << 20, SCRIPT_FILE_MAX = 16 << 20, READ_STEP = 64 << 10 };

struct plan_parts { /* what a run has besides its plan */
    struct plan plan;
    struct wrap_command command;
    struct buf text;  /* the command for people */
    struct buf input; /* standard input of every command */
    bool has_input;
};

/* Buffers are born READ_STEP larger than their limit, so that one byte too many can be seen. */
static enum rc read_fd(int fd, const char *name, struct buf *out, struct err *e)
{
    for (;;) {
        if (buf_reserve(out, READ_STEP) == RC_NOMEM)
            return err_nomem(e);
        ssize_t n = read(fd, out->data + out->len, READ_STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "%s", name);
        if (n == 0)
            return RC_OK;
        out->len += (size_t)n;
        char most[NUM_TEXT];
        if (out->len > out->max - READ_STEP)
            return err_set(e, RC_LIMIT, "%s is larger than %s", name,
                           num_size_text(most, out->max - READ_STEP));
    }
}

static enum rc read_file(const char *option, const char *path, struct buf *out, struct err *e)
{
    if (strcmp(path, "-") == 0)
        return read_fd(STDIN_FILENO, "standard input", out, e);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "%s: %s", option, path);
    enum rc rc = read_fd(fd, path, out, e);
    close(fd);
    return rc;
}

/* Scripts written on Windows: a byte order mark and CRLF make every shell fail in ways that nobody
 * understands. Mended here, and said. */
static void mend_script(const char *path, struct buf *b)
{
    bool bom = b->len >= 3 && memcmp(b->data, "\xef\xbb\xbf", 3) == 0;
    if (bom)
        buf_consume(b, 3);
    size_t out = 0;
    for (size_t i = 0; i < b->len; i++)
        if (b->data[i] != '\r' || i + 1 == b->len || b->data[i + 1] != '\n')
            b->data[out++] = b->data[i];
    if (bom || out != b->len)
        log_warn("%s: sent without its %s (the file itself is unchanged)", path,
                 bom && out != b->len ? "byte order mark and CR line ends"
                 : bom                ? "byte order mark"
                                      : "CR line ends");
    b->len = out;
}

static enum rc script_command(const struct options *o, struct plan_parts *p, struct buf *source,
                              struct err *e)
{
    if (o->stdin_path != NULL)
        return err_set(e, RC_USAGE,
                       "--script and --stdin cannot be used together: the script itself "
                       "travels on standard input");
    if (o->raw)
        return err_set(e, RC_USAGE, "--script needs a shell on the host: leave --raw out");
    p->input.max = SCRIPT_FILE_MAX + READ_STEP;
    p->has_input = true;
    enum rc rc = read_file("--script", o->script, &p->input, e);
    if (rc != RC_OK)
        return rc;
    mend_script(o->script, &p->input);
    rc = wrap_script((const char *)p->input.data, p->input.len, o->words.items, o->words.count,
                     source, e);
    if (rc == RC_OK)
        rc = buf_printf(&p->text, "--script %s", o->script);
    for (size_t i = 0; rc == RC_OK && i < o->words.count; i++)
        rc = buf_printf(&p->text, " %s", o->words.items[i]);
    return rc;
}

static enum rc plain_command(const struct options *o, struct plan_parts *p, struct buf *source,
                             struct err *e)
{
    char hint[256];
    enum rc rc = wrap_words(o->words.items, o->words.count, source, e);
    if (rc == RC_OK && o->attach_run != NULL)
        rc = buf_printf(&p->text, "attach %s: ", o->attach_run);
    if (rc == RC_OK)
        rc = buf_append(&p->text, source->data, source->len);
    if (rc == RC_OK && *options_quote_hint(o, hint, sizeof hint) != '\0')
        log_warn("%s", hint);
    if (rc != RC_OK || o->stdin_path == NULL)
        return rc;
    p->has_input = true;
    return read_file("--stdin", o->stdin_path, &p->input, e);
}

static enum rc make_command(const struct options *o, struct plan_parts *p, struct err *e)
{
    struct buf source;
    buf_init(&source, WRAP_MAX);
    enum rc rc =
        o->script != NULL ? script_command(o, p, &source, e) : plain_command(o, p, &source, e);
    const char *text = rc == RC_OK ? buf_cstr(&source) : NULL;
    if (rc == RC_OK && text == NULL)
        rc = err_nomem(e);
    if (rc == RC_OK)
        rc = wrap_init(&p->command, text, o->env.items, o->env.count, o->cwd, o->raw, e);
    buf_fini(&source);
    return rc;
}

static int print_plan(const struct plan_parts *p)
{
    struct buf line, shown;
    struct err e = {0};
    uint32_t total = (uint32_t)p->plan.selection.count;
    char count[NUM_TEXT];
    buf_init(&line, 2 * WRAP_MAX);
    buf_init(&shown, 8 * WRAP_MAX);
    plan_print_targets(&p->plan);
    enum rc rc = wrap_line(&p->command, p->plan.selection.hosts[0]->name, 0, total, &line, &e);
    if (rc == RC_OK)
        rc = str_escape(&shown, line.data, line.len, STR_KEEP_NEWLINE | STR_KEEP_TAB);
    if (rc == RC_OK)
        printf("\n%s host%s. The first would be sent:\n  %.*s\nNothing was sent.\n",
               num_count_text(count, total), total == 1 ? "" : "s", (int)shown.len,
               (const char *)shown.data);
    buf_fini(&line);
    buf_fini(&shown);
    if (rc != RC_OK && e.rc == RC_OK)
        err_nomem(&e);
    return rc == RC_OK ? cmd_printed() : cmd_fail(&e);
}

static void parts_init(struct plan_parts *p, struct options *o)
{
    memset(p, 0, sizeof *p);
    plan_init(&p->plan, o);
    buf_init(&p->text, WRAP_MAX);
    buf_init(&p->input, INPUT_MAX + READ_STEP);
}

static void parts_fini(struct plan_parts *p)
{
    wrap_fini(&p->command);
    plan_fini(&p->plan);
    buf_fini(&p->text);
    buf_wipe(&p->input); /* may be anything, a password for the command too */
}

/* Everything up to the first connection. *ended: an answer was given already (--list, --dry-run).
 */
static enum rc prepare(struct options *o, struct plan_parts *p, bool *ended, int *code,
                       struct err *e)
{
    enum rc rc = plan_select(&p->plan, "run on", e);
    *ended = rc == RC_OK && o->list_only;
    if (*ended)
        *code = plan_print_hosts(&p->plan);
    if (rc != RC_OK || *ended)
        return rc;
    rc = make_command(o, p, e);
    if (rc == RC_OK)
        rc = plan_targets(&p->plan, e);
    *ended = rc == RC_OK && o->dry_run;
    if (*ended)
        *code = print_plan(p);
    return rc != RC_OK || *ended ? rc : plan_unlock(&p->plan, e);
}

static void go_through_agent(const struct plan_parts *p, struct through *t, struct run_agent *agent)
{
    const struct options *o = p->plan.options;
    *t = (struct through){.kind = o->attach_run != NULL ? THROUGH_ATTACH
                                  : o->detach           ? THROUGH_DETACH
                                                        : THROUGH_RUN,
                          .become = o->become,
                          .lives_on = !o->disconnect_kills,
                          .run = o->attach_run,
                          .follow = !o->no_follow};
    plan_agent(&p->plan, agent);
    agent->fallback = false;
    through_init(t, agent);
}

static enum rc execute(struct plan_parts *p, struct pool *pool, int *code, struct err *e)
{
    struct run_plan plan;
    struct run_agent agent;
    struct through through;
    plan_fill(&p->plan, &plan);
    if (options_through_agent(p->plan.options)) {
        go_through_agent(p, &through, &agent);
        plan.agent = &agent;
    }
    plan.command = &p->command;
    plan.command_text = buf_cstr(&p->text);
    plan.input = p->has_input ? &p->input : NULL;
    plan.pool = pool;
    if (plan.command_text != NULL)
        return run_execute(&plan, code, e);
    pool_free(pool);
    return err_nomem(e);
}

int cmd_run(struct options *o)
{
    struct plan_parts p;
    struct err e = {0};
    struct pool *pool = NULL;
    bool ended = false;
    int code = 1;
    parts_init(&p, o);
    enum rc rc = output_check(&o->output, &e);
    if (rc == RC_OK)
        rc = plan_begin(o, &pool, &e);
    if (rc == RC_OK)
        rc = prepare(o, &p, &ended, &code, &e);
    if (rc == RC_OK && !ended) {
        rc = execute(&p, pool, &code, &e);
        pool = NULL;
    }
    pool_free(pool);
    parts_fini(&p);
    return rc == RC_OK ? code : cmd_fail(&e);
}
