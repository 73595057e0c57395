/* See blob.h. */
#include "controller/remote/blob.h"

#include <string.h>

const struct blob *blob_at(size_t i)
{
    size_t n = 0;
    while (n < i && blob_table[n].arch != NULL)
        n++;
    return blob_table[n].arch != NULL ? &blob_table[n] : NULL;
}

const struct blob *blob_find(const char *arch)
{
    for (const struct blob *b = blob_table; b->arch != NULL; b++)
        if (strcmp(b->arch, arch) == 0)
            return b;
    return NULL;
}
