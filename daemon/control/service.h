/* SPDX-License-Identifier: MIT */
/*
 * org.varlink.service: what every Varlink service answers about itself. Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "methods.h"

extern const struct method service_methods[];

/* Is this one of the interfaces that the daemon serves? `name` need not end after `size` bytes. */
bool service_has_interface(const char *name, size_t size);
