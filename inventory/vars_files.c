/* group_vars/ and host_vars/ beside the sources: files NAME, NAME.yml, NAME.yaml, NAME.json (the
 * first that exists) or a folder NAME of such files, in order of their names. Follows Ansible's
 * host_group_vars plugin. One listing per folder, whatever the number of hosts. See source.h. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "inventory/sealed.h"
#include "inventory/source.h"

enum { MAX_FOLDERS = 32, MAX_PATH = 16 * 1024 };

static const char *const extensions[] = {"", ".yml", ".yaml", ".json"};
enum { EXTENSIONS = sizeof extensions / sizeof extensions[0] };

/* What the files of one folder are for: hosts or groups. */
struct kind {
    struct inventory *inv;
    const struct map *names; /* inv->hosts or inv->groups */
    bool hosts;
    uint32_t dir;
    void *entity; /* the host or group whose files are being read */
    struct err *e;
};

static enum rc join(struct buf *out, const char *folder, const char *name, const char *ext,
                    struct err *e)
{
    buf_reset(out);
    bool plain = strcmp(folder, ".") == 0;
    enum rc rc = buf_printf(out, "%s%s%s%s", plain ? "" : folder,
                            plain || str_ends(folder, "/") ? "" : "/", name, ext);
    if (rc == RC_OK && buf_cstr(out) != NULL)
        return RC_OK;
    return rc == RC_LIMIT ? err_set(e, rc, "%s/%s: the path is too long", folder, name)
                          : err_nomem(e);
}

static enum rc add_document(struct kind *k, const struct value *doc, struct vars *set)
{
    if (doc == NULL || !value_truthy(doc))
        return RC_OK;
    if (doc->type != VALUE_MAP)
        return model_error(k->e, RC_CONFIG, &doc->place,
                           "a file of variables is a mapping of names to values, not %s",
                           value_type_text(doc));
    return vars_set_map(k->inv, set, doc, k->e);
}

static enum rc add_layer(struct kind *k, const struct vars *set, struct sealed_file *sealed)
{
    struct group *g = k->entity;
    struct host *h = k->entity;
    struct vars_layer **layers = k->hosts ? &h->layers : &g->layers;
    uint32_t *count = k->hosts ? &h->layer_count : &g->layer_count;
    struct vars_layer *more = arena_alloc(&k->inv->arena, (*count + 1) * sizeof *more);
    if (more == NULL)
        return err_nomem(k->e);
    if (*count > 0)
        memcpy(more, *layers, *count * sizeof *more);
    more[*count] = (struct vars_layer){.dir = k->dir, .vars = *set, .sealed = sealed};
    *layers = more;
    (*count)++;
    return RC_OK;
}

/* What was read before it, then the file itself; what comes behind it begins anew. */
static enum rc add_sealed(struct kind *k, const char *file, const struct buf *text,
                          struct vars *set)
{
    const struct vars none = {0};
    struct sealed_file *sealed = NULL;
    const char *copy = arena_strndup(&k->inv->arena, (const char *)text->data, text->len);
    enum rc rc =
        copy != NULL ? sealed_add(k->inv, file, copy, text->len, &sealed, k->e) : err_nomem(k->e);
    if (rc == RC_OK && set->count > 0)
        rc = add_layer(k, set, NULL);
    *set = none;
    return rc == RC_OK ? add_layer(k, &none, sealed) : rc;
}

static enum rc add_file(struct kind *k, const char *path, struct vars *set)
{
    struct buf text;
    buf_init(&text, 0);
    const struct value *doc = NULL;
    enum rc rc = source_read_file(path, &text, k->e);
    const char *file = arena_strdup(&k->inv->arena, path);
    if (rc == RC_OK && file == NULL)
        rc = err_nomem(k->e);
    if (rc == RC_OK && text.len > 0 && source_is_sealed((const char *)text.data, text.len))
        rc = add_sealed(k, file, &text, set);
    else if (rc == RC_OK && text.len > 0)
        rc = source_document(k->inv, file, (const char *)text.data, text.len, &doc, k->e);
    if (rc == RC_OK)
        rc = add_document(k, doc, set);
    buf_fini(&text);
    return rc;
}

static int is_visible(const struct dirent *d)
{
    return d->d_name[0] != '.' && !str_ends(d->d_name, "~");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool known_extension(const char *ext)
{
    for (int i = 0; i < EXTENSIONS; i++)
        if (strcmp(ext, extensions[i]) == 0)
            return true;
    return false;
}

static enum rc add_folder(struct kind *k, const char *path, unsigned depth, struct vars *set);

static enum rc add_entry(struct kind *k, const char *folder, const char *name, unsigned depth,
                         struct vars *set)
{
    struct buf path;
    buf_init(&path, MAX_PATH);
    struct stat st;
    enum rc rc = join(&path, folder, name, "", k->e);
    const char *text = rc == RC_OK ? (const char *)path.data : "";
    const char *ext = source_extension(name);
    if (rc == RC_OK && stat(text, &st) == 0) {
        if (S_ISDIR(st.st_mode) && ext[0] == '\0')
            rc = add_folder(k, text, depth + 1, set);
        else if (S_ISREG(st.st_mode) && known_extension(ext))
            rc = add_file(k, text, set);
    }
    buf_fini(&path);
    return rc;
}

static enum rc add_folder(struct kind *k, const char *path, unsigned depth, struct vars *set)
{
    struct dirent **list = NULL;
    if (depth >= MAX_FOLDERS)
        return err_set(k->e, RC_LIMIT, "%s: folders nest deeper than %d", path, MAX_FOLDERS);
    int n = scandir(path, &list, is_visible, by_name);
    if (n < 0)
        return err_sys(k->e, errno, "%s", path);
    enum rc rc = RC_OK;
    for (int i = 0; rc == RC_OK && i < n; i++)
        rc = add_entry(k, path, list[i]->d_name, depth, set);
    for (int i = 0; i < n; i++)
        free(list[i]); /* scandir's own memory */
    free(list);
    return rc;
}

/* The files of one host or group: the first extension that exists decides. */
static enum rc load_entity(struct kind *k, const char *folder, const char *name, void *entity)
{
    struct buf path;
    buf_init(&path, MAX_PATH);
    struct vars set = {0};
    enum rc rc = RC_OK;
    k->entity = entity;
    for (int i = 0; rc == RC_OK && i < EXTENSIONS; i++) {
        struct stat st;
        rc = join(&path, folder, name, extensions[i], k->e);
        if (rc != RC_OK || stat((const char *)path.data, &st) != 0)
            continue;
        rc = S_ISDIR(st.st_mode) ? add_folder(k, (const char *)path.data, 0, &set)
                                 : add_file(k, (const char *)path.data, &set);
        break;
    }
    if (rc == RC_OK && set.count > 0)
        rc = add_layer(k, &set, NULL);
    buf_fini(&path);
    return rc;
}

/* Which hosts or groups an entry of the folder is for; each is loaded once. */
static enum rc match_entry(struct kind *k, const char *folder, const char *entry, struct map *done)
{
    size_t n = strlen(entry);
    enum rc rc = RC_OK;
    for (int i = 0; rc == RC_OK && i < EXTENSIONS; i++) {
        size_t ext = strlen(extensions[i]);
        if (n <= ext || !str_ends(entry, extensions[i]))
            continue;
        void *entity = map_get(k->names, entry, n - ext);
        const char *name = entity == NULL ? NULL
                           : k->hosts     ? ((struct host *)entity)->pub.name
                                          : ((struct group *)entity)->pub.name;
        if (entity == NULL || map_gets(done, name) != NULL)
            continue;
        if (map_puts(done, name, entity) != 0)
            return err_nomem(k->e);
        rc = load_entity(k, folder, name, entity);
    }
    return rc;
}

/* Names with a slash are paths below the folder, in Ansible's eyes. They may not climb out of it.
 */
static enum rc load_slashed(struct kind *k, const char *folder)
{
    struct map_entry *entry;
    for (size_t i = 0; (entry = map_next(k->names, &i)) != NULL;) {
        if (memchr(entry->key, '/', entry->len) == NULL || entry->key[0] == '/' ||
            strstr(entry->key, "..") != NULL)
            continue;
        enum rc rc = load_entity(k, folder, entry->key, entry->value);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static enum rc load_listing(struct kind *k, const char *folder, DIR *listing)
{
    struct map done;
    map_init(&done);
    enum rc rc = RC_OK;
    for (struct dirent *d; rc == RC_OK && (d = readdir(listing)) != NULL;)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            rc = match_entry(k, folder, d->d_name, &done);
    map_fini(&done);
    return rc == RC_OK ? load_slashed(k, folder) : rc;
}

static enum rc load_kind(struct kind *k, const char *dir, const char *sub)
{
    struct buf folder;
    buf_init(&folder, MAX_PATH);
    enum rc rc = join(&folder, dir, sub, "", k->e);
    const char *path = rc == RC_OK ? (const char *)folder.data : "";
    DIR *listing = rc == RC_OK ? opendir(path) : NULL;
    if (listing != NULL) {
        rc = load_listing(k, path, listing);
        closedir(listing);
    } else if (rc == RC_OK && errno == ENOTDIR) {
        log_warn("%s is not a folder and is skipped", path);
    } else if (rc == RC_OK && errno != ENOENT) {
        rc = err_sys(k->e, errno, "%s", path);
    }
    buf_fini(&folder);
    return rc;
}

enum rc source_vars_files(struct inventory *inv, struct err *e)
{
    enum rc rc = RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < inv->dirs.count; i++) {
        struct kind groups = {.inv = inv, .names = &inv->groups, .dir = i, .e = e};
        struct kind hosts = {.inv = inv, .names = &inv->hosts, .hosts = true, .dir = i, .e = e};
        rc = load_kind(&groups, inv->dirs.items[i], "group_vars");
        if (rc == RC_OK)
            rc = load_kind(&hosts, inv->dirs.items[i], "host_vars");
    }
    return rc;
}
