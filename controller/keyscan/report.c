/* What a scan found, for people. See keyscan.h. The parts come in the order of what to do about
 * them: what is new, what needs no thought, then what does. */
#include "controller/keyscan/keyscan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "controller/output/text.h"
#include "inventory/hostset.h"

enum { FEW = 20, FOLD_MAX = 64 << 20 };

enum rc report_fold(const char *const *names, size_t count, struct buf *out)
{
    struct buf folded;
    buf_init(&folded, FOLD_MAX);
    enum rc rc = hostset_fold_names(names, count, &folded, NULL);
    if (rc == RC_OK)
        rc = str_escape(out, folded.data, folded.len, 0);
    buf_fini(&folded);
    return rc;
}

static void put_names(struct text *t, const char *const *names, size_t count)
{
    struct buf b;
    char n[NUM_TEXT];
    buf_init(&b, FOLD_MAX);
    if (report_fold(names, count, &b) == RC_OK)
        text_put(t, b.data, b.len);
    else
        text_printf(t, "%s hosts", num_count_text(n, count));
    buf_fini(&b);
}

typedef bool key_test(const struct found_key *k);

static bool is_new(const struct found_key *k)
{
    return k->state == KEY_NEW && k->proof != PROOF_DENIED && k->proof != PROOF_MISSING;
}
static bool is_known(const struct found_key *k)
{
    return k->state == KEY_KNOWN && k->proof != PROOF_DENIED;
}
static bool is_changed(const struct found_key *k)
{
    return k->state == KEY_CHANGED;
}
static bool is_revoked(const struct found_key *k)
{
    return k->state == KEY_REVOKED;
}
static bool is_denied(const struct found_key *k)
{
    return k->proof == PROOF_DENIED && k->state != KEY_REVOKED && k->state != KEY_CHANGED;
}

static bool is_missing(const struct found_key *k)
{
    return k->proof == PROOF_MISSING && k->state == KEY_NEW;
}

struct part {
    const char *one, *many; /* "new key", "new keys" */
    key_test *test;
    enum text_style style;
    bool fold; /* may be a list of hosts when there are many */
};

struct tally {
    size_t keys, hosts, verified;
    const char **names;
};

static enum rc count_part(const struct found *f, key_test *test, struct tally *n)
{
    *n = (struct tally){.names = mem_alloc((f->count + 1) * sizeof *n->names)};
    if (n->names == NULL)
        return RC_NOMEM;
    for (uint32_t i = 0; i < f->count; i++) {
        size_t before = n->keys;
        for (unsigned k = 0; k < f->hosts[i].key_count; k++) {
            bool is = test(&f->hosts[i].keys[k]);
            n->keys += is;
            n->verified += is && f->hosts[i].keys[k].proof == PROOF_VERIFIED;
        }
        if (n->keys > before)
            n->names[n->hosts++] = f->hosts[i].target->host->name;
    }
    return RC_OK;
}

/* Below a key that is not simply new or known: what speaks against it. */
static void put_reason(struct text *t, const struct found_key *k, size_t indent)
{
    if (k->state == KEY_CHANGED) {
        text_puts(t, "\n");
        text_spaces(t, indent);
        text_escape_str(t, k->where);
        text_printf(t, " has %s", k->recorded);
    } else if (k->state == KEY_REVOKED) {
        text_puts(t, "  revoked at ");
        text_escape_str(t, k->where);
    }
    static const char *const words[PROOF_COUNT] = {[PROOF_NONE] = "  ",
                                                   [PROOF_VERIFIED] = "  verified by ",
                                                   [PROOF_DENIED] = "  not what stands in ",
                                                   [PROOF_MISSING] = "  "};
    if (*k->by == '\0')
        return;
    text_puts(t, words[k->proof]);
    text_escape_str(t, k->by);
    if (k->proof == PROOF_VERIFIED && k->until != 0) {
        char when[32];
        text_printf(t, ", until %.10s", clock_rfc3339(when, sizeof when, k->until * 1000000));
    }
}

static void put_keys(const struct found *f, key_test *test, struct text *t)
{
    size_t width = 0, types = 0;
    char print[FOUND_PRINT];
    for (uint32_t i = 0; i < f->count; i++)
        for (unsigned k = 0; k < f->hosts[i].key_count; k++) {
            if (!test(&f->hosts[i].keys[k]))
                continue;
            size_t n = text_width(t, f->hosts[i].target->host->name);
            width = n > width && n <= 40 ? n : width;
            n = strlen(f->hosts[i].keys[k].type);
            types = n > types ? n : types;
        }
    for (uint32_t i = 0; i < f->count; i++)
        for (unsigned k = 0; k < f->hosts[i].key_count; k++) {
            const struct found_key *key = &f->hosts[i].keys[k];
            const char *name = f->hosts[i].target->host->name;
            if (!test(key))
                continue;
            size_t n = text_width(t, name);
            text_puts(t, "  ");
            text_escape_str(t, name);
            text_spaces(t, n < width ? width - n + 2 : 2);
            text_escape_str(t, key->type);
            text_spaces(t, types - strlen(key->type) + 2);
            text_puts(t, found_print(print, key));
            put_reason(t, key, width + types + 6);
            text_puts(t, "\n");
        }
}

static enum rc put_part(const struct found *f, const struct options *o, const struct part *p,
                        struct text *t)
{
    struct tally n;
    char a[NUM_TEXT], b[NUM_TEXT];
    enum rc rc = count_part(f, p->test, &n);
    if (rc != RC_OK || n.keys == 0) {
        mem_free(n.names);
        return rc;
    }
    text_style(t, p->style);
    text_printf(t, "%s %s", num_count_text(a, n.keys), n.keys == 1 ? p->one : p->many);
    text_style(t, TEXT_PLAIN);
    text_printf(t, " of %s host%s: ", num_count_text(b, n.hosts), n.hosts == 1 ? "" : "s");
    put_names(t, n.names, n.hosts);
    text_puts(t, "\n");
    bool in_full = !p->fold || o->output.verbose > 0 || (p->test == is_new && n.hosts <= FEW);
    if (in_full)
        put_keys(f, p->test, t);
    else if (p->test == is_new)
        text_printf(t, "  %s verified, %s on first use; -v shows the fingerprints\n",
                    num_count_text(a, n.verified), num_count_text(b, n.keys - n.verified));
    mem_free(n.names);
    return RC_OK;
}

static enum rc put_clones(const struct found *f, struct text *t)
{
    struct clones *c = NULL;
    size_t n = 0;
    char print[FOUND_PRINT], count[NUM_TEXT];
    const char **names = mem_alloc((f->count + 1) * sizeof *names);
    enum rc rc = names != NULL ? clones_find(f, &c, &n, NULL) : RC_NOMEM;
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        for (size_t h = 0; h < c[i].count; h++)
            names[h] = f->hosts[c[i].hosts[h]].target->host->name;
        text_style(t, TEXT_YELLOW);
        text_puts(t, "one key");
        text_style(t, TEXT_PLAIN);
        text_printf(t, " on %s hosts: ", num_count_text(count, c[i].count));
        put_names(t, names, c[i].count);
        text_printf(t, "\n  %s %s: cloned images? Who has one of them can pose as all\n",
                    c[i].key->type, found_print(print, c[i].key));
    }
    if (rc == RC_OK)
        clones_free(c, n);
    mem_free(names);
    return rc;
}

static enum rc put_group(const struct found *f, const struct options *o, struct text *t)
{
    static const struct part parts[] = {
        {"new key", "new keys", is_new, TEXT_BOLD, true},
        {"key without a good certificate", "keys without a good certificate", is_missing,
         TEXT_YELLOW, false},
        {"key on record", "keys on record", is_known, TEXT_GREEN, true},
        {"CHANGED key", "CHANGED keys", is_changed, TEXT_RED, false},
        {"REVOKED key", "REVOKED keys", is_revoked, TEXT_RED, false},
        {"DENIED key", "DENIED keys", is_denied, TEXT_RED, false},
    };
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sizeof parts / sizeof parts[0]; i++)
        rc = put_part(f, o, &parts[i], t);
    return rc == RC_OK ? put_clones(f, t) : rc;
}

static void write_stdout(void *user, const void *p, size_t n)
{
    (void)user;
    (void)!fwrite(p, 1, n, stdout); /* looked at once, at the end */
}

enum rc report_found(const struct found *f, const struct options *o, struct err *e)
{
    struct sink sink = {.write = write_stdout};
    struct text t;
    enum rc rc = text_init(&t, &sink, o->output.color_out);
    if (rc != RC_OK)
        return err_nomem(e);
    if (o->output.mode == OUTPUT_GROUP)
        rc = put_group(f, o, &t);
    else
        report_data(f, o->output.mode, &t);
    text_fini(&t);
    if (rc != RC_OK)
        return err_nomem(e);
    if (fflush(stdout) != 0 || ferror(stdout))
        return err_sys(e, errno, "standard output");
    return RC_OK;
}
