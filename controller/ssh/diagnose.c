/* See diagnose.h. The texts of libssh that are matched here are pinned by
 * tests/unit/test_diagnose.c and, against the library itself, by tests/unit/test_session.c. */
#include "controller/ssh/diagnose.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

/* What sshd says instead of a banner, since OpenSSH 8.5 and 9.8. */
static bool says_throttled(const char *line)
{
    return strcmp(line, "Exceeded MaxStartups") == 0 ||
           strcmp(line, "Not allowed at this time") == 0;
}

static void end_line(struct prelude *p)
{
    if (p->len > 0 && p->line[p->len - 1] == '\r')
        p->len--;
    p->line[p->len] = '\0';
    if (says_throttled(p->line) && !p->throttled) {
        p->throttled = true;
        memcpy(p->first, p->line, p->len + 1);
    } else if (p->first[0] == '\0') {
        memcpy(p->first, p->line, p->len + 1);
    }
    p->len = 0;
}

void prelude_feed(struct prelude *p, const void *bytes, size_t n)
{
    const char *s = bytes;
    for (size_t i = 0; i < n && !p->banner; i++) {
        p->bytes++;
        if (s[i] == '\n') {
            end_line(p);
            continue;
        }
        if (p->len < sizeof p->line - 1)
            p->line[p->len++] = s[i];
        p->banner = p->len == 4 && memcmp(p->line, "SSH-", 4) == 0;
    }
}

void prelude_end(struct prelude *p)
{
    if (p->len > 0 && !p->banner)
        end_line(p);
}

__attribute__((format(printf, 2, 3))) static void say(char *detail, const char *fmt, ...)
{
    char raw[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    str_escape_to(detail, DIAGNOSE_DETAIL, raw, strlen(raw), 0);
}

enum problem diagnose_connect(int sys, bool v6, const char *where, char *detail)
{
    say(detail, "connect to %s: %s", where, strerror(sys));
    switch (sys) {
    case ECONNREFUSED: return PROBLEM_CONNECT_REFUSED;
    case ETIMEDOUT: return PROBLEM_CONNECT_TIMEOUT;
    case ECONNRESET:
    case EPIPE: return PROBLEM_CONNECTION_RESET;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return PROBLEM_LOCAL_RESOURCE;
    case EADDRNOTAVAIL: /* IPv4: no local port is free. IPv6: this machine has no such address */
        return v6 ? PROBLEM_CONNECT_FAILED : PROBLEM_LOCAL_RESOURCE;
    default: return PROBLEM_CONNECT_FAILED;
    }
}

enum problem diagnose_prelude(const struct prelude *p, int sys, const char *text, char *detail)
{
    if (p->throttled) {
        say(detail, "the server said: %s", p->first);
        return PROBLEM_THROTTLED;
    }
    if (strstr(text, "too large banner") != NULL) {
        say(detail, "what answered sent no SSH banner but a line of more than 255 bytes");
        return PROBLEM_NOT_SSH;
    }
    if (p->bytes > 0 && !p->banner) {
        say(detail, "what answered is not SSH: %s", p->first);
        return PROBLEM_NOT_SSH;
    }
    if (sys != 0)
        say(detail, "before the server's banner: %s", strerror(sys));
    else
        say(detail, "the server closed the connection before %s banner",
            p->banner ? "the end of its" : "sending a");
    return PROBLEM_CONNECTION_RESET;
}

struct disconnect {
    int code;
    const char *text;
};

static bool read_disconnect(const char *text, struct disconnect *d)
{
    static const char mark[] = "Received SSH_MSG_DISCONNECT: ";
    const char *at = strstr(text, mark);
    if (at == NULL)
        return false;
    at += sizeof mark - 1;
    d->code = 0;
    for (int digits = 0; *at >= '0' && *at <= '9' && digits < 6; at++, digits++)
        d->code = d->code * 10 + (*at - '0');
    d->text = *at == ':' ? at + 1 : at;
    return true;
}

static enum problem diagnose_disconnect(enum phase phase, const struct disconnect *d, char *detail)
{
    enum {
        KEY_EXCHANGE_FAILED = 3,
        TOO_MANY_CONNECTIONS = 12,
        AUTH_CANCELLED = 13,
        NO_MORE_METHODS = 14,
        ILLEGAL_USER = 15
    };
    say(detail, "the server disconnected: %s (code %d)", d->text, d->code);
    if (phase == PHASE_RUN || phase == PHASE_REQUEST)
        return PROBLEM_CONNECTION_LOST;
    if (d->code == TOO_MANY_CONNECTIONS)
        return PROBLEM_THROTTLED;
    if (phase == PHASE_KEX && d->code == KEY_EXCHANGE_FAILED)
        return PROBLEM_KEX_FAILED;
    if (phase == PHASE_AUTH && (d->code == AUTH_CANCELLED || d->code == NO_MORE_METHODS ||
                                d->code == ILLEGAL_USER || strstr(d->text, "Too many auth")))
        return PROBLEM_AUTH_DENIED;
    return PROBLEM_CONNECTION_RESET;
}

/* "kex error : no match for method NAME: server [LIST], client [LIST]" */
static enum problem diagnose_no_match(enum phase *phase, const char *at, bool restricted,
                                      char *detail)
{
    static const char mark[] = "no match for method ";
    at += sizeof mark - 1;
    const char *colon = strstr(at, ": server [");
    const char *list = colon != NULL ? colon + sizeof ": server [" - 1 : "";
    int method_len = colon != NULL ? (int)(colon - at) : (int)strcspn(at, ":");
    int list_len = (int)strcspn(list, "]");
    bool hostkey = strncmp(at, "server host key algo", sizeof "server host key algo" - 1) == 0;
    if (hostkey && restricted) {
        *phase = PHASE_HOST_KEY;
        say(detail, "the server has no key of a type on record; it offers %.*s", list_len, list);
        return PROBLEM_HOST_KEY_CHANGED;
    }
    say(detail, "no common algorithm for %.*s; the server offers %.*s",
        method_len < 40 ? method_len : 40, at, list_len, list);
    return PROBLEM_KEX_NO_MATCH;
}

/* The connection's end, as opposed to a packet that breaks the protocol. */
static bool socket_died(const char *text)
{
    return text[0] == '\0' || strstr(text, "Socket error") != NULL ||
           strstr(text, "Writing packet: error on socket") != NULL;
}

static enum problem diagnose_socket(enum phase phase, const char *text, char *detail)
{
    const char *why = strstr(text, "Socket error: ");
    why = why != NULL ? why + sizeof "Socket error: " - 1 : "disconnected";
    /* When libssh closes the socket in the middle of a pass (a DISCONNECT), its next write reports
     * a left-over errno in place of the reason. */
    if (strcmp(why, "disconnected") == 0 || strcmp(why, strerror(EAGAIN)) == 0 ||
        strcmp(why, strerror(0)) == 0)
        say(detail, "the server closed the connection");
    else
        say(detail, "the connection broke: %s", why);
    bool sent = phase == PHASE_RUN || phase == PHASE_REQUEST;
    return sent ? PROBLEM_CONNECTION_LOST : PROBLEM_CONNECTION_RESET;
}

enum problem diagnose_death(enum phase *phase, const char *text, bool restricted, char *detail)
{
    struct disconnect d;
    const char *no_match = strstr(text, "no match for method ");
    if (read_disconnect(text, &d))
        return diagnose_disconnect(*phase, &d, detail);
    if (*phase == PHASE_KEX && no_match != NULL)
        return diagnose_no_match(phase, no_match, restricted, detail);
    if (*phase == PHASE_KEX && text[0] == '\0') { /* a connection that ends has a text */
        say(detail, "the server broke the rules of the key exchange");
        return PROBLEM_KEX_FAILED;
    }
    if (socket_died(text))
        return diagnose_socket(*phase, text, detail);
    say(detail, "%s", text);
    if (*phase == PHASE_KEX)
        return PROBLEM_KEX_FAILED;
    return *phase == PHASE_RUN || *phase == PHASE_REQUEST ? PROBLEM_PROTOCOL_ERROR
                                                          : PROBLEM_HOSTILE;
}

enum problem diagnose_forward(unsigned code, const char *reason, const char *via, const char *where,
                              char *detail)
{
    enum { PROHIBITED = 1, CONNECT_FAILED = 2, UNKNOWN_TYPE = 3, SHORTAGE = 4 };
    static const struct {
        const char *word;
        enum problem problem;
    } words[] = {{"refused", PROBLEM_CONNECT_REFUSED},       {"timed out", PROBLEM_CONNECT_TIMEOUT},
                 {"not known", PROBLEM_DNS_NOT_FOUND},       {"No address", PROBLEM_DNS_NOT_FOUND},
                 {"ailure in name", PROBLEM_DNS_FAILED},     {"resolv", PROBLEM_DNS_NOT_FOUND},
                 {"does not resolve", PROBLEM_DNS_NOT_FOUND}};
    if (code == PROHIBITED || code == UNKNOWN_TYPE) {
        say(detail, "%s does not forward connections to %s (AllowTcpForwarding, PermitOpen): %s",
            via, where, reason[0] != '\0' ? reason : "prohibited");
        return PROBLEM_FORWARD_REFUSED;
    }
    if (code != CONNECT_FAILED) {
        say(detail, "%s has no room for a connection to %s: %s", via, where, reason);
        return code == SHORTAGE ? PROBLEM_CHANNEL_REFUSED : PROBLEM_LOCAL_RESOURCE;
    }
    say(detail, "from %s: connect to %s: %s", via, where, reason[0] != '\0' ? reason : "it failed");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(reason, words[i].word) != NULL)
            return words[i].problem;
    return PROBLEM_CONNECT_FAILED;
}
