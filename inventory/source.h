/* How text becomes inventory: one function per format, each adding to the model. Private to this
 * folder. Where something is wrong nothing is undone: a failed load means a failed inventory.
 * Single thread.
 */
#ifndef INVENTORY_SOURCE_H
#define INVENTORY_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"
#include "inventory/model.h"

/* The "[group]" format. `file` lives as long as the inventory (places point to it). */
enum rc source_ini(struct inventory *inv, const char *file, const char *text, size_t len,
                   struct err *e);

/* A document whose top-level keys are groups (Ansible's "yaml" plugin). */
enum rc source_groups(struct inventory *inv, const struct value *doc, struct err *e);

/* What a script prints for --list: groups, and _meta.hostvars. *has_meta says whether it was
 * there; the hosts it named are appended to `hosts` (struct host *), each once per mention. */
enum rc source_script_list(struct inventory *inv, const struct value *doc, bool *has_meta,
                           struct list *hosts, struct err *e);
/* What it prints for --host. */
enum rc source_script_host(struct inventory *inv, struct host *h, const struct value *doc,
                           struct err *e);

/* "h1,h2:2222," */
enum rc source_inline(struct inventory *inv, const char *text, struct err *e);

/* Reads a whole file, at most INVENTORY_MAX_FILE bytes, into out (empty, max set here). */
enum rc source_read_file(const char *path, struct buf *out, struct err *e);

/* Text of a file that may be JSON or YAML, as Ansible's DataLoader: JSON first. NULL when empty. */
enum rc source_document(struct inventory *inv, const char *file, const char *text, size_t len,
                        const struct value **out, struct err *e);

/* Sealed as a whole, by us or by ansible-vault? */
bool source_is_sealed(const char *text, size_t len);

/* Reads the group_vars/ and host_vars/ of every folder in inv->dirs. */
enum rc source_vars_files(struct inventory *inv, struct err *e);

/* The extension from its dot, as os.path.splitext: "" when there is none. */
const char *source_extension(const char *path);

#endif
