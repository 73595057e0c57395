/* Reads how people write bastions: "user@host:port,…" as ssh -J takes it, and the words for ssh in
 * Ansible's ansible_ssh_common_args and its like. Pure; texts live in the arena given.
 */
#ifndef CONTROLLER_RUN_JUMP_TEXT_H
#define CONTROLLER_RUN_JUMP_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"

enum { JUMP_MAX_CHAIN = 8, JUMP_MAX_TEXT = 4096 };

struct jump_host {
    const char *user; /* NULL: not said */
    const char *host;
    uint16_t port;   /* 0: not said */
    const char *key; /* file of a private key, NULL: not said */
};

struct jump_chain {
    struct jump_host hosts[JUMP_MAX_CHAIN]; /* the one nearest to us first */
    uint32_t count;                         /* 0: "none", go directly */
};

/* "[user@]host[:port],…", "[::1]:22", "ssh://user@host:port" or "none". RC_PARSE with what is
 * wrong, RC_LIMIT, RC_NOMEM. */
enum rc jump_read(struct jump_chain *c, const char *text, struct arena *arena, struct err *e);

/* A ProxyCommand that is a jump written the old way: "ssh -W %h:%p [user@]bastion". */
bool jump_is_command(const char *command);
/* Its chain. As jump_read. */
enum rc jump_read_command(struct jump_chain *c, const char *command, struct arena *arena,
                          struct err *e);

/* What words for ssh say that matters to us; NULL and 0 where they do not say. */
struct jump_words {
    bool has_chain;
    struct jump_chain chain; /* -J, ProxyJump, or a ProxyCommand that is "ssh -W %h:%p bastion" */
    const char *user, *key, *key_alias;
    uint16_t port;
};

/* Splits as a shell would and reads: what was said first counts, as with ssh. Words that change
 * nothing for us are passed over; RC_PARSE names one that we cannot do, RC_LIMIT, RC_NOMEM. */
enum rc jump_words_read(struct jump_words *w, const char *text, struct arena *arena, struct err *e);

#endif
