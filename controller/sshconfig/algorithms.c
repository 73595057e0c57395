/* See algorithms.h. */
#include "controller/sshconfig/algorithms.h"

#include <string.h>

#include "controller/ssh/offered.h"
#include "controller/sshconfig/internal.h"

struct offered {
    const char *modern, *old;
};

static struct offered offered(enum sshword w)
{
    switch (w) {
    case SSHWORD_HOST_KEY_ALGORITHMS: return (struct offered){HOSTKEYS_MODERN, HOSTKEYS_OLD};
    case SSHWORD_KEX: return (struct offered){KEX_MODERN, KEX_OLD};
    case SSHWORD_CIPHERS: return (struct offered){CIPHERS_MODERN, CIPHERS_OLD};
    default: must(w == SSHWORD_MACS); return (struct offered){MACS_MODERN, MACS_OLD};
    }
}

/* How many of the names in `ours` the list has; *all gets how many there are. */
static unsigned shared(const char *ours, const char *list, unsigned *all)
{
    unsigned found = 0;
    *all = 0;
    for (const char *p = ours; *p != '\0';) {
        char name[64];
        size_t n = strcspn(p, ",");
        must(n < sizeof name);
        memcpy(name, p, n);
        name[n] = '\0';
        found += match_list(name, list, false) == 1;
        ++*all;
        p += n + (p[n] == ',');
    }
    return found;
}

enum algorithms_fit algorithms_fit(enum sshword w, const char *list)
{
    struct offered o = offered(w);
    char sign = *list;
    bool changes = sign == '+' || sign == '-' || sign == '^';
    unsigned modern, old, all, all_old;
    modern = shared(o.modern, list + changes, &all);
    old = shared(o.old, list + changes, &all_old);
    if (sign == '-')
        return modern == 0     ? ALGORITHMS_FINE
               : modern == all ? ALGORITHMS_NONE
                               : ALGORITHMS_NARROWER;
    if (sign == '+' || sign == '^')
        return old > 0 ? ALGORITHMS_OLD : ALGORITHMS_FINE;
    if (modern == 0)
        return old > 0 ? ALGORITHMS_OLD : ALGORITHMS_NONE;
    return modern == all ? ALGORITHMS_FINE : ALGORITHMS_NARROWER;
}
