#include "agent/core/ask.h"

void ask_free(struct ask *a)
{
    (void)a;
}
