/* All that the agent can do, in the order in which HELLO names it. */
#include "agent/op.h"

const struct op_kind *const op_kinds[] = {
    &op_stats, &op_exec, &op_jobs, &op_attach, &op_collect, &op_kill, &op_become, NULL,
};
