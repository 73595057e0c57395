/* See sshlog.h. */
#include "controller/openssh/sshlog.h"

#include <stdio.h>
#include <string.h>

#include "common/str.h"

/* How far it is: the line's beginning, the phase that begins with it. */
static const struct {
    const char *begins;
    enum phase phase;
} steps[] = {
    {"debug1: Connecting to ", PHASE_CONNECT},
    {"debug1: Executing proxy command: ", PHASE_CONNECT},
    {"debug1: Connection established.", PHASE_BANNER},
    {"debug1: Local version string ", PHASE_BANNER},
    {"debug1: Remote protocol version ", PHASE_KEX},
    {"debug1: Server host key: ", PHASE_HOST_KEY},
    {"debug1: Server host certificate: ", PHASE_HOST_KEY},
    {"debug1: SSH2_MSG_NEWKEYS sent", PHASE_AUTH},
    {"Authenticated to ", PHASE_OPEN},
    {"debug1: Sending command: ", PHASE_RUN},
};

/* What went wrong: the line's beginning, a text further on ("": any), the problem. The first line
 * that is in here counts, unless a later one is of a lower rank (it says more). */
static const struct complaint {
    const char *begins, *has;
    enum problem problem;
    unsigned rank;
} complaints[] = {
    {"ssh: Could not resolve hostname ", "Name or service not known", PROBLEM_DNS_NOT_FOUND, 1},
    {"ssh: Could not resolve hostname ", "No address associated", PROBLEM_DNS_NOT_FOUND, 1},
    {"ssh: Could not resolve hostname ", "", PROBLEM_DNS_FAILED, 1},
    {"ssh: connect to host ", "Connection refused", PROBLEM_CONNECT_REFUSED, 1},
    {"ssh: connect to host ", "timed out", PROBLEM_CONNECT_TIMEOUT, 1},
    {"ssh: connect to host ", "", PROBLEM_CONNECT_FAILED, 1},
    {"debug1: kex_exchange_identification: banner line ", ": Exceeded MaxStartups",
     PROBLEM_THROTTLED, 1},
    {"debug1: kex_exchange_identification: banner line ", ": Not allowed at this time",
     PROBLEM_THROTTLED, 1},
    {"debug1: kex_exchange_identification: banner line ", "", PROBLEM_NOT_SSH, 2},
    {"Connection timed out during banner exchange", "", PROBLEM_BANNER_TIMEOUT, 1},
    {"Connection to ", " timed out", PROBLEM_CONNECT_TIMEOUT, 2},
    {"kex_exchange_identification: banner line contains invalid", "", PROBLEM_NOT_SSH, 1},
    {"kex_exchange_identification: No banner received", "", PROBLEM_NOT_SSH, 1},
    {"kex_exchange_identification: client sent invalid", "", PROBLEM_NOT_SSH, 1},
    {"Protocol major versions differ", "", PROBLEM_NOT_SSH, 1},
    {"kex_exchange_identification: ", "", PROBLEM_CONNECTION_RESET, 3},
    {"banner exchange: Connection to ", "invalid format", PROBLEM_NOT_SSH, 1},
    {"banner exchange: Connection to ", "could not read", PROBLEM_CONNECTION_RESET, 3},
    {"Unable to negotiate with ", "", PROBLEM_KEX_NO_MATCH, 1},
    {"@ WARNING: REVOKED HOST KEY DETECTED", "", PROBLEM_HOST_KEY_REVOKED, 0},
    {"@       WARNING: REVOKED HOST KEY DETECTED", "", PROBLEM_HOST_KEY_REVOKED, 0},
    {"@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED", "", PROBLEM_HOST_KEY_CHANGED, 0},
    {"@       WARNING: POSSIBLE DNS SPOOFING DETECTED", "", PROBLEM_HOST_KEY_CHANGED, 0},
    {"No ", " host key is known for ", PROBLEM_HOST_KEY_UNKNOWN, 0},
    {"Host key verification failed.", "", PROBLEM_HOST_KEY_UNKNOWN, 1},
    {"ssh_dispatch_run_fatal: ", "revoked", PROBLEM_HOST_KEY_REVOKED, 1},
    {"Received disconnect from ", "Too many authentication failures", PROBLEM_AUTH_DENIED, 1},
    {"Received disconnect from ", "", PROBLEM_CONNECTION_RESET, 2},
    {"exec request failed on channel ", "", PROBLEM_REQUEST_REFUSED, 1},
    {"channel 0: open failed: ", "", PROBLEM_CHANNEL_REFUSED, 1},
    {"Connection closed by ", "", PROBLEM_CONNECTION_RESET, 3},
    {"Connection reset by ", "", PROBLEM_CONNECTION_RESET, 3},
    {"Connection to ", " closed by remote host.", PROBLEM_CONNECTION_RESET, 3},
    {"client_loop: send disconnect: ", "", PROBLEM_CONNECTION_RESET, 4},
    {"Read from remote host ", "", PROBLEM_CONNECTION_RESET, 3},
    {"Timeout, server ", " not responding", PROBLEM_CONNECTION_RESET, 3},
    {"Bad packet length ", "", PROBLEM_HOSTILE, 1},
    {"Corrupted MAC on input.", "", PROBLEM_HOSTILE, 1},
    {"ssh_dispatch_run_fatal: ", "", PROBLEM_KEX_FAILED, 3},
};

static void take_step(struct sshlog *l)
{
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (str_starts(l->line, steps[i].begins) && steps[i].phase > l->phase)
            l->phase = steps[i].phase;
    l->proxy |= str_starts(l->line, "debug1: Executing proxy command: ");
    l->authenticated |= str_starts(l->line, "Authenticated to ");
    l->sent |= str_starts(l->line, "debug1: Sending command: ");
    static const char software[] = ", remote software version ";
    const char *at =
        str_starts(l->line, "debug1: Remote protocol version ") ? strstr(l->line, software) : NULL;
    if (at == NULL || l->banner[0] != '\0')
        return;
    snprintf(l->banner, sizeof l->banner, "SSH-2.0-%s", at + sizeof software - 1);
    l->problem = PROBLEM_NONE; /* lines before the banner did no harm */
}

static void take_end(struct sshlog *l)
{
    static const char request[] = "debug1: client_input_channel_req: channel 0 rtype ";
    if (!l->sent)
        return;
    if (str_starts(l->line, request)) {
        l->exited |= str_starts(l->line + sizeof request - 1, "exit-status ");
        l->signaled |= str_starts(l->line + sizeof request - 1, "exit-signal ");
    }
    l->closed |= str_starts(l->line, "debug1: channel 0: free: client-session");
}

static void complain(struct sshlog *l, enum problem p, unsigned rank)
{
    if (l->problem != PROBLEM_NONE && rank >= l->rank)
        return;
    l->problem = p;
    l->rank = rank;
    static const char level[] = "debug1: ";
    size_t skip = str_starts(l->line, level) ? sizeof level - 1 : 0;
    snprintf(l->detail, sizeof l->detail, "%s", l->line + skip);
}

/* "user@host: Permission denied (publickey,password)." is the one line that begins with no word of
 * ssh's own; nothing that a server says can begin a line. */
static bool is_denied(const char *line)
{
    const char *at = strstr(line, ": Permission denied (");
    return at != NULL && memchr(line, ' ', (size_t)(at - line)) == NULL && str_ends(line, ").");
}

static void end_line(struct sshlog *l)
{
    while (l->len > 0 && l->line[l->len - 1] == '\r')
        l->len--;
    l->line[l->len] = '\0';
    l->len = 0;
    take_step(l);
    take_end(l);
    for (size_t i = 0; i < sizeof complaints / sizeof complaints[0]; i++) {
        const struct complaint *c = &complaints[i];
        if (str_starts(l->line, c->begins) && strstr(l->line + strlen(c->begins), c->has) != NULL) {
            complain(l, c->problem, c->rank);
            return;
        }
    }
    if (l->phase == PHASE_AUTH && is_denied(l->line))
        complain(l, PROBLEM_AUTH_DENIED, 1);
}

void sshlog_feed(struct sshlog *l, const void *bytes, size_t n)
{
    const char *p = bytes;
    for (size_t i = 0; i < n && l->bytes < SSHLOG_MAX_BYTES; i++, l->bytes++) {
        if (p[i] == '\n')
            end_line(l);
        else if (l->len < sizeof l->line - 1 && p[i] != '\0')
            l->line[l->len++] = p[i];
    }
}

enum problem sshlog_timeout(const struct sshlog *l)
{
    switch (l->phase) {
    case PHASE_BANNER: return PROBLEM_BANNER_TIMEOUT;
    case PHASE_KEX:
    case PHASE_HOST_KEY: return PROBLEM_KEX_TIMEOUT;
    case PHASE_AUTH: return PROBLEM_AUTH_TIMEOUT;
    case PHASE_OPEN: return PROBLEM_OPEN_TIMEOUT;
    default: return l->proxy ? PROBLEM_BANNER_TIMEOUT : PROBLEM_CONNECT_TIMEOUT;
    }
}

static void say(struct outcome *o, const char *text)
{
    str_escape_to(o->detail, sizeof o->detail, text, strlen(text), 0);
}

/* The command was sent: it ran, or it may have. */
static void conclude_run(const struct sshlog *l, int exit_code, struct outcome *o)
{
    o->sent = true;
    o->phase = PHASE_RUN;
    if (l->exited && exit_code >= 0) {
        o->exit_code = exit_code;
        o->problem = exit_code == 0 ? PROBLEM_NONE : PROBLEM_EXIT_NONZERO;
    } else if (l->signaled) {
        o->problem = PROBLEM_KILLED_BY_SIGNAL;
        say(o, "by a signal that ssh does not name");
    } else if (l->problem == PROBLEM_REQUEST_REFUSED) {
        o->phase = PHASE_REQUEST;
        o->problem = l->problem;
        say(o, "the server refused the command");
    } else if (l->closed && l->problem == PROBLEM_NONE) {
        o->may_still_run = true;
        o->problem = PROBLEM_NO_EXIT_STATUS;
        say(o, "the server closed the channel without an exit status");
    } else {
        o->may_still_run = true;
        o->problem =
            l->problem == PROBLEM_HOSTILE ? PROBLEM_PROTOCOL_ERROR : PROBLEM_CONNECTION_LOST;
        say(o, l->problem != PROBLEM_NONE ? l->detail : "ssh ended before the command did");
    }
}

void sshlog_conclude(const struct sshlog *l, int exit_code, int signal, struct outcome *o)
{
    char text[400];
    outcome_init(o);
    o->phase = l->phase == PHASE_NONE ? PHASE_CONNECT : l->phase;
    if (l->sent) {
        conclude_run(l, exit_code, o);
        return;
    }
    o->problem = l->problem;
    if (o->problem == PROBLEM_DNS_NOT_FOUND || o->problem == PROBLEM_DNS_FAILED)
        o->phase = PHASE_RESOLVE;
    if (problem_status(o->problem) == STATUS_HOST_KEY)
        o->phase = PHASE_HOST_KEY;
    if (o->problem == PROBLEM_THROTTLED || o->problem == PROBLEM_NOT_SSH)
        o->phase = PHASE_BANNER;
    if (o->problem != PROBLEM_NONE) {
        say(o, l->detail);
        return;
    }
    /* ssh said nothing that we know: a wrong option, a ProxyCommand that ended, a crash. */
    o->problem = l->phase > PHASE_CONNECT ? PROBLEM_CONNECTION_RESET : PROBLEM_CONNECT_FAILED;
    if (signal != 0)
        snprintf(text, sizeof text, "ssh was ended by signal %d", signal);
    else
        snprintf(text, sizeof text, "ssh exited %d%s%s", exit_code, l->line[0] != '\0' ? ": " : "",
                 l->line);
    say(o, text);
}
