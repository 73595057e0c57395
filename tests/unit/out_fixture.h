/* What the tests of the output share: sinks that remember, a spool in memory, hosts made up. */
#ifndef TESTS_UNIT_OUT_FIXTURE_H
#define TESTS_UNIT_OUT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/mem.h"
#include "controller/output/output.h"

/* Not mem_*: what the fixture holds must neither fail nor be counted. */
struct capture {
    char *data;
    size_t len, cap;
};

static inline void capture_write(void *user, const void *p, size_t n)
{
    struct capture *c = user;
    if (c->len + n + 1 > c->cap) {
        c->cap = (c->len + n + 1) * 2;
        c->data = realloc(c->data, c->cap);
        assert_non_null(c->data);
    }
    memcpy(c->data + c->len, p, n);
    c->len += n;
    c->data[c->len] = '\0';
}

static inline const char *capture_text(const struct capture *c)
{
    return c->data != NULL ? c->data : "";
}

struct fix_spool {
    struct capture *files; /* two for each target */
    long fail_after;       /* appends that succeed; negative: all */
    uint64_t bytes;
};

static inline enum rc fix_spool_append(void *user, uint32_t target, bool is_stderr, const void *p,
                                       size_t n)
{
    struct fix_spool *s = user;
    if (s->fail_after == 0)
        return RC_SYS;
    if (s->fail_after > 0)
        s->fail_after--;
    capture_write(&s->files[target * 2 + is_stderr], p, n);
    s->bytes += n;
    return RC_OK;
}

static inline enum rc fix_spool_read(void *user, uint32_t target, bool is_stderr, uint64_t offset,
                                     void *p, size_t cap, size_t *n)
{
    struct fix_spool *s = user;
    struct capture *c = &s->files[target * 2 + is_stderr];
    size_t left = offset < c->len ? c->len - (size_t)offset : 0;
    *n = left < cap ? left : cap;
    /* A short read now and then is what a file may give. */
    if (*n > 1000)
        *n -= 7;
    memcpy(p, c->data + offset, *n);
    return RC_OK;
}

struct fix {
    struct inv_host *hosts;
    struct inv_host **list;
    uint32_t count;
    struct capture out, err;
    struct sink out_sink, err_sink;
    struct fix_spool spool_state;
    struct spool spool;
    bool use_spool;
    struct output_opts opts;
    struct output_run run;
    struct output_end end;
    struct output *o;
};

/* Hosts by format ("web%02u") from 1 on; their names may be changed before fix_open. */
static inline void fix_init(struct fix *f, uint32_t count, const char *prefix, int digits)
{
    *f = (struct fix){.count = count};
    f->hosts = calloc(count + 1, sizeof *f->hosts);
    f->list = calloc(count + 1, sizeof *f->list);
    f->spool_state.files = calloc(count * 2 + 2, sizeof(struct capture));
    f->spool_state.fail_after = -1;
    for (uint32_t i = 0; i < count; i++) {
        char *name = calloc(1, 80);
        snprintf(name, 80, "%s%0*u", prefix, digits, (unsigned)i + 1);
        f->hosts[i] = (struct inv_host){.name = name, .index = i};
        f->list[i] = &f->hosts[i];
    }
    f->out_sink = (struct sink){.write = capture_write, .user = &f->out};
    f->err_sink = (struct sink){.write = capture_write, .user = &f->err};
    f->spool =
        (struct spool){.append = fix_spool_append, .read = fix_spool_read, .user = &f->spool_state};
    f->opts = (struct output_opts){.mode = OUTPUT_GROUP,
                                   .max_output = 1024 * 1024,
                                   .max_memory = 64 * 1024 * 1024,
                                   .connect_timeout_ms = 10000,
                                   .timeout_ms = 300000};
    f->run = (struct output_run){.run_id = "20260131-090500-k3f9",
                                 .command = "uname -sr",
                                 .hosts = f->list,
                                 .host_count = count,
                                 .started_wall_us = 1769850300123000};
    f->end.duration_ms = 10123;
}

static inline void fix_name(struct fix *f, uint32_t target, const char *name)
{
    free((char *)f->hosts[target].name);
    f->hosts[target].name = strdup(name);
}

static inline enum rc fix_try_open(struct fix *f, struct err *e)
{
    f->o = NULL;
    return output_new(&f->o, &f->opts, &f->run, &f->out_sink, &f->err_sink,
                      f->use_spool ? &f->spool : NULL, e);
}

static inline void fix_open(struct fix *f)
{
    struct err e = {0};
    if (fix_try_open(f, &e) != RC_OK)
        fail_msg("%s", e.msg);
}

static inline void fix_fini(struct fix *f)
{
    output_free(f->o);
    for (uint32_t i = 0; i < f->count; i++)
        free((char *)f->hosts[i].name);
    for (uint32_t i = 0; i < f->count * 2; i++)
        free(f->spool_state.files[i].data);
    free(f->spool_state.files);
    free(f->hosts);
    free(f->list);
    free(f->out.data);
    free(f->err.data);
}

static inline void fix_data(struct fix *f, uint32_t target, const char *text)
{
    output_data(f->o, target, false, text, strlen(text));
}

static inline void fix_errdata(struct fix *f, uint32_t target, const char *text)
{
    output_data(f->o, target, true, text, strlen(text));
}

static inline struct output_result fix_result(uint32_t target, struct outcome *oc,
                                              enum problem problem, int exit_code)
{
    outcome_init(oc);
    oc->problem = problem;
    oc->exit_code = exit_code;
    oc->sent = problem_status(problem) == STATUS_OK || problem_status(problem) == STATUS_FAILED ||
               problem_status(problem) == STATUS_SIGNALED ||
               problem_status(problem) == STATUS_TIMEOUT || problem_status(problem) == STATUS_LOST;
    oc->phase = oc->sent ? PHASE_RUN : PHASE_CONNECT;
    bool started = problem_status(problem) != STATUS_NOT_STARTED;
    return (struct output_result){.target = target,
                                  .outcome = oc,
                                  .attempts = started,
                                  .address = started ? "127.0.0.1" : "",
                                  .port = started ? 22 : 0,
                                  .user = "root",
                                  .started_wall_us = started ? 1769850300200000 : 0,
                                  .duration_us = started ? 41250 : 0,
                                  .connect_us = oc->sent ? 20500 : 0,
                                  .server_banner = started ? "SSH-2.0-OpenSSH_9.2p1" : "",
                                  .timing = {.connected = started ? 300 : 0, .sent = 20500}};
}

static inline void fix_done(struct fix *f, uint32_t target, enum problem problem, int exit_code)
{
    struct outcome oc;
    struct output_result r = fix_result(target, &oc, problem, exit_code);
    output_result(f->o, &r);
}

/* A host that prints `text` and exits 0. */
static inline void fix_ok(struct fix *f, uint32_t target, const char *text)
{
    output_started(f->o, target, 1);
    fix_data(f, target, text);
    fix_done(f, target, PROBLEM_NONE, 0);
}

static inline void fix_finish(struct fix *f)
{
    output_finish(f->o, &f->end);
}

#define assert_out(f, text) assert_string_equal(capture_text(&(f)->out), text)
#define assert_err(f, text) assert_string_equal(capture_text(&(f)->err), text)

#endif
