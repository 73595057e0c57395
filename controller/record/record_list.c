/* The list of past runs: of each record only its first and its last line are read. See record.h. */
#include "controller/record/record.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "controller/record/internal.h"

enum { STEP = 256 * 1024, TAIL = 16 * 1024 };

static bool is_detached(const json_t *replay)
{
    static const char *const off[] = {"false", "no", "off", "0"};
    size_t i;
    const json_t *option;
    bool on = false;
    json_array_foreach(json_object_get(replay, "options"), i, option)
    {
        const char *name = json_string_value(json_array_get(option, 0));
        const char *value = json_string_value(json_array_get(option, 1));
        if (name == NULL || value == NULL || strcmp(name, "detach") != 0)
            continue;
        on = true;
        for (size_t w = 0; w < sizeof off / sizeof off[0]; w++)
            on = on && strcasecmp(value, off[w]) != 0;
    }
    return on;
}

enum record_kind record_kind(const json_t *start, const char **of)
{
    const json_t *replay = json_object_get(start, "replay");
    const char *retry_of = json_string_value(json_object_get(start, "retry_of"));
    bool looks = !json_is_object(replay);
    if (of != NULL)
        *of = looks ? retry_of : NULL;
    if (looks)
        return retry_of != NULL ? KIND_ATTACH : KIND_FIGURES;
    return is_detached(replay) ? KIND_DETACHED : KIND_COMMAND;
}

static void copy_member(char *dst, size_t cap, const json_t *doc, const char *name)
{
    const char *text = json_string_value(json_object_get(doc, name));
    snprintf(dst, cap, "%s", text != NULL ? text : "");
}

static enum rc summarise_start(struct record_summary *s, const char *line, size_t n, bool *usable)
{
    json_t *doc = json_loadb(line, n, JSON_ALLOW_NUL, NULL);
    const char *schema = json_string_value(json_object_get(doc, "schema"));
    *usable = schema != NULL && strcmp(schema, RECORD_SCHEMA) == 0;
    enum rc rc = RC_OK;
    if (*usable) {
        const json_t *command = json_object_get(doc, "command");
        copy_member(s->started, sizeof s->started, doc, "started");
        copy_member(s->user, sizeof s->user, doc, "user");
        s->kind = record_kind(doc, NULL);
        s->targets = (uint32_t)json_integer_value(json_object_get(doc, "target_count"));
        s->command = json_is_null(command) || command == NULL ? NULL : record_take_text(command);
        if (s->command == NULL && command != NULL && !json_is_null(command))
            rc = RC_NOMEM;
    }
    json_decref(doc);
    return rc;
}

/* A run counts each of its hosts, those included whose turn never came. */
static bool counts_none(const json_t *counts)
{
    json_int_t sum = 0;
    for (int s = 0; s < STATUS_COUNT; s++)
        sum += json_integer_value(json_object_get(counts, status_name((enum status)s)));
    return sum == 0;
}

static void summarise_end(struct record_summary *s, const char *line, size_t n)
{
    json_t *doc = json_loadb(line, n, 0, NULL);
    const char *type = json_string_value(json_object_get(doc, "type"));
    if (type != NULL && strcmp(type, "end") == 0) {
        const json_t *counts = json_object_get(doc, "counts");
        s->finished = true;
        s->exit_code = (int)json_integer_value(json_object_get(doc, "exit_code"));
        s->ok = (uint32_t)json_integer_value(json_object_get(counts, status_name(STATUS_OK)));
        s->idle = counts_none(counts);
    }
    json_decref(doc);
}

/* Reads from the start up to the first newline into `line`. *found: there is one. */
static enum rc first_line(int fd, struct buf *line, bool *found)
{
    *found = false;
    for (uint64_t at = 0;;) {
        size_t got;
        enum rc rc = buf_reserve(line, STEP);
        if (rc != RC_OK || record_pread(fd, line->data + line->len, STEP, at, &got) != 0)
            return rc == RC_NOMEM ? rc : RC_OK;
        if (got == 0)
            return RC_OK;
        const uint8_t *end = memchr(line->data + line->len, '\n', got);
        *found = end != NULL;
        line->len = end != NULL ? (size_t)(end - line->data) : line->len + got;
        if (*found)
            return RC_OK;
        at += got;
    }
}

/* The end line is short: it is in the last 16 KiB or nowhere. */
static void last_line(int fd, struct record_summary *s)
{
    char tail[TAIL];
    struct stat st;
    size_t got;
    if (fstat(fd, &st) != 0)
        return;
    uint64_t at = st.st_size > (off_t)sizeof tail ? (uint64_t)st.st_size - sizeof tail : 0;
    if (record_pread(fd, tail, sizeof tail, at, &got) != 0 || got == 0 || tail[got - 1] != '\n')
        return;
    size_t start = got - 1;
    while (start > 0 && tail[start - 1] != '\n')
        start--;
    summarise_end(s, tail + start, got - 1 - start);
}

static enum rc summarise(const char *dir, const char *id, struct record_summary *s, bool *usable)
{
    struct buf line;
    struct stat st;
    *usable = false;
    int fd = record_open_file(dir, id);
    if (fd < 0)
        return RC_OK;
    buf_init(&line, RECORD_MAX_LINE);
    snprintf(s->id, sizeof s->id, "%s", id);
    enum rc rc = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? first_line(fd, &line, usable) : RC_OK;
    if (rc == RC_OK && *usable)
        rc = summarise_start(s, (const char *)line.data, line.len, usable);
    if (rc == RC_OK && *usable) {
        s->alive = record_is_locked(fd);
        last_line(fd, s);
        s->alive = s->alive && !s->finished;
    }
    buf_fini(&line);
    close(fd);
    return rc;
}

static bool serves(const struct record_summary *s, enum record_use use)
{
    if (use == RECORD_ANY)
        return true;
    return !s->idle &&
           (s->kind == KIND_DETACHED || (s->kind == KIND_COMMAND && use == RECORD_REPEATABLE));
}

enum rc ids_place(const char *dir, const struct ids *ids, enum record_use use, size_t place,
                  char *id, struct err *e)
{
    size_t seen = 0;
    for (size_t i = 0; i < ids->count; i++) {
        struct record_summary s = {0};
        bool usable = use == RECORD_ANY; /* what is wrong with the newest is said then */
        enum rc rc = usable ? RC_OK : summarise(dir, ids->items[i], &s, &usable);
        mem_free(s.command);
        if (rc != RC_OK)
            return err_nomem(e);
        if (!usable || !serves(&s, use) || seen++ < place)
            continue;
        snprintf(id, RECORD_ID, "%s", ids->items[i]);
        return RC_OK;
    }
    if (seen > 0 || use == RECORD_ANY)
        return err_set(e, RC_NOTFOUND, "there are only %zu %sruns on record", seen,
                       use == RECORD_DETACHED     ? "detached "
                       : use == RECORD_REPEATABLE ? "repeatable "
                                                  : "");
    return err_set(e, RC_NOTFOUND, "%s",
                   use == RECORD_DETACHED
                       ? "no run on record was detached: muster run --detach"
                       : "no run on record can be repeated (figures and attaches cannot)");
}

enum rc record_list(const char *state_dir, size_t max, struct record_summary **out, size_t *count,
                    struct err *e)
{
    struct ids ids = {0};
    struct record_summary *list = NULL;
    size_t n = 0;
    char *dir = record_runs_dir(state_dir);
    enum rc rc = dir != NULL ? ids_list(dir, &ids, e) : err_nomem(e);
    if (rc == RC_OK)
        list = mem_calloc(ids.count < max ? ids.count : max, sizeof *list);
    if (rc == RC_OK && list == NULL)
        rc = err_nomem(e);
    for (size_t i = 0; rc == RC_OK && i < ids.count && n < max; i++) {
        bool usable;
        rc = summarise(dir, ids.items[i], &list[n], &usable);
        if (rc != RC_OK)
            err_nomem(e);
        if (rc == RC_OK && usable) {
            n++;
        } else {
            mem_free(list[n].command);
            list[n] = (struct record_summary){0};
        }
    }
    ids_free(&ids);
    mem_free(dir);
    if (rc != RC_OK) {
        record_list_free(list, n);
        return rc;
    }
    *out = list;
    *count = n;
    return RC_OK;
}

void record_list_free(struct record_summary *s, size_t count)
{
    for (size_t i = 0; s != NULL && i < count; i++)
        mem_free(s[i].command);
    mem_free(s);
}
