/* Finding things in the table of options: by letter, by name, by a name that is nearly right.
 * See options_table.h. */
#include "controller/cli/options_table.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"

static const struct {
    const char *name, *usage, *summary;
} verbs[VERB_COUNT] = {
    [VERB_RUN] = {"run", "[options] PATTERN -- COMMAND [ARG...]", "run a command on hosts"},
    [VERB_HOSTS] = {"hosts", "[options] [PATTERN...]", "show which hosts a pattern names"},
    [VERB_HISTORY] = {"history", "[options]", "list past runs"},
    [VERB_SHOW] = {"show", "[options] [RUN]", "show a past run: what, where, and what came of it"},
    [VERB_RETRY] = {"retry", "[options] RUN", "run again where a past run was not ok"},
    [VERB_VAULT] = {"vault", "ACTION [options] [FILE...]", "seal files and values, and open them"},
    [VERB_KEYSCAN] = {"keyscan", "[options] PATTERN", "collect, verify and record host keys"},
    [VERB_ATTACH] = {"attach", "[options] RUN", "show what a detached run printed, to its end"},
    [VERB_DEBUG] = {"debug", "frames FILE", "show what --capture kept of an agent's words"},
    [VERB_STATS] = {"stats", "[options] PATTERN", "show how hosts are doing"},
};

const char *verb_name(enum verb v)
{
    return (unsigned)v < VERB_COUNT ? verbs[v].name : NULL;
}

const char *verb_usage(enum verb v)
{
    return (unsigned)v < VERB_COUNT ? verbs[v].usage : NULL;
}

const char *verb_summary(enum verb v)
{
    return (unsigned)v < VERB_COUNT ? verbs[v].summary : NULL;
}

enum verb verb_find(const char *name, size_t len)
{
    for (int v = 0; v < VERB_COUNT; v++)
        if (verbs[v].name != NULL && strlen(verbs[v].name) == len &&
            memcmp(verbs[v].name, name, len) == 0)
            return (enum verb)v;
    return VERB_COUNT;
}

const char *option_group_title(enum option_group g)
{
    static const char *const titles[GROUP_COUNT] = {
        [GROUP_SELECT] = "select", [GROUP_CONNECT] = "connect",    [GROUP_RUN] = "run",
        [GROUP_OUTPUT] = "output", [GROUP_HOSTS] = "what to show", [GROUP_RETRY] = "which hosts",
        [GROUP_OTHER] = "other",   [GROUP_VAULT] = "sealing",      [GROUP_KEYSCAN] = "host keys",
        [GROUP_STATS] = "figures",
    };
    must((unsigned)g < GROUP_COUNT);
    return titles[g];
}

const struct option_def *option_by_letter(char letter)
{
    for (size_t i = 0; i < option_count; i++)
        if (letter != 0 && option_table[i].letter == letter)
            return &option_table[i];
    return NULL;
}

const struct option_def *option_by_name(const char *name, size_t len)
{
    for (size_t i = 0; i < option_count; i++)
        if (strlen(option_table[i].name) == len && memcmp(option_table[i].name, name, len) == 0)
            return &option_table[i];
    return NULL;
}

/* Near means: few changes for its length, or one is the beginning of the other. */
static unsigned distance(const char *wrong, const char *right)
{
    if (strlen(wrong) >= 3 && (str_starts(right, wrong) || str_starts(wrong, right)))
        return 1;
    unsigned d = str_distance(wrong, right);
    return d <= 1 + (unsigned)strlen(right) / 4 ? d : 99;
}

const struct option_def *option_nearest(const char *name, enum verb verb)
{
    const struct option_def *best = NULL;
    unsigned least = 99;
    for (size_t i = 0; i < option_count; i++) {
        const struct option_def *d = &option_table[i];
        if ((d->flags & OPTION_HIDDEN) || (verb < VERB_COUNT && !(d->verbs & 1u << verb)))
            continue;
        unsigned n = distance(name, d->name);
        if (n < least) {
            least = n;
            best = d;
        }
    }
    return best;
}

char *option_env_name(char *dst, size_t cap, const struct option_def *d)
{
    snprintf(dst, cap, "MUSTER_%s", d->name);
    for (char *p = dst; *p != '\0'; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    return dst;
}

enum option_source option_source_of(const struct options *o, const struct option_def *d)
{
    for (size_t i = o->given_count; i-- > 0;)
        if (o->given[i].option == (uint16_t)(d - option_table))
            return o->given[i].source;
    return SOURCE_DEFAULT;
}

bool option_is_path(const struct option_def *d, const char *value)
{
    return (d->flags & OPTION_PATH) && !(d->letter == 'F' && strcmp(value, "none") == 0);
}
