/* What is asked of a host's agent for a view: view_request of view.h. */
#include <stdio.h>
#include <string.h>

#include "controller/stats/view.h"
#include "proto/wire.h"

enum { NAME_MOST = 128, ONE_SHOT_MS = 1000 };

/* Sections with more in them than a table shows. The others are small, or their rows are all that
 * is asked for. */
static const uint32_t in_part = 1u << SECTION_HOST | 1u << SECTION_CPU | 1u << SECTION_MEMORY |
                                1u << SECTION_SWAP | 1u << SECTION_DISK | 1u << SECTION_DISKIO |
                                1u << SECTION_NET;

/* The first part of a figure's path is a member of its section; those of one stand together. */
static bool is_another(const struct view *v, enum figure f)
{
    const char *path = figure_defs[f].wire;
    size_t n = strcspn(path, ".") + 1;
    for (int g = kind_defs[KIND_HOST].first; g < (int)f; g++)
        if (v->wanted[g] && figure_defs[g].wire != NULL &&
            figure_defs[g].section == figure_defs[f].section && path[n - 1] == '.' &&
            strncmp(figure_defs[g].wire, path, n) == 0)
            return false;
    return true;
}

static void put_names(struct wire_out *w, const struct view *v, enum stats_section s)
{
    size_t list = wire_open_array(w), count = 0;
    char name[NAME_MOST];
    for (int f = 0; f < FIGURE_COUNT; f++) {
        enum figure_kind k = figure_kind((enum figure)f);
        const char *wire = figure_defs[f].wire;
        if (!v->wanted[f] || wire == NULL || figure_defs[f].section != s ||
            (k == KIND_HOST && !is_another(v, (enum figure)f)))
            continue;
        snprintf(name, sizeof name, "%s%s%s", kind_defs[k].table, k != KIND_HOST ? "." : "", wire);
        wire_add_str(w, name);
        count++;
    }
    wire_close_counted(w, list, count);
}

static void put_want(struct wire_out *w, const struct view *v)
{
    wire_add_key(w, "want");
    size_t map = wire_open_map(w), count = 0;
    for (int s = 0; s < SECTION_COUNT; s++)
        if (v->sections & in_part & 1u << s) {
            wire_add_key(w, section_defs[s].name);
            put_names(w, v, (enum stats_section)s);
            count++;
        }
    wire_close_counted(w, map, count);
}

enum rc view_request(const struct view *v, struct buf *out)
{
    struct wire_out w;
    uint32_t count = 0;
    wire_out_init(&w, out);
    for (int s = 0; s < SECTION_COUNT; s++)
        count += (v->sections >> s) & 1;
    uint64_t interval = v->interval_ms > 0 ? v->interval_ms : v->samples > 1 ? ONE_SHOT_MS : 0;
    wire_put_map(&w, v->whole ? 7 : 8);
    wire_put_str(&w, "op", "stats");
    wire_add_key(&w, "sections");
    wire_add_array(&w, count);
    for (int s = 0; s < SECTION_COUNT; s++)
        if (v->sections & 1u << s)
            wire_add_str(&w, section_defs[s].name);
    wire_put_u64(&w, "interval_ms", interval);
    wire_put_u64(&w, "count", v->samples);
    wire_put_u64(&w, "top", v->top);
    wire_put_str(&w, "by", v->top_by);
    wire_put_bool(&w, "detail", v->detail);
    if (!v->whole)
        put_want(&w, v);
    return wire_out_end(&w);
}
