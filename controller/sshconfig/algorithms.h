/* Lists of algorithms as ssh_config writes them (HostKeyAlgorithms, KexAlgorithms, Ciphers, MACs):
 * how they fit what our SSH library has. Pure; any thread.
 */
#ifndef CONTROLLER_SSHCONFIG_ALGORITHMS_H
#define CONTROLLER_SSHCONFIG_ALGORITHMS_H

#include "controller/sshconfig/words.h"

enum algorithms_fit {
    ALGORITHMS_FINE,     /* what we offer is in the list, or the list only adds or reorders */
    ALGORITHMS_NARROWER, /* the list leaves out something that we offer */
    ALGORITHMS_OLD,      /* it asks for old ones that we can offer too */
    ALGORITHMS_NONE,     /* we have nothing of what is in the list */
};

/* `w` is one of the four words. "+LIST" and "^LIST" add, "-LIST" takes away, a plain list stands
 * alone; "*" and "?" match as in ssh. */
enum algorithms_fit algorithms_fit(enum sshword w, const char *list);

#endif
