/* See options.h. */
#include "tests/sim/options.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/num.h"

enum { MAX_HOSTS = 1000000, MAX_PROCESSES = 64, MAX_LATENCY_MS = 60000 };

static const char help[] =
    "muster-sim: a simulated fleet of SSH hosts on loopback addresses\n"
    "\n"
    "  --hosts N              how many (100)\n"
    "  --base 127.A.B.C       address of the first (127.64.0.1); the others follow\n"
    "  --port N               of all hosts (0: any that is free)\n"
    "  --prefix NAME          hosts are NAME1, NAME2, ... (sim)\n"
    "  --seed N               what decides keys and who has which fault (1)\n"
    "  --processes N          that share the work (1)\n"
    "  --latency TIME         added to each round trip (0)\n"
    "  --fault NAME=SHARE     of the hosts, as 5 or 1%; repeatable; names below\n"
    "  --flood SIZE           output of hosts with the fault flood or rekey (1M)\n"
    "  --rekey SIZE           between key exchanges of hosts with the fault rekey (64K)\n"
    "  --host-keys N          distinct host keys (1)\n"
    "  --user NAME            in the inventory; any name may log in (sim)\n"
    "  --auth publickey|none  none: a login without a key is good too (publickey)\n"
    "  --authorized-key FILE  only this public key may log in (any key)\n"
    "  --listeners one|each   one for all hosts, or one for each address (one)\n"
    "  --agent-root DIR       the hosts' agents read DIR/proc and DIR/sys (this machine's)\n"
    "files to write before it listens:\n"
    "  --inventory FILE       for muster -i\n"
    "  --known-hosts FILE     the hosts' keys\n"
    "  --user-key FILE        a private key to log in with; the inventory names it\n"
    "  --targets FILE         ADDRESS:PORT lines\n"
    "  --expect FILE          JSON: the outcome of `true` on each host\n"
    "\n"
    "It prints a line that begins with \"ready\" and serves until SIGTERM, SIGINT, the end of its\n"
    "parent, or the end of its standard input when that is a pipe.\n"
    "\n"
    "faults:";

void options_help(void)
{
    puts(help);
    for (int f = 1; f < FAULT_COUNT; f++) {
        struct expectation x = fault_expects((enum fault)f);
        printf("  %-17s %s in %s%s%s\n", fault_name((enum fault)f), x.status, x.phase,
               x.problem[0] != '\0' ? ", " : "", x.problem);
    }
}

static enum rc set_fault(struct options *o, const char *arg, struct err *e)
{
    char name[32];
    const char *eq = strchr(arg, '=');
    if (eq == NULL || (size_t)(eq - arg) >= sizeof name)
        return err_set(e, RC_USAGE, "%s: write NAME=SHARE, as stall-kex=1%%", arg);
    memcpy(name, arg, (size_t)(eq - arg));
    name[eq - arg] = '\0';
    int f = fault_by_name(name);
    if (f < 0)
        return err_set(e, RC_USAGE, "there is no fault \"%s\"; --help lists them", name);
    struct share *s = &o->faults[f];
    s->given = true;
    size_t len = strlen(eq + 1);
    s->is_percent = len > 0 && eq[len] == '%';
    if (!s->is_percent)
        return num_u64(eq + 1, 0, MAX_HOSTS, &s->n, e);
    char *end;
    s->percent = strtod(eq + 1, &end);
    if (end == eq + 1 || end != eq + len || !isdigit((unsigned char)eq[1]) || s->percent > 100)
        return err_set(e, RC_USAGE, "%s: a share is a number of hosts, or 0%% to 100%%", arg);
    return RC_OK;
}

static enum rc set_base(struct options *o, const char *arg, struct err *e)
{
    struct in_addr a;
    if (inet_pton(AF_INET, arg, &a) != 1 || ntohl(a.s_addr) >> 24 != 127)
        return err_set(e, RC_USAGE, "%s is no address of 127.0.0.0/8", arg);
    o->base = ntohl(a.s_addr);
    return RC_OK;
}

static enum rc set_choice(bool *out, const char *arg, const char *no, const char *yes,
                          struct err *e)
{
    *out = strcmp(arg, yes) == 0;
    if (!*out && strcmp(arg, no) != 0)
        return err_set(e, RC_USAGE, "%s: %s or %s", arg, no, yes);
    return RC_OK;
}

static enum rc set_u32(uint32_t *out, const char *arg, uint32_t min, uint32_t max, struct err *e)
{
    uint64_t n = 0;
    enum rc rc = num_u64(arg, min, max, &n, e);
    *out = (uint32_t)n;
    return rc;
}

enum { HOSTS = 1, BASE, PORT, PREFIX, SEED, PROCESSES, LATENCY, FAULT, FLOOD, REKEY, HOST_KEYS };
enum {
    USER = 20,
    AUTH,
    AUTHORIZED,
    LISTENERS,
    INVENTORY,
    KNOWN_HOSTS,
    USER_KEY,
    TARGETS,
    EXPECT,
    AGENT_ROOT
};

static enum rc set_number(struct options *o, int c, const char *arg, struct err *e)
{
    uint32_t port = 0;
    enum rc rc;
    switch (c) {
    case HOSTS: return set_u32(&o->hosts, arg, 1, MAX_HOSTS, e);
    case HOST_KEYS: return set_u32(&o->host_keys, arg, 1, MAX_HOSTS, e);
    case PROCESSES: return set_u32(&o->processes, arg, 1, MAX_PROCESSES, e);
    case SEED: return num_u64(arg, 0, UINT64_MAX, &o->seed, e);
    case FLOOD: return num_size(arg, &o->flood_bytes, e);
    case REKEY: return num_size(arg, &o->rekey_bytes, e);
    case LATENCY:
        rc = num_duration(arg, &o->latency_ms, e);
        if (rc == RC_OK && o->latency_ms > MAX_LATENCY_MS)
            return err_set(e, RC_USAGE, "at most 60s");
        return rc;
    default:
        rc = set_u32(&port, arg, 0, 65535, e);
        o->port = (uint16_t)port;
        return rc;
    }
}

static enum rc set_one(struct options *o, int c, const char *arg, struct err *e)
{
    switch (c) {
    case BASE: return set_base(o, arg, e);
    case FAULT: return set_fault(o, arg, e);
    case AUTH: return set_choice(&o->auth_none, arg, "publickey", "none", e);
    case LISTENERS: return set_choice(&o->one_each, arg, "one", "each", e);
    case PREFIX: o->prefix = arg; return RC_OK;
    case USER: o->user = arg; return RC_OK;
    case AGENT_ROOT: o->agent_root = arg; return RC_OK;
    case AUTHORIZED: o->authorized = arg; return RC_OK;
    case INVENTORY: o->inventory = arg; return RC_OK;
    case KNOWN_HOSTS: o->known_hosts = arg; return RC_OK;
    case USER_KEY: o->user_key = arg; return RC_OK;
    case TARGETS: o->targets = arg; return RC_OK;
    case EXPECT: o->expect = arg; return RC_OK;
    default: return set_number(o, c, arg, e);
    }
}

static const struct option table[] = {
    {"hosts", 1, NULL, HOSTS},
    {"base", 1, NULL, BASE},
    {"port", 1, NULL, PORT},
    {"prefix", 1, NULL, PREFIX},
    {"seed", 1, NULL, SEED},
    {"processes", 1, NULL, PROCESSES},
    {"latency", 1, NULL, LATENCY},
    {"fault", 1, NULL, FAULT},
    {"flood", 1, NULL, FLOOD},
    {"rekey", 1, NULL, REKEY},
    {"host-keys", 1, NULL, HOST_KEYS},
    {"user", 1, NULL, USER},
    {"auth", 1, NULL, AUTH},
    {"authorized-key", 1, NULL, AUTHORIZED},
    {"listeners", 1, NULL, LISTENERS},
    {"inventory", 1, NULL, INVENTORY},
    {"user-key", 1, NULL, USER_KEY},
    {"known-hosts", 1, NULL, KNOWN_HOSTS},
    {"targets", 1, NULL, TARGETS},
    {"expect", 1, NULL, EXPECT},
    {"agent-root", 1, NULL, AGENT_ROOT},
    {"help", 0, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* Names go unquoted into the files that are written. */
static enum rc check_names(const struct options *o, struct err *e)
{
    const char *names[] = {o->prefix, o->user};
    for (size_t i = 0; i < 2; i++)
        for (const char *s = names[i]; *s != '\0' || s == names[i]; s++)
            if (!isalnum((unsigned char)*s) && strchr("-_.", *s == '\0' ? ' ' : *s) == NULL)
                return err_set(e, RC_USAGE,
                               "--%s \"%s\": letters, digits, dots, dashes and underscores",
                               i == 0 ? "prefix" : "user", names[i]);
    return RC_OK;
}

enum rc options_parse(struct options *o, int argc, char **argv, struct err *e)
{
    *o = (struct options){.hosts = 100,
                          .base = 0x7f400001,
                          .host_keys = 1,
                          .processes = 1,
                          .seed = 1,
                          .flood_bytes = 1 << 20,
                          .rekey_bytes = 64 << 10,
                          .prefix = "sim",
                          .user = "sim"};
    int at = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "+h", table, &at)) != -1;) {
        if (c == '?')
            return err_set(e, RC_USAGE, "%s: no such option, or no value; see --help",
                           argv[optind - 1]);
        if (c == 'h') {
            o->help = true;
            return RC_OK;
        }
        enum rc rc = set_one(o, c, optarg, e);
        if (rc != RC_OK) {
            err_wrap(e, "--%s", table[at].name);
            return rc;
        }
    }
    if (optind < argc)
        return err_set(e, RC_USAGE, "%s: every option begins with --; see --help", argv[optind]);
    return check_names(o, e);
}
