/* See filter.h. */
#include "controller/output/filter.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "common/mem.h"
#include "common/str.h"

enum {
    MATCH_LIMIT = 100000, /* steps of one match */
    DEPTH_LIMIT = 2000,
    HEAP_LIMIT = 4096,    /* KiB of one match */
    REPLACE_LIMIT = 1000, /* masked places in one line */
    MASKED_MAX = 256 * 1024,
    PATTERN_MAX = 4096,
    JIT_STACK = 256 * 1024,
};

struct filter {
    pcre2_code *match, *tally, *ignore[OUTPUT_MAX_PATTERNS];
    size_t ignore_count;
    pcre2_match_data *found;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack;
    struct buf masked[2]; /* each expression reads one and writes the other */
    uint64_t gave_up;
};

static enum rc compile(pcre2_code **out, const char *option, const char *text, uint32_t more,
                       struct err *e)
{
    int code;
    PCRE2_SIZE at;
    if (strlen(text) > PATTERN_MAX)
        return err_set(e, RC_USAGE, "%s: the expression is longer than %d bytes", option,
                       PATTERN_MAX);
    *out = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                         PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | more,
                         &code, &at, NULL);
    if (*out != NULL) {
        /* Without JIT it is slower and nothing else. */
        (void)pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE);
        return RC_OK;
    }
    PCRE2_UCHAR message[120] = "";
    pcre2_get_error_message(code, message, sizeof message);
    return err_set(e, RC_USAGE, "%s '%.200s': column %zu: %s", option, text, (size_t)at + 1,
                   (const char *)message);
}

static enum rc compile_all(struct filter *f, const struct output_opts *opts, struct err *e)
{
    enum rc rc = RC_OK;
    if (opts->match != NULL)
        rc = compile(&f->match, "--match", opts->match, 0, e);
    for (size_t i = 0; rc == RC_OK && i < opts->ignore_count; i++) {
        rc = compile(&f->ignore[i], "--ignore", opts->ignore[i], 0, e);
        if (rc == RC_OK)
            f->ignore_count++;
    }
    if (rc == RC_OK && opts->tally != NULL)
        rc = compile(&f->tally, "--tally", opts->tally, PCRE2_MULTILINE, e);
    return rc;
}

enum rc filter_new(struct filter **out, const struct output_opts *opts, struct err *e)
{
    *out = NULL;
    if (opts->match == NULL && opts->ignore_count == 0 && opts->tally == NULL)
        return RC_OK;
    if (opts->ignore_count > OUTPUT_MAX_PATTERNS)
        return err_set(e, RC_USAGE, "--ignore may be given at most %d times", OUTPUT_MAX_PATTERNS);
    struct filter *f = mem_calloc(1, sizeof *f);
    if (f == NULL)
        return err_nomem(e);
    buf_init(&f->masked[0], MASKED_MAX);
    buf_init(&f->masked[1], MASKED_MAX);
    f->found = pcre2_match_data_create(2, NULL);
    f->limits = pcre2_match_context_create(NULL);
    f->stack = pcre2_jit_stack_create(32 * 1024, JIT_STACK, NULL);
    enum rc rc = f->found != NULL && f->limits != NULL ? compile_all(f, opts, e) : err_nomem(e);
    if (rc != RC_OK) {
        filter_free(f);
        return rc;
    }
    pcre2_set_match_limit(f->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(f->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(f->limits, HEAP_LIMIT);
    if (f->stack != NULL)
        pcre2_jit_stack_assign(f->limits, NULL, f->stack);
    *out = f;
    return RC_OK;
}

void filter_free(struct filter *f)
{
    if (f == NULL)
        return;
    pcre2_code_free(f->match);
    pcre2_code_free(f->tally);
    for (size_t i = 0; i < f->ignore_count; i++)
        pcre2_code_free(f->ignore[i]);
    pcre2_match_data_free(f->found);
    pcre2_match_context_free(f->limits);
    if (f->stack != NULL)
        pcre2_jit_stack_free(f->stack);
    buf_fini(&f->masked[0]);
    buf_fini(&f->masked[1]);
    mem_free(f);
}

bool filter_changes_text(const struct filter *f)
{
    return f != NULL && (f->match != NULL || f->ignore_count > 0);
}

static bool find(struct filter *f, const pcre2_code *code, const uint8_t *p, size_t n, size_t from)
{
    int rc = pcre2_match(code, p, n, from, 0, f->found, f->limits);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
        f->gave_up++;
    return rc >= 0; /* 0: more groups than we keep places for */
}

/* Replaces every match by "…" in f->masked[into]. false: no memory, or too long. */
static bool mask(struct filter *f, const pcre2_code *code, const uint8_t *p, size_t n, int into)
{
    static const char dots[] = "\xe2\x80\xa6";
    struct buf *out = &f->masked[into];
    buf_reset(out);
    size_t from = 0, copied = 0;
    for (int i = 0; i < REPLACE_LIMIT && from <= n && find(f, code, p, n, from); i++) {
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(f->found);
        if (at[1] <= at[0]) { /* empty: one character further */
            size_t len = at[0] < n ? str_utf8_decode(p + at[0], n - at[0], NULL) : 1;
            from = at[0] + (len ? len : 1);
            continue;
        }
        /* \K can put a match's beginning before what was already copied. */
        size_t start = at[0] < copied ? copied : at[0];
        if (buf_append(out, p + copied, start - copied) != RC_OK || buf_puts(out, dots) != RC_OK)
            return false;
        copied = from = at[1];
    }
    return buf_append(out, p + copied, n - copied) == RC_OK;
}

bool filter_line(struct filter *f, const uint8_t *p, size_t n, const uint8_t **out, size_t *out_n)
{
    *out = p;
    *out_n = n;
    if (f == NULL)
        return true;
    if (f->match != NULL && !find(f, f->match, p, n, 0))
        return false;
    for (size_t i = 0; i < f->ignore_count; i++) {
        int into = (int)(i & 1);
        if (!mask(f, f->ignore[i], *out, *out_n, into))
            break;
        *out = f->masked[into].data;
        *out_n = f->masked[into].len;
    }
    if (*out == NULL) /* an empty line in a buffer that was never used */
        *out = p;
    return true;
}

bool filter_has_tally(const struct filter *f)
{
    return f != NULL && f->tally != NULL;
}

bool filter_tally(struct filter *f, const uint8_t *p, size_t n, const uint8_t **value,
                  size_t *value_n)
{
    static const uint8_t nothing[1];
    if (!find(f, f->tally, p != NULL ? p : nothing, n, 0))
        return false;
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(f->found);
    uint32_t groups = 0;
    pcre2_pattern_info(f->tally, PCRE2_INFO_CAPTURECOUNT, &groups);
    int k = groups > 0 && at[2] != PCRE2_UNSET ? 2 : 0;
    if (at[k + 1] < at[k])
        return false;
    *value = (p != NULL ? p : nothing) + at[k];
    *value_n = at[k + 1] - at[k];
    return true;
}

uint64_t filter_gave_up(const struct filter *f)
{
    return f == NULL ? 0 : f->gave_up;
}
