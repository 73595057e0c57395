/* muster vault: seals files and single values, and opens them.
 *
 * All files are read and worked on before the first is written: a wrong key changes nothing. */
#include "controller/cmd.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/mem.h"
#include "controller/vault/doc.h"
#include "controller/vault/edit.h"
#include "controller/vault/file.h"
#include "controller/vault/key_source.h"
#include "controller/vault/vault.h"

struct item {
    const char *path; /* NULL: standard input and output */
    struct secret *text;
    struct doc doc;
    struct buf sealed;    /* the new text, when it is a sealed one */
    struct secret *plain; /* the new text, when it is an opened one */
};

struct work {
    const struct options *o;
    struct vault *vault, *fresh; /* fresh: rekey's */
    struct item *items;
    size_t count;
};

static const char *name_of(const struct item *it)
{
    return it->path != NULL ? it->path : "standard input";
}

static bool is_whole(const struct item *it)
{
    return it->doc.count == 1 && *it->doc.spans[0].name == '\0';
}

static enum rc read_key(const struct vault_key_options *k, const char *what, bool defaults,
                        bool twice, struct vault **out, struct err *e)
{
    struct key_source from = {
        .file = k->file,
        .command = k->command,
        .fd = k->fd == UINT32_MAX ? -1 : (int)k->fd,
        .what = what,
        .twice = twice,
    };
    struct secret *key;
    char usual[4096];
    if (defaults)
        key_source_defaults(&from, usual, sizeof usual);
    enum rc rc = key_source_read(&from, &key, e);
    return rc == RC_OK ? vault_new(out, key, e) : rc;
}

/* The first text of ours in another file lends its salt and cost. */
static enum rc adopt_from(struct vault *v, const char *path, struct err *e)
{
    struct secret *text;
    struct doc d = {0};
    enum rc rc = file_read(path, VAULT_MAX_TEXT, &text, e);
    if (rc != RC_OK)
        return rc;
    rc = doc_parse(&d, (const char *)text->data, text->len, e);
    size_t i = 0;
    while (rc == RC_OK && i < d.count &&
           vault_is_ansible(d.spans[i].text.data, d.spans[i].text.len))
        i++;
    if (rc == RC_OK && i == d.count)
        rc = err_set(e, RC_CONFIG, "nothing in it was sealed by muster");
    if (rc == RC_OK)
        rc = vault_adopt(v, (const char *)d.spans[i].text.data, d.spans[i].text.len, e);
    if (rc != RC_OK)
        err_wrap(e, "--like %s", path);
    doc_fini(&d);
    secret_free(text);
    return rc;
}

static enum rc open_vaults(struct work *w, struct err *e)
{
    const struct options *o = w->o;
    bool making = o->vault_action == VAULT_ENCRYPT && o->vault_like == NULL;
    enum rc rc = read_key(&o->vault_key, "vault key", true, making, &w->vault, e);
    if (rc == RC_OK && o->vault_like != NULL)
        rc = adopt_from(w->vault, o->vault_like, e);
    if (rc == RC_OK && o->vault_action == VAULT_REKEY)
        rc = read_key(&o->new_vault_key, "new vault key", false, true, &w->fresh, e);
    return rc;
}

static enum rc open_span(struct vault *v, const struct doc_span *s, struct secret **plain,
                         struct err *e)
{
    enum rc rc = vault_open_any(v, (const char *)s->text.data, s->text.len, s->name, plain, e);
    if (rc != RC_OK && *s->name != '\0')
        err_wrap(e, "line %zu, '%.100s'", s->line, s->name);
    return rc;
}

static enum rc encrypt_file(struct work *w, struct item *it, struct err *e)
{
    if (is_whole(it))
        return err_set(e, RC_CONFIG, "it is sealed already; muster vault rekey changes its key");
    return vault_seal(w->vault, NULL, it->text->data, it->text->len, &it->sealed, e);
}

static enum rc decrypt_file(struct work *w, struct item *it, struct err *e)
{
    if (!is_whole(it))
        return err_set(
            e, RC_CONFIG, "it is not sealed as a whole%s",
            it->doc.count > 0 ? "; muster vault view --name NAME FILE shows a value of it" : "");
    return open_span(w->vault, &it->doc.spans[0], &it->plain, e);
}

/* What view and edit work on: the whole file, the value of --name, or the only one there is. */
static enum rc choose(const struct work *w, const struct item *it, const struct doc_span **s,
                      struct err *e)
{
    if (it->doc.count == 0)
        return err_set(e, RC_CONFIG, "nothing in it is sealed");
    if (w->o->vault_name != NULL)
        return doc_find(&it->doc, w->o->vault_name, s, e);
    if (it->doc.count > 1)
        return err_set(e, RC_USAGE, "%zu values are sealed in it: which one? --name NAME",
                       it->doc.count);
    *s = &it->doc.spans[0];
    return RC_OK;
}

static enum rc view(struct work *w, struct item *it, struct err *e)
{
    const struct doc_span *s;
    enum rc rc = choose(w, it, &s, e);
    return rc == RC_OK ? open_span(w->vault, s, &it->plain, e) : rc;
}

/* Every sealed text of the file, with the new key. */
static enum rc rekey(struct work *w, struct item *it, struct err *e)
{
    size_t n = it->doc.count;
    if (n == 0 && it->doc.strange == 0)
        return err_set(e, RC_CONFIG, "nothing in it is sealed");
    if (it->doc.strange != 0)
        return err_set(e, RC_CONFIG, "line %zu: a sealed value that is not written NAME: !vault |",
                       it->doc.strange);
    struct buf *fresh = mem_calloc(n, sizeof *fresh);
    if (fresh == NULL)
        return err_nomem(e);
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        const struct doc_span *s = &it->doc.spans[i];
        struct secret *plain;
        buf_init(&fresh[i], VAULT_MAX_TEXT);
        rc = open_span(w->vault, s, &plain, e);
        if (rc == RC_OK)
            rc = vault_seal(w->fresh, *s->name != '\0' ? s->name : NULL, plain->data, plain->len,
                            &fresh[i], e);
        secret_free(plain);
    }
    if (rc == RC_OK)
        rc = doc_render(&it->doc, fresh, &it->sealed, e);
    for (size_t i = 0; i < n; i++)
        buf_fini(&fresh[i]);
    mem_free(fresh);
    return rc;
}

static enum rc seal_again(struct work *w, struct item *it, const struct doc_span *s,
                          const struct secret *after, struct err *e)
{
    size_t n = it->doc.count;
    struct buf *fresh = mem_calloc(n, sizeof *fresh);
    if (fresh == NULL)
        return err_nomem(e);
    struct buf *ours = &fresh[s - it->doc.spans];
    buf_init(ours, VAULT_MAX_TEXT);
    enum rc rc =
        vault_seal(w->vault, *s->name != '\0' ? s->name : NULL, after->data, after->len, ours, e);
    if (rc == RC_OK)
        rc = doc_render(&it->doc, fresh, &it->sealed, e);
    buf_fini(ours);
    mem_free(fresh);
    return rc;
}

/* What editors call the file decides how they colour it. */
static const char *edit_name(const struct item *it, const struct doc_span *s)
{
    const char *slash = strrchr(it->path, '/');
    return *s->name != '\0' ? "value" : slash != NULL ? slash + 1 : it->path;
}

static const char *editor(void)
{
    const char *visual = getenv("VISUAL"), *plain = getenv("EDITOR");
    return visual != NULL && *visual != '\0' ? visual
           : plain != NULL && *plain != '\0' ? plain
                                             : "vi";
}

static enum rc edit(struct work *w, struct item *it, struct err *e)
{
    const struct doc_span *s;
    struct secret *before = NULL, *after = NULL;
    const char *folder = edit_folder(getenv("XDG_RUNTIME_DIR"));
    enum rc rc = choose(w, it, &s, e);
    if (rc != RC_OK)
        return rc;
    if (vault_is_ansible(s->text.data, s->text.len))
        return err_set(e, RC_CONFIG,
                       "sealed by ansible-vault, which this program only reads; ansible-vault edit "
                       "changes it, muster vault rekey brings it into our form");
    if (folder == NULL)
        return err_set(e, RC_CONFIG,
                       "neither $XDG_RUNTIME_DIR nor /dev/shm is a folder in memory: "
                       "the opened text would reach a disk");
    rc = open_span(w->vault, s, &before, e);
    if (rc == RC_OK)
        rc = vault_adopt(w->vault, (const char *)s->text.data, s->text.len, e);
    if (rc == RC_OK)
        rc = edit_text(editor(), folder, edit_name(it, s), before, VAULT_MAX_PLAIN, &after, e);
    if (rc == RC_OK && *s->name != '\0' && before->len > 0 && before->data[before->len - 1] != '\n')
        secret_chomp(after); /* editors end the last line; a value has none */
    bool same = rc == RC_OK && after->len == before->len &&
                memcmp(after->data, before->data, after->len) == 0;
    if (rc == RC_OK && !same)
        rc = seal_again(w, it, s, after, e);
    secret_free(before);
    secret_free(after);
    return rc;
}

static enum rc work_on(struct work *w, struct item *it, struct err *e)
{
    switch (w->o->vault_action) {
    case VAULT_ENCRYPT: return encrypt_file(w, it, e);
    case VAULT_DECRYPT: return decrypt_file(w, it, e);
    case VAULT_VIEW: return view(w, it, e);
    case VAULT_EDIT: return edit(w, it, e);
    case VAULT_REKEY: return rekey(w, it, e);
    case VAULT_ACTION_COUNT: break;
    }
    must(!"an action without a function");
    return RC_INTERNAL;
}

static enum rc print(const void *data, size_t len, bool is_value, struct err *e)
{
    enum rc rc = file_write_all(STDOUT_FILENO, data, len, e);
    if (rc == RC_OK && is_value && len > 0 && ((const char *)data)[len - 1] != '\n' &&
        isatty(STDOUT_FILENO))
        rc = file_write_all(STDOUT_FILENO, "\n", 1, e);
    return rc == RC_OK ? rc : err_sys(e, e->sys, "standard output");
}

static enum rc put(const struct work *w, const struct item *it, struct err *e)
{
    const void *data = it->plain != NULL ? it->plain->data : it->sealed.data;
    size_t len = it->plain != NULL ? it->plain->len : it->sealed.len;
    if (it->plain == NULL && len == 0)
        return RC_OK; /* edit that changed nothing */
    if (it->path == NULL || w->o->vault_action == VAULT_VIEW)
        return print(data, len, !is_whole(it), e);
    return file_replace(it->path, data, len, e);
}

static enum rc read_items(struct work *w, struct err *e)
{
    const struct strings *files = &w->o->words;
    w->count = files->count > 0 ? files->count : 1;
    w->items = mem_calloc(w->count, sizeof *w->items);
    if (w->items == NULL)
        return err_nomem(e);
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < w->count; i++) {
        struct item *it = &w->items[i];
        it->path = files->count > 0 ? files->items[i] : NULL;
        buf_init(&it->sealed, VAULT_MAX_TEXT);
        rc = file_read(it->path, VAULT_MAX_TEXT, &it->text, e);
        if (rc == RC_OK &&
            (rc = doc_parse(&it->doc, (const char *)it->text->data, it->text->len, e)) != RC_OK)
            err_wrap(e, "%s", name_of(it));
    }
    return rc;
}

static enum rc on_files(struct work *w, struct err *e)
{
    enum rc rc = read_items(w, e);
    if (rc == RC_OK)
        rc = open_vaults(w, e);
    for (size_t i = 0; rc == RC_OK && i < w->count; i++)
        if ((rc = work_on(w, &w->items[i], e)) != RC_OK)
            err_wrap(e, "%s", name_of(&w->items[i]));
    for (size_t i = 0; rc == RC_OK && i < w->count; i++)
        rc = put(w, &w->items[i], e);
    return rc;
}

/* encrypt --name: the value is asked for, or is standard input. */
static enum rc encrypt_value(struct work *w, struct err *e)
{
    const char *name = w->o->vault_name;
    struct secret *value = NULL;
    struct buf sealed, text;
    buf_init(&sealed, VAULT_MAX_TEXT);
    buf_init(&text, VAULT_MAX_TEXT);
    char what[VAULT_MAX_NAME + 16];
    snprintf(what, sizeof what, "value of %s", name);
    enum rc rc = doc_check_name(name, e);
    if (rc == RC_OK)
        rc = open_vaults(w, e);
    if (rc == RC_OK && isatty(STDIN_FILENO))
        rc = key_source_ask(what, true, &value, e);
    else if (rc == RC_OK && (rc = file_read(NULL, VAULT_MAX_PLAIN, &value, e)) == RC_OK)
        secret_chomp(value);
    if (rc == RC_OK)
        rc = vault_seal(w->vault, name, value->data, value->len, &sealed, e);
    if (rc == RC_OK)
        rc = doc_scalar(name, &sealed, &text, e);
    if (rc == RC_OK)
        rc = print(text.data, text.len, false, e);
    secret_free(value);
    buf_fini(&sealed);
    buf_fini(&text);
    return rc;
}

static void close_work(struct work *w)
{
    for (size_t i = 0; w->items != NULL && i < w->count; i++) {
        doc_fini(&w->items[i].doc);
        buf_fini(&w->items[i].sealed);
        secret_free(w->items[i].text);
        secret_free(w->items[i].plain);
    }
    mem_free(w->items);
    vault_free(w->vault);
    vault_free(w->fresh);
}

int cmd_vault(struct options *o)
{
    struct rlimit none = {0, 0};
    struct work w = {.o = o};
    struct err e = {0};
    /* Neither a core file nor another process of ours may show what is opened here. */
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    enum rc rc = o->vault_action == VAULT_ENCRYPT && o->vault_name != NULL ? encrypt_value(&w, &e)
                                                                           : on_files(&w, &e);
    close_work(&w);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* all of it is wiped */
    return rc == RC_OK ? 0 : cmd_fail(&e);
}
