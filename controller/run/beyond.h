/* What of a host's ssh_config the SSH library here cannot do, so that OpenSSH's ssh is to reach it.
 *
 * Decides nothing about a host: target_config.c does. Coordinator, before the run.
 */
#ifndef CONTROLLER_RUN_BEYOND_H
#define CONTROLLER_RUN_BEYOND_H

#include <stdbool.h>

#include "controller/sshconfig/sshconfig.h"

/* The first word that only ssh can follow (a ProxyCommand that is no bastion, a list of algorithms
 * of which we have none, …), or SSHWORD_COUNT. */
enum sshword beyond_word(const struct sshconfig_answer *a);

/* A list of algorithms can be followed if the old ones are offered too. */
bool beyond_old(const struct sshconfig_answer *a);

/* Is there a Kerberos ticket: KRB5CCNAME, or the usual cache? */
bool beyond_ticket(void);

#endif
