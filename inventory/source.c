/* Where sources come from: files, folders, scripts, inline lists, and which format a text has.
 * Ansible tries its plugins one after the other (script, yaml, ini); here the same order decides,
 * but a source that none of them reads is an error, not a warning. See source.h. */
#include "inventory/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/str.h"
#include "inventory/jsondoc.h"
#include "inventory/script.h"
#include "inventory/yamldoc.h"

enum { MAX_FOLDERS = 32 };

/* --- text --- */

const char *source_extension(const char *path)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    while (*base == '.')
        base++;
    const char *dot = strrchr(base, '.');
    return dot ? dot : "";
}

static bool may_be_yaml(const char *file)
{
    const char *ext = source_extension(file);
    return ext[0] == '\0' || strcmp(ext, ".yaml") == 0 || strcmp(ext, ".yml") == 0 ||
           strcmp(ext, ".json") == 0;
}

enum rc source_document(struct inventory *inv, const char *file, const char *text, size_t len,
                        const struct value **out, struct err *e)
{
    size_t i = 0;
    while (i < len && strchr(" \t\r\n", text[i]) != NULL && text[i] != '\0')
        i++;
    if (i < len && text[i] == '{') {
        /* What is not quite JSON may still be YAML, which also knows the places. */
        struct err ignored;
        enum rc rc = jsondoc_parse(&inv->arena, file, text, len, out, &ignored);
        if (rc == RC_OK || rc == RC_NOMEM)
            return rc == RC_OK ? rc : err_nomem(e);
    }
    return yamldoc_parse(&inv->arena, file, text, len, out, e);
}

static const char *sealed_message = "the file is sealed; open it first (muster vault)";

bool source_is_sealed(const char *text, size_t len)
{
    static const char theirs[] = "$ANSIBLE_VAULT", ours[] = "$MUSTER_VAULT";
    return (len >= sizeof theirs - 1 && memcmp(text, theirs, sizeof theirs - 1) == 0) ||
           (len >= sizeof ours - 1 && memcmp(text, ours, sizeof ours - 1) == 0);
}

static bool starts_with_section(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '#' || text[i] == ';')
            while (i < len && text[i] != '\n')
                i++;
        else if (text[i] != ' ' && text[i] != '\t' && text[i] != '\n' && text[i] != '\r')
            return text[i] == '[';
    }
    return false;
}

/* Neither format: the message of the one that was meant, as far as one can tell. */
static enum rc neither(const char *file, const char *text, size_t len, const struct err *yaml,
                       const struct err *ini, struct err *e)
{
    bool meant_yaml = source_extension(file)[0] != '\0';
    if (meant_yaml || starts_with_section(text, len)) {
        const struct err *meant = meant_yaml ? yaml : ini;
        return err_set(e, meant->rc, "%s", meant->msg);
    }
    return err_set(e, RC_PARSE, "neither YAML (%.300s) nor INI (%.300s)", yaml->msg, ini->msg);
}

static enum rc add_auto(struct inventory *inv, const char *file, const char *text, size_t len,
                        struct err *e)
{
    if (!may_be_yaml(file))
        return source_ini(inv, file, text, len, e);
    const struct value *doc;
    struct err yaml, ini;
    enum rc rc = source_document(inv, file, text, len, &doc, &yaml);
    if (rc == RC_OK && (doc == NULL || doc->type == VALUE_NULL))
        return RC_OK;
    if (rc == RC_OK && doc->type == VALUE_MAP)
        return source_groups(inv, doc, e);
    if (rc != RC_OK && rc != RC_PARSE)
        return err_set(e, rc, "%s", yaml.msg);
    if (rc == RC_OK)
        model_error(&yaml, RC_PARSE, &doc->place,
                    "an inventory in YAML is a mapping of groups, not %s", value_type_text(doc));
    rc = source_ini(inv, file, text, len, &ini);
    if (rc == RC_OK || rc == RC_NOMEM)
        return rc == RC_OK ? rc : err_nomem(e);
    return neither(file, text, len, &yaml, &ini, e);
}

static enum rc add_yaml(struct inventory *inv, const char *file, const char *text, size_t len,
                        struct err *e)
{
    const struct value *doc;
    enum rc rc = source_document(inv, file, text, len, &doc, e);
    if (rc != RC_OK || doc == NULL || doc->type == VALUE_NULL)
        return rc;
    if (doc->type != VALUE_MAP)
        return model_error(e, RC_PARSE, &doc->place,
                           "an inventory in YAML is a mapping of groups, not %s",
                           value_type_text(doc));
    return source_groups(inv, doc, e);
}

static enum rc add_script_text(struct inventory *inv, const char *file, const char *text,
                               size_t len, struct err *e)
{
    const struct value *doc;
    struct list hosts = {0};
    bool has_meta;
    enum rc rc = jsondoc_parse(&inv->arena, file, text, len, &doc, e);
    return rc == RC_OK ? source_script_list(inv, doc, &has_meta, &hosts, e) : rc;
}

enum rc inventory_add_text(struct inventory *inv, const char *name, enum inventory_format format,
                           const char *text, size_t len, struct err *e)
{
    must(!inv->finished);
    const char *file = arena_strdup(&inv->arena, name);
    if (file == NULL)
        return err_nomem(e);
    if (len > INVENTORY_MAX_FILE)
        return err_set(e, RC_LIMIT, "%s: larger than %d bytes", name, INVENTORY_MAX_FILE);
    if (source_is_sealed(text, len))
        return err_set(e, RC_OPAQUE, "%s:1:1: %s", name, sealed_message);
    switch (format) {
    case INVENTORY_AUTO: return add_auto(inv, file, text, len, e);
    case INVENTORY_YAML: return add_yaml(inv, file, text, len, e);
    case INVENTORY_INI: return source_ini(inv, file, text, len, e);
    case INVENTORY_SCRIPT: return add_script_text(inv, file, text, len, e);
    }
    return RC_INTERNAL;
}

/* --- files --- */

static enum rc read_all(int fd, const char *path, struct buf *out, struct err *e)
{
    for (;;) {
        enum rc rc = buf_reserve(out, 64 * 1024);
        if (rc == RC_NOMEM)
            return err_nomem(e);
        if (rc != RC_OK)
            return err_set(e, RC_LIMIT, "%s: larger than %d bytes", path, INVENTORY_MAX_FILE);
        ssize_t n = read(fd, out->data + out->len, out->cap - out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "%s", path);
        if (n == 0)
            return RC_OK;
        out->len += (size_t)n;
    }
}

enum rc source_read_file(const char *path, struct buf *out, struct err *e)
{
    out->max = (size_t)INVENTORY_MAX_FILE + 128 * 1024;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "%s", path);
    struct stat st;
    enum rc rc = RC_OK;
    if (fstat(fd, &st) == 0 && st.st_size > INVENTORY_MAX_FILE)
        rc = err_set(e, RC_LIMIT, "%s: larger than %d bytes", path, INVENTORY_MAX_FILE);
    else
        rc = read_all(fd, path, out, e);
    close(fd);
    return rc;
}

static enum rc add_file(struct inventory *inv, const char *path, struct err *e)
{
    struct buf text;
    buf_init(&text, 0);
    enum rc rc = source_read_file(path, &text, e);
    if (rc == RC_OK)
        rc = inventory_add_text(inv, path, INVENTORY_AUTO, text.len ? (const char *)text.data : "",
                                text.len, e);
    buf_fini(&text);
    return rc;
}

/* --- scripts --- */

/* Ansible's test: may be executed, or begins with "#!". */
static bool looks_executable(const char *path)
{
    char start[2] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool shebang = fd >= 0 && read(fd, start, 2) == 2 && start[0] == '#' && start[1] == '!';
    if (fd >= 0)
        close(fd);
    return shebang || access(path, X_OK) == 0;
}

static enum rc script_document(struct inventory *inv, const char *path, const char *const *args,
                               bool strict, const struct value **doc, struct err *e)
{
    struct buf text;
    buf_init(&text, INVENTORY_MAX_FILE);
    enum rc rc = script_run(path, args, inv->script_ms, &text, e);
    const char *file = rc == RC_OK ? arena_strdup(&inv->arena, path) : path;
    if (rc == RC_OK && file == NULL)
        rc = err_nomem(e);
    const char *data = text.len ? (const char *)text.data : "";
    if (rc == RC_OK && strict)
        rc = jsondoc_parse(&inv->arena, file, data, text.len, doc, e);
    else if (rc == RC_OK)
        rc = source_document(inv, file, data, text.len, doc, e);
    if (rc == RC_PARSE)
        err_wrap(e, "the output of '%s %s'", path, args[0]);
    buf_fini(&text);
    return rc;
}

static enum rc ask_each_host(struct inventory *inv, const char *path, const struct list *hosts,
                             struct err *e)
{
    enum rc rc = RC_OK;
    struct map asked;
    map_init(&asked);
    for (uint32_t i = 0; rc == RC_OK && i < hosts->count; i++) {
        struct host *h = hosts->items[i];
        const struct value *doc;
        if (map_gets(&asked, h->pub.name) != NULL)
            continue;
        if (map_puts(&asked, h->pub.name, h) != 0) {
            rc = err_nomem(e);
            break;
        }
        rc = script_document(inv, path, (const char *[]){"--host", h->pub.name, NULL}, false, &doc,
                             e);
        if (rc == RC_OK && doc != NULL)
            rc = source_script_host(inv, h, doc, e);
    }
    map_fini(&asked);
    return rc;
}

/* RC_NOTFOUND: it cannot be executed, try it as a file. */
static enum rc add_script(struct inventory *inv, const char *path, struct err *e)
{
    const struct value *doc;
    struct list hosts = {0};
    bool has_meta;
    /* Without a slash the name would be looked for nowhere. */
    const char *program = path;
    if (strchr(path, '/') == NULL) {
        char *p = arena_alloc(&inv->arena, strlen(path) + 3);
        if (p == NULL)
            return err_nomem(e);
        snprintf(p, strlen(path) + 3, "./%s", path);
        program = p;
    }
    enum rc rc = script_document(inv, program, (const char *[]){"--list", NULL}, true, &doc, e);
    if (rc == RC_OK)
        rc = source_script_list(inv, doc, &has_meta, &hosts, e);
    if (rc == RC_OK && !has_meta)
        rc = ask_each_host(inv, program, &hosts, e);
    return rc;
}

/* --- folders --- */

static int is_listed(const struct dirent *d)
{
    static const char *const names[] = {"host_vars", "group_vars", "vars_plugins"};
    static const char *const ends[] = {".pyc", ".pyo", ".swp",  ".bak", "~",    ".rpm",  ".md",
                                       ".txt", ".rst", ".orig", ".ini", ".cfg", ".retry"};
    if (d->d_name[0] == '.')
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(d->d_name, names[i]) == 0)
            return 0;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (str_ends(d->d_name, ends[i]))
            return 0;
    return 1;
}

/* Python's order of names, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum rc add_path(struct inventory *inv, const char *path, unsigned depth, struct err *e);

static enum rc add_entry(struct inventory *inv, const char *folder, const char *name,
                         unsigned depth, struct err *e)
{
    struct buf path;
    buf_init(&path, 64 * 1024);
    bool slash = str_ends(folder, "/");
    enum rc rc = buf_printf(&path, "%s%s%s", folder, slash ? "" : "/", name);
    const char *text = rc == RC_OK ? buf_cstr(&path) : NULL;
    rc = text ? add_path(inv, text, depth, e) : err_nomem(e);
    buf_fini(&path);
    return rc;
}

static enum rc add_folder(struct inventory *inv, const char *path, unsigned depth, struct err *e)
{
    struct dirent **list = NULL;
    if (depth >= MAX_FOLDERS)
        return err_set(e, RC_LIMIT,
                       "%s: folders nest deeper than %d (a symbolic link in a circle?)", path,
                       MAX_FOLDERS);
    int n = scandir(path, &list, is_listed, by_name);
    if (n < 0)
        return err_sys(e, errno, "%s", path);
    enum rc rc = RC_OK;
    for (int i = 0; rc == RC_OK && i < n; i++)
        rc = add_entry(inv, path, list[i]->d_name, depth + 1, e);
    for (int i = 0; i < n; i++)
        free(list[i]); /* scandir's own memory */
    free(list);
    return rc;
}

static enum rc add_path(struct inventory *inv, const char *path, unsigned depth, struct err *e)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_sys(e, errno, "%s", path);
    if (S_ISDIR(st.st_mode))
        return add_folder(inv, path, depth, e);
    if (S_ISREG(st.st_mode) && looks_executable(path)) {
        struct err ignored;
        enum rc rc = add_script(inv, path, &ignored);
        if (rc != RC_NOTFOUND) {
            if (rc != RC_OK && e != NULL)
                *e = ignored;
            return rc;
        }
    }
    return add_file(inv, path, e);
}

/* The folder whose group_vars/ and host_vars/ belong to the source. Named again, it counts where it
 * was named last. */
static enum rc remember_folder(struct inventory *inv, const char *path, bool is_folder,
                               struct err *e)
{
    const char *slash = strrchr(path, '/');
    size_t n = is_folder ? strlen(path) : slash ? (size_t)(slash - path) : 0;
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (!is_folder && slash == path)
        n = 1;
    char *folder = n ? arena_strndup(&inv->arena, path, n) : arena_strdup(&inv->arena, ".");
    if (folder == NULL)
        return err_nomem(e);
    for (uint32_t i = 0; i < inv->dirs.count; i++)
        if (strcmp(inv->dirs.items[i], folder) == 0) {
            memmove(&inv->dirs.items[i], &inv->dirs.items[i + 1],
                    (inv->dirs.count - i - 1) * sizeof inv->dirs.items[0]);
            inv->dirs.count--;
            break;
        }
    return model_list_add(inv, &inv->dirs, folder) == 0 ? RC_OK : err_nomem(e);
}

enum rc inventory_add_source(struct inventory *inv, const char *path, struct err *e)
{
    must(!inv->finished);
    struct stat st;
    if (stat(path, &st) != 0) {
        if (errno == ENOENT && strchr(path, ',') != NULL)
            return source_inline(inv, path, e);
        return errno == ENOENT ? err_set(e, RC_NOTFOUND, "%s: there is no such inventory", path)
                               : err_sys(e, errno, "%s", path);
    }
    enum rc rc = remember_folder(inv, path, S_ISDIR(st.st_mode), e);
    return rc == RC_OK ? add_path(inv, path, 0, e) : rc;
}
