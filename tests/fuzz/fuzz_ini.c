/* INI inventories: sections, host lines, Python literals. */
#include "tests/fuzz/fuzz_inventory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_inventory(INVENTORY_INI, data, size);
}
