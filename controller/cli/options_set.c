/* Setting options: who wins, and what each kind of value must look like. See options_table.h. */
#include "controller/cli/options_table.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "controller/remote/script.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"

static void *field(struct options *o, const struct option_def *d)
{
    return (char *)o + d->at;
}

enum rc options_add(struct options *o, struct strings *list, const char *value, struct err *e)
{
    const char *copy = arena_strdup(&o->arena, value);
    if (copy == NULL || mem_grow(&list->items, &list->cap, list->count + 1, sizeof *list->items))
        return err_nomem(e);
    list->items[list->count++] = copy;
    return RC_OK;
}

/* What a weaker source gave to a repeatable option must go: its lists start again. */
static void forget(struct options *o, const struct option_def *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < o->given_count; i++)
        if (o->given[i].option != (uint16_t)(d - option_table))
            o->given[kept++] = o->given[i];
    o->given_count = kept;
    if (d->set == set_list)
        ((struct strings *)field(o, d))->count = 0;
    else if (d->set == set_env)
        o->env.count = 0;
    else if (d->set == set_retry_on)
        o->retry_on_count = 0;
    else if (d->set == set_ignore)
        o->output.ignore_count = 0;
    else if (d->set == set_ssh_option)
        o->ssh_options.count = 0;
}

enum rc option_apply(struct options *o, const struct option_def *d, const char *value,
                     enum option_source source, struct err *e)
{
    if (mem_grow(&o->given, &o->given_cap, o->given_count + 1, sizeof *o->given))
        return err_nomem(e);
    if (!(d->flags & OPTION_REPEAT) || option_source_of(o, d) != source)
        forget(o, d);
    o->given[o->given_count++] = (struct option_given){
        .option = (uint16_t)(d - option_table), .source = source, .value = value};
    return d->set(o, d, value, e);
}

static bool is_empty(const char *value, struct err *e)
{
    if (*value != '\0')
        return false;
    err_set(e, RC_USAGE, "the value is empty");
    return true;
}

enum rc set_flag(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    static const char *const on[] = {"true", "yes", "on", "1"};
    static const char *const off[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < sizeof on / sizeof on[0]; i++) {
        bool yes = strcasecmp(value, on[i]) == 0;
        if (!yes && strcasecmp(value, off[i]) != 0)
            continue;
        *(bool *)field(o, d) = yes;
        return RC_OK;
    }
    return err_set(e, RC_USAGE, "'%.40s' is neither true nor false", value);
}

enum rc set_string(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    if (is_empty(value, e))
        return RC_USAGE;
    *(const char **)field(o, d) = value;
    return RC_OK;
}

enum rc set_list(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    return is_empty(value, e) ? RC_USAGE : options_add(o, field(o, d), value, e);
}

enum rc set_u32(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    uint64_t n;
    enum rc rc = num_u64(value, d->min, d->max, &n, e);
    if (rc == RC_OK)
        *(uint32_t *)field(o, d) = (uint32_t)n;
    return rc;
}

enum rc set_u16(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    uint64_t n;
    enum rc rc = num_u64(value, d->min, d->max, &n, e);
    if (rc == RC_OK)
        *(uint16_t *)field(o, d) = (uint16_t)n;
    return rc;
}

enum rc set_duration(struct options *o, const struct option_def *d, const char *value,
                     struct err *e)
{
    uint64_t ms;
    enum rc rc = num_duration(value, &ms, e);
    if (rc == RC_OK && ms < d->min)
        return err_set(e, RC_USAGE, "'%.40s' is no time at all (write 10s)", value);
    if (rc == RC_OK)
        *(uint64_t *)field(o, d) = ms;
    return rc;
}

enum rc set_size(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    uint64_t bytes;
    enum rc rc = num_size(value, &bytes, e);
    if (rc == RC_OK && bytes < d->min)
        return err_set(e, RC_USAGE, "'%.40s' is too small (at least %llu)", value,
                       (unsigned long long)d->min);
    if (rc == RC_OK)
        *(uint64_t *)field(o, d) = bytes;
    return rc;
}

static int find_word(const char *value, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(value, words[i]) == 0)
            return (int)i;
    return -1;
}

/* The place of `value` in a list of words, or -1 with a message that gives the list. */
static int choose(const char *value, const char *const *words, size_t count, struct err *e)
{
    char all[192] = "";
    int found = find_word(value, words, count);
    if (found >= 0)
        return found;
    for (size_t i = 0, n = 0; i < count; i++) {
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s",
                              i == 0           ? ""
                              : i + 1 == count ? " or "
                                               : ", ",
                              words[i]);
        must(n < sizeof all);
    }
    err_set(e, RC_USAGE, "'%.40s' is not one of %s", value, all);
    return -1;
}

enum rc set_tri(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    static const char *const words[] = {"auto", "always", "never"};
    int i = choose(value, words, 3, e);
    if (i < 0)
        return RC_USAGE;
    *(enum tri *)field(o, d) = (enum tri)i;
    return RC_OK;
}

enum rc set_host_keys(struct options *o, const struct option_def *d, const char *value,
                      struct err *e)
{
    (void)d;
    static const char *const words[] = {"strict", "accept-new", "off"};
    int i = choose(value, words, 3, e);
    if (i < 0)
        return RC_USAGE;
    o->host_keys = (enum host_keys_policy)i;
    return RC_OK;
}

enum rc set_agent(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    static const char *const ways[] = {[AGENT_CACHED] = "cached",
                                       [AGENT_TEMPORARY] = "temporary",
                                       [AGENT_NEVER] = "never",
                                       [AGENT_INSTALLED] = "installed"};
    for (int i = 0; i < (int)(sizeof ways / sizeof ways[0]); i++)
        if (strcmp(value, ways[i]) == 0) {
            o->agent_mode = (enum agent_mode)i;
            return RC_OK;
        }
    /* What the option was before muster had an agent of its own. */
    if (strcmp(value, "none") == 0 || value[0] == '/')
        return set_ssh_agent(o, d, value, e);
    return err_set(e, RC_USAGE,
                   "'%.60s' is none of cached, temporary, never and installed, the ways for "
                   "muster's agent; an ssh-agent is named by the absolute path of its socket, or "
                   "none",
                   value);
}

enum rc set_agent_dir(struct options *o, const struct option_def *d, const char *value,
                      struct err *e)
{
    if (o->agent_dirs.count == SCRIPT_MAX_DIRS)
        return err_set(e, RC_USAGE, "at most %d folders", SCRIPT_MAX_DIRS);
    enum rc rc = script_check_dir(value, e);
    return rc == RC_OK ? set_list(o, d, value, e) : rc;
}

enum rc set_become(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    (void)d;
    bool named = strcmp(value, "true") != 0;
    if (strcmp(value, "false") == 0) {
        o->become = NULL;
        return RC_OK;
    }
    if (named && (*value == '\0' || *value == '-' || strlen(value) > 255 ||
                  strpbrk(value, " \t\n/:") != NULL))
        return err_set(e, RC_USAGE, "'%.60s' is no user's name", value);
    o->become = named ? value : "root";
    return RC_OK;
}

enum rc set_on_disconnect(struct options *o, const struct option_def *d, const char *value,
                          struct err *e)
{
    (void)d;
    static const char *const words[] = {"continue", "kill"};
    int i = choose(value, words, 2, e);
    if (i >= 0)
        o->disconnect_kills = i == 1;
    return i >= 0 ? RC_OK : RC_USAGE;
}

enum rc set_ssh_agent(struct options *o, const struct option_def *d, const char *value,
                      struct err *e)
{
    (void)d;
    if (strcmp(value, "none") != 0 && value[0] != '/')
        return err_set(e, RC_USAGE, "'%s' is neither none nor the absolute path of a socket",
                       value);
    o->agent = value;
    return RC_OK;
}

/* One that the verb does not take either is not offered. */
static enum rc no_form(enum verb verb, const char *value, struct err *e)
{
    const char *forms = verb == VERB_STATS     ? "table, json, ndjson, csv, prometheus or none"
                        : verb == VERB_HISTORY ? "table, json or ndjson"
                        : verb == VERB_KEYSCAN ? "group, json, ndjson, csv, table or none"
                                               : "group, stream, json, ndjson, csv, table or none";
    return err_set(e, RC_USAGE, "'%.40s' is not one of %s", value, forms);
}

enum rc set_output(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    (void)d;
    static const char *const words[] = {
        [OUTPUT_GROUP] = "group", [OUTPUT_STREAM] = "stream",
        [OUTPUT_JSON] = "json",   [OUTPUT_NDJSON] = "ndjson",
        [OUTPUT_CSV] = "csv",     [OUTPUT_TABLE] = "table",
        [OUTPUT_NONE] = "none",   [OUTPUT_PROMETHEUS] = "prometheus"};
    int i = find_word(value, words, sizeof words / sizeof words[0]);
    if (i < 0)
        return no_form(o->verb, value, e);
    if (i == OUTPUT_PROMETHEUS && o->verb != VERB_STATS)
        return err_set(e, RC_USAGE, "prometheus is a form of 'muster stats' only");
    o->output.mode = (enum output_mode)i;
    o->output_set = true;
    return RC_OK;
}

/* "50/s" "50" "30/m", fractions allowed. */
enum rc set_rate(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    (void)d;
    double whole = 0, unit = 1;
    const char *p = value;
    for (; *p >= '0' && *p <= '9' && whole < 1e9; p++)
        whole = whole * 10 + (*p - '0');
    bool digits = p > value;
    if (digits && *p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++)
            whole += (*p - '0') * (unit /= 10);
    bool per_minute = strcmp(p, "/m") == 0;
    if (!digits || (*p != '\0' && strcmp(p, "/s") != 0 && !per_minute))
        return err_set(e, RC_USAGE, "'%.40s' is not a rate (write 50/s or 30/m)", value);
    if (whole <= 0 || whole > 1e6)
        return err_set(e, RC_USAGE, "'%.40s' is out of range (more than 0, at most 1000000)",
                       value);
    o->rate = per_minute ? whole / 60 : whole;
    return RC_OK;
}

static enum rc retry_on_add(struct options *o, const char *word, struct err *e)
{
    struct sched_retry_on r;
    uint64_t code;
    if (str_starts(word, "exit=")) {
        enum rc rc = num_u64(word + 5, 1, 255, &code, e);
        if (rc != RC_OK)
            return rc;
        r.kind = RETRY_ON_EXIT;
        r.value = (int)code;
    } else if ((r.value = status_by_name(word)) >= 0 && r.value != STATUS_OK) {
        r.kind = RETRY_ON_STATUS;
    } else if ((r.value = problem_by_name(word)) >= 0) {
        r.kind = RETRY_ON_PROBLEM;
    } else {
        return err_set(e, RC_USAGE,
                       "'%.40s' is neither a status (lost, timeout), a problem (connect-timeout) "
                       "nor exit=N; muster(1) lists them under PROBLEMS",
                       word);
    }
    if (o->retry_on_count == SCHED_RETRY_ON_MAX)
        return err_set(e, RC_USAGE, "more than %d entries", SCHED_RETRY_ON_MAX);
    o->retry_on[o->retry_on_count++] = r;
    return RC_OK;
}

/* Calls fn with each piece of a comma list. */
static enum rc each_piece(struct options *o, const char *value,
                          enum rc (*fn)(struct options *, const char *, struct err *),
                          struct err *e)
{
    for (const char *p = value;;) {
        size_t n = strcspn(p, ",");
        char word[64];
        if (n == 0 || n >= sizeof word)
            return err_set(e, RC_USAGE, "'%.40s' has an empty or endless entry", value);
        memcpy(word, p, n);
        word[n] = '\0';
        enum rc rc = fn(o, word, e);
        if (rc != RC_OK || p[n] == '\0')
            return rc;
        p += n + 1;
    }
}

enum rc set_retry_on(struct options *o, const struct option_def *d, const char *value,
                     struct err *e)
{
    (void)d;
    return each_piece(o, value, retry_on_add, e);
}

enum rc set_max_fail(struct options *o, const struct option_def *d, const char *value,
                     struct err *e)
{
    (void)d;
    uint64_t n;
    int percent;
    enum rc rc = num_count_or_percent(value, &n, &percent, e);
    if (rc != RC_OK)
        return rc;
    o->max_fail = (uint32_t)n;
    o->max_fail_percent = percent;
    o->max_fail_set = true;
    return RC_OK;
}

static enum rc wave_add(struct options *o, const char *word, struct err *e)
{
    uint64_t n;
    int percent;
    enum rc rc = num_count_or_percent(word, &n, &percent, e);
    if (rc != RC_OK)
        return rc;
    if (n == 0)
        return err_set(e, RC_USAGE, "a wave of no hosts ('%.40s') would never end", word);
    if (o->wave_count == SCHED_WAVES_MAX)
        return err_set(e, RC_USAGE, "more than %d waves (the last size repeats by itself)",
                       SCHED_WAVES_MAX);
    o->waves[o->wave_count++] = (struct sched_wave){.n = (uint32_t)n, .percent = percent};
    return RC_OK;
}

enum rc set_serial(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    (void)d;
    o->wave_count = 0;
    return each_piece(o, value, wave_add, e);
}

enum rc set_env(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    (void)d;
    size_t n = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
    if (n == 0 || value[n] != '=' || (value[0] >= '0' && value[0] <= '9'))
        return err_set(e, RC_USAGE, "'%.*s' is not NAME=VALUE (letters, digits and _ in NAME)",
                       (int)strcspn(value, "="), value);
    if (str_starts(value, "MUSTER_"))
        return err_set(e, RC_USAGE, "'%.*s': names that begin with MUSTER_ are ours", (int)n,
                       value);
    return options_add(o, &o->env, value, e);
}

enum rc set_expect(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    (void)d;
    char low[16];
    size_t n = strcspn(value, "-");
    uint64_t min = 0, max = 0;
    if (n >= sizeof low)
        return err_set(e, RC_USAGE, "'%.40s' is not N or N-M", value);
    memcpy(low, value, n);
    low[n] = '\0';
    enum rc rc = num_u64(low, 0, UINT32_MAX, &min, e);
    if (rc == RC_OK)
        rc = value[n] == '-' ? num_u64(value + n + 1, 0, UINT32_MAX, &max, e) : RC_OK;
    if (rc != RC_OK)
        return err_set(e, rc, "'%.40s' is not N or N-M", value);
    if (value[n] == '\0')
        max = min;
    if (max < min)
        return err_set(e, RC_USAGE, "'%.40s' ends before it begins", value);
    o->expect_set = true;
    o->expect_min = (uint32_t)min;
    o->expect_max = (uint32_t)max;
    return RC_OK;
}

enum rc set_ignore(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    (void)d;
    if (is_empty(value, e))
        return RC_USAGE;
    if (o->output.ignore_count == OUTPUT_MAX_PATTERNS)
        return err_set(e, RC_USAGE, "more than %d patterns", OUTPUT_MAX_PATTERNS);
    o->output.ignore[o->output.ignore_count++] = value;
    return RC_OK;
}

enum rc set_verbose(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    bool more;
    (void)d;
    if (strcmp(value, "true") != 0)
        return err_set(e, RC_USAGE, "'%.40s': say -v or -vv", value);
    more = o->output.verbose < 3;
    o->output.verbose += more;
    return RC_OK;
}

static enum rc one_view(struct options *o, enum hosts_view view, struct err *e)
{
    if (o->hosts_view != HOSTS_LIST && o->hosts_view != view)
        return err_set(e, RC_USAGE,
                       "only one of --fold, --expand, --count, --vars, --graph and --json");
    o->hosts_view = view;
    return RC_OK;
}

enum rc set_view(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    if (strcmp(value, "true") != 0)
        return err_set(e, RC_USAGE, "takes no value");
    return one_view(o, (enum hosts_view)d->min, e);
}

enum rc set_vars(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    (void)d;
    if (is_empty(value, e))
        return RC_USAGE;
    o->vars_host = value;
    return one_view(o, HOSTS_VARS, e);
}

/* STATUS_COUNT stands for --all-not-ok, which is what an empty list means. */
enum rc set_retry_status(struct options *o, const struct option_def *d, const char *value,
                         struct err *e)
{
    if (strcmp(value, "true") != 0)
        return err_set(e, RC_USAGE, "takes no value");
    if (d->min != STATUS_COUNT)
        return options_add(o, &o->retry_select, status_name((enum status)d->min), e);
    for (int s = STATUS_OK + 1; s < STATUS_COUNT; s++)
        if (options_add(o, &o->retry_select, status_name((enum status)s), e) != RC_OK)
            return RC_NOMEM;
    return RC_OK;
}

enum rc set_last(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    uint64_t n;
    enum rc rc = num_u64(value, d->min, d->max, &n, e);
    if (rc == RC_OK)
        o->history_max = (size_t)n;
    return rc;
}

/* The parser sees --help before it sets anything; this is for "--help=…". */
enum rc set_help(struct options *o, const struct option_def *d, const char *value, struct err *e)
{
    (void)o;
    (void)d;
    (void)value;
    return err_set(e, RC_USAGE, "takes no value");
}
