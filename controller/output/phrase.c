/* The short texts that several renderers need: causes, limits, hosts by name. */
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/num.h"
#include "controller/output/group.h"
#include "inventory/hostset.h"

enum { FOLD_MAX = 256 * 1024 * 1024 };

const char *output_name(const struct output *o, uint32_t target)
{
    return o->run.hosts[target]->name;
}

char *phrase_limit(char *dst, uint64_t ms)
{
    static const struct {
        uint64_t ms;
        char unit;
    } units[] = {{3600000, 'h'}, {60000, 'm'}, {1000, 's'}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (ms < units[i].ms || ms % units[i].ms != 0)
            continue;
        snprintf(dst, NUM_TEXT, "%llu%c", (unsigned long long)(ms / units[i].ms), units[i].unit);
        return dst;
    }
    return num_duration_text(dst, ms);
}

char *phrase_size(char *dst, uint64_t bytes)
{
    num_size_text(dst, bytes);
    char *zero = strstr(dst, ".0 ");
    if (zero != NULL)
        memmove(zero, zero + 2, strlen(zero + 2) + 1);
    return dst;
}

/* The bound that a timeout ran into, 0 for what is no timeout or whose bound we were not told. */
static uint64_t bound_of(const struct output *o, enum problem p)
{
    switch (p) {
    case PROBLEM_DNS_TIMEOUT:
    case PROBLEM_CONNECT_TIMEOUT: return o->opts.connect_timeout_ms;
    case PROBLEM_BANNER_TIMEOUT:
    case PROBLEM_KEX_TIMEOUT:
    case PROBLEM_AUTH_TIMEOUT:
    case PROBLEM_OPEN_TIMEOUT:
    case PROBLEM_REQUEST_TIMEOUT: /* a long bound leaves these to limits of their own: see the
                                     detail */
        return o->opts.connect_timeout_ms <= SESSION_LEAST_LIMIT_MS ? o->opts.connect_timeout_ms
                                                                    : 0;
    case PROBLEM_RUN_TIMEOUT: return o->opts.timeout_ms;
    case PROBLEM_SILENCE_TIMEOUT: return o->opts.silence_timeout_ms;
    default: return 0;
    }
}

void phrase_cause(const struct output *o, uint32_t target, char *dst, size_t cap)
{
    const struct done_host *h = &o->hosts[target];
    char limit[NUM_TEXT];
    uint64_t bound = bound_of(o, h->problem);
    if (h->problem == PROBLEM_CANCELLED && o->run.looks)
        snprintf(dst, cap, "left, it goes on");
    else if (h->problem == PROBLEM_EXIT_NONZERO)
        snprintf(dst, cap, "exit %d", h->exit_code);
    else if (h->problem == PROBLEM_KILLED_BY_SIGNAL && h->signal[0] != '\0')
        snprintf(dst, cap, "signal %s", h->signal);
    else if (bound > 0)
        snprintf(dst, cap, "%s after %s", problem_name(h->problem), phrase_limit(limit, bound));
    else
        snprintf(dst, cap, "%s", problem_name(h->problem));
}

/* Where to cut a folded text: at the last comma outside brackets, else at the last comma. */
static size_t cut_place(const char *s, size_t n, size_t most)
{
    size_t outside = 0, inside = 0;
    int depth = 0;
    for (size_t i = 0; i < n && i < most; i++) {
        depth += (s[i] == '[') - (s[i] == ']');
        if (s[i] == ',')
            *(depth > 0 ? &inside : &outside) = i;
    }
    return outside > 0 ? outside : inside > 0 ? inside : n;
}

static void names_plain(struct output *o, const struct groups *gs, const struct group *g,
                        const char *between, struct text *t)
{
    for (uint32_t i = g->head; i != GROUP_NONE; i = groups_next(gs, i)) {
        if (i != g->head)
            text_puts(t, between);
        text_escape_str(t, output_name(o, i));
    }
}

static bool fold(struct output *o, const struct groups *gs, const struct group *g, struct buf *out)
{
    const char **names = mem_alloc(g->count * sizeof *names);
    size_t n = 0;
    if (names == NULL)
        return false;
    for (uint32_t i = g->head; i != GROUP_NONE; i = groups_next(gs, i))
        names[n++] = output_name(o, i);
    enum rc rc = hostset_fold_names(names, n, out, NULL);
    mem_free(names);
    return rc == RC_OK;
}

void phrase_hosts(struct output *o, const struct groups *gs, const struct group *g, uint32_t plain,
                  size_t most, struct text *t)
{
    if (g->count <= plain) {
        names_plain(o, gs, g, " ", t);
        return;
    }
    struct buf folded;
    buf_init(&folded, FOLD_MAX);
    if (fold(o, gs, g, &folded)) {
        const char *s = (const char *)folded.data;
        size_t n = folded.len;
        if (most > 0 && n > most)
            n = cut_place(s, n, most);
        text_escape(t, s, n, 0);
        if (n < folded.len)
            text_puts(t, ",\xe2\x80\xa6");
    } else {
        names_plain(o, gs, g, ",", t);
    }
    buf_fini(&folded);
}
