/* Where and as whom to log in: a host of the inventory with its connection variables read, and what
 * ssh_config says of it.
 *
 * The command line wins over the inventory, which wins over ssh_config, which wins over MUSTER_*
 * and the configuration file; muster_NAME wins over ansible_NAME. Values that cannot be used
 * (templates, vault, a proxy that we cannot do) make that host's outcome bad-target and leave the
 * others alone. What is in front of a host is jump's. Coordinator, before the run.
 */
#ifndef CONTROLLER_RUN_TARGET_H
#define CONTROLLER_RUN_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"
#include "controller/cli/options.h"
#include "controller/run/trust.h"
#include "controller/secrets/secrets.h"
#include "controller/ssh/keys.h"
#include "controller/ssh/session.h"
#include "inventory/inventory.h"

struct target_config;

/* What ssh is told beside its own files; all of it is what a stronger source than they gave. */
struct target_dial {
    const char *host;  /* the name to dial: ansible_host or the name */
    const char *user;  /* NULL: ssh_config's */
    uint16_t port;     /* 0: ssh_config's */
    const char *key;   /* a file, or NULL */
    const char *alias; /* HostKeyAlias, or NULL */
};

struct target {
    const struct inv_host *host; /* NULL: a bastion that the inventory does not know */
    const char *name;            /* the host's, or the bastion's as it was written */
    const char *address;         /* what is resolved: HostName, ansible_host, or the name */
    const char *key_name;        /* what known_hosts is asked for: HostKeyAlias, or address */
    const char *user;
    uint16_t port;
    uint8_t key_count;
    uint8_t keys[SESSION_MAX_KEYS];
    uint32_t password;          /* number in the secrets; 0: none */
    const struct value *clear;  /* what holds it, where that is clear text, or NULL */
    uint32_t become_password;   /* likewise, for --become */
    const char *no_password;    /* why it could not be read; matters where no key is enough */
    bool alias;                 /* key_name is an alias: looked up without the port, as ssh does */
    bool legacy;                /* old algorithms are offered too: ssh_config asks for them */
    uint8_t family;             /* AF_INET or AF_INET6: addresses of this one only; 0: any */
    uint64_t connect_ms;        /* its own bound in place of --connect-timeout; 0: that */
    struct trust_rule trust;    /* which known_hosts files and which policy */
    const char *openssh;        /* why OpenSSH's ssh is to reach it (one line), or NULL */
    struct target_dial dial;    /* how ssh is to be called for it */
    const char *config_jump;    /* ssh_config's ProxyJump for it, or NULL */
    const char *config_command; /* its ProxyCommand, of the kind that jump_text reads, or NULL */
    uint32_t way;               /* the bastions in front of it (jump.h), 0: none */
    const char *bad;            /* why it cannot be used (bad-target), or NULL */
};

/* What does not differ between hosts, found once. */
struct target_defaults {
    const char *user;     /* -u, or who we are */
    const char *own_user; /* the same without a -u that was typed: for bastions */
    bool user_given, port_given;
    uint16_t port;
    uint8_t key_count; /* --key, or the user's default files */
    uint8_t keys[SESSION_MAX_KEYS];
    bool keys_given;
    struct secrets *secrets;    /* gets what variables hold; NULL: nobody logs in, none are read */
    uint32_t password;          /* --ask-pass, in secrets; 0: the inventory's */
    bool becomes;               /* --become: what it needs is read too */
    uint32_t become_password;   /* --ask-become-pass, in secrets; 0: the inventory's */
    const char *host_key_alias; /* -O HostKeyAlias, or NULL */
    struct target_config *config; /* ssh_config, or NULL */
};

/* Reads --key or the default key files into `keys`. RC_OK also without any key; errors of files
 * that the user named are errors. Strings live in arena. */
enum rc target_defaults_init(struct target_defaults *d, const struct options *o, struct keys *keys,
                             struct arena *arena, struct err *e);

/* Puts a host's keys in ssh's order, with the certificates that go with them (keys_order). */
void target_order_keys(const struct keys *keys, uint8_t *ids, uint8_t *count);

/* Of the keys that nobody named: without the files where ssh_config names others, and without what
 * only the agent has where its IdentityAgent (`agent`) or IdentitiesOnly (`only`) say so; NULL:
 * they say nothing. */
void target_keep_agents(struct target *t, const struct keys *keys, bool named, const char *agent,
                        const char *only);

/* Fills *t; files that variables name are added to `keys`. RC_NOMEM, or RC_OK with t->bad set where
 * the host cannot be used. Strings live in arena or in the inventory. */
enum rc target_init(struct target *t, const struct target_defaults *d, const struct inventory *inv,
                    const struct inv_host *host, struct keys *keys, struct arena *arena,
                    struct err *e);
/* The same for a bastion, which the inventory may not know: host may be NULL. */
enum rc target_init_named(struct target *t, const struct target_defaults *d,
                          const struct inventory *inv, const struct inv_host *host,
                          const char *name, struct keys *keys, struct arena *arena, struct err *e);

#endif
