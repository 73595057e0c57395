/* See line.h. What counts as readable follows OpenSSH's hostfile.c and sshkey.c: a line that ssh
 * skips is skipped here, so that the two never disagree about who is known. */
#include "controller/hostkeys/line.h"

#include <string.h>
#include <time.h>

#include "common/str.h"

static const char *const type_names[LINE_TYPE_COUNT] = {
    [LINE_TYPE_NONE] = "",
    [LINE_ED25519] = "ssh-ed25519",
    [LINE_ECDSA_256] = "ecdsa-sha2-nistp256",
    [LINE_ECDSA_384] = "ecdsa-sha2-nistp384",
    [LINE_ECDSA_521] = "ecdsa-sha2-nistp521",
    [LINE_RSA] = "ssh-rsa",
    [LINE_SK_ED25519] = "sk-ssh-ed25519@openssh.com",
    [LINE_SK_ECDSA] = "sk-ecdsa-sha2-nistp256@openssh.com",
    [LINE_DSS] = "ssh-dss",
};

static bool is(const char *name, size_t len, const char *want)
{
    return strlen(want) == len && memcmp(name, want, len) == 0;
}

enum line_type line_type_of(const char *name, size_t len)
{
    for (int i = LINE_TYPE_NONE + 1; i < LINE_TYPE_COUNT; i++)
        if (is(name, len, type_names[i]))
            return (enum line_type)i;
    if (is(name, len, "rsa-sha2-256") || is(name, len, "rsa-sha2-512"))
        return LINE_RSA;
    return LINE_TYPE_NONE;
}

const char *line_type_name(enum line_type type)
{
    return type_names[type];
}

struct cursor {
    const uint8_t *p;
    size_t left;
};

/* The next SSH string (RFC 4251 §5). */
static bool take_string(struct cursor *c, struct cursor *out)
{
    if (c->left < 4)
        return false;
    size_t n = (size_t)c->p[0] << 24 | (size_t)c->p[1] << 16 | (size_t)c->p[2] << 8 | c->p[3];
    if (n > c->left - 4)
        return false;
    *out = (struct cursor){c->p + 4, n};
    c->p += 4 + n;
    c->left -= 4 + n;
    return true;
}

/* A positive number of at least `bits` bits. */
static bool take_mpint(struct cursor *c, size_t bits)
{
    struct cursor n;
    if (!take_string(c, &n) || n.left == 0 || n.p[0] & 0x80)
        return false;
    while (n.left > 0 && n.p[0] == 0) {
        n.p++;
        n.left--;
    }
    if (n.left == 0)
        return false;
    size_t have = n.left * 8 - (size_t)(__builtin_clz(n.p[0]) - 24);
    return have >= bits;
}

static bool take_point(struct cursor *c, const char *curve, size_t field_bytes)
{
    struct cursor name, point;
    if (!take_string(c, &name) || !is((const char *)name.p, name.left, curve))
        return false;
    return take_string(c, &point) && point.left == 1 + 2 * field_bytes && point.p[0] == 4;
}

static bool take_fixed(struct cursor *c, size_t want)
{
    struct cursor s;
    return take_string(c, &s) && s.left == want;
}

static bool take_any(struct cursor *c)
{
    struct cursor s;
    return take_string(c, &s);
}

static bool take_body(struct cursor *c, enum line_type type)
{
    switch (type) {
    case LINE_ED25519: return take_fixed(c, 32);
    case LINE_ECDSA_256: return take_point(c, "nistp256", 32);
    case LINE_ECDSA_384: return take_point(c, "nistp384", 48);
    case LINE_ECDSA_521: return take_point(c, "nistp521", 66);
    case LINE_RSA: return take_mpint(c, 1) && take_mpint(c, 1024);
    case LINE_SK_ED25519: return take_fixed(c, 32) && take_any(c);
    case LINE_SK_ECDSA: return take_point(c, "nistp256", 32) && take_any(c);
    case LINE_DSS:
        return take_mpint(c, 1) && take_mpint(c, 1) && take_mpint(c, 1) && take_mpint(c, 1);
    case LINE_TYPE_NONE:
    case LINE_TYPE_COUNT: break;
    }
    return false;
}

enum line_type line_blob_type(const uint8_t *blob, size_t len)
{
    struct cursor c = {blob, len}, name;
    if (!take_string(&c, &name))
        return LINE_TYPE_NONE;
    enum line_type type = line_type_of((const char *)name.p, name.left);
    /* In a key itself only the key's own name is right. */
    if (!is((const char *)name.p, name.left, type_names[type]))
        return LINE_TYPE_NONE;
    return take_body(&c, type) && c.left == 0 ? type : LINE_TYPE_NONE;
}

struct text {
    const char *p;
    size_t left;
};

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct text *t)
{
    while (t->left > 0 && blank(*t->p)) {
        t->p++;
        t->left--;
    }
}

/* The word up to the next blank; the blanks after it are skipped too. */
static struct text take_word(struct text *t)
{
    struct text word = {t->p, 0};
    while (t->left > 0 && !blank(*t->p)) {
        t->p++;
        t->left--;
        word.left++;
    }
    skip_blanks(t);
    return word;
}

static bool take_marker(struct text *t, enum line_marker *marker)
{
    *marker = LINE_PLAIN;
    if (t->left == 0 || *t->p != '@')
        return true;
    struct text word = take_word(t);
    if (is(word.p, word.left, "@revoked"))
        *marker = LINE_REVOKED;
    else if (is(word.p, word.left, "@cert-authority"))
        *marker = LINE_CA;
    else
        return false;
    return t->left > 0 && *t->p != '@'; /* only one marker is allowed */
}

static bool decode_field(struct buf *tmp, const char *p, size_t n, uint8_t out[HMAC_SALT])
{
    buf_reset(tmp);
    if (str_unbase64(tmp, p, n) != RC_OK || tmp->len != HMAC_SALT)
        return false;
    memcpy(out, tmp->data, HMAC_SALT);
    return true;
}

/* |1|salt|hash */
static bool parse_hash(struct line_parts *parts, struct buf *tmp)
{
    const char *p = parts->hosts, *end = p + parts->hosts_len;
    if (parts->hosts_len < 4 || memcmp(p, "|1|", 3) != 0)
        return false;
    p += 3;
    const char *bar = memchr(p, '|', (size_t)(end - p));
    return bar != NULL && decode_field(tmp, p, (size_t)(bar - p), parts->salt) &&
           decode_field(tmp, bar + 1, (size_t)(end - bar - 1), parts->digest);
}

static int digits(const char *p, int n)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        value = value * 10 + (p[i] - '0');
    }
    return value;
}

/* "2026-12-31T23:59:59Z". What cannot be read has ended: such a line must not be good for ever. */
static int64_t parse_time(const char *p, size_t n)
{
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
    if (n != sizeof form - 1)
        return 1;
    for (size_t i = 0; i < n; i++)
        if (form[i] != 'd' && form[i] != p[i])
            return 1;
    struct tm tm = {.tm_year = digits(p, 4) - 1900,
                    .tm_mon = digits(p + 5, 2) - 1,
                    .tm_mday = digits(p + 8, 2),
                    .tm_hour = digits(p + 11, 2),
                    .tm_min = digits(p + 14, 2),
                    .tm_sec = digits(p + 17, 2)};
    bool bad = tm.tm_year < 70 || tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 ||
               tm.tm_mday > 31 || tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 ||
               tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60;
    time_t t = bad ? 1 : timegm(&tm);
    return t > 0 ? (int64_t)t : 1;
}

static int64_t parse_until(struct text *comment)
{
    static const char mark[] = LINE_UNTIL;
    while (comment->left > 0) {
        struct text word = take_word(comment);
        if (word.left >= sizeof mark - 1 && memcmp(word.p, mark, sizeof mark - 1) == 0)
            return parse_time(word.p + sizeof mark - 1, word.left - (sizeof mark - 1));
    }
    return 0;
}

/* A carriage return counts as the end, so that files with Windows line ends work as in ssh. */
static size_t trim(const char *text, size_t len)
{
    while (len > 0 && (text[len - 1] == '\r' || blank(text[len - 1])))
        len--;
    return len;
}

enum line_kind line_parse(const char *text, size_t len, struct line_parts *parts, struct buf *blob)
{
    struct text t = {text, trim(text, len)};
    skip_blanks(&t);
    if (t.left == 0 || *t.p == '#')
        return LINE_EMPTY;
    if (memchr(t.p, '\0', t.left) != NULL || !take_marker(&t, &parts->marker))
        return LINE_BAD;
    struct text hosts = take_word(&t);
    struct text type = take_word(&t);
    struct text key = take_word(&t);
    parts->hosts = hosts.p;
    parts->hosts_len = hosts.left;
    parts->hashed = hosts.p[0] == '|';
    parts->type = line_type_of(type.p, type.left);
    if (parts->type == LINE_TYPE_NONE || key.left == 0)
        return LINE_BAD;
    parts->until = parse_until(&t);
    buf_reset(blob);
    if (buf_reserve(blob, 64) == RC_NOMEM) /* so that the hash's fields cannot fail */
        return LINE_NOMEM;
    if (parts->hashed && !parse_hash(parts, blob))
        return LINE_BAD;
    buf_reset(blob);
    enum rc rc = str_unbase64(blob, key.p, key.left);
    if (rc == RC_NOMEM)
        return LINE_NOMEM;
    return rc == RC_OK && line_blob_type(blob->data, blob->len) == parts->type ? LINE_GOOD
                                                                               : LINE_BAD;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* One pattern with * and ?: going back only to the last star keeps it at length times length. */
bool line_pattern_matches(const char *p, size_t pn, const char *s, size_t sn)
{
    size_t i = 0, j = 0, star = SIZE_MAX, mark = 0;
    while (j < sn) {
        if (i < pn && p[i] == '*') {
            star = i++;
            mark = j;
        } else if (i < pn && (p[i] == '?' || lower(p[i]) == s[j])) {
            i++;
            j++;
        } else if (star != SIZE_MAX) {
            i = star + 1;
            j = ++mark;
        } else {
            return false;
        }
    }
    while (i < pn && p[i] == '*')
        i++;
    return i == pn;
}

bool line_list_matches(const char *list, size_t len, const char *host, size_t host_len)
{
    enum { SSH_MAX_PATTERN = 1023 }; /* a longer one makes ssh give the whole line up */
    bool found = false;
    for (size_t at = 0; at < len;) {
        const char *comma = memchr(list + at, ',', len - at);
        size_t n = comma ? (size_t)(comma - list) - at : len - at;
        bool negated = n > 0 && list[at] == '!';
        const char *pattern = list + at + negated;
        if (n - negated >= SSH_MAX_PATTERN)
            return false;
        if (line_pattern_matches(pattern, n - negated, host, host_len)) {
            if (negated)
                return false;
            found = true;
        }
        at += n + 1;
    }
    return found;
}

bool line_list_is_plain(const char *list, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool first = i == 0 || list[i - 1] == ',';
        if (list[i] == '*' || list[i] == '?' || (first && list[i] == '!'))
            return false;
    }
    return true;
}
