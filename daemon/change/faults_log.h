/* SPDX-License-Identifier: MIT */
/*
 * Faults of the configuration into the journal: one entry each, with file and line as fields. Main thread.
 */
#pragma once

#include "config.h"

void faults_log(const struct config_faults *faults);
