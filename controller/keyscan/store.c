/* Records what a scan found: what may be recorded, the questions, and the writing. See keyscan.h.
 *
 * One question for all new keys, one for those that changed. Nothing of a host that has a revoked
 * or denied key is recorded, whatever was asked for. The files are controller/hostkeys'. */
#include "controller/keyscan/keyscan.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"

struct store {
    const struct options *o;
    const char *path;
    uint16_t set; /* only hosts of these files */
    struct hostkeys_entry *adds;
    struct hostkeys_edit *edits;
    const struct found_key **edit_keys; /* of edits; NULL: one that only takes lines out */
    const struct found_host **edit_hosts;
    size_t add_count, edit_count;
    size_t hosts, verified; /* of adds, and of edits of expired lines */
    size_t renewed;         /* edits that renew what has expired: new keys, to a person */
    size_t elsewhere;       /* changed keys whose line is in another file */
    size_t changed_hosts;   /* new keys of these wait for --replace */
};

/* "path:12" is a place in path. */
static bool is_in(const char *where, const char *path)
{
    size_t n = strlen(path);
    return strncmp(where, path, n) == 0 && where[n] == ':' &&
           strspn(where + n + 1, "0123456789") == strlen(where + n + 1);
}

static bool is_wanted(const struct store *s, const struct found_key *k)
{
    if (k->proof == PROOF_MISSING)
        return false;
    return k->proof == PROOF_VERIFIED || !s->o->keyscan.only_verified;
}

/* A line with an end, of a key that is good for longer by now. */
static bool is_renewed(const struct found_key *k)
{
    return k->state == KEY_KNOWN && k->line_until != 0 && k->proof == PROOF_VERIFIED &&
           (k->until == 0 || k->until > k->line_until);
}

static void add_edit(struct store *s, const struct found_host *h, const struct found_key *k)
{
    const struct target *t = h->target;
    s->edit_keys[s->edit_count] = k;
    s->edit_hosts[s->edit_count] = h;
    s->edits[s->edit_count++] = (struct hostkeys_edit){.host = t->key_name,
                                                       .port = found_port(t),
                                                       .key_type = k != NULL ? k->type : NULL,
                                                       .blob = k != NULL ? k->blob : NULL,
                                                       .blob_len = k != NULL ? k->len : 0,
                                                       .until = k != NULL ? k->until : 0};
}

static void add_new(struct store *s, const struct found_host *h, const struct found_key *k)
{
    s->verified += k->proof == PROOF_VERIFIED;
    if ((k->expired || is_renewed(k)) && is_in(k->where, s->path)) {
        s->renewed++;
        add_edit(s, h, k);
        return;
    }
    if (k->state == KEY_KNOWN) /* in a file that is not ours to write */
        return;
    s->adds[s->add_count++] = (struct hostkeys_entry){.host = h->target->key_name,
                                                      .port = found_port(h->target),
                                                      .key_type = k->type,
                                                      .blob = k->blob,
                                                      .blob_len = k->len,
                                                      .until = k->until,
                                                      .further = k->further};
}

static void choose_new(struct store *s, const struct found_host *h)
{
    size_t before = s->add_count + s->renewed;
    for (unsigned i = 0; i < h->key_count; i++)
        if ((h->keys[i].state == KEY_NEW && is_wanted(s, &h->keys[i])) || is_renewed(&h->keys[i]))
            add_new(s, h, &h->keys[i]);
    s->hosts += s->add_count + s->renewed > before;
}

/* The keys that changed. Where none of the host's keys stayed, its other lines go too: they are of
 * types that it has no more. */
static void choose_changed(struct store *s, const struct found_host *h)
{
    bool kept = false, any = false;
    for (unsigned i = 0; i < h->key_count; i++) {
        const struct found_key *k = &h->keys[i];
        kept |= k->state != KEY_CHANGED;
        if (k->state != KEY_CHANGED || !is_wanted(s, k))
            continue;
        if (!is_in(k->where, s->path)) {
            s->elsewhere++;
            kept = true;
            continue;
        }
        add_edit(s, h, k);
        any = true;
    }
    if (any && !kept)
        add_edit(s, h, NULL);
}

static void choose(struct store *s, const struct found *f, bool changed)
{
    for (uint32_t i = 0; i < f->count; i++) {
        const struct found_host *h = &f->hosts[i];
        if (h->target->trust.set != s->set || found_is_refused(h) || h->key_count == 0)
            continue;
        if (found_is_changed(h) && changed)
            choose_changed(s, h);
        else if (!found_is_changed(h) && !changed)
            choose_new(s, h);
    }
}

static enum rc store_init(struct store *s, const struct found *f, const struct options *o,
                          const char *path, uint16_t set, struct err *e)
{
    size_t most = 0;
    memset(s, 0, sizeof *s);
    s->o = o;
    s->path = path;
    s->set = set;
    for (uint32_t i = 0; i < f->count; i++)
        most += f->hosts[i].key_count + 1;
    s->adds = mem_calloc(most, sizeof *s->adds);
    s->edits = mem_calloc(most, sizeof *s->edits);
    s->edit_keys = mem_calloc(most, sizeof(void *));
    s->edit_hosts = mem_calloc(most, sizeof(void *));
    bool ok = s->adds != NULL && s->edits != NULL && s->edit_keys != NULL && s->edit_hosts != NULL;
    return ok ? RC_OK : err_nomem(e);
}

static void store_fini(struct store *s)
{
    mem_free(s->adds);
    mem_free(s->edits);
    mem_free(s->edit_keys);
    mem_free(s->edit_hosts);
}

/* ---- asking ---- */

static void say(FILE *to, const char *text)
{
    char line[8192];
    fputs(str_escape_to(line, sizeof line, text, strlen(text), STR_KEEP_NEWLINE), to);
}

/* false, with a word to the person, when the answer is no or there is nobody to ask. */
static bool ask(const struct options *o, const char *question, const char *without)
{
    char answer[64] = "", text[1200];
    if (o->dry_run) {
        snprintf(text, sizeof text, "would ask: %s? Nothing was changed.\n", question);
        say(stderr, text);
        return false;
    }
    if (o->yes)
        return true;
    FILE *tty =
        isatty(STDIN_FILENO) == 1 || isatty(STDERR_FILENO) == 1 ? fopen("/dev/tty", "r+e") : NULL;
    if (tty == NULL) {
        snprintf(text, sizeof text, "%s: there is no terminal to ask; add --yes\n", without);
        say(stderr, text);
        return false;
    }
    snprintf(text, sizeof text, "%s? [y/N] ", question);
    say(tty, text);
    fflush(tty);
    if (fgets(answer, sizeof answer, tty) == NULL)
        answer[0] = '\0';
    answer[strcspn(answer, "\r\n")] = '\0';
    bool yes = strcmp(answer, "y") == 0 || strcmp(answer, "Y") == 0 || strcmp(answer, "yes") == 0;
    if (!yes) {
        snprintf(text, sizeof text, "%s\n", without);
        say(tty, text);
    }
    fclose(tty);
    return yes;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static bool ask_new(const struct store *s)
{
    char question[1024], a[NUM_TEXT], b[NUM_TEXT], c[NUM_TEXT], d[NUM_TEXT];
    size_t keys = s->add_count + s->renewed;
    snprintf(question, sizeof question,
             "Record %s key%s of %s host%s in %.600s: %s verified, %s on first use",
             num_count_text(a, keys), plural(keys), num_count_text(b, s->hosts), plural(s->hosts),
             s->path, num_count_text(c, s->verified), num_count_text(d, keys - s->verified));
    return ask(s->o, question, "nothing was recorded");
}

static void list_changes(const struct store *s)
{
    char print[FOUND_PRINT], text[2048];
    for (size_t i = 0; i < s->edit_count; i++) {
        const struct found_key *k = s->edit_keys[i];
        if (k == NULL)
            continue;
        snprintf(text, sizeof text,
                 "  %.200s  %s\n    on record  %s (%.500s)\n    now        %s, %s%.300s\n",
                 s->edit_hosts[i]->target->host->name, k->type, k->recorded, k->where,
                 found_print(print, k),
                 k->proof == PROOF_VERIFIED ? "verified by " : "verified by nothing", k->by);
        say(stderr, text);
    }
}

static size_t changed_keys(const struct store *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->edit_count; i++)
        n += s->edit_keys[i] != NULL;
    return n;
}

static bool ask_changed(const struct store *s)
{
    char question[1024], a[NUM_TEXT];
    size_t n = changed_keys(s);
    if (!s->o->yes)
        list_changes(s);
    snprintf(question, sizeof question, "Replace %s key%s in %.600s that changed",
             num_count_text(a, n), plural(n), s->path);
    return ask(s->o, question, "nothing was replaced");
}

/* ---- writing ---- */

static void report_adds(const struct store *s)
{
    size_t added = s->renewed, taken = 0, unwritable = 0;
    char a[NUM_TEXT], text[1200];
    for (size_t i = 0; i < s->add_count; i++) {
        added += s->adds[i].added;
        taken += s->adds[i].result == RC_EXISTS;
        unwritable += s->adds[i].result == RC_CONFIG;
    }
    snprintf(text, sizeof text, "recorded %s key%s in %.1000s\n", num_count_text(a, added),
             plural(added), s->path);
    say(stderr, text);
    if (taken > 0)
        log_warn("%zu of them got another key on record meanwhile, and were left", taken);
    if (unwritable > 0)
        log_warn("%zu keys are of hosts whose names cannot stand in a known_hosts file",
                 unwritable);
}

static enum rc store_new(struct store *s, struct hostkeys *hk, struct err *e)
{
    if (s->add_count + s->renewed == 0 || !ask_new(s))
        return RC_OK;
    enum rc rc = RC_OK;
    if (s->edit_count > 0)
        rc = hostkeys_edit(s->path, s->edits, s->edit_count, false, e);
    if (rc == RC_OK && s->add_count > 0)
        rc = hostkeys_add_many(hk, s->path, s->adds, s->add_count,
                               s->o->keyscan.hash ? HOSTKEYS_HASHED : HOSTKEYS_AS_FILE, e);
    if (rc == RC_OK)
        report_adds(s);
    return rc;
}

static enum rc store_changed(struct store *s, uint32_t *left, struct err *e)
{
    char text[1200], a[NUM_TEXT];
    size_t n = changed_keys(s);
    if (s->elsewhere > 0)
        log_warn("%zu changed keys are on record in another file than %s, which is the one that is "
                 "written: name that file first with --known-hosts",
                 s->elsewhere, s->path);
    if (n == 0 || !ask_changed(s))
        return RC_OK;
    enum rc rc = hostkeys_edit(s->path, s->edits, s->edit_count, false, e);
    if (rc != RC_OK)
        return rc;
    *left -= (uint32_t)n;
    snprintf(text, sizeof text, "replaced %s key%s in %.1000s\n", num_count_text(a, n), plural(n),
             s->path);
    say(stderr, text);
    return RC_OK;
}

static uint32_t count_changed(const struct found *f)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->count; i++)
        for (unsigned k = 0; k < f->hosts[i].key_count; k++)
            n += f->hosts[i].keys[k].state == KEY_CHANGED;
    return n;
}

static enum rc store_set(const struct found *f, const struct options *o, const struct trust *t,
                         uint16_t set, uint32_t *left, struct err *e)
{
    const struct trust_rule rule = {.set = set};
    const char *path = trust_file(t, &rule);
    struct store s;
    if (path == NULL)
        return RC_OK;
    enum rc rc = store_init(&s, f, o, path, set, e);
    if (rc == RC_OK) {
        choose(&s, f, false);
        rc = store_new(&s, trust_index(t, &rule), e);
    }
    store_fini(&s);
    if (rc != RC_OK || !o->keyscan.replace)
        return rc;
    rc = store_init(&s, f, o, path, set, e);
    if (rc == RC_OK) {
        choose(&s, f, true);
        rc = store_changed(&s, left, e);
    }
    store_fini(&s);
    return rc;
}

enum rc store_found(const struct found *f, const struct options *o, const struct trust *t,
                    uint32_t *left, struct err *e)
{
    enum rc rc = RC_OK;
    *left = count_changed(f);
    for (size_t set = 0; rc == RC_OK && set <= trust_sets(t); set++)
        rc = store_set(f, o, t, (uint16_t)set, left, e);
    return rc;
}

/* ---- --forget ---- */

static size_t removed(const struct hostkeys_edit *edits, size_t n, size_t *hosts)
{
    size_t lines = 0;
    *hosts = 0;
    for (size_t i = 0; i < n; i++) {
        lines += edits[i].removed;
        *hosts += edits[i].removed > 0;
    }
    return lines;
}

static enum rc forget_in(const char *path, struct hostkeys_edit *edits, uint32_t count,
                         const struct options *o, struct err *e)
{
    char text[1200], a[NUM_TEXT], b[NUM_TEXT];
    size_t hosts = 0, lines = 0;
    enum rc rc = hostkeys_edit(path, edits, count, true, e);
    if (rc == RC_OK)
        lines = removed(edits, count, &hosts);
    snprintf(text, sizeof text, "Take %s key%s of %s host%s out of %.600s",
             num_count_text(a, lines), plural(lines), num_count_text(b, hosts), plural(hosts),
             path);
    bool go = rc == RC_OK && lines > 0 && ask(o, text, "nothing was taken out");
    if (go)
        rc = hostkeys_edit(path, edits, count, false, e);
    if (rc != RC_OK || (!go && lines > 0))
        return rc;
    lines = removed(edits, count, &hosts);
    snprintf(text, sizeof text, "took %s key%s of %s host%s out of %.600s\n",
             num_count_text(a, lines), plural(lines), num_count_text(b, hosts), plural(hosts),
             path);
    say(stderr, text);
    return RC_OK;
}

enum rc store_forget(const struct target *targets, uint32_t count, const struct options *o,
                     const struct trust *t, struct err *e)
{
    struct hostkeys_edit *edits = mem_calloc(count, sizeof *edits);
    enum rc rc = edits != NULL ? RC_OK : err_nomem(e);
    for (size_t set = 0; rc == RC_OK && set <= trust_sets(t); set++) {
        const struct trust_rule rule = {.set = (uint16_t)set};
        uint32_t n = 0;
        for (uint32_t i = 0; i < count; i++)
            if (targets[i].trust.set == set)
                edits[n++] = (struct hostkeys_edit){.host = targets[i].key_name,
                                                    .port = found_port(&targets[i])};
        if (n > 0 && trust_file(t, &rule) != NULL)
            rc = forget_in(trust_file(t, &rule), edits, n, o, e);
    }
    mem_free(edits);
    return rc;
}
