/* What goes through muster's agent, and what that cannot be combined with. See options_table.h. */
#include "controller/cli/options_table.h"

#include <string.h>

/* A bound that the environment or the file chose for runs is no mistake. */
static bool is_chosen(const struct options *o, const char *name)
{
    return option_source_of(o, option_by_name(name, strlen(name))) > SOURCE_REPLAY_DEFAULT;
}

static enum rc check_detach(const struct options *o, struct err *e)
{
    if (o->become != NULL || o->stdin_path != NULL || o->script != NULL)
        return err_set(
            e, RC_USAGE,
            "--detach starts plain commands: not with --become, --stdin or --script (sudo "
            "inside the command works where it asks for no password)");
    if (o->timeout_ms > 0 && is_chosen(o, "timeout"))
        return err_set(e, RC_USAGE,
                       "--detach leaves, so --timeout bounds nothing: let the host do it, as in "
                       "-- timeout 1h COMMAND");
    if (o->disconnect_kills && is_chosen(o, "on-disconnect"))
        return err_set(e, RC_USAGE,
                       "--detach starts what outlives the connection, --on-disconnect kill ends "
                       "it: leave one of them out");
    return RC_OK;
}

enum rc agent_settle(const struct options *o, struct err *e)
{
    const char *what = o->become != NULL ? "--become"
                       : o->detach       ? "--detach"
                                         : "--on-disconnect kill";
    if (o->ask_become_pass && o->become == NULL)
        return err_set(e, RC_USAGE, "--ask-become-pass is for --become[=USER]: add it");
    if (o->capture != NULL && !options_through_agent(o) && o->verb != VERB_STATS)
        return err_set(e, RC_USAGE,
                       "--capture keeps what muster's agent says, and none is used here: add "
                       "--become, --detach or --on-disconnect kill");
    if (!options_through_agent(o))
        return RC_OK;
    if (o->verb == VERB_STATS && o->become != NULL && strcmp(o->become, "root") != 0)
        return err_set(e, RC_USAGE,
                       "--become: figures are root's or the login's own, no other user's");
    if (o->verb == VERB_STATS && o->agent_mode == AGENT_INSTALLED)
        return err_set(e, RC_USAGE,
                       "--become: root runs the agent that we send, not the installed one");
    if (o->raw)
        return err_set(e, RC_USAGE, "%s goes through the agent, --raw goes without", what);
    if (o->agent_mode == AGENT_NEVER)
        return err_set(e, RC_USAGE, "%s goes through the agent, --agent never sends none", what);
    if (o->silence_timeout_ms > 0)
        return err_set(e, RC_USAGE,
                       "%s does not know --silence-timeout; --timeout bounds the command", what);
    return o->detach ? check_detach(o, e) : RC_OK;
}

bool options_through_agent(const struct options *o)
{
    return o->become != NULL || o->detach || o->disconnect_kills || o->attach_run != NULL;
}
