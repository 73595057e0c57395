/* The configuration file: "name: value" for the options that may stand there. See options_table.h.
 *
 * A small part of YAML, read event by event: one mapping of long option names to a scalar, or to a
 * list of scalars where the option may be repeated. Anything else is an error with its place.
 */
#include "controller/cli/options_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "common/mem.h"
#include "common/str.h"

enum { CONFIG_MAX_FILE = 1024 * 1024 };

struct config {
    struct options *o;
    const char *name, *dir, *home; /* home may be NULL */
    yaml_parser_t parser;
    bool seen[128]; /* by option */
};

__attribute__((format(printf, 4, 5))) static enum rc fail_at(struct config *c, yaml_mark_t mark,
                                                             struct err *e, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(e, RC_CONFIG, "%s:%zu:%zu: %s", c->name, mark.line + 1, mark.column + 1, text);
}

static enum rc next_event(struct config *c, yaml_event_t *event, struct err *e)
{
    if (yaml_parser_parse(&c->parser, event))
        return RC_OK;
    if (c->parser.error == YAML_MEMORY_ERROR)
        return err_nomem(e);
    return fail_at(c, c->parser.problem_mark, e, "%s",
                   c->parser.problem != NULL ? c->parser.problem : "not YAML");
}

/* The value as the option gets it: a copy that lives with *o; paths start at the file's folder. */
static const char *own_value(struct config *c, const struct option_def *d, const char *text)
{
    bool is_path = option_is_path(d, text) && strchr(text, ',') == NULL && text[0] != '/';
    const char *base = is_path && str_starts(text, "~/") ? c->home : is_path ? c->dir : NULL;
    if (base == NULL || *text == '\0')
        return arena_strdup(&c->o->arena, text);
    if (text[0] == '~')
        text += 2;
    size_t n = strlen(base) + 1 + strlen(text) + 1;
    char *path = arena_alloc(&c->o->arena, n);
    if (path != NULL)
        snprintf(path, n, "%s/%s", base, text);
    return path;
}

static enum rc take_value(struct config *c, const struct option_def *d, yaml_event_t *event,
                          struct err *e)
{
    const char *text = (const char *)event->data.scalar.value;
    yaml_mark_t mark = event->start_mark;
    if (strlen(text) != event->data.scalar.length)
        return fail_at(c, mark, e, "%s: holds a NUL", d->name);
    const char *value = own_value(c, d, text);
    if (value == NULL)
        return err_nomem(e);
    struct err why = {0};
    enum rc rc = option_apply(c->o, d, value, SOURCE_CONFIG, &why);
    if (rc == RC_NOMEM)
        return err_nomem(e);
    return rc == RC_OK ? rc : fail_at(c, mark, e, "%s: %s", d->name, why.msg);
}

static enum rc take_list(struct config *c, const struct option_def *d, yaml_mark_t mark,
                         struct err *e)
{
    if (!(d->flags & OPTION_REPEAT))
        return fail_at(c, mark, e, "%s takes one value, not a list", d->name);
    for (;;) {
        yaml_event_t event;
        enum rc rc = next_event(c, &event, e);
        if (rc != RC_OK)
            return rc;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        if (!end)
            rc = event.type == YAML_SCALAR_EVENT
                     ? take_value(c, d, &event, e)
                     : fail_at(c, event.start_mark, e, "%s: only plain values here", d->name);
        yaml_event_delete(&event);
        if (rc != RC_OK || end)
            return rc;
    }
}

/* An option by its name in the file; '_' is as good as '-'. */
static const struct option_def *find_key(const char *key, char *name, size_t cap)
{
    snprintf(name, cap, "%s", key);
    for (char *p = name; *p != '\0'; p++)
        if (*p == '_')
            *p = '-';
    return option_by_name(name, strlen(name));
}

static enum rc check_key(struct config *c, const yaml_event_t *event, const struct option_def **out,
                         struct err *e)
{
    char name[64], shown[64];
    const char *key = (const char *)event->data.scalar.value;
    const struct option_def *d = find_key(key, name, sizeof name);
    str_escape_to(shown, sizeof shown, key, strlen(key), 0);
    if (d == NULL) {
        const struct option_def *near = option_nearest(name, VERB_COUNT);
        if (near != NULL && (near->flags & OPTION_KEY))
            return fail_at(c, event->start_mark, e, "unknown key '%s'; did you mean '%s'?", shown,
                           near->name);
        return fail_at(c, event->start_mark, e, "unknown key '%s' (keys are long option names)",
                       shown);
    }
    if (!(d->flags & OPTION_KEY))
        return fail_at(c, event->start_mark, e, "'%s' can only be given on the command line",
                       shown);
    size_t i = (size_t)(d - option_table);
    must(i < sizeof c->seen);
    if (c->seen[i])
        return fail_at(c, event->start_mark, e, "'%s' is given twice", shown);
    c->seen[i] = true;
    *out = d;
    return RC_OK;
}

static enum rc take_pair(struct config *c, const struct option_def *d, struct err *e)
{
    yaml_event_t event;
    enum rc rc = next_event(c, &event, e);
    if (rc != RC_OK)
        return rc;
    if (event.type == YAML_SCALAR_EVENT)
        rc = take_value(c, d, &event, e);
    else if (event.type == YAML_SEQUENCE_START_EVENT)
        rc = take_list(c, d, event.start_mark, e);
    else
        rc = fail_at(c, event.start_mark, e, "%s: a plain value or a list of them is wanted",
                     d->name);
    yaml_event_delete(&event);
    return rc;
}

static enum rc take_mapping(struct config *c, struct err *e)
{
    for (;;) {
        yaml_event_t event;
        const struct option_def *d = NULL;
        enum rc rc = next_event(c, &event, e);
        if (rc != RC_OK)
            return rc;
        bool end = event.type == YAML_MAPPING_END_EVENT;
        if (!end)
            rc = event.type == YAML_SCALAR_EVENT
                     ? check_key(c, &event, &d, e)
                     : fail_at(c, event.start_mark, e, "keys are names of options");
        yaml_event_delete(&event);
        if (rc == RC_OK && !end) {
            must(d != NULL);
            rc = take_pair(c, d, e);
        }
        if (rc != RC_OK || end)
            return rc;
    }
}

/* An empty file, or one whose top is "null", says nothing. */
static enum rc take_document(struct config *c, struct err *e)
{
    unsigned documents = 0;
    for (;;) {
        yaml_event_t event;
        enum rc rc = next_event(c, &event, e);
        if (rc != RC_OK)
            return rc;
        yaml_event_type_t type = event.type;
        yaml_mark_t mark = event.start_mark;
        bool blank = type == YAML_SCALAR_EVENT && event.data.scalar.length == 0;
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT)
            return RC_OK;
        if (type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
            return fail_at(c, mark, e, "one document only");
        if (type == YAML_MAPPING_START_EVENT)
            rc = take_mapping(c, e);
        else if ((type == YAML_SCALAR_EVENT && !blank) || type == YAML_SEQUENCE_START_EVENT ||
                 type == YAML_ALIAS_EVENT)
            rc = fail_at(c, mark, e, "lines like 'fanout: 100' are wanted here");
        if (rc != RC_OK)
            return rc;
    }
}

enum rc config_parse(struct options *o, const char *name, const char *dir, const char *home,
                     const char *text, size_t len, struct err *e)
{
    struct config c = {.o = o, .name = name, .dir = dir, .home = home};
    if (!yaml_parser_initialize(&c.parser))
        return err_nomem(e);
    yaml_parser_set_input_string(&c.parser, (const unsigned char *)text, len);
    enum rc rc = take_document(&c, e);
    yaml_parser_delete(&c.parser);
    return rc;
}

/* *found says whether there is such a file. */
static enum rc read_file(const char *path, struct buf *out, bool *found, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    *found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? RC_OK : err_sys(e, errno, "%s", path);
    enum rc rc = RC_OK;
    while (rc == RC_OK) {
        char chunk[4096];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_sys(e, errno, "%s", path);
        if (n <= 0)
            break;
        rc = buf_append(out, chunk, (size_t)n);
        if (rc == RC_LIMIT)
            err_set(e, RC_CONFIG, "%s: larger than %d bytes", path, CONFIG_MAX_FILE);
        else if (rc != RC_OK)
            err_nomem(e);
    }
    close(fd);
    return rc;
}

/* An empty path: there is no home to look in. */
static void find_path(const char *(*env_get)(const char *name), const char *home, char *dst,
                      size_t cap)
{
    const char *named = env_get("MUSTER_CONFIG"), *xdg = env_get("XDG_CONFIG_HOME");
    if (named != NULL && *named != '\0')
        snprintf(dst, cap, "%s", named);
    else if (xdg != NULL && xdg[0] == '/')
        snprintf(dst, cap, "%s/muster/config.yml", xdg);
    else if (home != NULL && *home != '\0')
        snprintf(dst, cap, "%s/.config/muster/config.yml", home);
    else
        dst[0] = '\0';
}

enum rc config_load(struct options *o, const char *(*env_get)(const char *name), struct err *e)
{
    char path[4096], dir[4096];
    const char *home = env_get("HOME"), *named = env_get("MUSTER_CONFIG");
    find_path(env_get, home, path, sizeof path);
    if (path[0] == '\0')
        return RC_OK;
    struct buf text;
    bool found;
    buf_init(&text, CONFIG_MAX_FILE);
    enum rc rc = read_file(path, &text, &found, e);
    if (rc == RC_OK && !found && named != NULL && *named != '\0')
        rc = err_set(e, RC_CONFIG, "%s: there is no such file (MUSTER_CONFIG names it)", path);
    if (rc == RC_OK && found) {
        snprintf(dir, sizeof dir, "%s", path);
        char *slash = strrchr(dir, '/');
        if (slash != NULL)
            *slash = '\0';
        else
            snprintf(dir, sizeof dir, ".");
        rc = config_parse(o, path, dir, home, (const char *)text.data, text.len, e);
    }
    buf_fini(&text);
    return rc;
}
