/* How long an inventory takes to load and to resolve, and how much memory it holds:
 *   bench_inventory [yaml|ini|json [HOSTS [GROUPS]]]
 * Writes an inventory of 50,000 hosts in 500 groups (nested in 10 sites, a few variables on each
 * level, host_vars for none) into memory, loads it, and asks every connection variable of every
 * host. Prints wall times, CPU time and the peak of resident memory. Build it with the release
 * preset.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "common/mem.h"
#include "inventory/inventory.h"

static const char *const conn_vars[] = {"host",
                                        "port",
                                        "user",
                                        "password",
                                        "connection",
                                        "become",
                                        "become_user",
                                        "become_method",
                                        "become_password",
                                        "ssh_private_key_file",
                                        "ssh_common_args",
                                        "ssh_extra_args",
                                        "shell_type",
                                        "host_key_checking"};

struct shape {
    unsigned hosts, groups;
};

static void put_yaml_group(struct buf *b, const struct shape *s, unsigned g)
{
    buf_printf(b, "        g%03u:\n          vars: {ansible_port: %u, role: r%u}\n", g, 22 + g % 3,
               g % 7);
    buf_puts(b, "          hosts:\n");
    for (unsigned h = g; h < s->hosts; h += s->groups)
        buf_printf(b,
                   "            host%05u.dc%u.example.com:\n"
                   "              ansible_host: 10.%u.%u.%u\n              rack: r%u\n",
                   h, g % 10, h >> 16, h >> 8 & 255, h & 255, h % 97);
}

static void put_yaml(struct buf *b, const struct shape *s)
{
    buf_puts(b, "all:\n  vars: {ansible_user: deploy, ntp: ntp.example.com}\n  children:\n");
    for (unsigned site = 0; site < 10; site++) {
        buf_printf(b, "    site%u:\n      children:\n", site);
        for (unsigned g = site; g < s->groups; g += 10)
            put_yaml_group(b, s, g);
    }
}

static void put_ini(struct buf *b, const struct shape *s)
{
    buf_puts(b, "[all:vars]\nansible_user=deploy\nntp=ntp.example.com\n");
    for (unsigned g = 0; g < s->groups; g++) {
        buf_printf(b, "[g%03u]\n", g);
        for (unsigned h = g; h < s->hosts; h += s->groups)
            buf_printf(b, "host%05u.dc%u.example.com ansible_host=10.%u.%u.%u rack=r%u\n", h,
                       g % 10, h >> 16, h >> 8 & 255, h & 255, h % 97);
        buf_printf(b, "[g%03u:vars]\nansible_port=%u\nrole=r%u\n", g, 22 + g % 3, g % 7);
    }
    for (unsigned i = 0; i < 10; i++) {
        buf_printf(b, "[site%u:children]\n", i);
        for (unsigned g = i; g < s->groups; g += 10)
            buf_printf(b, "g%03u\n", g);
    }
}

static void put_json(struct buf *b, const struct shape *s)
{
    buf_puts(b,
             "{\"all\": {\"vars\": {\"ansible_user\": \"deploy\", \"ntp\": \"ntp.example.com\"}}");
    for (unsigned g = 0; g < s->groups; g++) {
        buf_printf(
            b, ", \"g%03u\": {\"vars\": {\"ansible_port\": %u, \"role\": \"r%u\"}, \"hosts\": [", g,
            22 + g % 3, g % 7);
        for (unsigned h = g; h < s->hosts; h += s->groups)
            buf_printf(b, "%s\"host%05u.dc%u.example.com\"", h == g ? "" : ", ", h, g % 10);
        buf_puts(b, "]}");
    }
    for (unsigned i = 0; i < 10; i++) {
        buf_printf(b, ", \"site%u\": {\"children\": [", i);
        for (unsigned g = i; g < s->groups; g += 10)
            buf_printf(b, "%s\"g%03u\"", g == i ? "" : ", ", g);
        buf_puts(b, "]}");
    }
    buf_puts(b, ", \"_meta\": {\"hostvars\": {");
    for (unsigned h = 0; h < s->hosts; h++)
        buf_printf(b,
                   "%s\"host%05u.dc%u.example.com\": {\"ansible_host\": \"10.%u.%u.%u\", \"rack\": "
                   "\"r%u\"}",
                   h ? ", " : "", h, h % s->groups % 10, h >> 16, h >> 8 & 255, h & 255, h % 97);
    buf_puts(b, "}}}");
}

static double peak_mib(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)r.ru_maxrss / 1024;
}

static double cpu_seconds(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static size_t resolve_all(const struct inventory *inv)
{
    size_t set = 0;
    for (size_t i = 0; i < inventory_host_count(inv); i++)
        for (size_t k = 0; k < sizeof conn_vars / sizeof conn_vars[0]; k++)
            set += inventory_host_conn_var(inv, inventory_host_at(inv, i), conn_vars[k]) != NULL;
    return set;
}

static int bench(enum inventory_format format, const struct buf *text)
{
    struct inventory *inv;
    struct err e;
    double before = peak_mib(), cpu = cpu_seconds();
    uint64_t t0 = clock_us();
    enum rc rc = inventory_new(&inv, &e);
    if (rc == RC_OK)
        rc = inventory_add_text(inv, "bench", format, (const char *)text->data, text->len, &e);
    uint64_t t1 = clock_us();
    if (rc == RC_OK)
        rc = inventory_finish(inv, &e);
    if (rc != RC_OK) {
        fprintf(stderr, "bench_inventory: %s\n", e.msg);
        return 1;
    }
    uint64_t t2 = clock_us();
    size_t set = resolve_all(inv);
    uint64_t t3 = clock_us();
    printf("%zu hosts, %zu groups, %.1f MiB of text: read %.3f s, finish %.3f s, resolve %.3f s "
           "(%zu values), in all %.3f s, %.3f s of CPU; peak %.0f MiB (%.0f before)\n",
           inventory_host_count(inv), inventory_group_count(inv), (double)text->len / 1048576,
           (double)(t1 - t0) / 1e6, (double)(t2 - t1) / 1e6, (double)(t3 - t2) / 1e6, set,
           (double)(t3 - t0) / 1e6, cpu_seconds() - cpu, peak_mib(), before);
    inventory_free(inv);
    return 0;
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "yaml";
    struct shape s = {argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 50000,
                      argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 500};
    enum inventory_format format = INVENTORY_AUTO;
    struct buf text;
    buf_init(&text, (size_t)INVENTORY_MAX_FILE);
    if (strcmp(kind, "ini") == 0) {
        put_ini(&text, &s);
    } else if (strcmp(kind, "json") == 0) {
        format = INVENTORY_SCRIPT;
        put_json(&text, &s);
    } else {
        put_yaml(&text, &s);
    }
    int status = bench(format, &text);
    buf_fini(&text);
    return status;
}
