/* See descriptors.h. */
#include "common/descriptors.h"

#include <fcntl.h>

unsigned descriptors_open(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < DESCRIPTORS_LOOK; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}
