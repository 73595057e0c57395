/* The hosts, groups and variables that the sources name, exactly as Ansible reads them.
 *
 * Load first (add sources, add_host, then finish), read afterwards; nothing changes after
 * inventory_finish, so any thread may then read. Does not evaluate templates and opens no vault
 * itself: such values stay opaque (value.h), unless the caller lends an opener. Does not match
 * patterns (pattern.h).
 */
#ifndef INVENTORY_INVENTORY_H
#define INVENTORY_INVENTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "inventory/value.h"

/* Caps on what a source may make us hold. */
enum {
    INVENTORY_MAX_HOSTS = 10000000,
    INVENTORY_MAX_GROUPS = 1000000,
    INVENTORY_MAX_DEPTH = 64,               /* nesting of YAML, JSON and of values */
    INVENTORY_MAX_GROUP_DEPTH = 512,        /* groups inside groups */
    INVENTORY_MAX_FILE = 512 * 1024 * 1024, /* bytes of one file or one script's output */
};

struct inventory;

struct inv_group;

struct inv_host {
    const char *name;     /* as the inventory spells it */
    uint32_t index;       /* position in the order of first mention, from 0 */
    uint32_t group_count; /* every group it is in, through children too, "all" included */
    struct inv_group *const
        *groups;   /* lowest precedence first: "all", then depth, priority, name */
    bool implicit; /* made by inventory_add_host, not by a source */
};

struct inv_group {
    const char *name;
    uint32_t index;
    uint32_t depth;   /* as Ansible's Group.depth: 0 for "all" */
    int64_t priority; /* ansible_group_priority, 1 unless set */
    struct inv_group *const *children;
    uint32_t child_count;
    struct inv_group *const *parents;
    uint32_t parent_count;
    struct inv_host *const *hosts; /* direct members, in order */
    uint32_t host_count;
};

/* RC_OK, RC_NOMEM. */
enum rc inventory_new(struct inventory **out, struct err *e);
void inventory_free(struct inventory *inv); /* NULL is fine */

/* Adds one source: a file (YAML, JSON, INI by content as Ansible's auto-detection decides), a
 * directory (entries in ASCII order), an executable that prints Ansible's JSON (run with --list;
 * --host NAME only where there is no _meta), or an inline list when it contains a comma ("h1,h2,").
 * group_vars/ and host_vars/ beside it are read at inventory_finish.
 * Errors carry file:line:column and say what would be right. */
enum rc inventory_add_source(struct inventory *inv, const char *path, struct err *e);

/* How text is to be read. */
enum inventory_format {
    INVENTORY_AUTO, /* by the extension of its name and by content, as a file would be */
    INVENTORY_YAML, /* groups in YAML, or in JSON with the same shape */
    INVENTORY_INI,
    INVENTORY_SCRIPT, /* the JSON that an inventory script prints for --list */
};

/* Adds a source that is in memory (len bytes). `name` stands for the file in messages and is
 * copied; nothing is looked for beside it. */
enum rc inventory_add_text(struct inventory *inv, const char *name, enum inventory_format format,
                           const char *text, size_t len, struct err *e);

/* Time limit of one run of an inventory script, in milliseconds; 60000 unless set. */
void inventory_set_script_timeout(struct inventory *inv, uint64_t ms);

/* Lowers the cap on hosts from INVENTORY_MAX_HOSTS, for callers with less to spend. */
void inventory_set_max_hosts(struct inventory *inv, uint32_t max);

/* Adds a host that needs no source (-w). In "all" and "ungrouped"; existing: RC_OK, nothing
 * changes. *host may be NULL. */
enum rc inventory_add_host(struct inventory *inv, const char *name, struct inv_host **host,
                           struct err *e);

/* Reads group_vars/host_vars, checks cycles, orders groups, builds what the readers below need. */
enum rc inventory_finish(struct inventory *inv, struct err *e);

/* Readers; pointers live as long as the inventory. */
size_t inventory_host_count(const struct inventory *inv);
struct inv_host *inventory_host_at(const struct inventory *inv, size_t i);
struct inv_host *inventory_host_find(const struct inventory *inv, const char *name);
size_t inventory_group_count(const struct inventory *inv);
struct inv_group *inventory_group_at(const struct inventory *inv, size_t i);
struct inv_group *inventory_group_find(const struct inventory *inv, const char *name);

/* All hosts of a group and its descendants, in Ansible's order (Group.get_hosts), without
 * duplicates. *hosts is cached in the inventory (loop thread only), do not free. */
enum rc inventory_group_hosts(struct inventory *inv, struct inv_group *g,
                              struct inv_host *const **hosts, size_t *count, struct err *e);

/* One variable of a host with Ansible's precedence, without merging the rest: NULL when not set.
 * Cost: one look-up per group that the host is in. */
const struct value *inventory_host_var(const struct inventory *inv, const struct inv_host *h,
                                       const char *name);

/* A connection variable under both its names: muster_NAME wins over ansible_NAME, wherever each is
 * set ("host", "port", "user", "ssh_private_key_file"). Ansible's older names count too, and win
 * over the newer as they do there (ansible_ssh_host, ansible_ssh_pass, …). NULL when none is set.
 */
const struct value *inventory_host_conn_var(const struct inventory *inv, const struct inv_host *h,
                                            const char *name);

/* What opens what is sealed, for the one reader below. Errors other than RC_NOMEM are those of the
 * value or file. */
typedef enum rc (*inventory_plain_fn)(void *taker, const char *plain, size_t len, struct err *e);
struct inventory_opener {
    /* Fills *out with a string whose text lives as long as the inventory. name: the variable that
     * `sealed` is set under. The message names the place. */
    enum rc (*value)(void *user, const struct value *sealed, const char *name, struct value *out,
                     struct err *e);
    /* Opens a file that is sealed as a whole, hands its text to `take` and wipes it. RC_NOTFOUND:
     * there is no key, and none could be asked for; take's error; the message names no file. */
    enum rc (*file)(void *user, const char *text, size_t len, inventory_plain_fn take, void *taker,
                    struct err *e);
    /* Keeps a text that stood in such a file: *kept lives as long as the inventory. */
    enum rc (*keep)(void *user, const char *text, size_t len, const char **kept, size_t *kept_len,
                    struct err *e);
    void *user;
};
/* Copied. NULL takes it back, and overwrites what sealed files held; only what was kept remains. */
void inventory_set_opener(struct inventory *inv, const struct inventory_opener *opener);

/* Warns once of every file of variables that is sealed as a whole, for a caller without opener: all
 * readers but inventory_host_conn_open do as if it were not there. */
void inventory_warn_sealed(const struct inventory *inv);

/* As inventory_host_conn_var, with a sealed value opened, and with files that are sealed as a whole
 * opened where one of them may decide: *out is then `space`, a string that is kept as a secret. A
 * text that is exactly "{{ name }}" is followed to that variable, once. RC_OK also when there is
 * none (NULL; a variable that a sealed file sets to nothing, too) and, without an opener, for a
 * sealed one as it is. Without a key sealed files are warned about and left out. One thread at a
 * time, as long as an opener is set. */
enum rc inventory_host_conn_open(const struct inventory *inv, const struct inv_host *h,
                                 const char *name, struct value *space, const struct value **out,
                                 struct err *e);

/* All variables of a host merged with Ansible's precedence, a VALUE_MAP sorted by name; built in
 * `arena`, which must outlive *out; members are shared with the inventory. */
enum rc inventory_host_vars(const struct inventory *inv, const struct inv_host *h,
                            struct arena *arena, const struct value **out, struct err *e);

/* Variables set on the group itself (for --graph --vars and --json). A VALUE_MAP, maybe empty. */
const struct value *inventory_group_vars(const struct inventory *inv, const struct inv_group *g);

/* The document of `ansible-inventory --list` (indent 4, keys sorted) and of --graph. */
enum rc inventory_json(struct inventory *inv, struct buf *out, struct err *e);
enum rc inventory_graph(struct inventory *inv, const char *group, bool vars, struct buf *out,
                        struct err *e);

#endif
