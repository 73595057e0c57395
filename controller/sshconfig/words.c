/* See words.h. */
#include "controller/sshconfig/words.h"

#include <string.h>
#include <strings.h>

#include "common/num.h"

static const struct {
    const char *name;
    enum sshword_kind kind;
} words[] = {
#define SSHWORD_ROW(code, name, kind) [code] = {name, kind},
    SSHWORD_TABLE(SSHWORD_ROW)
#undef SSHWORD_ROW
};

/* Older spellings, and what makes up the file. */
static const struct {
    const char *name;
    enum sshword word;
} others[] = {
    {"Host", SSHWORD_HOST},
    {"Match", SSHWORD_MATCH},
    {"Include", SSHWORD_INCLUDE},
    {"IgnoreUnknown", SSHWORD_IGNORE_UNKNOWN},
    {"IdentityFile2", SSHWORD_IDENTITY_FILE},
    {"UserKnownHostsFile2", SSHWORD_HARMLESS},
    {"GlobalKnownHostsFile2", SSHWORD_HARMLESS},
    {"SmartcardDevice", SSHWORD_PKCS11},
    {"DSAAuthentication", SSHWORD_HARMLESS},
};

/* They change what a terminal, a forwarding or a later session is like, or make a login stricter
 * than what we do anyway. */
static const char *const harmless[] = {
    "AddKeysToAgent",
    "BatchMode",
    "CanonicalDomains",
    "CanonicalizeFallbackLocal",
    "CanonicalizeMaxDots",
    "CanonicalizePermittedCNAMEs",
    "CASignatureAlgorithms",
    "ChallengeResponseAuthentication",
    "ChannelTimeout",
    "CheckHostIP",
    "Cipher",
    "ClearAllForwardings",
    "Compression",
    "CompressionLevel",
    "ConnectionAttempts",
    "ControlMaster",
    "ControlPath",
    "ControlPersist",
    "DynamicForward",
    "EnableEscapeCommandline",
    "EnableSSHKeysign",
    "EscapeChar",
    "ExitOnForwardFailure",
    "FallBackToRsh",
    "FingerprintHash",
    "ForkAfterAuthentication",
    "ForwardAgent",
    "ForwardX11",
    "ForwardX11Timeout",
    "ForwardX11Trusted",
    "GatewayPorts",
    "GSSAPIClientIdentity",
    "GSSAPIDelegateCredentials",
    "GSSAPIKexAlgorithms",
    "GSSAPIKeyExchange",
    "GSSAPIRenewalForcesRekey",
    "GSSAPIServerIdentity",
    "GSSAPITrustDns",
    "HashKnownHosts",
    "HostbasedAcceptedAlgorithms",
    "HostbasedAuthentication",
    "HostbasedKeyTypes",
    "IPQoS",
    "KbdInteractiveAuthentication",
    "KbdInteractiveDevices",
    "KeepAlive",
    "LocalCommand",
    "LocalForward",
    "LogLevel",
    "LogVerbose",
    "NoHostAuthenticationForLocalhost",
    "NumberOfPasswordPrompts",
    "ObscureKeystrokeTiming",
    "PermitLocalCommand",
    "PermitRemoteOpen",
    "Protocol",
    "ProxyUseFdpass",
    "PubkeyAcceptedAlgorithms",
    "PubkeyAcceptedKeyTypes",
    "PubkeyAuthentication",
    "RekeyLimit",
    "RemoteCommand",
    "RemoteForward",
    "RequestTTY",
    "RequiredRSASize",
    "RhostsAuthentication",
    "RhostsRSAAuthentication",
    "RSAAuthentication",
    "SecurityKeyProvider",
    "SendEnv",
    "ServerAliveCountMax",
    "ServerAliveInterval",
    "SessionType",
    "SetEnv",
    "SkeyAuthentication",
    "StdinNull",
    "StreamLocalBindMask",
    "StreamLocalBindUnlink",
    "SyslogFacility",
    "Tag",
    "TCPKeepAlive",
    "TISAuthentication",
    "Tunnel",
    "TunnelDevice",
    "UpdateHostKeys",
    "UsePrivilegedPort",
    "UseRsh",
    "UseRoaming",
    "VerifyHostKeyDNS",
    "VersionAddendum",
    "VisualHostKey",
    "WarnWeakCrypto",
    "XAuthLocation",
};

enum sshword sshword_find(const char *name)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(words[i].name, name) == 0)
            return (enum sshword)i;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcasecmp(others[i].name, name) == 0)
            return others[i].word;
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
        if (strcasecmp(harmless[i], name) == 0)
            return SSHWORD_HARMLESS;
    return SSHWORD_NONE;
}

const char *sshword_name(enum sshword w)
{
    must(w < SSHWORD_COUNT);
    return words[w].name;
}

enum sshword_kind sshword_kind(enum sshword w)
{
    return w < SSHWORD_COUNT ? words[w].kind : KIND_ANY;
}

static bool one_of(const char *text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(text, list[i]) == 0)
            return true;
    return false;
}

/* "90", "1m30s", "2h"; -1 where it is no time (sshd_config(5), TIME FORMATS). */
static long read_seconds(const char *text)
{
    long total = 0;
    if (*text == '\0')
        return -1;
    for (const char *p = text; *p != '\0';) {
        long n = 0;
        const char *digits = p;
        for (; *p >= '0' && *p <= '9' && n < 100000000; p++)
            n = n * 10 + (*p - '0');
        if (p == digits || n >= 100000000)
            return -1;
        long unit = 1;
        switch (*p) {
        case 's':
        case 'S': break;
        case 'm':
        case 'M': unit = 60; break;
        case 'h':
        case 'H': unit = 3600; break;
        case 'd':
        case 'D': unit = 86400; break;
        case 'w':
        case 'W': unit = 604800; break;
        case '\0': p--; break;
        default: return -1;
        }
        p++;
        if (n > 100000000 / unit || (total += n * unit) > 100000000)
            return -1;
    }
    return total;
}

enum rc sshword_check(enum sshword w, const char *text, struct err *e)
{
    static const char *const yesno[] = {"yes", "no", "true", "false"};
    static const char *const checking[] = {"yes", "no",  "true",      "false",
                                           "ask", "off", "accept-new"};
    static const char *const family[] = {"any", "inet", "inet6"};
    uint64_t port;
    if (*text == '\0')
        return err_set(e, RC_CONFIG, "%s has no value", sshword_name(w));
    switch (sshword_kind(w)) {
    case KIND_PORT:
        if (num_u64(text, 1, 65535, &port, NULL) != RC_OK)
            return err_set(e, RC_CONFIG, "Port '%.40s' is not a number from 1 to 65535", text);
        return RC_OK;
    case KIND_YESNO:
        if (!one_of(text, yesno, 4))
            return err_set(e, RC_CONFIG, "%s '%.40s': say yes or no", sshword_name(w), text);
        return RC_OK;
    case KIND_CHECKING:
        if (!one_of(text, checking, 7))
            return err_set(e, RC_CONFIG, "%s '%.40s': say yes, accept-new, no or ask",
                           sshword_name(w), text);
        return RC_OK;
    case KIND_FAMILY:
        if (!one_of(text, family, 3))
            return err_set(e, RC_CONFIG, "%s '%.40s': say any, inet or inet6", sshword_name(w),
                           text);
        return RC_OK;
    case KIND_SECONDS:
        if (strcmp(text, "none") != 0 && read_seconds(text) < 0)
            return err_set(e, RC_CONFIG, "%s '%.40s' is not a time (write 10 or 1m30s)",
                           sshword_name(w), text);
        return RC_OK;
    default: return RC_OK;
    }
}

bool sshword_yes(const char *text)
{
    return text != NULL && (strcasecmp(text, "yes") == 0 || strcasecmp(text, "true") == 0);
}

bool sshword_none(const char *text)
{
    return text == NULL || strcasecmp(text, "none") == 0;
}

unsigned sshword_seconds(const char *text)
{
    long n = text == NULL ? -1 : read_seconds(text);
    return n < 0 ? 0 : (unsigned)n;
}
