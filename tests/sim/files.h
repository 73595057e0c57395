/* The files that a simulated fleet writes for its users. */
#ifndef TESTS_SIM_FILES_H
#define TESTS_SIM_FILES_H

#include "tests/sim/options.h"

/* Writes those that were asked for; RC_OK, or an error that names the file. */
enum rc files_write(const struct options *o, const struct plan *p, uint16_t port, struct err *e);

#endif
