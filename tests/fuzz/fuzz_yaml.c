/* YAML inventories, with the fall-back to INI that a file without an extension has. */
#include "tests/fuzz/fuzz_inventory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_inventory(INVENTORY_AUTO, data, size);
}
