/* See view.h. */
#include "controller/stats/view.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/stats/rates.h"

enum { NAME_MAX_LEN = 128, TOP_USUAL = 10 };

struct build {
    struct view *v;
    const struct options *o;
    uint32_t only;            /* sections of --only; 0: not given */
    enum figure kind_from;    /* a figure that decided the kind; FIGURE_COUNT: none did */
    const char *option;       /* whose name is being read */
    const char *rates_option; /* that asked for a figure with rates, or NULL */
    enum figure rates_figure;
    bool usual; /* columns that nobody chose: what --only leaves out is none */
};

void view_fini(struct view *v)
{
    where_free(v->filter);
    arena_fini(&v->arena);
    memset(v, 0, sizeof *v);
}

/* ---- figures that are wanted, and what they need ---- */

/* Figures of the host that are made of rows. */
static uint32_t kinds_behind(enum figure f)
{
    const struct figure_def *d = &figure_defs[f];
    if (figure_kind(f) != KIND_HOST || d->wire != NULL)
        return 1u << figure_kind(f);
    switch (d->section) {
    case SECTION_DISK: return 1u << KIND_MOUNT;
    case SECTION_DISKIO: return 1u << KIND_DISKIO;
    case SECTION_NET: return 1u << KIND_NIC;
    case SECTION_SENSORS: return 1u << KIND_SENSOR;
    case SECTION_USERS: return 1u << KIND_USER;
    default: return 0;
    }
}

static enum rc need_section(struct build *b, enum stats_section s, enum figure f, struct err *e)
{
    if (s == SECTION_NONE)
        return RC_OK;
    if (b->only != 0 && !(b->only & 1u << s))
        return err_set(e, RC_USAGE, "%s: %s is of section %s, which --only leaves out", b->option,
                       figure_defs[f].name, section_defs[s].name);
    b->v->sections |= 1u << s;
    return RC_OK;
}

/* What it is made of besides its own section. */
static enum stats_section other_section(enum figure f)
{
    return f == FIG_PROC_MEM_PERCENT ? SECTION_MEMORY : SECTION_NONE;
}

static bool left_out(const struct build *b, enum figure f)
{
    uint32_t needs = 1u << figure_defs[f].section | 1u << other_section(f);
    return b->only != 0 && (needs & ~(b->only | 1u << SECTION_NONE)) != 0;
}

static enum rc need(struct build *b, enum figure f, struct err *e)
{
    enum figure_kind k = figure_kind(f);
    enum rc rc = need_section(b, (enum stats_section)figure_defs[f].section, f, e);
    if (rc == RC_OK)
        rc = need_section(b, other_section(f), f, e);
    if (rc != RC_OK)
        return rc;
    b->v->kinds |= kinds_behind(f);
    b->v->wanted[f] = true;
    if (figure_needs_rates(f)) {
        if (b->rates_option == NULL) {
            b->rates_option = b->option;
            b->rates_figure = f;
        }
        b->v->rates = true;
    }
    if (k == KIND_MEMINFO || k == KIND_VMSTAT)
        b->v->detail = true;
    if (k == KIND_HOST)
        return RC_OK;
    if (b->kind_from != FIGURE_COUNT && k != b->v->kind)
        return err_set(e, RC_USAGE,
                       "%s: %s is of %s and %s of %s: a line can stand for one of them only",
                       b->option, figure_defs[b->kind_from].name, kind_defs[b->v->kind].what,
                       figure_defs[f].name, kind_defs[k].what);
    b->v->kind = k;
    b->kind_from = f;
    return RC_OK;
}

static enum rc unknown(const struct build *b, const char *name, struct err *e)
{
    const char *near = figure_nearest(name);
    char shown[64];
    str_escape_to(shown, sizeof shown, name, strlen(name), 0);
    if (near != NULL)
        return err_set(e, RC_USAGE, "%s: there is no figure '%s'; did you mean %s?", b->option,
                       shown, near);
    return err_set(e, RC_USAGE,
                   "%s: there is no figure '%s' (docs/stats.md lists them; variables are written "
                   "vars.NAME)",
                   b->option, shown);
}

/* A column by its name, and what it needs. */
static enum rc find_column(struct build *b, const char *name, size_t n, struct view_column *out,
                           struct err *e)
{
    char text[NAME_MAX_LEN];
    if (n == 0 || n >= sizeof text)
        return err_set(e, RC_USAGE, "%s: an empty or endless name", b->option);
    memcpy(text, name, n);
    text[n] = '\0';
    *out = (struct view_column){.figure = figure_find(text, n),
                                .title = arena_strdup(&b->v->arena, text)};
    if (out->title == NULL)
        return err_nomem(e);
    if (strcmp(text, "host") == 0)
        out->what = COLUMN_IS_HOST;
    else if (strcmp(text, "time") == 0)
        out->what = COLUMN_IS_TIME;
    else if (str_starts(text, "vars.") && text[5] != '\0') {
        out->what = COLUMN_IS_VAR;
        out->var = out->title + 5;
    } else if (out->figure == FIGURE_COUNT)
        return unknown(b, text, e);
    else {
        out->what = COLUMN_IS_FIGURE;
        return need(b, out->figure, e);
    }
    return RC_OK;
}

/* ---- the options, one by one ---- */

static enum rc read_only(struct build *b, struct err *e)
{
    const char *p = b->o->stats.only;
    for (; p != NULL; p++) {
        size_t n = strcspn(p, ",");
        enum stats_section s = section_find(p, n);
        char all[256] = "";
        size_t at = 0;
        for (int i = 0; i < SECTION_COUNT; i++)
            at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", i > 0 ? ", " : "",
                                   section_defs[i].name);
        if (s == SECTION_NONE)
            return err_set(e, RC_USAGE, "--only: there is no section '%.*s' (there are: %s)",
                           (int)(n < 40 ? n : 40), p, all);
        b->only |= 1u << s;
        p += n;
        if (*p == '\0')
            break;
    }
    return RC_OK;
}

/* "a.b.c" of the path, as far as there is room. */
static const char *join(char dst[NAME_MAX_LEN], const char *const *path)
{
    size_t n = 0;
    for (size_t i = 0; path[i] != NULL && n < NAME_MAX_LEN; i++)
        n += (size_t)snprintf(dst + n, NAME_MAX_LEN - n, "%s%s", i > 0 ? "." : "", path[i]);
    return dst;
}

static enum rc filter_name(void *user, const char *const *path, struct err *e)
{
    struct build *b = user;
    char name[NAME_MAX_LEN];
    join(name, path);
    enum figure f = figure_find(name, strlen(name));
    if (f != FIGURE_COUNT)
        return need(b, f, e);
    if (path[1] != NULL && figure_is_prefix(path[0], strlen(path[0])))
        return unknown(b, name, e);
    if (strcmp(path[0], "vars") == 0 && path[1] == NULL)
        return err_set(e, RC_USAGE, "%s: vars of what? a variable is written vars.NAME", b->option);
    return RC_OK;
}

/* A value of the kind that a figure has: whether it can be compared is known before any host is
 * asked. Variables are anything. */
static enum rc resolve_kind(void *user, const char *const *path, struct value *space,
                            const struct value **out, struct err *e)
{
    char name[NAME_MAX_LEN];
    (void)user;
    (void)e;
    join(name, path);
    enum figure f = figure_find(name, strlen(name));
    enum figure_type type = f != FIGURE_COUNT ? (enum figure_type)figure_defs[f].type : TYPE_ANY;
    *out = space;
    *space = (struct value){.type = VALUE_NULL};
    if (type == TYPE_TEXT || strcmp(name, "host") == 0)
        *space = (struct value){.type = VALUE_STRING, .u.string = {"", 0}};
    else if (type == TYPE_BOOL)
        *space = (struct value){.type = VALUE_BOOL};
    else if (type != TYPE_ANY)
        *space = (struct value){.type = VALUE_INT, .u.integer = 2};
    return RC_OK;
}

static enum rc read_filter(struct build *b, struct err *e)
{
    if (b->o->stats.filter == NULL)
        return RC_OK;
    b->option = "--filter";
    enum rc rc = where_compile_for(b->option, b->o->stats.filter, &b->v->filter, e);
    if (rc == RC_OK)
        rc = where_each_name(b->v->filter, filter_name, b, e);
    struct where_resolver r = {.value = resolve_kind};
    return rc == RC_OK ? where_check_with(b->v->filter, &r, e) : rc;
}

static enum rc read_sort(struct build *b, struct err *e)
{
    const char *name = b->o->stats.sort;
    if (name == NULL)
        return RC_OK;
    b->option = "--sort";
    b->v->sorted = true;
    b->v->descending = *name == '-';
    name += b->v->descending;
    return find_column(b, name, strlen(name), &b->v->sort, e);
}

static enum rc add_columns(struct build *b, const char *list, struct err *e)
{
    struct view *v = b->v;
    while (list != NULL) {
        size_t n = strcspn(list, ",");
        enum figure f = b->usual ? figure_find(list, n) : FIGURE_COUNT;
        bool skip = f != FIGURE_COUNT && left_out(b, f);
        if (v->column_count == VIEW_COLUMNS)
            return err_set(e, RC_USAGE, "%s: at most %d columns", b->option, VIEW_COLUMNS);
        enum rc rc = skip ? RC_OK : find_column(b, list, n, &v->columns[v->column_count], e);
        if (rc != RC_OK)
            return rc;
        v->column_count += !skip;
        if (list[n] == '\0')
            break;
        list += n + 1;
    }
    return RC_OK;
}

/* Of a host's line: those of each section that was chosen. */
static enum rc add_sections(struct build *b, struct err *e)
{
    enum rc rc = RC_OK;
    for (int s = 0; rc == RC_OK && s < SECTION_COUNT; s++) {
        if (!(b->only & 1u << s))
            continue;
        if (section_defs[s].host_columns == NULL)
            return err_set(e, RC_USAGE,
                           "--only: %s has no figures of a host, so it cannot be shown together "
                           "with others (-o json can, and --columns)",
                           section_defs[s].name);
        rc = add_columns(b, section_defs[s].host_columns, e);
    }
    return rc;
}

static bool is_one(uint32_t bits)
{
    return bits != 0 && (bits & (bits - 1)) == 0;
}

/* Columns that nobody chose. */
static enum rc usual_columns(struct build *b, struct err *e)
{
    struct view *v = b->v;
    enum figure_kind kind = v->kind;
    b->option = "--only";
    b->usual = true;
    for (int s = 0; b->kind_from == FIGURE_COUNT && s < SECTION_COUNT; s++)
        if (is_one(b->only) && (b->only & 1u << s) && v->by == NULL)
            kind = (enum figure_kind)section_defs[s].kind;
    const char *head = v->by != NULL                                           ? NULL
                       : v->interval_ms > 0 && b->o->output.mode == OUTPUT_CSV ? "time,host"
                                                                               : "host";
    enum rc rc = add_columns(b, head, e);
    if (rc != RC_OK)
        return rc;
    if (v->by != NULL && kind == KIND_HOST && b->only == 0)
        return add_columns(b, "cpu.percent,load1_per_cpu,memory.percent", e);
    if (kind != KIND_HOST || b->only == 0)
        return add_columns(b, kind_defs[kind].columns, e);
    return add_sections(b, e);
}

/* Every figure of the sections: for documents. */
static void need_all(struct build *b)
{
    struct view *v = b->v;
    for (int s = 0; s < SECTION_COUNT; s++)
        if (b->only != 0 ? (b->only & 1u << s) != 0 : section_defs[s].usual)
            v->sections |= 1u << s;
    for (int k = 0; k < KIND_COUNT; k++) {
        bool heavy = k == KIND_CONNECTION ? (b->only & 1u << SECTION_CONNECTIONS) == 0
                     : k == KIND_PROCESS  ? v->top == 0
                                          : (k == KIND_MEMINFO || k == KIND_VMSTAT) && !v->detail;
        if (k != KIND_HOST && !heavy && (v->sections & 1u << kind_defs[k].section))
            v->kinds |= 1u << k;
    }
    v->rates = b->o->output.mode != OUTPUT_PROMETHEUS;
}

/* Rounds of csv follow each other without a line between them. */
static bool needs_time(const struct build *b)
{
    return b->v->interval_ms > 0 && b->o->output.mode == OUTPUT_CSV && b->v->by == NULL;
}

static bool lacks_time(const struct build *b, const char *list)
{
    for (const char *p = list; needs_time(b) && *p != '\0'; p += *p == ',') {
        size_t n = strcspn(p, ",");
        if (n == 4 && memcmp(p, "time", 4) == 0)
            return false;
        p += n;
    }
    return needs_time(b);
}

static enum rc read_columns(struct build *b, struct err *e)
{
    struct view *v = b->v;
    enum output_mode mode = b->o->output.mode;
    const char *list = b->o->output.columns;
    bool document = mode == OUTPUT_JSON || mode == OUTPUT_NDJSON || mode == OUTPUT_PROMETHEUS;
    v->whole = document && list == NULL && v->by == NULL;
    if (v->whole) {
        need_all(b);
        return RC_OK;
    }
    if (list == NULL)
        return usual_columns(b, e);
    b->option = "--columns";
    enum rc rc = lacks_time(b, list) ? add_columns(b, "time", e) : RC_OK;
    if (rc == RC_OK)
        rc = add_columns(b, list, e);
    uint32_t measures = 0;
    for (uint32_t i = 0; i < v->column_count; i++)
        measures +=
            v->columns[i].what == COLUMN_IS_FIGURE && figure_is_measure(v->columns[i].figure);
    if (rc == RC_OK && v->by != NULL && measures == 0)
        return err_set(e, RC_USAGE, "--by: none of the columns is a number to take a median of");
    return rc;
}

static enum rc read_top(struct build *b, struct err *e)
{
    struct view *v = b->v;
    const struct stats_options *s = &b->o->stats;
    v->detail = s->detail || b->o->output.mode == OUTPUT_PROMETHEUS;
    v->interval_ms = s->interval_ms;
    v->top = s->top;
    v->top_by = s->top > 0 && s->by != NULL ? s->by : "rss";
    v->by = s->top > 0 ? NULL : s->by;
    b->option = "--top";
    return s->top > 0 ? need(b, FIG_PROC_PID, e) : RC_OK;
}

static enum rc settle_samples(struct build *b, struct err *e)
{
    struct view *v = b->v;
    uint32_t asked = b->o->stats.samples;
    bool once = v->interval_ms == 0;
    if (once && asked == 1 && !v->whole && b->rates_option != NULL &&
        (b->o->output.columns != NULL || strcmp(b->rates_option, "--filter") == 0 ||
         strcmp(b->rates_option, "--sort") == 0))
        return err_set(e, RC_USAGE, "%s: %s takes two samples: leave out --samples 1",
                       b->rates_option, figure_defs[b->rates_figure].name);
    if (once)
        v->samples = asked > 0 ? asked : v->rates ? 2 : 1;
    else
        v->samples = 0; /* rounds are ours: a host that was early must not be at its end */
    v->rates = v->rates && v->samples != 1;
    v->rounds = once ? 1 : asked;
    return RC_OK;
}

enum rc view_init(struct view *v, const struct options *o, struct err *e)
{
    memset(v, 0, sizeof *v);
    arena_init(&v->arena);
    v->kind = KIND_HOST;
    struct build b = {.v = v, .o = o, .kind_from = FIGURE_COUNT};
    enum rc rc = read_only(&b, e);
    if (rc == RC_OK)
        rc = read_top(&b, e);
    if (rc == RC_OK)
        rc = read_filter(&b, e);
    if (rc == RC_OK)
        rc = read_sort(&b, e);
    if (rc == RC_OK)
        rc = read_columns(&b, e);
    if (v->kind == KIND_PROCESS && v->top == 0)
        v->top = TOP_USUAL;
    v->sections |= b.only;
    rates_needs(v->wanted);
    return rc == RC_OK ? settle_samples(&b, e) : rc;
}

/* ---- names that only the inventory can know ---- */

struct names {
    const struct inventory *inv;
    struct inv_host *const *hosts;
    uint32_t count;
    const char *option;
};

static enum rc check_variable(const struct names *n, const char *name, struct err *e)
{
    char shown[64];
    for (uint32_t i = 0; i < n->count; i++)
        if (inventory_host_var(n->inv, n->hosts[i], name) != NULL)
            return RC_OK;
    str_escape_to(shown, sizeof shown, name, strlen(name), 0);
    const char *near = figure_nearest(name);
    return err_set(e, RC_USAGE, "%s: '%s' is neither a figure nor a variable of these hosts%s%s%s",
                   n->option, shown, near != NULL ? "; did you mean " : "",
                   near != NULL ? near : "", near != NULL ? "?" : "");
}

static enum rc check_name(void *user, const char *const *path, struct err *e)
{
    char name[NAME_MAX_LEN];
    join(name, path);
    if (figure_find(name, strlen(name)) != FIGURE_COUNT)
        return RC_OK;
    if (strcmp(path[0], "host") == 0 && path[1] == NULL)
        return RC_OK;
    return check_variable(user, strcmp(path[0], "vars") == 0 ? path[1] : path[0], e);
}

enum rc view_check_names(const struct view *v, const struct inventory *inv,
                         struct inv_host *const *hosts, uint32_t count, struct err *e)
{
    struct names n = {.inv = inv, .hosts = hosts, .count = count, .option = "--filter"};
    enum rc rc = v->filter != NULL ? where_each_name(v->filter, check_name, &n, e) : RC_OK;
    n.option = "--columns";
    for (uint32_t i = 0; rc == RC_OK && i < v->column_count; i++)
        if (v->columns[i].what == COLUMN_IS_VAR)
            rc = check_variable(&n, v->columns[i].var, e);
    n.option = "--sort";
    if (rc == RC_OK && v->sorted && v->sort.what == COLUMN_IS_VAR)
        rc = check_variable(&n, v->sort.var, e);
    return rc;
}

/* ---- the filter ---- */

uint32_t view_row(enum figure f, uint32_t row)
{
    return figure_kind(f) == KIND_HOST ? 0 : row;
}

void view_value(const struct sample *s, enum figure f, uint32_t row, struct value *space)
{
    uint64_t n;
    double d;
    const char *text = sample_text(s, f, row);
    *space = (struct value){.type = VALUE_NULL};
    if (text != NULL) {
        space->type = VALUE_STRING;
        space->u.string.data = text;
        space->u.string.len = strlen(text);
    } else if (sample_type(s, f, row) == CELL_BOOL) {
        space->type = VALUE_BOOL;
        space->u.boolean = sample_true(s, f, row);
    } else if (figure_defs[f].unit != UNIT_TICKS && figure_defs[f].unit != UNIT_UPTIME &&
               sample_u64(s, f, row, &n) && n <= INT64_MAX) {
        space->type = VALUE_INT;
        space->u.integer = (int64_t)n;
    } else if (sample_number(s, f, row, &d)) {
        space->type = VALUE_FLOAT;
        space->u.real = d;
    }
}

struct subject {
    const struct inventory *inv;
    const struct inv_host *host;
    const struct sample *sample;
    uint32_t row;
};

/* vars.a.b is the variable a, and its member b. */
static const struct value *variable(const struct subject *s, const char *const *path)
{
    const struct value *v = inventory_host_var(s->inv, s->host, path[0]);
    for (path++; v != NULL && *path != NULL && !value_is_opaque(v); path++)
        v = value_get(v, *path);
    return v;
}

static enum rc resolve(void *user, const char *const *path, struct value *space,
                       const struct value **out, struct err *e)
{
    const struct subject *s = user;
    char name[NAME_MAX_LEN];
    (void)e;
    *out = space;
    join(name, path);
    enum figure f = figure_find(name, strlen(name));
    if (f != FIGURE_COUNT) {
        view_value(s->sample, f, view_row(f, s->row), space);
        return RC_OK;
    }
    if (strcmp(name, "host") == 0) {
        *space = (struct value){.type = VALUE_STRING,
                                .u.string = {s->host->name, strlen(s->host->name)}};
        return RC_OK;
    }
    if (strcmp(path[0], "vars") != 0 || path[1] == NULL)
        return RC_NOTFOUND;
    const struct value *v = s->inv != NULL ? variable(s, path + 1) : NULL;
    *space = (struct value){.type = VALUE_NULL};
    if (v != NULL)
        *out = v;
    return RC_OK;
}

enum rc view_keeps(const struct view *v, const struct inventory *inv, const struct inv_host *h,
                   const struct sample *s, uint32_t row, bool *out, struct err *e)
{
    struct subject subject = {.inv = inv, .host = h, .sample = s, .row = row};
    struct where_resolver r = {.value = resolve, .user = &subject};
    *out = true;
    return v->filter != NULL ? where_test_with(v->filter, inv, h, &r, out, e) : RC_OK;
}
