/* The options of "muster keyscan" and what goes together. See options_table.h. */
#include "controller/cli/options_table.h"

#include <string.h>

enum rc set_key_types(struct options *o, const struct option_def *d, const char *value,
                      struct err *e)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } types[] = {{"ed25519", KEYSCAN_ED25519}, {"ecdsa", KEYSCAN_ECDSA}, {"rsa", KEYSCAN_RSA}};
    (void)d;
    uint32_t bits = 0;
    for (const char *p = value;; p++) {
        size_t n = strcspn(p, ","), i = 0;
        while (i < 3 && (strlen(types[i].name) != n || memcmp(types[i].name, p, n) != 0))
            i++;
        if (i == 3)
            return err_set(e, RC_PARSE, "'%.*s' is none of ed25519, ecdsa and rsa",
                           (int)(n < 40 ? n : 40), p);
        bits |= types[i].bit;
        p += n;
        if (*p == '\0')
            break;
    }
    o->keyscan.types = bits;
    return RC_OK;
}

/* The form of a run's results, when it was not chosen for this command, is no mistake. */
static enum rc settle_form(struct options *o, struct err *e)
{
    if (o->output.mode != OUTPUT_STREAM)
        return RC_OK;
    if (option_source_of(o, option_by_name("output", 6)) == SOURCE_ARGV)
        return err_set(e, RC_USAGE,
                       "-o: keyscan is shown as group, json, ndjson, csv, table or none");
    o->output.mode = OUTPUT_GROUP;
    return RC_OK;
}

enum rc keyscan_settle(struct options *o, struct err *e)
{
    const struct keyscan_options *k = &o->keyscan;
    if (o->pattern == NULL && o->hosts_exprs.count == 0)
        return err_set(e, RC_USAGE,
                       "which hosts? muster keyscan PATTERN (all names every host of the "
                       "inventory), or -w HOSTS");
    if (o->pattern != NULL && o->hosts_exprs.count > 0)
        return err_set(e, RC_USAGE,
                       "both -w and the pattern '%.60s': with -w there is no PATTERN (-l narrows)",
                       o->pattern);
    if (k->forget && (k->replace || k->only_verified || k->hash || k->verify.count > 0 ||
                      k->ca.count > 0 || k->types != 0))
        return err_set(
            e, RC_USAGE,
            "--forget takes keys out and looks at none: leave out --types, --verify, --ca, "
            "--only-verified, --replace and --hash");
    if (k->sshfp_server != NULL && !k->sshfp)
        return err_set(e, RC_USAGE, "--sshfp-server: add --sshfp");
    if (k->forget && k->sshfp)
        return err_set(e, RC_USAGE, "--forget takes keys out and looks at none: leave out --sshfp");
    return settle_form(o, e);
}
