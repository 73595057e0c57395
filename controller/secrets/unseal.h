/* Opens the sealed values of an inventory when a host needs them, each once, however many hosts
 * share it. The key is asked for at the first of them: a run that needs none asks nothing.
 *
 * What is opened goes into the secrets of the run and nowhere else. Reading keys and deriving them
 * blocks, the latter for most of a second: before the run, never on a loop. One thread at a time.
 */
#ifndef CONTROLLER_SECRETS_UNSEAL_H
#define CONTROLLER_SECRETS_UNSEAL_H

#include "common/err.h"
#include "controller/secrets/secrets.h"
#include "controller/vault/key_source.h"
#include "inventory/inventory.h"

struct unseal;

/* `from` is copied, its strings and `into` are borrowed. RC_OK, RC_NOMEM. */
enum rc unseal_new(struct unseal **out, const struct key_source *from, struct secrets *into,
                   struct err *e);
void unseal_free(struct unseal *u); /* wipes the key; NULL is fine */

/* Opens v, a VALUE_VAULT that is set under the variable `name` (NULL: not known). RC_OK with its
 * number in the secrets. Any other: no key, a wrong one, a damaged text, a text that is empty or no
 * secret; the message begins with the value's place. The answer stays the same for the same value:
 * a key that is missing is not asked for again. */
enum rc unseal_value(struct unseal *u, const struct value *v, const char *name, uint32_t *id,
                     struct err *e);

/* All of it as the inventory wants it: values, files sealed as a whole, and texts out of those,
 * which are kept in the secrets. `u` must outlive its use. */
struct inventory_opener unseal_opener(struct unseal *u);

#endif
