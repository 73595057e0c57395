/* See agent.h. */
#include "tests/sim/agent.h"

#include <stdio.h>
#include <string.h>

#include "agent/core/core.h"
#include "common/clock.h"

static struct core *core;
static const struct op_kind *const kinds[] = {&op_stats, NULL};

bool sim_agents_open(const struct options *o)
{
    struct core_spec spec = {.root = o->agent_root != NULL ? o->agent_root : ""};
    return core_new(&core, &spec, NULL) == RC_OK;
}

void sim_agents_close(void)
{
    core_free(core);
    core = NULL;
}

struct serve *sim_agent_start(const char *line, uint32_t host)
{
    static const char token[] = "muster-nonce=";
    const char *at = strstr(line, token);
    char boot_id[37];
    struct serve *s = NULL;
    snprintf(boot_id, sizeof boot_id, "00000000-0000-4000-8000-%012x", host);
    struct serve_config config = {
        .allow = ALLOW_STATS,
        .kinds = kinds,
        .core = core,
        .version = MUSTER_VERSION,
        .digest = "",
        .arch = "x86_64",
        .boot_id = boot_id,
        .uid = 1000,
        .pid = host + 1,
    };
    if (at == NULL ||
        agent_nonce_parse(at + strlen(token), strnlen(at + strlen(token), AGENT_NONCE_HEX),
                          config.nonce) != RC_OK ||
        serve_new(&s, &config, clock_ms()) != RC_OK)
        return NULL;
    return s;
}
