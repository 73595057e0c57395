/* See regex.h. PCRE2 allocates through mem_*, so that tests can make it fail. */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "inventory/regex.h"

#include <pcre2.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"

/* Steps, frames and KiB of one match: far above what names need, well below a second. */
enum { MATCH_STEPS = 200000, MATCH_DEPTH = 10000, MATCH_KIB = 4096, PATTERN_MAX = 8192 };

struct regex {
    pcre2_general_context *general;
    pcre2_match_context *limits;
    pcre2_match_data *data;
    pcre2_code *code;
};

static void *pcre_alloc(size_t n, void *user)
{
    (void)user;
    return mem_alloc(n);
}

static void pcre_release(void *p, void *user)
{
    (void)user;
    mem_free(p);
}

void regex_free(struct regex *re)
{
    if (re == NULL)
        return;
    pcre2_code_free(re->code);
    pcre2_match_data_free(re->data);
    pcre2_match_context_free(re->limits);
    pcre2_general_context_free(re->general);
    mem_free(re);
}

static enum rc compile(struct regex *re, const char *pattern, bool anchored, struct err *e)
{
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *c = pcre2_compile_context_create(re->general);
    if (c == NULL)
        return err_nomem(e);
    re->code = pcre2_compile((PCRE2_SPTR)pattern, strlen(pattern),
                             options | (anchored ? PCRE2_ANCHORED : 0), &code, &at, c);
    pcre2_compile_context_free(c);
    if (re->code != NULL)
        return RC_OK;
    if (code == PCRE2_ERROR_HEAP_FAILED)
        return err_nomem(e);
    PCRE2_UCHAR text[128] = "";
    char shown[128];
    pcre2_get_error_message(code, text, sizeof text);
    str_escape_to(shown, sizeof shown, pattern, strlen(pattern), 0);
    return err_set(e, RC_PARSE, "regular expression '%s' character %zu: %s", shown, at + 1,
                   (const char *)text);
}

static enum rc prepare(struct regex *re, struct err *e)
{
    re->general = pcre2_general_context_create(pcre_alloc, pcre_release, NULL);
    if (re->general != NULL)
        re->limits = pcre2_match_context_create(re->general);
    if (re->limits == NULL)
        return err_nomem(e);
    pcre2_set_match_limit(re->limits, MATCH_STEPS);
    pcre2_set_depth_limit(re->limits, MATCH_DEPTH);
    pcre2_set_heap_limit(re->limits, MATCH_KIB);
    return RC_OK;
}

enum rc regex_new(struct regex **out, const char *pattern, bool anchored, struct err *e)
{
    if (strlen(pattern) > PATTERN_MAX)
        return err_set(e, RC_LIMIT, "a regular expression of more than 8,192 bytes");
    struct regex *re = mem_calloc(1, sizeof *re);
    if (re == NULL)
        return err_nomem(e);
    enum rc rc = prepare(re, e);
    if (rc == RC_OK)
        rc = compile(re, pattern, anchored, e);
    if (rc == RC_OK) {
        re->data = pcre2_match_data_create(1, re->general);
        rc = re->data != NULL ? RC_OK : err_nomem(e);
    }
    if (rc != RC_OK) {
        regex_free(re);
        return rc;
    }
    *out = re;
    return RC_OK;
}

enum rc regex_match(const struct regex *re, const char *text, size_t len, bool *out, struct err *e)
{
    int n = pcre2_match(re->code, (PCRE2_SPTR)text, len, 0, 0, re->data, re->limits);
    *out = n >= 0;
    if (n >= 0 || n == PCRE2_ERROR_NOMATCH)
        return RC_OK;
    if (n == PCRE2_ERROR_NOMEMORY)
        return err_nomem(e);
    char shown[128];
    str_escape_to(shown, sizeof shown, text, len, 0);
    return err_set(e, RC_LIMIT,
                   "the regular expression takes too many steps on '%s'; write it without nested "
                   "repetition",
                   shown);
}
