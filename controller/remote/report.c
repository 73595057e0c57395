/* The one line that each command line of script.c answers: found in the noise around it, and read
 * strictly, since a host wrote it.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "controller/remote/script.h"

static const struct {
    const char *word, *text;
} refusals[REFUSAL_COUNT] = {
    [REFUSAL_NONE] = {"none", "not there"},
    [REFUSAL_ERROR] = {"error", "cannot be used"},
    [REFUSAL_DENIED] = {"denied", "not writable"},
    [REFUSAL_LINK] = {"link", "a symbolic link"},
    [REFUSAL_OWNER] = {"owner", "owned by somebody else"},
    [REFUSAL_MODE] = {"mode", "open to others"},
    [REFUSAL_NOEXEC] = {"noexec", "mounted noexec"},
    [REFUSAL_READ_ONLY] = {"ro", "read-only"},
    [REFUSAL_POLICY] = {"policy", "execution denied by a policy"},
    [REFUSAL_QUOTA] = {"quota", "over quota"},
    [REFUSAL_FULL] = {"full", "full"},
};

const char *refusal_text(enum refusal r)
{
    must((unsigned)r < REFUSAL_COUNT);
    return refusals[r].text;
}

static int refusal_find(const char *s, size_t n)
{
    for (int i = 0; i < REFUSAL_COUNT; i++)
        if (strlen(refusals[i].word) == n && memcmp(refusals[i].word, s, n) == 0)
            return i;
    return -1;
}

int report_find(const void *p, size_t n, const char *word, const char *nonce, const char **line,
                size_t *len)
{
    char needle[96];
    int k = snprintf(needle, sizeof needle, "%s %s ", word, nonce);
    must(k > 0 && (size_t)k < sizeof needle);
    const char *at = n > 0 ? memmem(p, n, needle, (size_t)k) : NULL;
    if (at == NULL)
        return 0;
    at += k;
    const char *end = memchr(at, '\n', n - (size_t)(at - (const char *)p));
    if (end == NULL)
        return 0;
    *line = at;
    *len = (size_t)(end - at);
    if (*len > 0 && at[*len - 1] == '\r')
        --*len;
    return 1;
}

/* The next "key=value" of the line; false at its end. *bad for what is not one. */
struct words {
    const char *at, *end;
    const char *key, *value;
    size_t key_len, value_len;
    bool bad;
};

static bool next_word(struct words *w)
{
    while (w->at < w->end && *w->at == ' ')
        w->at++;
    if (w->at == w->end)
        return false;
    const char *stop = memchr(w->at, ' ', (size_t)(w->end - w->at));
    stop = stop != NULL ? stop : w->end;
    const char *eq = memchr(w->at, '=', (size_t)(stop - w->at));
    for (const char *c = w->at; c < stop; c++)
        w->bad |= !isgraph((unsigned char)*c) || (signed char)*c < 0;
    if (eq == NULL || w->bad) {
        w->bad = true;
        return false;
    }
    w->key = w->at;
    w->key_len = (size_t)(eq - w->at);
    w->value = eq + 1;
    w->value_len = (size_t)(stop - w->value);
    w->at = stop;
    return true;
}

static bool key_is(const struct words *w, const char *key)
{
    return strlen(key) == w->key_len && memcmp(key, w->key, w->key_len) == 0;
}

/* Cut to what there is room for. */
static void word_to(const struct words *w, char *dst, size_t cap)
{
    size_t n = w->value_len < cap ? w->value_len : cap - 1;
    memcpy(dst, w->value, n);
    dst[n] = '\0';
}

/* "" leaves *out as it is. */
static bool number(const struct words *w, uint64_t max, uint64_t *out)
{
    if (w->value_len == 0)
        return true;
    uint64_t v = 0;
    for (size_t i = 0; i < w->value_len; i++) {
        if (!isdigit((unsigned char)w->value[i]) || v > (UINT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (uint64_t)(w->value[i] - '0');
    }
    if (v > max)
        return false;
    *out = v;
    return true;
}

static bool is_place(char c)
{
    return c != '\0' && strchr("cvtsr0123", c) != NULL;
}

/* "v:noexec,t:full," */
static bool read_refused(const struct words *w, struct probe_report *r)
{
    const char *at = w->value, *end = w->value + w->value_len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        if (comma == NULL || comma - at < 3 || !is_place(at[0]) || at[1] != ':' ||
            r->refused_count == sizeof r->refused / sizeof r->refused[0])
            return false;
        int why = refusal_find(at + 2, (size_t)(comma - at - 2));
        r->refused[r->refused_count++] =
            (struct refused){at[0], why < 0 ? REFUSAL_ERROR : (enum refusal)why};
        at = comma + 1;
    }
    return true;
}

static bool read_place(const struct words *w, char *place)
{
    if (w->value_len == 0)
        return true;
    *place = w->value[0];
    return w->value_len == 1 && is_place(w->value[0]);
}

enum rc report_probe(const char *line, size_t len, struct probe_report *r)
{
    *r = (struct probe_report){.free_kib = UINT64_MAX};
    struct words w = {.at = line, .end = line + len};
    bool ok = len <= SCRIPT_REPORT_MAX;
    uint64_t bits = 0, tool = 0;
    while (ok && next_word(&w)) {
        if (key_is(&w, "os"))
            word_to(&w, r->os, sizeof r->os);
        else if (key_is(&w, "arch"))
            word_to(&w, r->arch, sizeof r->arch);
        else if (key_is(&w, "boot"))
            word_to(&w, r->boot, sizeof r->boot);
        else if (key_is(&w, "bits"))
            ok = number(&w, 128, &bits);
        else if (key_is(&w, "uid"))
            ok = number(&w, UINT32_MAX, &r->uid);
        else if (key_is(&w, "tool"))
            ok = number(&w, 1, &tool);
        else if (key_is(&w, "free"))
            ok = number(&w, UINT64_MAX, &r->free_kib);
        else if (key_is(&w, "at"))
            ok = read_place(&w, &r->place);
        else if (key_is(&w, "refused"))
            ok = read_refused(&w, r);
    }
    r->bits = (unsigned)bits;
    r->digest_tool = tool != 0;
    return ok && !w.bad && r->os[0] != '\0' && r->arch[0] != '\0' ? RC_OK : RC_PROTO;
}

static bool read_error(const struct words *w, struct placed_report *r)
{
    static const struct {
        const char *word;
        int what;
    } others[] = {{"short", PLACED_SHORT},
                  {"digest", PLACED_DIGEST},
                  {"arch", PLACED_ARCH},
                  {"run", PLACED_RUN}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strlen(others[i].word) == w->value_len &&
            memcmp(others[i].word, w->value, w->value_len) == 0) {
            r->what = others[i].what;
            return true;
        }
    int why = refusal_find(w->value, w->value_len);
    r->what = PLACED_REFUSED;
    r->why = (enum refusal)why;
    return why >= 0;
}

enum rc report_placed(const char *line, size_t len, struct placed_report *r)
{
    *r = (struct placed_report){.what = PLACED_OK};
    if (len == 2 && memcmp(line, "ok", 2) == 0) {
        r->ok = true;
        return RC_OK;
    }
    struct words w = {.at = line, .end = line + len};
    bool ok = len <= SCRIPT_REPORT_MAX, seen = false;
    uint64_t code = 0;
    while (ok && next_word(&w)) {
        if (key_is(&w, "error")) {
            ok = !seen && read_error(&w, r);
            seen = true;
        } else if (key_is(&w, "exit")) {
            ok = number(&w, 255, &code);
        }
    }
    r->exit_code = (unsigned)code;
    return ok && seen && !w.bad ? RC_OK : RC_PROTO;
}

char report_start(const char *line, size_t len)
{
    if (len != 4 || memcmp(line, "at=", 3) != 0 || !(line[3] == 'i' || is_place(line[3])))
        return '\0';
    return line[3];
}

const char *place_text(char *dst, size_t cap, char place, const char *const *dirs, size_t dir_count)
{
    static const struct {
        char place;
        const char *text;
    } usual[] = {{'c', "~/.cache"}, {'v', "/var/tmp"},         {'t', "/tmp"},
                 {'s', "/dev/shm"}, {'r', "$XDG_RUNTIME_DIR"}, {'i', "installed"}};
    const char *text = "?";
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (usual[i].place == place)
            text = usual[i].text;
    if (place >= '0' && place <= '9' && (size_t)(place - '0') < dir_count)
        text = dirs[place - '0'];
    snprintf(dst, cap, "%s", text);
    return dst;
}
