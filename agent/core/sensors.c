/* Section sensors: temperatures, fans, battery, from /sys by psutil's rules. A sensor that cannot
 * be read is left out, as there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/core_int.h"

enum { MOST_SENSORS = 512, HWMON_DEPTH = CORE_PATH - 80 };

static const char *const temperature_cols[] = {"chip", "label", "current", "high", "critical"};

static bool text_of(struct core *c, const char *folder, const char *name, const char *suffix,
                    char text[CORE_VALUE], struct span *v)
{
    char path[CORE_PATH];
    return core_path(path, "%s/%s%s", folder, name, suffix) && core_value(c, path, text, v) == 0;
}

static bool number_of(struct core *c, const char *folder, const char *name, const char *suffix,
                      double *v)
{
    char text[CORE_VALUE];
    struct span t;
    return text_of(c, folder, name, suffix, text, &t) && span_f64(t, v);
}

/* "temp1_input" -> "temp1" once for each: names are sorted, so that those of one stand together. */
static bool next_base(const struct core_names *names, size_t *i, char base[64], const char *prefix)
{
    for (; *i < names->n; (*i)++) {
        const char *name = names->name[*i];
        size_t n = strcspn(name, "_");
        if (name[n] == '\0' || n < strlen(prefix) || n >= 64)
            continue;
        if (strlen(base) == n && memcmp(base, name, n) == 0)
            continue;
        memcpy(base, name, n);
        base[n] = '\0';
        return true;
    }
    return false;
}

/* ---- temperatures ---- */

static void write_temperature(struct sample *s, struct rows *t, struct span chip, struct span label,
                              double current, double high, double critical, unsigned known)
{
    /* One that is not given, or is 0, is as the other. */
    bool some_high = (known & 1) != 0 && high != 0,
         some_critical = (known & 2) != 0 && critical != 0;
    if (some_high != some_critical) {
        high = critical = some_high ? high : critical;
        known = 3;
    }
    if (!rows_next(s, t))
        return;
    emit_add_text(s, chip);
    emit_add_text(s, label);
    wire_add_f64(&s->w, current / 1000);
    emit_add_f64_if(s, (known & 1) != 0, high / 1000);
    emit_add_f64_if(s, (known & 2) != 0, critical / 1000);
}

static void one_temperature(struct sample *s, struct rows *t, const char *folder, const char *base)
{
    char chip[CORE_VALUE], label[CORE_VALUE];
    struct span name, text = span_of("");
    double current, high = 0, critical = 0;
    if (!number_of(s->c, folder, base, "_input", &current) ||
        !text_of(s->c, folder, "name", "", chip, &name))
        return;
    unsigned known = (unsigned)number_of(s->c, folder, base, "_max", &high) |
                     (unsigned)number_of(s->c, folder, base, "_crit", &critical) << 1;
    if (!text_of(s->c, folder, base, "_label", label, &text))
        text = span_of("");
    write_temperature(s, t, name, text, current, high, critical, known);
}

static void one_fan(struct sample *s, struct rows *t, const char *folder, const char *base)
{
    char chip[CORE_VALUE], label[CORE_VALUE], path[CORE_PATH];
    struct span name, text;
    int64_t rpm;
    if (!core_path(path, "%s/%s_input", folder, base) || core_value_i64(s->c, path, &rpm) != 0 ||
        !text_of(s->c, folder, "name", "", chip, &name))
        return;
    if (!text_of(s->c, folder, base, "_label", label, &text))
        text = span_of("");
    if (!rows_next(s, t))
        return;
    emit_add_text(s, name);
    emit_add_text(s, text);
    wire_add_i64(&s->w, rpm);
}

typedef void (*sensor_fn)(struct sample *s, struct rows *t, const char *folder, const char *base);

/* Every sensor of the kind in that folder; returns how many there were. */
static size_t in_folder(struct sample *s, struct rows *t, const char *folder, const char *prefix,
                        sensor_fn one)
{
    struct core_names names;
    char base[64] = "";
    size_t count = 0;
    if (core_names(s->c, &names, folder, prefix) != 0)
        return 0;
    for (size_t i = 0; next_base(&names, &i, base, prefix) && !section_late(s); count++)
        one(s, t, folder, base);
    core_names_free(&names);
    return count;
}

/* hwmonN, and hwmonN/device where an old kernel has them. `both`: what is in either counts. */
static size_t in_hwmon(struct sample *s, struct rows *t, const char *above, const char *prefix,
                       bool both, sensor_fn one)
{
    struct core_names chips;
    size_t count = 0;
    if (core_names(s->c, &chips, above, "hwmon") != 0)
        return 0;
    for (size_t i = 0; i < chips.n; i++) {
        char folder[CORE_PATH];
        if (!core_path(folder, "%s/%s", above, chips.name[i]))
            continue;
        size_t here = in_folder(s, t, folder, prefix, one);
        count += here;
        if ((both || here == 0) && core_path(folder, "%s/%s/device", above, chips.name[i]))
            count += in_folder(s, t, folder, prefix, one);
    }
    core_names_free(&chips);
    return count;
}

/* Chips of a CPU that are not in the class as well. */
static size_t in_coretemp(struct sample *s, struct rows *t)
{
    struct core_names names, chips;
    size_t count = 0;
    if (core_names(s->c, &names, "sys/devices/platform", "coretemp.") != 0)
        return 0;
    for (size_t i = 0; i < names.n; i++) {
        char above[CORE_PATH], path[CORE_PATH];
        if (!core_path(above, "sys/devices/platform/%s/hwmon", names.name[i]) ||
            core_names(s->c, &chips, above, "hwmon") != 0)
            continue;
        for (size_t k = 0; k < chips.n; k++)
            if (core_path(path, "sys/class/hwmon/%s", chips.name[k]) && !core_exists(s->c, path) &&
                core_path(path, "%s/%s", above, chips.name[k]))
                count += in_folder(s, t, path, "temp", one_temperature);
        core_names_free(&chips);
    }
    core_names_free(&names);
    return count;
}

/* trip_point_N_type says what trip_point_N_temp is. Returns what is known, as bits. */
static unsigned trip_points(struct core *c, const char *folder, double *high, double *critical)
{
    struct core_names names;
    unsigned known = 0;
    if (core_names(c, &names, folder, "trip_point_") != 0)
        return 0;
    for (size_t i = 0; i < names.n; i++) {
        char text[CORE_VALUE], *end = strstr(names.name[i], "_type");
        struct span type;
        if (end == NULL || end[5] != '\0' || !text_of(c, folder, names.name[i], "", text, &type))
            continue;
        *end = '\0';
        if (span_is(type, "critical") && number_of(c, folder, names.name[i], "_temp", critical))
            known |= 2;
        else if (span_is(type, "high") && number_of(c, folder, names.name[i], "_temp", high))
            known |= 1;
    }
    core_names_free(&names);
    return known;
}

static void of_zones(struct sample *s, struct rows *t)
{
    struct core_names zones;
    if (core_names(s->c, &zones, "sys/class/thermal", "thermal_zone") != 0)
        return;
    for (size_t i = 0; i < zones.n && !section_late(s); i++) {
        char folder[CORE_PATH], text[CORE_VALUE];
        struct span chip;
        double current, high = 0, critical = 0;
        if (!core_path(folder, "sys/class/thermal/%s", zones.name[i]) ||
            !number_of(s->c, folder, "temp", "", &current) ||
            !text_of(s->c, folder, "type", "", text, &chip))
            continue;
        unsigned known = trip_points(s->c, folder, &high, &critical);
        write_temperature(s, t, chip, span_of(""), current, high, critical, known);
    }
    core_names_free(&zones);
}

static void temperatures(struct sample *s)
{
    struct rows t;
    rows_open(s, &t, "temperatures", temperature_cols, 5, MOST_SENSORS);
    size_t found = in_hwmon(s, &t, "sys/class/hwmon", "temp", true, one_temperature);
    found += in_coretemp(s, &t);
    if (found == 0)
        of_zones(s, &t);
    rows_close(s, &t);
}

static void fans(struct sample *s)
{
    struct rows t;
    rows_open(s, &t, "fans", temperature_cols, 3, MOST_SENSORS);
    (void)in_hwmon(s, &t, "sys/class/hwmon", "fan", false, one_fan);
    rows_close(s, &t);
}

/* ---- battery ---- */

enum { UNKNOWN = -1, UNLIMITED = -2, PLUGGED_UNKNOWN = -1 };

static bool either_of(struct core *c, const char *folder, const char *a, const char *b, int64_t *v)
{
    char path[CORE_PATH];
    return (core_path(path, "%s/%s", folder, a) && core_value_i64(c, path, v) == 0) ||
           (core_path(path, "%s/%s", folder, b) && core_value_i64(c, path, v) == 0);
}

/* 1, 0, or PLUGGED_UNKNOWN. */
static int plugged(struct core *c, const char *folder)
{
    char text[CORE_VALUE];
    struct span status;
    int64_t online;
    if (either_of(c, "sys/class/power_supply", "AC0/online", "AC/online", &online))
        return online == 1;
    if (!text_of(c, folder, "status", "", text, &status))
        return PLUGGED_UNKNOWN;
    if (status.n == 11 && strncasecmp(status.p, "discharging", 11) == 0)
        return 0;
    return (status.n == 8 && strncasecmp(status.p, "charging", 8) == 0) ||
                   (status.n == 4 && strncasecmp(status.p, "full", 4) == 0)
               ? 1
               : PLUGGED_UNKNOWN;
}

static bool percent(struct core *c, const char *folder, double *v)
{
    int64_t now, full, capacity;
    if (either_of(c, folder, "energy_now", "charge_now", &now) &&
        either_of(c, folder, "energy_full", "charge_full", &full)) {
        *v = full != 0 ? 100.0 * (double)now / (double)full : 0;
        return true;
    }
    if (!either_of(c, folder, "capacity", "capacity", &capacity) || capacity == -1)
        return false;
    *v = (double)capacity;
    return true;
}

static int64_t seconds_left(struct core *c, const char *folder, int is_plugged)
{
    int64_t now, power, minutes;
    if (is_plugged == 1)
        return UNLIMITED;
    if (either_of(c, folder, "energy_now", "charge_now", &now) &&
        either_of(c, folder, "power_now", "current_now", &power)) {
        double v = power != 0 ? (double)now / (double)power * 3600 : -1;
        v = power < 0 ? -v : v;
        return power != 0 && v >= 0 && v < 1e15 ? (int64_t)v : UNKNOWN;
    }
    if (either_of(c, folder, "time_to_empty_now", "time_to_empty_now", &minutes))
        return minutes < 0 || minutes > INT32_MAX ? UNKNOWN : minutes * 60;
    return UNKNOWN;
}

/* The first, by its name as text. */
static bool battery_name(struct core *c, char dst[64])
{
    struct core_names names;
    bool found = false;
    if (core_names(c, &names, "sys/class/power_supply", "") != 0)
        return false;
    for (size_t i = 0; i < names.n; i++)
        if ((strncmp(names.name[i], "BAT", 3) == 0 || strcasestr(names.name[i], "battery")) &&
            (!found || strcmp(names.name[i], dst) < 0)) {
            memcpy(dst, names.name[i], 64);
            found = true;
        }
    core_names_free(&names);
    return found;
}

static void battery(struct sample *s)
{
    char name[64], folder[CORE_PATH];
    double v;
    if (!battery_name(s->c, name) || !core_path(folder, "sys/class/power_supply/%s", name) ||
        !percent(s->c, folder, &v)) {
        emit_nil(s, "battery");
        return;
    }
    int is_plugged = plugged(s->c, folder);
    struct emit_map outer = emit_open_map(s, "battery");
    emit_f64(s, "percent", v);
    emit_i64(s, "secsleft", seconds_left(s->c, folder, is_plugged));
    if (is_plugged == PLUGGED_UNKNOWN)
        emit_nil(s, "plugged");
    else if (emit_key(s, "plugged"))
        wire_add_bool(&s->w, is_plugged == 1);
    emit_close_map(s, outer);
}

void section_sensors(struct sample *s)
{
    temperatures(s);
    fans(s);
    battery(s);
}
