/* Where OpenSSH's ssh is. See openssh.h. */
#include "controller/openssh/openssh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum rc openssh_find(char *dst, size_t cap, struct err *e)
{
    const char *path = getenv("PATH");
    dst[0] = '\0';
    for (const char *p = path != NULL ? path : "/usr/bin:/bin"; *p != '\0';) {
        size_t n = strcspn(p, ":");
        if (n > 0 && *p == '/' && (size_t)snprintf(dst, cap, "%.*s/ssh", (int)n, p) < cap &&
            access(dst, X_OK) == 0)
            return RC_OK;
        p += n + (p[n] == ':');
    }
    dst[0] = '\0';
    return err_set(e, RC_NOTFOUND, "there is no ssh on PATH (openssh-client has it)");
}
