/* See jump_text.h. */
#include "controller/run/jump_text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/num.h"
#include "common/str.h"

enum { MAX_WORDS = 256 };

/* ---- a chain ---- */

static enum rc read_port(const char *s, size_t n, uint16_t *port, struct err *e)
{
    uint32_t v = 0;
    for (size_t i = 0; i < n && v <= 65535; i++)
        v = s[i] >= '0' && s[i] <= '9' ? v * 10 + (uint32_t)(s[i] - '0') : 65536;
    if (n == 0 || v == 0 || v > 65535)
        return err_set(e, RC_PARSE, "'%.*s' is no port: a number from 1 to 65535",
                       (int)(n < 40 ? n : 40), s);
    *port = (uint16_t)v;
    return RC_OK;
}

/* The host's end and the port's begin; what is in brackets may hold colons. */
static enum rc split_port(const char **host, size_t *len, uint16_t *port, struct err *e)
{
    const char *s = *host, *end = s + *len, *colon = NULL;
    if (*len > 0 && s[0] == '[') {
        const char *close = memchr(s, ']', *len);
        if (close == NULL || (close + 1 < end && close[1] != ':'))
            return err_set(e, RC_PARSE, "'%.*s': after [ADDRESS] comes nothing or :PORT",
                           (int)(*len < 80 ? *len : 80), s);
        *host = s + 1;
        *len = (size_t)(close - s) - 1;
        colon = close + 1 < end ? close + 1 : NULL;
    } else {
        colon = memchr(s, ':', *len);
        if (colon != NULL && memchr(colon + 1, ':', (size_t)(end - colon) - 1) != NULL)
            return err_set(e, RC_PARSE, "'%.*s': an IPv6 address with a port is [ADDRESS]:PORT",
                           (int)(*len < 80 ? *len : 80), s);
        if (colon != NULL)
            *len = (size_t)(colon - s);
    }
    return colon != NULL ? read_port(colon + 1, (size_t)(end - colon) - 1, port, e) : RC_OK;
}

static bool is_plain(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f || s[i] == '%' || s[i] == '$')
            return false;
    return n > 0 && s[0] != '-';
}

static enum rc read_host(struct jump_host *h, const char *s, size_t n, struct arena *arena,
                         struct err *e)
{
    memset(h, 0, sizeof *h);
    if (n >= 6 && strncmp(s, "ssh://", 6) == 0) {
        s += 6;
        n -= 6;
        n -= n > 0 && s[n - 1] == '/';
    }
    const char *at = NULL;
    for (size_t i = 0; i < n; i++)
        at = s[i] == '@' ? s + i : at;
    const char *user = s;
    if (at != NULL) {
        n -= (size_t)(at + 1 - s);
        s = at + 1;
    }
    enum rc rc = split_port(&s, &n, &h->port, e);
    if (rc != RC_OK)
        return rc;
    if (!is_plain(s, n) || n > 255 || (at != NULL && at == user))
        return err_set(e, RC_PARSE, "a bastion is written [user@]host[:port], not '%.*s'",
                       (int)(n < 80 ? n : 80), s);
    h->host = arena_strndup(arena, s, n);
    if (at != NULL)
        h->user = arena_strndup(arena, user, (size_t)(at - user));
    return h->host == NULL || (at != NULL && h->user == NULL) ? err_nomem(e) : RC_OK;
}

enum rc jump_read(struct jump_chain *c, const char *text, struct arena *arena, struct err *e)
{
    memset(c, 0, sizeof *c);
    text += strspn(text, " \t");
    if (strcasecmp(text, "none") == 0)
        return RC_OK;
    for (const char *p = text;; p++) {
        p += strspn(p, " \t");
        size_t n = strcspn(p, ",");
        size_t used = n;
        while (used > 0 && (p[used - 1] == ' ' || p[used - 1] == '\t'))
            used--;
        if (c->count == JUMP_MAX_CHAIN)
            return err_set(e, RC_LIMIT, "more than %d bastions one behind the other",
                           JUMP_MAX_CHAIN);
        enum rc rc = read_host(&c->hosts[c->count], p, used, arena, e);
        if (rc != RC_OK)
            return rc;
        c->count++;
        p += n;
        if (*p == '\0')
            return RC_OK;
    }
}

/* ---- words for ssh ---- */

/* Quotes and backslashes as a POSIX shell takes them; nothing is expanded. */
static enum rc split_words(const char *s, const char **words, size_t *count, struct arena *arena,
                           struct err *e)
{
    if (strlen(s) > JUMP_MAX_TEXT)
        return err_set(e, RC_LIMIT, "longer than %d bytes", JUMP_MAX_TEXT);
    char *out = arena_alloc(arena, strlen(s) + 1);
    if (out == NULL)
        return err_nomem(e);
    *count = 0;
    for (;;) {
        s += strspn(s, " \t\r\n");
        if (*s == '\0')
            return RC_OK;
        if (*count == MAX_WORDS)
            return err_set(e, RC_LIMIT, "more than %d words", MAX_WORDS);
        words[(*count)++] = out;
        char quote = '\0';
        for (; *s != '\0' && (quote != '\0' || strchr(" \t\r\n", *s) == NULL); s++) {
            if (quote == '\0' && (*s == '"' || *s == '\''))
                quote = *s;
            else if (*s == quote)
                quote = '\0';
            else if (*s == '\\' && quote != '\'' && s[1] != '\0')
                *out++ = *++s;
            else
                *out++ = *s;
        }
        if (quote != '\0')
            return err_set(e, RC_PARSE, "a %c without its end", quote);
        *out++ = '\0';
    }
}

/* Words of ssh_config that change nothing here: they are about what we do in our own way (the
 * policy for host keys is --host-keys and never laxer), or about what we never do. */
static const char *const passed_over[] = {
    "AddKeysToAgent",
    "AddressFamily",
    "BatchMode",
    "CanonicalizeHostname",
    "CheckHostIP",
    "Ciphers",
    "ClearAllForwardings",
    "Compression",
    "ConnectTimeout",
    "ConnectionAttempts",
    "ControlMaster",
    "ControlPath",
    "ControlPersist",
    "EnableSSHKeysign",
    "EscapeChar",
    "ExitOnForwardFailure",
    "FingerprintHash",
    "ForwardAgent",
    "ForwardX11",
    "ForwardX11Timeout",
    "ForwardX11Trusted",
    "GSSAPIAuthentication",
    "GSSAPIDelegateCredentials",
    "GlobalKnownHostsFile",
    "HashKnownHosts",
    "HostKeyAlgorithms",
    "HostbasedAuthentication",
    "IPQoS",
    "IdentitiesOnly",
    "IdentityAgent",
    "KbdInteractiveAuthentication",
    "ChallengeResponseAuthentication",
    "KexAlgorithms",
    "LogLevel",
    "MACs",
    "NoHostAuthenticationForLocalhost",
    "NumberOfPasswordPrompts",
    "PasswordAuthentication",
    "PermitLocalCommand",
    "PreferredAuthentications",
    "PubkeyAcceptedAlgorithms",
    "PubkeyAcceptedKeyTypes",
    "PubkeyAuthentication",
    "RekeyLimit",
    "RequestTTY",
    "SendEnv",
    "ServerAliveCountMax",
    "ServerAliveInterval",
    "SetEnv",
    "StrictHostKeyChecking",
    "TCPKeepAlive",
    "UpdateHostKeys",
    "UserKnownHostsFile",
    "VerifyHostKeyDNS",
    "VisualHostKey",
};

static bool is_passed_over(const char *key)
{
    for (size_t i = 0; i < sizeof passed_over / sizeof passed_over[0]; i++)
        if (strcasecmp(key, passed_over[i]) == 0)
            return true;
    return false;
}

static enum rc set_text(const char **field, const char *value)
{
    if (*field == NULL)
        *field = value;
    return RC_OK;
}

static enum rc set_port(uint16_t *field, const char *value, struct err *e)
{
    uint16_t port = 0;
    enum rc rc = read_port(value, strlen(value), &port, e);
    if (rc == RC_OK && *field == 0)
        *field = port;
    return rc;
}

static enum rc set_jump(struct jump_words *w, const char *value, struct arena *arena, struct err *e)
{
    struct jump_chain c;
    enum rc rc = jump_read(&c, value, arena, e);
    if (rc == RC_OK && !w->has_chain) {
        w->has_chain = true;
        w->chain = c;
    }
    return rc;
}

static enum rc cannot(struct err *e, const char *what)
{
    return err_set(e, RC_PARSE, "muster cannot do '%.100s'", what);
}

static enum rc read_proxy_command(struct jump_words *w, const char *command, struct arena *arena,
                                  struct err *e);

static enum rc read_option(struct jump_words *w, const char *text, struct arena *arena,
                           struct err *e)
{
    char key[64];
    size_t n = strcspn(text, "= \t");
    if (n == 0 || n >= sizeof key)
        return cannot(e, text);
    memcpy(key, text, n);
    key[n] = '\0';
    const char *value = text + n + strspn(text + n, " \t");
    value += *value == '=';
    value += strspn(value, " \t");
    if (strcasecmp(key, "ProxyJump") == 0)
        return set_jump(w, value, arena, e);
    if (strcasecmp(key, "ProxyCommand") == 0)
        return read_proxy_command(w, value, arena, e);
    if (strcasecmp(key, "User") == 0)
        return set_text(&w->user, value);
    if (strcasecmp(key, "Port") == 0)
        return set_port(&w->port, value, e);
    if (strcasecmp(key, "IdentityFile") == 0)
        return set_text(&w->key, value);
    if (strcasecmp(key, "HostKeyAlias") == 0)
        return set_text(&w->key_alias, value);
    return is_passed_over(key) ? RC_OK : cannot(e, text);
}

/* A reader of the words of one call of ssh. */
struct call {
    struct jump_words *w;
    struct arena *arena;
    const char *stdio; /* -W's value */
    const char *host;  /* the first word that is no option */
    bool more;         /* another one: a command */
};

/* An option with a value. */
static enum rc take_value(struct call *c, char option, const char *value, struct err *e)
{
    char shown[JUMP_MAX_TEXT];
    switch (option) {
    case 'J': return set_jump(c->w, value, c->arena, e);
    case 'o': return read_option(c->w, value, c->arena, e);
    case 'l': return set_text(&c->w->user, value);
    case 'p': return set_port(&c->w->port, value, e);
    case 'i': return set_text(&c->w->key, value);
    case 'W': c->stdio = value; return RC_OK;
    case 'S':
    case 'E':
    case 'e':
    case 'c':
    case 'm': return RC_OK;
    case 'F':
        if (strcmp(value, "/dev/null") == 0 || strcmp(value, "none") == 0)
            return RC_OK;
        break;
    default: break;
    }
    snprintf(shown, sizeof shown, "-%c %s", option, value);
    return cannot(e, shown);
}

/* One word of options, "-vqC" or "-Jhost"; a value may be the next word. */
static enum rc take_options(struct call *c, const char *const *words, size_t count, size_t *i,
                            struct err *e)
{
    const char *word = words[*i];
    for (const char *p = word + 1; *p != '\0'; p++) {
        if (strchr("46AaCfgKkMNnqsTtVvXxYy", *p) != NULL)
            continue;
        if (strchr("BbcDEeFIiJLlmOopQRSWw", *p) == NULL)
            return cannot(e, word);
        if (p[1] != '\0')
            return take_value(c, *p, p + 1, e);
        if (*i + 1 == count)
            return err_set(e, RC_PARSE, "-%c lacks its value", *p);
        return take_value(c, *p, words[++*i], e);
    }
    return RC_OK;
}

static enum rc read_call(struct call *c, const char *const *words, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        enum rc rc = RC_OK;
        if (words[i][0] == '-' && words[i][1] != '\0' && strcmp(words[i], "--") != 0)
            rc = take_options(c, words, count, &i, e);
        else if (c->host == NULL)
            c->host = words[i];
        else
            c->more = true;
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static bool is_ssh(const char *program)
{
    const char *slash = strrchr(program, '/');
    return strcmp(slash != NULL ? slash + 1 : program, "ssh") == 0;
}

/* "ssh -W %h:%p [-q] [-p N] [-i FILE] [user@]bastion": how a jump was written before -J. */
static enum rc read_proxy_command(struct jump_words *w, const char *command, struct arena *arena,
                                  struct err *e)
{
    const char *words[MAX_WORDS];
    size_t count = 0;
    struct jump_words inner = {0};
    struct call c = {.w = &inner, .arena = arena};
    if (w->has_chain || strcasecmp(command, "none") == 0) {
        w->has_chain = true;
        return RC_OK;
    }
    enum rc rc = split_words(command, words, &count, arena, e);
    size_t first = count > 0 && strcmp(words[0], "exec") == 0;
    if (rc == RC_OK && count > first && is_ssh(words[first]))
        rc = read_call(&c, words + first + 1, count - first - 1, e);
    if (rc != RC_OK)
        return rc == RC_PARSE ? err_wrap(e, "ProxyCommand") : rc;
    if (c.host == NULL || c.more || c.stdio == NULL ||
        (strcmp(c.stdio, "%h:%p") != 0 && strcmp(c.stdio, "[%h]:%p") != 0)) {
        char shown[JUMP_MAX_TEXT + 32];
        snprintf(shown, sizeof shown, "ProxyCommand=%s", command);
        return cannot(e, shown);
    }
    struct jump_chain last;
    rc = jump_read(&last, c.host, arena, e);
    if (rc != RC_OK)
        return rc;
    struct jump_host *h = &last.hosts[0];
    h->user = h->user != NULL ? h->user : inner.user;
    h->port = h->port != 0 ? h->port : inner.port;
    h->key = inner.key;
    if (inner.chain.count == JUMP_MAX_CHAIN)
        return err_set(e, RC_LIMIT, "more than %d bastions one behind the other", JUMP_MAX_CHAIN);
    w->has_chain = true;
    w->chain = inner.chain;
    w->chain.hosts[w->chain.count++] = *h;
    return RC_OK;
}

enum rc jump_read_command(struct jump_chain *c, const char *command, struct arena *arena,
                          struct err *e)
{
    struct jump_words w = {0};
    enum rc rc = read_proxy_command(&w, command, arena, e);
    *c = w.chain;
    return rc;
}

bool jump_is_command(const char *command)
{
    struct arena arena;
    struct jump_chain c;
    arena_init(&arena);
    bool is = jump_read_command(&c, command, &arena, NULL) == RC_OK && c.count > 0;
    arena_fini(&arena);
    return is;
}

enum rc jump_words_read(struct jump_words *w, const char *text, struct arena *arena, struct err *e)
{
    const char *words[MAX_WORDS];
    size_t count = 0;
    struct call c = {.w = w, .arena = arena};
    memset(w, 0, sizeof *w);
    enum rc rc = split_words(text, words, &count, arena, e);
    if (rc == RC_OK)
        rc = read_call(&c, words, count, e);
    if (rc == RC_OK && (c.host != NULL || c.stdio != NULL))
        rc = cannot(e, c.host != NULL ? c.host : "-W");
    return rc;
}
