/* What a scan found, for programs: json, ndjson, csv and table. See keyscan.h. One object for a
 * host in the first two, one row for a key in the others. */
#include "controller/keyscan/keyscan.h"

#include <string.h>

#include "common/clock.h"
#include "controller/output/text.h"

static const char *const states[KEY_STATE_COUNT] = {
    [KEY_NEW] = "new", [KEY_KNOWN] = "known", [KEY_CHANGED] = "changed", [KEY_REVOKED] = "revoked"};
static const char *const proofs[PROOF_COUNT] = {[PROOF_NONE] = "none",
                                                [PROOF_VERIFIED] = "verified",
                                                [PROOF_DENIED] = "denied",
                                                [PROOF_MISSING] = "uncertified"};

static const char *status_of(const struct found_host *h)
{
    return status_name(problem_status(h->problem));
}

static void put_key(struct text *t, const struct found_key *k)
{
    char print[FOUND_PRINT], when[32];
    text_puts(t, "{\"type\":");
    text_json(t, k->type);
    text_printf(t, ",\"fingerprint\":\"%s\",\"state\":\"%s\",\"proof\":\"%s\"",
                found_print(print, k), states[k->state], proofs[k->proof]);
    text_puts(t, ",\"proof_by\":");
    text_json(t, *k->by != '\0' ? k->by : NULL);
    text_puts(t, ",\"where\":");
    text_json(t, *k->where != '\0' ? k->where : NULL);
    text_puts(t, ",\"recorded\":");
    text_json(t, k->state == KEY_CHANGED ? k->recorded : NULL);
    text_puts(t, ",\"good_until\":");
    text_json(t, k->until != 0 ? clock_rfc3339(when, sizeof when, k->until * 1000000) : NULL);
    text_puts(t, ",\"key\":\"");
    text_base64_part(t, k->blob, k->len);
    text_puts(t, "\"}");
}

static void put_host(struct text *t, const struct found_host *h)
{
    text_puts(t, "{\"host\":");
    text_json(t, h->target->host->name);
    text_puts(t, ",\"address\":");
    text_json(t, *h->address != '\0' ? h->address : NULL);
    text_printf(t, ",\"port\":%u,\"key_name\":", h->target->port);
    text_json(t, h->target->key_name);
    text_printf(t, ",\"status\":\"%s\",\"problem\":", status_of(h));
    text_json(t, h->problem != PROBLEM_NONE ? problem_name(h->problem) : NULL);
    text_puts(t, ",\"detail\":");
    text_json(t, *h->detail != '\0' ? h->detail : NULL);
    text_puts(t, ",\"keys\":[");
    for (unsigned i = 0; i < h->key_count; i++) {
        text_puts(t, i > 0 ? "," : "");
        put_key(t, &h->keys[i]);
    }
    text_puts(t, "]}");
}

static void put_clones(const struct found *f, struct text *t)
{
    struct clones *c = NULL;
    size_t n = 0;
    char print[FOUND_PRINT];
    if (clones_find(f, &c, &n, NULL) != RC_OK)
        n = 0;
    for (size_t i = 0; i < n; i++) {
        text_printf(t, "%s\n{\"type\":\"%s\",\"fingerprint\":\"%s\",\"hosts\":[", i > 0 ? "," : "",
                    c[i].key->type, found_print(print, c[i].key));
        for (size_t h = 0; h < c[i].count; h++) {
            text_puts(t, h > 0 ? "," : "");
            text_json(t, f->hosts[c[i].hosts[h]].target->host->name);
        }
        text_puts(t, "]}");
    }
    clones_free(c, n);
}

static void put_json(const struct found *f, struct text *t)
{
    text_puts(t, "{\"schema\":\"muster.keyscan/1\",\"hosts\":[");
    for (uint32_t i = 0; i < f->count; i++) {
        text_puts(t, i > 0 ? ",\n" : "\n");
        put_host(t, &f->hosts[i]);
    }
    text_puts(t, "\n],\"clones\":[");
    put_clones(f, t);
    text_puts(t, "]}\n");
}

/* RFC 4180; a cell that a spreadsheet would take for a formula is text. */
static void put_cell(struct text *t, const char *s, bool last)
{
    bool quote = strpbrk(s, ",\"\r\n") != NULL;
    const char *guard = *s != '\0' && strchr("=+-@", *s) != NULL ? "'" : "";
    text_puts(t, quote ? "\"" : "");
    text_puts(t, guard);
    for (const char *p = s; *p != '\0'; p++) {
        text_puts(t, *p == '"' ? "\"" : "");
        text_put(t, p, 1);
    }
    text_puts(t, quote ? "\"" : "");
    text_puts(t, last ? "\r\n" : ",");
}

enum { COLUMNS = 10 };
static const char *const columns[COLUMNS] = {"host", "address",     "port",  "status", "problem",
                                             "type", "fingerprint", "state", "proof",  "where"};

struct row {
    const char *cells[COLUMNS];
    char port[8], print[FOUND_PRINT];
};

/* key: NULL for a host without one. */
static void make_row(const struct found_host *h, const struct found_key *k, struct row *r)
{
    snprintf(r->port, sizeof r->port, "%u", h->target->port);
    r->cells[0] = h->target->host->name;
    r->cells[1] = h->address;
    r->cells[2] = r->port;
    r->cells[3] = status_of(h);
    r->cells[4] = problem_name(h->problem);
    r->cells[5] = k != NULL ? k->type : "";
    r->cells[6] = k != NULL ? found_print(r->print, k) : "";
    r->cells[7] = k != NULL ? states[k->state] : "";
    r->cells[8] = k != NULL ? proofs[k->proof] : "";
    r->cells[9] = k != NULL ? k->where : "";
}

typedef void row_fn(struct text *t, const struct row *r, size_t *widths);

static void csv_row(struct text *t, const struct row *r, size_t *widths)
{
    (void)widths;
    for (int i = 0; i < COLUMNS; i++)
        put_cell(t, r->cells[i], i == COLUMNS - 1);
}

static void measure_row(struct text *t, const struct row *r, size_t *widths)
{
    for (int i = 0; i < COLUMNS; i++) {
        size_t n = text_width(t, r->cells[i]);
        widths[i] = n > widths[i] ? n : widths[i];
    }
}

static void table_row(struct text *t, const struct row *r, size_t *widths)
{
    int last = COLUMNS - 1;
    while (last > 0 && *r->cells[last] == '\0')
        last--;
    for (int i = 0; i <= last; i++) {
        text_escape_str(t, r->cells[i]);
        if (i < last)
            text_spaces(t, widths[i] + 2 - text_width(t, r->cells[i]));
    }
    text_puts(t, "\n");
}

static void each_row(const struct found *f, struct text *t, row_fn *fn, size_t *widths)
{
    struct row r;
    memcpy(r.cells, columns, sizeof r.cells);
    fn(t, &r, widths);
    for (uint32_t i = 0; i < f->count; i++) {
        const struct found_host *h = &f->hosts[i];
        for (unsigned k = 0; k < h->key_count || k == 0; k++) {
            make_row(h, k < h->key_count ? &h->keys[k] : NULL, &r);
            fn(t, &r, widths);
        }
    }
}

void report_data(const struct found *f, enum output_mode mode, struct text *t)
{
    size_t widths[COLUMNS] = {0};
    switch (mode) {
    case OUTPUT_JSON: put_json(f, t); break;
    case OUTPUT_NDJSON:
        for (uint32_t i = 0; i < f->count; i++) {
            put_host(t, &f->hosts[i]);
            text_puts(t, "\n");
        }
        break;
    case OUTPUT_CSV: each_row(f, t, csv_row, widths); break;
    case OUTPUT_TABLE:
        each_row(f, t, measure_row, widths);
        each_row(f, t, table_row, widths);
        break;
    default: break;
    }
}
