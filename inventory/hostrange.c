/* See hostrange.h. The model is ansible.parsing.utils.addresses.parse_address and
 * ansible.plugins.inventory.expand_hostname_range. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "inventory/hostrange.h"

#include <ctype.h>
#include <inttypes.h>
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* --- is it an address or a name that may carry a port? --- */

enum { PATTERN_IPV4, PATTERN_IPV6, PATTERN_NAME, PATTERN_COUNT };

struct hostrange_patterns {
    pcre2_code *code[PATTERN_COUNT];
    pcre2_match_data *data;
    pcre2_match_context *context;
};

#define HEX_RANGE "\\[[0-9a-f]+:[0-9a-f]+(?::[0-9]+)?\\]"
#define NUM_RANGE "\\[[0-9]+:[0-9]+(?::[0-9]+)?\\]"
#define ANY_RANGE "\\[(?:[a-z]:[a-z]|[0-9]+:[0-9]+)(?::[0-9]+)?\\]"
#define IP4       "(?:[01]?[0-9]{1,2}|2[0-4][0-9]|25[0-5]|" NUM_RANGE ")"
#define IP6       "(?:[0-9a-f]{1,4}|" HEX_RANGE ")"
#define LABEL     "(?:[\\w]|" ANY_RANGE ")(?:[\\w_-]|" ANY_RANGE ")*(?<![_-])"

static const char *const pattern_text[PATTERN_COUNT] = {
    [PATTERN_IPV4] = "^(?:" IP4 "\\.){3}" IP4 "$",
    [PATTERN_IPV6] = "^(?:" IP6 ":){7}" IP6 "|(?:" IP6 ":){1,6}:|(?:" IP6 ":)(?::" IP6 "){1,6}|"
                     "(?:" IP6 ":){2}(?::" IP6 "){1,5}|(?:" IP6 ":){3}(?::" IP6 "){1,4}|"
                     "(?:" IP6 ":){4}(?::" IP6 "){1,3}|(?:" IP6 ":){5}(?::" IP6 "){1,2}|"
                     "(?:" IP6 ":){6}(?::" IP6 ")|:(?::" IP6 "){1,6}|" IP6 "?::|"
                     "(?:0:){6}(?:" IP6 "\\.){3}" IP6 "|::(?:ffff:)?(?:" IP6 "\\.){3}" IP6 "|"
                     "(?:0:){5}ffff:(?:" IP6 "\\.){3}" IP6 "$",
    [PATTERN_NAME] = "^" LABEL "(?:\\." LABEL ")*$",
};

void hostrange_patterns_free(struct hostrange_patterns *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < PATTERN_COUNT; i++)
        pcre2_code_free(p->code[i]);
    pcre2_match_data_free(p->data);
    pcre2_match_context_free(p->context);
    mem_free(p);
}

static struct hostrange_patterns *patterns_new(void)
{
    struct hostrange_patterns *p = mem_calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    for (int i = 0; i < PATTERN_COUNT; i++) {
        int error;
        PCRE2_SIZE at;
        p->code[i] = pcre2_compile((PCRE2_SPTR)pattern_text[i], PCRE2_ZERO_TERMINATED,
                                   PCRE2_CASELESS | PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
        if (p->code[i] == NULL) {
            hostrange_patterns_free(p);
            return NULL;
        }
    }
    p->data = pcre2_match_data_create(1, NULL);
    p->context = pcre2_match_context_create(NULL);
    if (p->data == NULL || p->context == NULL) {
        hostrange_patterns_free(p);
        return NULL;
    }
    pcre2_set_match_limit(p->context, 100000);
    pcre2_set_depth_limit(p->context, 100000);
    return p;
}

/* A name on which the matcher gives up counts as "not an address": the text is taken whole. */
static bool is_address(struct hostrange_patterns *p, const char *s, size_t n)
{
    for (int i = 0; i < PATTERN_COUNT; i++)
        if (pcre2_match(p->code[i], (PCRE2_SPTR)s, n, 0, PCRE2_ANCHORED, p->data, p->context) >= 0)
            return true;
    return false;
}

static size_t trailing_digits(const char *s, size_t n)
{
    size_t digits = 0;
    while (digits < n && isdigit((unsigned char)s[n - digits - 1]))
        digits++;
    return digits;
}

/* "[X]:digits" → X. */
static bool bracketed(const char **s, size_t *n, const char **port)
{
    size_t digits = trailing_digits(*s, *n);
    if (digits == 0 || *n < digits + 4 || (*s)[0] != '[' || (*s)[*n - digits - 1] != ':' ||
        (*s)[*n - digits - 2] != ']')
        return false;
    *port = *s + *n - digits;
    *n -= digits + 3;
    (*s)++;
    return true;
}

/* "X:digits" where X has colons and brackets only as complete [ranges]. */
static bool plain_port(const char *s, size_t *n, const char **port)
{
    size_t digits = trailing_digits(s, *n);
    if (digits == 0 || *n < digits + 1 || s[*n - digits - 1] != ':')
        return false;
    size_t end = *n - digits - 1;
    for (size_t i = 0; i < end; i++) {
        if (s[i] == ':' || s[i] == ']')
            return false;
        if (s[i] != '[')
            continue;
        const char *close = memchr(s + i, ']', end - i);
        if (close == NULL)
            return false;
        i = (size_t)(close - s);
    }
    *port = s + end + 1;
    *n = end;
    return true;
}

static enum rc split_port(struct hostrange *r, struct hostrange_patterns **patterns,
                          const char *text, struct err *e)
{
    const char *s = text;
    const char *port = NULL;
    size_t n = strlen(text);
    bracketed(&s, &n, &port);
    plain_port(s, &n, &port);
    if (port != NULL && *patterns == NULL && (*patterns = patterns_new()) == NULL)
        return err_nomem(e);
    if (port == NULL || !is_address(*patterns, s, n)) {
        s = text;
        n = strlen(text);
        port = NULL;
    }
    size_t digits = port ? strspn(port, "0123456789") : 0;
    if (port != NULL && (!hostrange_int(port, digits, &r->port) || r->port > UINT16_MAX))
        return err_set(e, RC_LIMIT, "the port of '%.80s' is larger than 65535", text);
    r->text = mem_memdup(s, n + 1);
    if (r->text == NULL)
        return err_nomem(e);
    r->text[n] = '\0';
    return RC_OK;
}

/* --- ranges --- */

bool hostrange_int(const char *s, size_t n, int64_t *out)
{
    for (; n > 0 && isspace((unsigned char)*s); s++)
        n--;
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    bool negative = n > 0 && *s == '-';
    if (n > 0 && (*s == '-' || *s == '+')) {
        s++;
        n--;
    }
    int64_t v = 0;
    bool digit = false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '_' && digit && i + 1 < n) {
            digit = false;
            continue;
        }
        digit = isdigit((unsigned char)s[i]);
        if (!digit || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, s[i] - '0', &v))
            return false;
    }
    *out = negative ? -v : v;
    return digit;
}

struct bounds {
    const char *text[3];
    size_t len[3];
    int count;
};

static bool split_bounds(const char *s, size_t n, struct bounds *b)
{
    b->count = 0;
    for (const char *end = s + n;; b->count++) {
        if (b->count == 3)
            return false;
        const char *colon = memchr(s, ':', (size_t)(end - s));
        b->text[b->count] = s;
        b->len[b->count] = (size_t)((colon ? colon : end) - s);
        if (colon == NULL)
            break;
        s = colon + 1;
    }
    b->count++;
    return b->count >= 2;
}

/* Python's "abc…Z".index(text): a run of letters counts from its first. -1 when it is not there. */
static int letter_index(const char *s, size_t n)
{
    const char *at = n > 0 ? memmem(letters, sizeof letters - 1, s, n) : letters;
    return at ? (int)(at - letters) : -1;
}

/* How many members range(begin, end + 1, step) has. */
static uint64_t count_steps(int64_t begin, int64_t end, int64_t step)
{
    if (step > 0 && end >= begin)
        return ((uint64_t)end - (uint64_t)begin) / (uint64_t)step + 1;
    if (step < 0 && begin > end + 1)
        return ((uint64_t)begin - (uint64_t)(end + 1) - 1) / (uint64_t)-step + 1;
    return 0;
}

static enum rc letter_range(struct hostrange_segment *seg, int first, int last, int64_t step,
                            const char *text, struct err *e)
{
    if (first > last)
        return err_set(e, RC_PARSE, "'%.80s': a range of letters must not run backwards", text);
    seg->letters = true;
    seg->begin = first;
    seg->step = step;
    /* A negative step slices nothing out of a forward slice. */
    seg->count = step > 0 ? count_steps(first, last, step) : 0;
    return RC_OK;
}

static enum rc read_range(struct hostrange_segment *seg, const char *s, size_t n, const char *text,
                          struct err *e)
{
    struct bounds b;
    if (!split_bounds(s, n, &b))
        return err_set(e, RC_PARSE, "'%.80s': a range is [begin:end] or [begin:end:step]", text);
    if (b.len[1] == 0)
        return err_set(e, RC_PARSE, "'%.80s': a range needs its end, as in [1:9]", text);
    if (b.len[0] == 0) {
        b.text[0] = "0";
        b.len[0] = 1;
    }
    if (b.text[0][0] == '0' && b.len[0] > 1) {
        if (b.len[0] != b.len[1])
            return err_set(e, RC_PARSE,
                           "'%.80s': begin and end of a zero-padded range need the same length",
                           text);
        seg->width = (unsigned)b.len[0];
    }
    int64_t step = 1, last;
    if (b.count == 3 && (!hostrange_int(b.text[2], b.len[2], &step) || step == 0))
        return err_set(e, RC_PARSE, "'%.80s': the step of a range must be a whole number, not 0",
                       text);
    int first_letter = letter_index(b.text[0], b.len[0]);
    int last_letter = letter_index(b.text[1], b.len[1]);
    if (first_letter >= 0 && last_letter >= 0)
        return letter_range(seg, first_letter, last_letter, step, text, e);
    if (!hostrange_int(b.text[0], b.len[0], &seg->begin) ||
        !hostrange_int(b.text[1], b.len[1], &last) || last == INT64_MAX)
        return err_set(e, RC_PARSE,
                       "'%.80s': a range runs between two numbers or two letters ([01:20], [a:f])",
                       text);
    seg->step = step;
    seg->count = count_steps(seg->begin, last, step);
    return RC_OK;
}

/* Ansible cuts at the first bracket of each kind, in whatever order they stand. */
static enum rc read_segment(struct hostrange *r, const char **s, struct err *e)
{
    const char *open = strchr(*s, '['), *close = strchr(*s, ']');
    if (close == NULL || close < open)
        return err_set(e, RC_PARSE, "'%.80s': a range's '[' and ']' do not match", r->text);
    if (r->segment_count == HOSTRANGE_SEGMENTS)
        return err_set(e, RC_LIMIT, "'%.80s': more than %d ranges in one name", r->text,
                       HOSTRANGE_SEGMENTS);
    struct hostrange_segment *seg = &r->segments[r->segment_count];
    *seg = (struct hostrange_segment){.head = *s, .head_len = (size_t)(open - *s)};
    enum rc rc = read_range(seg, open + 1, (size_t)(close - open - 1), r->text, e);
    if (rc != RC_OK)
        return rc;
    r->segment_count++;
    if (__builtin_mul_overflow(r->total, seg->count, &r->total) || r->total > HOSTRANGE_MAX)
        return err_set(e, RC_LIMIT, "'%.80s' stands for more than %d hosts", r->text,
                       HOSTRANGE_MAX);
    *s = close + 1;
    return RC_OK;
}

enum rc hostrange_init(struct hostrange *r, struct hostrange_patterns **patterns, const char *text,
                       struct err *e)
{
    r->text = NULL;
    r->segment_count = 0;
    r->total = 1;
    r->port = 0;
    r->next = 0;
    enum rc rc = split_port(r, patterns, text, e);
    if (rc != RC_OK)
        return rc;
    const char *s = r->text;
    if (strchr(s, '[') != NULL && strchr(s, '|') != NULL)
        return err_set(e, RC_PARSE, "'%.80s': a name with a range cannot hold '|'", r->text);
    while (strchr(s, '[') != NULL)
        if ((rc = read_segment(r, &s, e)) != RC_OK)
            return rc;
    r->tail = s;
    return RC_OK;
}

void hostrange_fini(struct hostrange *r)
{
    mem_free(r->text);
    r->text = NULL;
}

/* str.zfill: the sign stays in front. */
static enum rc put_number(struct buf *b, int64_t v, unsigned width)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
    enum rc rc = v < 0 ? buf_putc(b, '-') : RC_OK;
    for (unsigned i = (unsigned)n + (v < 0); rc == RC_OK && i < width; i++)
        rc = buf_putc(b, '0');
    return rc == RC_OK ? buf_puts(b, digits) : rc;
}

enum rc hostrange_next(struct hostrange *r, struct buf *name)
{
    if (r->next >= r->total)
        return RC_NOTFOUND;
    buf_reset(name);
    uint64_t rest = r->next++, below = r->total;
    enum rc rc = RC_OK;
    for (unsigned i = 0; rc == RC_OK && i < r->segment_count; i++) {
        const struct hostrange_segment *seg = &r->segments[i];
        below /= seg->count;
        int64_t v = seg->begin + (int64_t)(rest / below) * seg->step;
        rest %= below;
        rc = buf_append(name, seg->head, seg->head_len);
        if (rc == RC_OK)
            rc = seg->letters ? buf_putc(name, letters[v]) : put_number(name, v, seg->width);
    }
    return rc == RC_OK ? buf_puts(name, r->tail) : rc;
}
