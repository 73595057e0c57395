/* The agent on a simulated host: the real engine and the real figures (agent/serve, agent/core) in
 * the simulator's own process, in place of a program. A host has it "in its cache": a command line
 * of muster's that would find and start it (it has muster-nonce=…) begins to speak as the agent.
 *
 * The figures are those of the machine that the simulator runs on, or of a tree (--agent-root).
 * Only `stats` is there: nothing is executed. Loop thread only; knows nothing of SSH.
 */
#ifndef TESTS_SIM_AGENT_H
#define TESTS_SIM_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/serve.h"
#include "tests/sim/options.h"

/* Makes what the agents of one process share; false: out of memory. */
bool sim_agents_open(const struct options *o);
void sim_agents_close(void);

/* An engine for the command `line` of host number `host`; NULL: the line starts no agent, or there
 * is no memory. Freed with serve_free. */
struct serve *sim_agent_start(const char *line, uint32_t host);

#endif
